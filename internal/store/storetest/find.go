package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// haystack are clients with IDs that a natural-language collation orders differently from bytes, names in another order, and
// times of which some are the same.
func haystack() []store.Client {
	ids := []string{"-x", "1", "10", "2", "B", "Z1", "_c", "a", "a b", "a-b", "ab", "z", "~", "é", "É"}
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var clients []store.Client
	for i, id := range ids {
		c := store.Client{
			ID: id, Name: fmt.Sprintf("Name_%02d%%", (i*7)%len(ids)), AuthMethod: []string{"none", "client_secret_basic"}[i%2],
			Grants:    []store.Grant{{Resource: fmt.Sprint("https://r/", i%4), Scopes: []string{"https://r/3"}}, {Resource: "https://all/", Claims: `{"resource":"x"}`}},
			Roles:     []string{fmt.Sprint("role", i%3), ",", `"`},
			Suspended: i%3 == 0, Created: begin.Add(time.Duration(i%5) * time.Microsecond), Updated: begin.Add(-time.Duration(i) * time.Hour),
		}
		if i%5 == 1 {
			c.Registration.Described = "{}"
		}
		if i == 0 {
			c.Updated, c.Grants, c.Roles = time.Time{}, nil, nil
		}
		clients = append(clients, c)
	}
	return clients
}

func insertAll(t testing.TB, s store.Store, clients []store.Client) {
	t.Helper()
	for i := range clients {
		must(t, s.Clients().Insert(t.Context(), clients[(i*11)%len(clients)])) // in no order
	}
}

// wanted is what a query must find among clients, by its own words.
func wanted(clients []store.Client, q store.ClientQuery) []string {
	clients = slices.DeleteFunc(slices.Clone(clients), func(c store.Client) bool { return !q.Matches(c) })
	slices.SortFunc(clients, func(a, b store.Client) int { return q.Compare(q.Position(a), q.Position(b)) })
	return keysOf(clients[:min(len(clients), max(q.Limit, 0))])
}

var clientOrders = map[string]store.ClientOrder{"ID": store.ByID, "name": store.ByName, "created": store.ByCreated, "updated": store.ByUpdated}

// testFindOrders goes through all orders page by page, each filter in each order.
func testFindOrders(t *testing.T, s store.Store) {
	clients := haystack()
	insertAll(t, s, clients)
	filters := map[string]store.ClientQuery{
		"all":             {},
		"text":            {Text: "AME_0"},
		"method":          {AuthMethod: "none"},
		"resource":        {Resource: "https://r/1"},
		"role":            {Role: "role1"},
		"suspended":       {Suspended: store.Yes},
		"not suspended":   {Suspended: store.No},
		"self-registered": {SelfRegistered: store.Yes},
		"several":         {Text: "name", AuthMethod: "client_secret_basic", Resource: "https://all/", Role: "role0", Suspended: store.Yes, SelfRegistered: store.No},
	}
	for order, by := range clientOrders {
		for filter, q := range filters {
			for _, descending := range []bool{false, true} {
				q.Order, q.Descending, q.Limit = by, descending, 100
				what := fmt.Sprintf("%s by %s, descending %t", filter, order, descending)
				want := wanted(clients, q)
				if len(want) == 0 {
					t.Fatalf("%s: the test wants none", what)
				}
				mustFind(t, s, what, q, want)
				q.Limit = 2
				if got := findPages(t, s, q); !slices.Equal(got, want) {
					t.Errorf("%s, in pages: got %q, want %q", what, got, want)
				}
			}
		}
	}
	mustFind(t, s, "in bytes", store.ClientQuery{Limit: 100}, []string{"-x", "1", "10", "2", "B", "Z1", "_c", "a", "a b", "a-b", "ab", "z", "~", "É", "é"})
	mustFind(t, s, "none", store.ClientQuery{}, nil)
	mustFind(t, s, "fewer than none", store.ClientQuery{Limit: -1}, nil)
	mustFind(t, s, "who stood there is gone", store.ClientQuery{After: store.ClientPosition{ID: "A"}, Limit: 1}, []string{"B"})
}

func findPages(t *testing.T, s store.Store, q store.ClientQuery) (ids []string) {
	t.Helper()
	for {
		page, err := s.FindClients(t.Context(), q)
		must(t, err)
		ids = append(ids, keysOf(page)...)
		if len(page) < q.Limit {
			return ids
		}
		q.After = q.Position(page[len(page)-1])
	}
}

func mustFind(t testing.TB, s store.Store, what string, q store.ClientQuery, want []string) {
	t.Helper()
	got, err := s.FindClients(t.Context(), q)
	must(t, err)
	if !slices.Equal(keysOf(got), want) {
		t.Errorf("%s: got %q, want %q", what, keysOf(got), want)
	}
}

// testFindText: no text is more than text, and only the letters of ASCII are the same in either case.
func testFindText(t *testing.T, s store.Store) {
	for id, name := range map[string]string{
		"a": "50% off", "b": "50 off", "c": "under_score", "d": "underscore", "e": `back\slash`, "f": "Äpfel", "g": "äpfel",
		"h": "KELVIN", "i": "\u212aelvin", "j": "'; DROP TABLE clients; --", "IMPORTED": "x", "k": `{"resource":"https://r/"}`,
	} {
		must(t, s.Clients().Insert(t.Context(), store.Client{ID: id, Name: name, Roles: []string{"a,", "b"}, Grants: []store.Grant{{Resource: "https://R/"}}}))
	}
	for text, want := range map[string][]string{
		"50%": {"a"}, "%": {"a"}, "_": {"c"}, "r_s": {"c"}, "rs": {"d"}, `\`: {"e"}, `k\s`: {"e"}, `\\`: nil, "Ä": {"f"}, "äP": {"g"}, "kel": {"h"},
		"\u212aEL": {"i"}, "'": {"j"}, "drop": {"j"}, "mported": {"IMPORTED"}, "50% off": {"a"}, "offa": nil, "resource": {"k"}, "$1": nil, "?": nil,
		"50 offb": nil,
	} {
		mustFind(t, s, text, store.ClientQuery{Text: text, Limit: 100}, want)
	}
	for what, q := range map[string]store.ClientQuery{
		"a part of a resource": {Resource: "https://R"}, "a resource in the other case": {Resource: "https://r/"}, "a pattern": {Resource: "%"},
		"between two roles": {Role: ","}, "a part of a role": {Role: "a"}, "a role in the other case": {Role: "B"},
		"a part of a name": {Name: "50"}, "a pattern for a name": {Name: "50%"}, "a name in the other case": {Name: "kelvin"}, "an ID": {Name: "a"},
		"a method": {AuthMethod: "none"},
	} {
		q.Limit = 100
		mustFind(t, s, what, q, nil)
	}
	for _, wrong := range []string{"\x00", "a\x00", "\xff", "a\xed\xa0\x80"} {
		for _, q := range []store.ClientQuery{
			{Name: wrong}, {Text: wrong}, {AuthMethod: wrong}, {Resource: wrong}, {Role: wrong},
			{After: store.ClientPosition{ID: wrong}}, {Order: store.ByName, After: store.ClientPosition{ID: "a", Name: wrong}},
		} {
			_, err := s.FindClients(t.Context(), q)
			mustBe(t, err, store.ErrInvalid)
		}
	}
}

// testFindName: a name finds one client, if all else is true of it, too.
func testFindName(t *testing.T, s store.Store) {
	insertAll(t, s, haystack())
	q := store.ClientQuery{Name: "Name_07%", Limit: 1}
	mustFind(t, s, "a name", q, []string{"1"})
	q.Suspended = store.Yes
	mustFind(t, s, "and suspended", q, nil)
	q.Suspended, q.Role = store.No, "role1"
	mustFind(t, s, "and what is true", q, []string{"1"})
	q.After = store.ClientPosition{ID: "1"}
	mustFind(t, s, "seen already", q, nil)
	mustFind(t, s, "no room", store.ClientQuery{Name: "Name_07%"}, nil)
	found, err := s.FindClients(t.Context(), store.ClientQuery{Name: "Name_07%", Limit: 1})
	must(t, err)
	mustGet(t, s.Clients(), found[0]) // all of it
}

// testFindResource: a resource is found by all of its text and nothing else, however a database writes it down.
func testFindResource(t *testing.T, s store.Store) {
	for i, resource := range []string{
		"https://r/?a=1&b=<2>", `https://r/"x"`, `https://r/\`, "https://r/é", "https://r/\u2028", "https://r/a b\n\x7f", "https://r/", `"scopes":[`, "https://r/%5C_",
	} {
		id := fmt.Sprint("c", i)
		must(t, s.Clients().Insert(t.Context(), store.Client{ID: id, Name: id, Grants: []store.Grant{
			{Resource: "https://all/", Scopes: []string{"https://none/"}}, {Resource: resource, Claims: `{"resource":"https://none/"}`},
		}}))
		mustFind(t, s, resource, store.ClientQuery{Resource: resource, Limit: 100}, []string{id})
	}
	mustFind(t, s, "a scope", store.ClientQuery{Resource: "https://none/", Limit: 100}, nil)
}

// testClientsCalled: clients are found by ID and by name, many at once, as they are now inside of an Update and out.
func testClientsCalled(t *testing.T, s store.Store) {
	ctx := t.Context()
	clients := haystack()
	insertAll(t, s, clients)
	must(t, s.Clients().Insert(ctx, store.Client{ID: "called z", Name: "z"})) // which is the ID of another
	called := func(s store.Store, words []string, want ...string) {
		t.Helper()
		found, err := s.ClientsCalled(ctx, words...)
		must(t, err)
		if got := keysOf(found); !slices.Equal(got, want) {
			t.Errorf("called %.200q: got %q, want %q", words, got, want)
		}
		for _, client := range found {
			mustGet(t, s.Clients(), client) // all of it
		}
	}
	called(s, []string{"é", "Name_07%", "nobody", "B", "é", "1", "name_00%", "Name_0", `"`, ""}, "1", "B", "é")
	called(s, []string{"z"}, "called z", "z")
	called(s, []string{"\x00", "2", "\xff"}, "2")
	called(s, nil)
	words := []string{"~", "Name_00%"}
	for i := range 1000 {
		words = append(words, fmt.Sprint("nobody-", i))
	}
	called(s, words, "-x", "~")

	mustBe(t, s.Update(ctx, func(tx store.Store) error {
		must(t, tx.Clients().Put(ctx, store.Client{ID: "1", Name: "another"}))
		must(t, tx.Clients().Delete(ctx, "B"))
		called(tx, []string{"Name_07%", "another", "B"}, "1")
		called(s, []string{"Name_07%", "another", "B"}, "1", "B")
		called(tx, []string{"Name_07%"})
		return errTest
	}), errTest)
	called(s, []string{"Name_07%", "another", "B"}, "1", "B")
}

// testFindChanged: a client is found by what it is now, inside of an Update and out.
func testFindChanged(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := store.Client{ID: "a", Name: "before", AuthMethod: "none", Grants: []store.Grant{{Resource: "https://r/"}}, Roles: []string{"clerk"}}
	must(t, s.Clients().Insert(ctx, c))
	was := []store.ClientQuery{{Name: "before"}, {Text: "fore"}, {AuthMethod: "none"}, {Resource: "https://r/"}, {Role: "clerk"}, {Suspended: store.No}, {SelfRegistered: store.No}}
	is := []store.ClientQuery{{Name: "after"}, {Text: "FTER"}, {AuthMethod: "private_key_jwt"}, {Resource: "https://r/2"}, {Role: "boss"}, {Suspended: store.Yes}, {SelfRegistered: store.Yes}}
	all := func(s store.Store, queries []store.ClientQuery, want ...string) {
		t.Helper()
		for _, q := range queries {
			q.Limit = 10
			mustFind(t, s, fmt.Sprintf("%+v", q), q, want)
		}
	}
	change := func(tx store.Store) error {
		c.Name, c.AuthMethod, c.Grants[0].Resource, c.Roles[0], c.Suspended, c.Registration.Hash = "after", "private_key_jwt", "https://r/2", "boss", true, "x"
		must(t, tx.Clients().Put(ctx, c))
		all(tx, was)
		all(tx, is, "a")
		all(s, was, "a")
		all(s, is)
		return errTest
	}
	mustBe(t, s.Update(ctx, change), errTest)
	all(s, was, "a")
	all(s, is)
	must(t, s.Update(ctx, func(tx store.Store) error { _ = change(tx); return nil }))
	all(s, was)
	all(s, is, "a")
	must(t, s.Clients().Delete(ctx, "a"))
	all(s, is)
}
