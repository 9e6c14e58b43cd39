package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/store/storetest"
)

// An operated is how long the admin API takes with many clients, in one of the databases.
type operated struct {
	database          string
	clients, declared int
	first, page       time.Duration // of clients: the first page, and one in the middle
	search            time.Duration // for one of them
	plan              time.Duration // of declared clients, half of them as they are
	some, all         pair          // tokens for a thousand of them and for all, with the smallest registry first
	usual, memory     int64         // in memory, when a thousand of them have asked, and all
}

// usually is how many clients ask while others are only registered.
const usually = 1000

// What operators were promised (issue 4).
const (
	pagePromise   = 100 * time.Millisecond
	planPromise   = 2 * time.Second
	memoryPromise = 100 << 20
)

// measureOperators asks the admin API about many clients, in both databases.
func (b *bench) measureOperators(ctx context.Context) error {
	if !b.wants("operators") {
		return nil
	}
	if err := b.operate(ctx, "SQLite", func() (string, error) { return "", nil }); err != nil {
		return err
	}
	err := b.operate(ctx, "PostgreSQL", func() (string, error) { return storetest.StartPostgreSQL() })
	if errors.Is(err, exec.ErrNotFound) {
		b.say("no PostgreSQL: apt-get install postgresql")
		return nil
	}
	return err
}

// operate compares a large registry with the smallest, each in a database of its own of the same kind.
func (b *bench) operate(ctx context.Context, database string, create func() (dsn string, err error)) error {
	var nodes [2]*node
	defer func() {
		for _, n := range nodes {
			if n != nil {
				n.stop()
			}
		}
	}()
	for i, clients := range []int{b.clients[0], b.settings.operated} {
		dsn, err := create()
		if err != nil {
			return err
		}
		if nodes[i], err = b.startSeeded(ctx, fmt.Sprintf("operators-%s-%d", strings.ToLower(database), clients), dsn, clients, 0); err != nil {
			return err
		}
	}
	small, n := nodes[0], nodes[1]
	o := operated{database: database, clients: b.settings.operated, declared: b.declared}
	if err := b.askAdmin(ctx, n, &o); err != nil {
		return err
	}
	b.say("%s: pages %v and %v, search %v, plan %v; tokens", database, o.first, o.page, o.search, o.plan)
	for _, asking := range []struct {
		clients int
		tokens  *pair
		memory  *int64
	}{{min(usually, o.clients), &o.some, &o.usual}, {o.clients, &o.all, &o.memory}} {
		if err := n.touch(ctx, asking.clients, b.busy); err != nil {
			return err
		}
		var err error
		*asking.tokens, err = b.compare(ctx, seededSide("small", small, b.clients[0]), seededSide(database, n, asking.clients), load{connections: b.busy})
		if err != nil {
			return err
		}
		*asking.memory = memory(n.pid(), "VmHWM")
		fmt.Fprintf(b.progress, " %d asking: ratio %.2f, %d MB;", asking.clients, asking.tokens.ratio, *asking.memory>>20)
	}
	b.operated = append(b.operated, o)
	return nil
}

// askAdmin asks the admin API, each thing several times, and takes the median.
func (b *bench) askAdmin(ctx context.Context, n *node, o *operated) (err error) {
	api := adminAPI{address: "http://" + n.admin + "/admin/v1"}
	if api.token, err = n.operatorToken(ctx); err != nil {
		return err
	}
	middle, err := api.middle(ctx, o.clients)
	if err != nil {
		return err
	}
	someone := seededName(o.clients - 7)
	wish, err := json.Marshal(declaration(o.declared))
	if err != nil {
		return err
	}
	for _, question := range []struct {
		took *time.Duration
		ask  func() error
	}{
		{&o.first, func() error { return api.page(ctx, "limit=100", "") }},
		{&o.page, func() error { return api.page(ctx, "limit=100"+middle, "") }},
		{&o.search, func() error { return api.page(ctx, "search="+someone[2:], someone) }},
		{&o.plan, func() error { return api.plan(ctx, wish, o.declared/2) }},
	} {
		var all []time.Duration
		for range b.starts {
			began := time.Now()
			if err := question.ask(); err != nil {
				return err
			}
			all = append(all, time.Since(began))
		}
		*question.took = median(all).Round(100 * time.Microsecond)
	}
	return nil
}

// adminAPI is asked over the wire, as anybody would.
type adminAPI struct{ address, token string }

// A clientPage is a part of the list of clients.
type clientPage struct {
	Items []struct {
		Name string `json:"client_name"`
	} `json:"items"`
	Next string `json:"next"`
}

// middle returns the parameter for a page in the middle of a list, which is to be had by reading up to there alone.
func (a adminAPI) middle(ctx context.Context, clients int) (cursor string, err error) {
	const most = 500
	path := fmt.Sprintf("/clients?limit=%d", min(most, clients/2))
	for read := 0; read < clients/2; read += most {
		var page clientPage
		if err := a.ask(ctx, http.MethodGet, path+cursor, nil, &page); err != nil {
			return "", err
		}
		cursor = "&cursor=" + url.QueryEscape(page.Next)
	}
	return cursor, nil
}

// page lists clients. If there is a name, it is that of the only one to be found.
func (a adminAPI) page(ctx context.Context, query, name string) error {
	var found clientPage
	if err := a.ask(ctx, http.MethodGet, "/clients?"+query, nil, &found); err != nil {
		return err
	}
	if len(found.Items) == 0 {
		return fmt.Errorf("%s: nothing was found", query)
	}
	if name != "" && (len(found.Items) > 1 || found.Items[0].Name != name) {
		return fmt.Errorf("%s: %d were found, the first is %q", query, len(found.Items), found.Items[0].Name)
	}
	return nil
}

// plan asks what a declaration would change.
func (a adminAPI) plan(ctx context.Context, wish []byte, changes int) error {
	var plan struct {
		Changes []json.RawMessage `json:"changes"`
	}
	if err := a.ask(ctx, http.MethodPost, "/declared/plan", wish, &plan); err != nil {
		return err
	}
	if len(plan.Changes) != changes {
		return fmt.Errorf("a plan with %d changes, want %d", len(plan.Changes), changes)
	}
	return nil
}

// declaration declares the first clients: every other one as it is, the others with nothing granted.
func declaration(clients int) any {
	type grant struct {
		Resource string   `json:"resource"`
		Scopes   []string `json:"scopes"`
		Defaults []string `json:"default_scopes"`
	}
	type client struct {
		Name   string  `json:"client_name"`
		Grants []grant `json:"grants"`
	}
	var wish struct {
		State struct {
			Clients []client `json:"clients"`
		} `json:"state"`
	}
	for i := range clients {
		c := client{Name: seededName(i), Grants: []grant{}}
		if i%2 == 0 {
			c.Grants = append(c.Grants, grant{formats[0].audience(), []string{"read"}, []string{"read"}})
		}
		wish.State.Clients = append(wish.State.Clients, c)
	}
	return wish
}

func (a adminAPI) ask(ctx context.Context, method, path string, body []byte, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, a.address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, response.Status, answer)
	}
	return json.Unmarshal(answer, into)
}
