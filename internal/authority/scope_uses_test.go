package authority

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// scopesTaken returns the uses of scopes that wait to be taken, as "client scope@resource after".
func scopesTaken(a *Authority) (all []string) {
	for _, use := range a.TakeUses() {
		if resource, scope, found := use.Scope(); found {
			all = append(all, fmt.Sprintf("%s %s@%s %s %s", use.ClientID, scope, resource, use.Last.Sub(start), use.Remote))
		}
	}
	slices.Sort(all)
	return all
}

// usingScopes returns an authority whose clock is now, with a client in two resources.
func usingScopes(t testing.TB, now *time.Time) (*Authority, *trace) {
	t.Helper()
	a, s := traced(t)
	clock := func() time.Time { return *now }
	a.now, a.uses.now, a.directory.now = clock, clock, clock
	for _, uri := range []string{"https://b.test", "https://c.test"} {
		r := store.Resource{
			URI: uri, Format: store.FormatJWT, Algorithm: "ES256", MultipleAudiences: true, Scopes: scopes("read", "write"),
		}
		if uri == "https://b.test" {
			r.Scopes = scopes("read", "write", "delete", "b-only")
		}
		must(t, s.Store.Resources().Insert(t.Context(), r))
	}
	must(t, s.Store.Clients().Insert(t.Context(), store.Client{
		ID: "two", Name: "two", AuthMethod: oauth.ClientSecretBasic, GrantTypes: []string{oauth.ClientCredentials}, MultipleAudiences: true,
		Secrets: []store.Secret{{ID: "1", Hash: store.HashSecret("right")}},
		Grants: []store.Grant{
			{Resource: "https://b.test", Scopes: []string{"read", "write", "delete", "b-only"}, Defaults: []string{"read"}}, to("https://c.test", "read", "write"),
		},
	}))
	must(t, a.Poll(t.Context()))
	return a, s
}

func TestUsedScopes(t *testing.T) {
	now := start
	a, s := usingScopes(t, &now)
	ask := func(scope string, resources ...string) {
		t.Helper()
		r := as("two", "right", oauth.ClientSecretBasic)
		r.Form.set("scope", scope)
		r.Form.set("resource", resources...)
		_, err := a.Token(t.Context(), r)
		must(t, err)
	}
	want := func(want ...string) {
		t.Helper()
		if got := scopesTaken(a); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	ask("read write", "https://b.test")
	want("two read@https://b.test 0s 192.0.2.1", "two write@https://b.test 0s 192.0.2.1")
	ask("write", "https://b.test") // with what else makes no difference
	ask("write read", "https://b.test")
	want()
	ask("", "https://b.test") // the default is got, too
	want()
	ask("write delete", "https://b.test")
	want("two delete@https://b.test 0s 192.0.2.1")
	ask("write", "https://c.test") // the same word, and another right
	want("two write@https://c.test 0s 192.0.2.1")
	ask("read b-only", "https://b.test", "https://c.test") // c knows no b-only
	want("two b-only@https://b.test 0s 192.0.2.1", "two read@https://c.test 0s 192.0.2.1")

	now = start.Add(59 * time.Minute)
	ask("write read", "https://b.test")
	ask("write", "https://b.test")
	ask("delete read", "https://b.test") // a new combination of what was noted an hour ago makes it no younger
	want()
	now = start.Add(time.Hour)
	ask("delete read", "https://b.test")
	want("two delete@https://b.test 1h0m0s 192.0.2.1", "two read@https://b.test 1h0m0s 192.0.2.1")
	// A change to the registry, and a client that is read anew, are no reason to note it again.
	update, err := s.Store.Clients().Get(t.Context(), "known")
	must(t, err)
	must(t, s.Store.Clients().Put(t.Context(), update))
	must(t, a.Poll(t.Context()))
	ask("delete read", "https://b.test")
	want()
	now = start.Add(-time.Hour) // a clock that was set back stops nothing
	ask("read", "https://b.test")
	want("two read@https://b.test -1h0m0s 192.0.2.1")
}

func TestUsedScopesOfTheRefused(t *testing.T) {
	now := start
	a, _ := usingScopes(t, &now)
	for _, r := range []*Request{
		as("two", "wrong", oauth.ClientSecretBasic), as("known", "right", oauth.ClientSecretPost), as("suspended", "right", oauth.ClientSecretBasic),
	} {
		if _, err := a.Token(t.Context(), r); err == nil {
			t.Fatal("it was not refused")
		}
	}
	beyond := as("known", "right", oauth.ClientSecretBasic)
	beyond.Form.set("scope", "read admin")
	if _, err := a.Token(t.Context(), beyond); err == nil {
		t.Fatal("it was not refused")
	}
	if got := scopesTaken(a); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}

// TestUsedScopesCostNothing: on the path of every token, what was noted before takes no memory.
func TestUsedScopesCostNothing(t *testing.T) {
	now := start
	a, _ := usingScopes(t, &now)
	known, _, err := a.directory.client(t.Context(), "two")
	must(t, err)
	audience := []string{"https://b.test", "https://c.test"}
	note := func() { a.noteScopes(known, audience, "read write", "192.0.2.1:443") }
	note()
	if got := testing.AllocsPerRun(100, note); got > 0 {
		t.Errorf("got %v allocations", got)
	}
}

// TestUsedScopesAreBounded: a client that asks for ever new combinations, and a store that takes nothing, fill no memory and
// leave room for credentials.
func TestUsedScopesAreBounded(t *testing.T) {
	now := start
	a, _ := usingScopes(t, &now)
	known, _, err := a.directory.client(t.Context(), "two")
	must(t, err)
	for i := range 2 * maxMarked {
		a.noteScopes(known, []string{"https://b.test"}, fmt.Sprintf("read write s%d", i), "")
	}
	if got := len(a.uses.more.recent) + len(a.uses.more.older); got > maxMarked {
		t.Errorf("%d marks", got)
	}
	if got := scopesTaken(a); len(got) < 2 || len(got) > 4 {
		t.Errorf("got %q, want each scope that the resource knows, once until it was forgotten", got)
	}
	now = start.Add(time.Hour)
	for i := range maxWaiting {
		now = now.Add(time.Second)
		one := *known
		one.ID, one.kept = fmt.Sprint(i), &kept{}
		a.noteScopes(&one, []string{"https://b.test"}, "read", "")
	}
	if got := len(a.uses.waiting); got != maxWaiting/2 {
		t.Errorf("%d uses of scopes wait, want %d", got, maxWaiting/2)
	}
	known.kept = &kept{}
	a.noteScopes(known, []string{"https://b.test"}, "delete", "")
	if got := &known.noted; got[0].Load() != 0 || got[1].Load() != 0 {
		t.Errorf("got %v: what there was no room for counts as noted", got)
	}
	a.uses.note(&known.noted, "known", "1", "", "", time.Time{})
	if _, waits := a.uses.waiting[credentialOf{"known", "1"}]; !waits {
		t.Error("there was no room for a credential")
	}
}
