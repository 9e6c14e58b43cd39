package endpoint_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

// watched returns a server over a store that is watched and can be taken away.
func watched(t *testing.T, changes ...change) (*server, *watchedStore) {
	t.Helper()
	w := &watchedStore{}
	s := newServer(t, append(changes, func(o *authority.Options) {
		w.Store = o.Store
		o.Store = w
	})...)
	w.since()
	return s, w
}

// post sends a form with a client's Basic credentials.
func (s *server) post(t *testing.T, path, client, body string) answer {
	t.Helper()
	c := &conversation{server: s}
	return c.send(t, step{method: http.MethodPost, target: path, body: body, headers: []string{
		"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic(client, secretOf(client)),
	}})
}

// asks requires a status of a token request.
func (s *server) asks(t *testing.T, client string, status int) answer {
	t.Helper()
	got := s.post(t, "/token", client, "grant_type=client_credentials&scope=read&resource="+resourceA)
	if got.StatusCode != status {
		t.Fatalf("a token for %s: got %d %s, want %d", client, got.StatusCode, got.body, status)
	}
	return got
}

// active requires that introspection calls a token active or not.
func (s *server) active(t *testing.T, caller, token string, want bool) {
	t.Helper()
	got := s.post(t, "/introspect", caller, "token="+token)
	if got.StatusCode != http.StatusOK || strings.Contains(got.body, `"active":true`) != want {
		t.Fatalf("introspection: got %d %s, want active %v", got.StatusCode, got.body, want)
	}
}

func TestIssuingAsksTheStoreNothing(t *testing.T) {
	s, w := watched(t)
	s.asks(t, "c-basic", http.StatusOK)
	if got, want := w.since(), []string{"clients.get c-basic"}; !slices.Equal(got, want) {
		t.Errorf("the first token: the store was asked %q, want %q", got, want)
	}
	for range 3 {
		s.asks(t, "c-basic", http.StatusOK)
	}
	if got := w.since(); len(got) != 0 {
		t.Errorf("the next tokens: the store was asked %q, want nothing", got)
	}
	s.poll(t)
	s.asks(t, "c-basic", http.StatusOK)
	if got, want := w.since(), []string{"generation"}; !slices.Equal(got, want) {
		t.Errorf("after a poll that found nothing: the store was asked %q, want %q", got, want)
	}
}

// TestGarbageCostsNothing: what is refused for its own sake never reaches the store.
func TestGarbageCostsNothing(t *testing.T) {
	s, w := watched(t)
	token := s.token(t, "c-basic", resourceA, "read")
	s.active(t, "rs-a", token, true)
	w.since()
	t.Run("AS-31 tokens that cannot be ours are not looked up", func(t *testing.T) {
		for _, garbage := range []string{
			"x", "a.b.c", token[:len(token)-1], "writ_at_" + strings.Repeat("A", 200), spoil(t, token, []string{"rekey"}),
			spoil(t, token, []string{"resign"}), strings.Repeat(".", 60_000),
		} {
			s.active(t, "rs-a", garbage, false)
		}
		s.clock.move(400 * time.Millisecond)
		s.active(t, "rs-b", token, false) // nor what is not for the caller; the caller itself is read once
		if got, want := w.since(), []string{"clients.get rs-b"}; !slices.Equal(got, want) {
			t.Errorf("the store was asked %q, want %q", got, want)
		}
	})
	t.Run("AS-18 a scope that is too long or too many", func(t *testing.T) {
		var many []string
		for i := range 65 {
			many = append(many, "s"+strings.Repeat("x", i%20)+string(rune('a'+i%26))+string(rune('a'+i/26)))
		}
		for client, scope := range map[string]string{
			"c-stranger": strings.Repeat("x", 2049), "c-basic": strings.Join(many, "+"),
		} {
			got := s.post(t, "/token", client, "grant_type=client_credentials&scope="+scope)
			if got.StatusCode != http.StatusBadRequest || !strings.Contains(got.body, "invalid_scope") {
				t.Errorf("got %d %s", got.StatusCode, got.body)
			}
		}
		if got := w.since(); len(got) > 0 {
			t.Errorf("the store was asked %q, want nothing", got)
		}
	})
}

func TestAChangeCountsWithinASecond(t *testing.T) {
	suspend := func(c *store.Client) { c.Suspended = true }

	t.Run("at once when Poll has seen it", func(t *testing.T) {
		s, w := watched(t)
		s.asks(t, "c-basic", http.StatusOK)
		update(t, w.Store, "c-basic", suspend)
		s.poll(t)
		s.asks(t, "c-basic", http.StatusUnauthorized)
		s.asks(t, "c-two", http.StatusOK)
	})
	t.Run("after a second when nobody polls", func(t *testing.T) {
		s, w := watched(t)
		s.asks(t, "c-basic", http.StatusOK)
		update(t, w.Store, "c-basic", suspend)
		s.clock.move(time.Second)
		s.asks(t, "c-basic", http.StatusOK) // the promise is a second, and this is it
		s.clock.move(time.Millisecond)
		s.asks(t, "c-basic", http.StatusUnauthorized)
	})
	t.Run("at once for what was never seen, and for a right secret that was added", func(t *testing.T) {
		s, w := watched(t)
		s.asks(t, "c-basic", http.StatusOK)
		c, err := w.Store.Clients().Get(t.Context(), "c-basic")
		must(t, err)
		c.ID, c.Name = "c-new", "c-new"
		c.Secrets = []store.Secret{{ID: "1", Hash: store.HashSecret(secretOf("c-new"))}}
		must(t, w.Store.Clients().Insert(t.Context(), c))
		s.asks(t, "c-new", http.StatusOK)

		update(t, w.Store, "c-exp", func(c *store.Client) { c.Secrets[0].Expires = time.Time{} })
		s.asks(t, "c-exp", http.StatusOK)
	})
	t.Run("a resource and a role", func(t *testing.T) {
		s, w := watched(t)
		s.asks(t, "c-nothing", http.StatusBadRequest)
		grant := store.Grant{Resource: resourceA, Scopes: []string{"read"}}
		must(t, w.Store.Roles().Insert(t.Context(), store.Role{Name: "reader", Grants: []store.Grant{grant}}))
		update(t, w.Store, "c-nothing", func(c *store.Client) { c.Roles = []string{"reader"} })
		s.clock.move(1100 * time.Millisecond)
		got := s.asks(t, "c-nothing", http.StatusOK)
		matches(t, claims(t, got.body), `{"roles":["reader"],"scope":"read"}`, false)
		must(t, w.Store.Resources().Delete(t.Context(), resourceA))
		s.poll(t)
		s.asks(t, "c-nothing", http.StatusBadRequest)
	})
}

// TestTwoReplicas: what one node does, another over the same store knows within a second.
func TestTwoReplicas(t *testing.T) {
	data := memstore.New()
	seed(t, data)
	c := newClock()
	one := serve(t, data, c)
	two := serve(t, data, c)

	t.Run("AS-26 a client suspended here is refused there", func(t *testing.T) {
		two.asks(t, "c-basic", http.StatusOK)
		update(t, data, "c-basic", func(c *store.Client) { c.Suspended = true })
		one.poll(t)
		one.asks(t, "c-basic", http.StatusUnauthorized)
		c.move(1001 * time.Millisecond)
		two.asks(t, "c-basic", http.StatusUnauthorized)
		update(t, data, "c-basic", func(c *store.Client) { c.Suspended = false })
		two.poll(t)
		two.asks(t, "c-basic", http.StatusOK)
	})
	t.Run("AS-32 a token revoked here is dead here at once, and there within a second", func(t *testing.T) {
		token := one.token(t, "c-two", resourceA, "read")
		two.active(t, "rs-a", token, true)
		if got := one.post(t, "/revoke", "c-two", "token="+token); got.StatusCode != http.StatusOK {
			t.Fatalf("got %d %s", got.StatusCode, got.body)
		}
		one.active(t, "rs-a", token, false)
		c.move(time.Second)
		two.active(t, "rs-a", token, false)
	})
	t.Run("a token of one is good at the other, JWT and opaque", func(t *testing.T) {
		two.active(t, "rs-a", one.token(t, "c-two", resourceA, "read"), true)
		two.active(t, "rs-o", one.token(t, "c-opaque", resourceO, "read"), true)
	})
	t.Run("AS-27 another issuer over the same keys takes neither", func(t *testing.T) {
		other := serve(t, data, c, func(o *authority.Options) { o.Issuer = "https://other.example" })
		for _, token := range []string{one.token(t, "c-opaque", resourceO, "read"), one.token(t, "c-two", resourceA, "read")} {
			other.active(t, "rs-o", token, false)
			other.active(t, "rs-a", token, false)
		}
		other.active(t, "rs-o", other.token(t, "c-opaque", resourceO, "read"), true)
	})
}

// TestASecretInTheWrongFieldIsNotInTheJournal: whoever puts the secret where the client ID belongs, alone or beside it, is
// refused, and the journal, which is kept for years, does not say with what.
func TestASecretInTheWrongFieldIsNotInTheJournal(t *testing.T) {
	const secret = "writ_cs_canary-0123456789012345678901234567890123456789"
	s := newServer(t)
	for _, id := range []string{secret, "c-basic:" + secret, " " + secret, "writ_at_" + secret[8:]} {
		form := formOf(url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}})
		for _, request := range []*authority.Request{{Form: form}, {
			Form: formOf(url.Values{"grant_type": {"client_credentials"}}), Authorization: []string{basic(id, "")},
		}} {
			if _, err := s.authority.Token(t.Context(), request); !errors.Is(err, oauth.InvalidClient) {
				t.Errorf("%q: got %v, want invalid_client", id, err)
			}
		}
	}
	for _, event := range s.journal.Events() {
		if strings.Contains(event.ClientID, "canary") {
			t.Errorf("the journal says %q", event.ClientID)
		}
	}
}
