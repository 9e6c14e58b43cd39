package endpoint_test

import (
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/oauth"
)

func TestReplay(t *testing.T) {
	good := func(s *server) string { return s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t) }
	about := url.Values{"token": {"x"}}

	t.Run("J23, CA-18 the same assertion a second later", func(t *testing.T) {
		s := newKeyServer(t)
		one := good(s)
		s.exchange(t, "/token", authenticated(ask(), one), http.StatusOK, "")
		s.clock.move(time.Second)
		s.exchange(t, "/token", authenticated(ask(), one), http.StatusUnauthorized, "replay c-jwt")
		s.exchange(t, "/token", authenticated(ask(), good(s)), http.StatusOK, "")
	})
	t.Run("J23 until it has expired, and with the same jti in another one", func(t *testing.T) {
		s := newKeyServer(t)
		a := s.good("c-jwt", keyOne(), jose.ES256, "k1")
		a.claims["exp"] = s.seconds(5 * time.Minute)
		delete(a.claims, "iat")
		one, began := a.compact(t), s.clock.Now()
		s.exchange(t, "/token", authenticated(ask(), one), http.StatusOK, "")
		for after, why := range map[time.Duration]string{time.Minute: "replay", 309 * time.Second: "replay", 310 * time.Second: "assertion_expired"} {
			s.clock.move(after - s.clock.Now().Sub(began))
			s.exchange(t, "/token", authenticated(ask(), one), http.StatusUnauthorized, why)
		}
		again := newKeyServer(t)
		first, second := again.good("c-jwt", keyOne(), jose.ES256, "k1"), again.good("c-jwt", keyOne(), jose.ES256, "k1")
		second.claims["jti"] = first.claims["jti"]
		again.exchange(t, "/token", authenticated(ask(), first.compact(t)), http.StatusOK, "")
		again.exchange(t, "/token", authenticated(ask(), second.compact(t)), http.StatusUnauthorized, "replay")
	})
	t.Run("J23 a jti is one client's", func(t *testing.T) {
		s := newKeyServer(t)
		a, b := s.good("c-jwt", keyOne(), jose.ES256, "k1"), s.good("c-other", keyTwo(), jose.ES256, "k2")
		b.claims["jti"] = a.claims["jti"]
		s.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusOK, "")
		s.exchange(t, "/token", authenticated(ask(), b.compact(t)), http.StatusOK, "")
	})
	t.Run("CA-13 each endpoint takes an assertion for the issuer, and none for itself", func(t *testing.T) {
		s := newKeyServer(t)
		for _, path := range []string{"/token", "/introspect", "/revoke"} {
			form := about
			if path == "/token" {
				form = ask()
			}
			s.exchange(t, path, authenticated(form, good(s)), http.StatusOK, "")
			a := s.good("c-jwt", keyOne(), jose.ES256, "k1")
			a.claims["aud"] = s.issuer + path
			s.exchange(t, path, authenticated(form, a.compact(t)), http.StatusUnauthorized, "assertion_audience")
		}
	})
	t.Run("CA-19 used at one endpoint is used at all", func(t *testing.T) {
		s := newKeyServer(t)
		for _, first := range []string{"/introspect", "/revoke"} {
			one := good(s)
			s.exchange(t, first, authenticated(about, one), http.StatusOK, "")
			s.exchange(t, "/token", authenticated(ask(), one), http.StatusUnauthorized, "replay")
		}
		one := good(s)
		s.exchange(t, "/token", authenticated(ask(), one), http.StatusOK, "")
		s.exchange(t, "/introspect", authenticated(about, one), http.StatusUnauthorized, "replay")
		s.exchange(t, "/revoke", authenticated(about, one), http.StatusUnauthorized, "replay")
	})
	t.Run("J23 an assertion that is refused for something else is not used up", func(t *testing.T) {
		s, w := watched(t)
		addKeyClients(t, w.Store)
		s.poll(t)
		one := good(s)
		form := authenticated(ask(), one)
		s.exchange(t, "/token", with(form, "client_id", "c-other"), http.StatusUnauthorized, "other_client")
		update(t, w.Store, "c-jwt", func(c *store.Client) { c.Suspended = true })
		s.poll(t)
		s.exchange(t, "/token", authenticated(ask(), one), http.StatusUnauthorized, "client_disabled")
		update(t, w.Store, "c-jwt", func(c *store.Client) { c.Suspended = false })
		s.poll(t)
		w.since()
		s.exchange(t, "/token", authenticated(ask(), one), http.StatusOK, "")
	})
	t.Run("J23 across a restart", func(t *testing.T) {
		s := newKeyServer(t)
		one := good(s)
		s.exchange(t, "/token", authenticated(ask(), one), http.StatusOK, "")
		again := serve(t, s.store, s.clock)
		again.exchange(t, "/token", authenticated(ask(), one), http.StatusUnauthorized, "replay")
	})
}

// TestReplayInParallel: of many copies of one assertion, sent at once to one node and to two, one gets a token.
func TestReplayInParallel(t *testing.T) {
	clock := newClock()
	memory := memstore.New()
	memory.Now = clock.Now
	file, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(t.TempDir(), "writ.db"), Now: clock.Now})
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	for name, data := range map[string]store.Store{"memory": memory, "SQLite": file} {
		t.Run("J24 "+name, func(t *testing.T) {
			seed(t, data)
			addKeyClients(t, data)
			nodes := []*server{serve(t, data, clock), serve(t, data, clock)}
			for range 3 {
				got := race(t, nodes, nodes[0].good("c-jwt", keyOne(), jose.ES256, "k1").compact(t))
				if got["token"] != 1 || got["invalid_client"] != copies-1 {
					t.Errorf("got %v, want 1 token of %d", got, copies)
				}
			}
			replays := 0
			for _, node := range nodes {
				for _, event := range node.journal.Events() {
					if event.Reason == "replay" {
						replays++
					}
				}
			}
			if replays == 0 {
				t.Error("the journal does not say that assertions were replayed")
			}
		})
	}
}

const copies = 64

// race sends copies of one assertion at once, and counts the answers.
func race(t *testing.T, nodes []*server, compact string) map[string]int {
	t.Helper()
	got := map[string]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	begin := make(chan struct{})
	for i := range copies {
		node := nodes[i%len(nodes)]
		group.Go(func() {
			request := &authority.Request{Remote: "192.0.2.1:1", Form: formOf(authenticated(ask(), compact))}
			<-begin
			answer, err := node.authority.Token(t.Context(), request)
			var refusal *oauth.Error
			word := "token"
			switch {
			case errors.As(err, &refusal):
				word = string(refusal.Code)
			case err != nil || answer.AccessToken == "":
				word = "neither"
			}
			mu.Lock()
			defer mu.Unlock()
			got[word]++
		})
	}
	close(begin)
	group.Wait()
	return got
}

// TestReplayWhileTheStoreIsAway: what cannot be remembered is not let in, and what was is not forgotten.
func TestReplayWhileTheStoreIsAway(t *testing.T) {
	for _, test := range []struct {
		name string
		take func(*watchedStore)
	}{
		{"J24, AS-37 the database is gone", func(w *watchedStore) { w.down = true }},
		{"J24, AS-37 the database is full", func(w *watchedStore) { w.readOnly = true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, w := watched(t)
			addKeyClients(t, w.Store)
			s.poll(t)
			good := func() string { return s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t) }
			used, fresh := good(), good()
			s.exchange(t, "/token", authenticated(ask(), used), http.StatusOK, "")
			w.set(test.take)
			for _, compact := range []string{fresh, used, fresh} {
				got := s.exchange(t, "/token", authenticated(ask(), compact), http.StatusServiceUnavailable, "unavailable")
				if got.Header.Get("Retry-After") != "1" {
					t.Errorf("Retry-After: got %q", got.Header.Get("Retry-After"))
				}
			}
			w.set(func(w *watchedStore) { w.down, w.readOnly = false, false })
			s.exchange(t, "/token", authenticated(ask(), used), http.StatusUnauthorized, "replay")
			s.exchange(t, "/token", authenticated(ask(), fresh), http.StatusOK, "")
			s.exchange(t, "/token", authenticated(ask(), fresh), http.StatusUnauthorized, "replay")
		})
	}
}

// TestReplayCostsOneWrite: an assertion that is refused for what it is writes nothing, and one that is good once.
func TestReplayCostsOneWrite(t *testing.T) {
	s, w := watched(t)
	addKeyClients(t, w.Store)
	s.poll(t)
	count := func() (n int) {
		for _, call := range w.since() {
			if call == "use assertion" {
				n++
			}
		}
		return n
	}
	count()
	bad := s.good("c-jwt", keyTwo(), jose.ES256, "k1")
	s.exchange(t, "/token", authenticated(ask(), bad.compact(t)), http.StatusUnauthorized, "wrong_signature")
	if n := count(); n != 0 {
		t.Errorf("a wrong signature was remembered %d times", n)
	}
	s.exchange(t, "/token", authenticated(ask(), s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t)), http.StatusOK, "")
	if n := count(); n != 1 {
		t.Errorf("a good assertion was remembered %d times, want once", n)
	}
}
