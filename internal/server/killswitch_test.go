package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// heard is the promised bound within which every node knows of a change through another.
const heard = time.Second

// TestSuspendAndResumeUnderLoad: fifty clients ask for tokens all the time, half of them with a secret that was rotated, while
// each is suspended and resumed. What a request must be answered with depends on when a change was asked for and when it was
// acknowledged: before and after, there is one right answer.
func TestSuspendAndResumeUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("AS-33, ST-09 one node, SQLite", func(t *testing.T) {
		t.Parallel()
		switched(t, []*running{start(t, testConfig(t))})
	})
	t.Run("AS-33, ST-09 three nodes, PostgreSQL", func(t *testing.T) {
		t.Parallel()
		dsn := storetest.PostgreSQL(t)
		var nodes []*running
		for range 3 {
			c := testConfig(t)
			c.Database, c.Issuer = dsn, "https://as.example"
			if len(nodes) > 0 {
				c.RootKey = nodes[0].config.rootKeyPath()
			}
			nodes = append(nodes, start(t, c))
		}
		switched(t, nodes)
	})
}

// An attempt is one token request of a client, and what came of it.
type attempt struct {
	node         int
	began, ended time.Time
	status       int
	token        string
}

// A span is a change: it was asked for and acknowledged at a node.
type span struct {
	node         int
	asked, known time.Time
}

// A switchable client asks for tokens, at all nodes in turn.
type switchable struct {
	registry.Registered
	resumed chan struct{} // closed when it is

	suspend, resume span

	mu       sync.Mutex
	attempts []attempt // under mu
}

// ask asks for a token once.
func (s *switchable) ask(t *testing.T, nodes []*running, node int) attempt {
	a := attempt{node: node, began: time.Now()}
	for {
		var answer map[string]any
		a.status, answer = nodes[node].post(t, "/token", s.Registered, url.Values{"grant_type": {"client_credentials"}})
		a.token, _ = answer["access_token"].(string)
		if a.status != http.StatusServiceUnavailable { // a busy machine may have to put some off
			break
		}
	}
	a.ended = time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts = append(s.attempts, a)
	return a
}

// load asks until it is over. One who was refused often waits until it is resumed, so that it is not throttled for it.
func (s *switchable) load(ctx context.Context, t *testing.T, nodes []*running) {
	refused := 0
	for n := 0; ctx.Err() == nil; n++ {
		if s.ask(t, nodes, n%len(nodes)).status == http.StatusUnauthorized {
			refused++
		}
		time.Sleep(200 * time.Millisecond) // some hundred requests a second are load enough
		if refused == 12 {
			select {
			case <-s.resumed:
				refused++
			case <-ctx.Done():
			}
		}
	}
}

func (s *switchable) count(of func(attempt) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, a := range s.attempts {
		if of(a) {
			n++
		}
	}
	return n
}

// last returns the last token that an attempt brought which ended before a moment.
func (s *switchable) last(before time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range slices.Backward(s.attempts) {
		if a.token != "" && a.ended.Before(before) {
			return a.token
		}
	}
	return ""
}

func switched(t *testing.T, nodes []*running) {
	system := registry.System("test")
	api := nodes[0].newClient(t, "api", nil)
	all := make([]*switchable, 50)
	for i := range all {
		all[i] = &switchable{Registered: nodes[0].newClient(t, fmt.Sprint("billing-", i), nil), resumed: make(chan struct{})}
		next, err := nodes[0].registry.RotateSecret(t.Context(), system, all[i].ID, registry.SecretRotation{Keep: time.Hour}, "")
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			all[i].Secret = next.Secret
		}
	}
	for _, node := range nodes {
		until(t, "every node knows the clients and the resource", func() bool {
			status, _ := node.post(t, "/token", all[len(all)-1].Registered, url.Values{"grant_type": {"client_credentials"}})
			return status == http.StatusOK
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	for _, s := range all {
		work.Go(func() { s.load(ctx, t, nodes) })
	}
	each := func(what string, of func(*switchable) bool) {
		t.Helper()
		until(t, what, func() bool { return !slices.ContainsFunc(all, func(s *switchable) bool { return !of(s) }) })
	}
	answered := func(s *switchable) bool { return s.count(func(a attempt) bool { return a.token != "" }) >= len(nodes) }
	each("every client has tokens", answered)

	for i, s := range all {
		s.suspend = nodes[i%len(nodes)].change(t, i%len(nodes), s.ID, (*registry.Registry).SuspendClient)
		if nodes[s.suspend.node].active(t, api, s.last(s.suspend.asked)) {
			t.Errorf("%s: a token is active at the node that suspended it", s.ClientName)
		}
	}
	time.Sleep(time.Until(all[len(all)-1].suspend.known.Add(heard)))
	for _, s := range all {
		for n, node := range nodes {
			s.ask(t, nodes, n)
			if node.active(t, api, s.last(time.Now())) {
				t.Errorf("%s: its last token is active at node %d while it is suspended", s.ClientName, n)
			}
		}
	}
	for i, s := range all {
		s.resume = nodes[(i+1)%len(nodes)].change(t, (i+1)%len(nodes), s.ID, (*registry.Registry).ResumeClient)
		close(s.resumed)
		s.ask(t, nodes, (i+2)%len(nodes)) // at once, also at a node that has not heard of it
	}
	each("every client has tokens again", func(s *switchable) bool {
		return s.count(func(a attempt) bool { return a.token != "" && a.began.After(s.resume.known) }) >= len(nodes)
	})
	stop()
	work.Wait()
	time.Sleep(time.Until(all[len(all)-1].resume.known.Add(heard)))
	for _, s := range all {
		s.judge(t, nodes)
		s.judgeTokens(t, nodes, api)
	}
}

// change makes a change and says when.
func (r *running) change(t *testing.T, node int, id string, how func(*registry.Registry, context.Context, registry.Actor, string) (registry.Client, error)) span {
	t.Helper()
	made := span{node: node, asked: time.Now()}
	if _, err := how(r.registry, t.Context(), registry.System("test"), id); err != nil {
		t.Fatal(err)
	}
	made.known = time.Now()
	return made
}

// judge looks at what each attempt was answered with. While a change is under way, and at another node for a second longer,
// either answer is right; a refusal is made on what the store says at that moment, so that none outlives the resumption.
func (s *switchable) judge(t *testing.T, nodes []*running) {
	t.Helper()
	for _, a := range s.attempts {
		off := s.suspend.known
		if a.node != s.suspend.node {
			off = off.Add(heard)
		}
		switch {
		case a.status != http.StatusOK && a.status != http.StatusUnauthorized:
			t.Errorf("%s: node %d answered %d", s.ClientName, a.node, a.status)
		case a.status != http.StatusOK && (a.ended.Before(s.suspend.asked) || a.began.After(s.resume.known)):
			t.Errorf("%s: node %d refused, and the client was not suspended: %v to %v of suspension", s.ClientName, a.node, a.began.Sub(s.suspend.asked), a.ended.Sub(s.suspend.asked))
		case a.status == http.StatusOK && a.began.After(off) && a.ended.Before(s.resume.asked):
			t.Errorf("%s: node %d gave a token %v after the suspension", s.ClientName, a.node, a.began.Sub(s.suspend.known))
		}
	}
}

// judgeTokens asks every node about tokens from before the resumption, which stay dead, those included that a node gave which
// had not heard of the suspension yet; and about those from after it, which live.
func (s *switchable) judgeTokens(t *testing.T, nodes []*running, api registry.Registered) {
	t.Helper()
	var dead, live []attempt
	for _, a := range s.attempts {
		switch {
		case a.token == "":
		case a.ended.Before(s.resume.asked):
			dead = append(dead, a)
		case a.began.After(s.resume.known):
			live = append(live, a)
		}
	}
	if len(dead) == 0 || len(live) == 0 {
		t.Fatalf("%s: %d tokens from before, %d from after", s.ClientName, len(dead), len(live))
	}
	for n, node := range nodes {
		if a := dead[len(dead)-1]; node.active(t, api, a.token) {
			t.Errorf("%s: at node %d a token is active from %v before the resumption, %v after the suspension", s.ClientName, n, s.resume.asked.Sub(a.ended), a.began.Sub(s.suspend.known))
		}
		if a := live[0]; !node.active(t, api, a.token) {
			t.Errorf("%s: at node %d a token is dead that node %d gave %v after the resumption", s.ClientName, n, a.node, a.began.Sub(s.resume.known))
		}
	}
}
