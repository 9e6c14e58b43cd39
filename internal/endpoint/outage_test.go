package endpoint_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/store"
)

// TestTheStoreIsAway holds the table of SECURITY, 6.2.
func TestTheStoreIsAway(t *testing.T) {
	s, w := watched(t)
	token := s.token(t, "c-basic", resourceA, "read")
	s.active(t, "rs-a", token, true)
	w.set(func(w *watchedStore) { w.down = true })

	s.clock.move(14 * time.Minute)
	s.asks(t, "c-basic", http.StatusOK) // known lately
	unavailable := func(got answer) {
		t.Helper()
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("got %d %v %s, want 503 with Retry-After", got.StatusCode, got.Header, got.body)
		}
		matches(t, got.body, `{"error":"temporarily_unavailable"}`, false)
		if strings.Contains(got.body, "database") {
			t.Errorf("the answer tells of our insides: %s", got.body)
		}
	}
	unavailable(s.post(t, "/token", "c-two", "grant_type=client_credentials&scope=read")) // never seen
	unavailable(s.post(t, "/token", "stranger", "grant_type=client_credentials"))
	unavailable(s.post(t, "/introspect", "rs-a", "token="+s.token(t, "c-basic", resourceA, "read"))) // may be revoked
	s.active(t, "rs-a", "garbage", false)

	s.clock.move(time.Minute + time.Second)
	unavailable(s.post(t, "/token", "c-basic", "grant_type=client_credentials&scope=read"))
	if !strings.Contains(s.log.String(), errAway.Error()) {
		t.Error("the log does not say why")
	}
	if got := s.post(t, "/jwks", "c-basic", ""); got.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("/jwks: got %d", got.StatusCode)
	}

	w.set(func(w *watchedStore) { w.down = false })
	s.asks(t, "c-basic", http.StatusOK)
	s.asks(t, "c-two", http.StatusOK)
}

// TestTheStoreHangs: a database that neither answers nor fails, as behind a firewall that drops packets, holds up no
// request for longer than one attempt, and almost none at all (SECURITY, drills R09 and R14).
func TestTheStoreHangs(t *testing.T) {
	s, w := watched(t)
	for _, client := range []string{"c-basic", "c-two"} {
		s.asks(t, client, http.StatusOK)
	}
	update(t, w.Store, "c-post", func(c *store.Client) { c.TokenTTL = time.Minute })
	s.poll(t) // the clients' copies are older than the catalog now
	w.set(func(w *watchedStore) { w.hangs = true })
	s.clock.move(2 * time.Second)
	began := time.Now()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() { s.asks(t, []string{"c-basic", "c-two"}[i%2], http.StatusOK) })
	}
	group.Wait()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("20 requests took %v", took)
	}
	began = time.Now()
	s.asks(t, "c-basic", http.StatusOK)
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("a request of a client that is known took %v while the store was known to hang", took)
	}
	s.clock.move(time.Second) // long enough for somebody to try again
	w.since()
	for len(w.since()) == 0 { // until the reading that hangs has been given up, and a request has begun another
		s.asks(t, "c-basic", http.StatusOK)
	}
	began = time.Now()
	s.asks(t, "c-two", http.StatusOK)
	if took := time.Since(began); took > 500*time.Millisecond {
		t.Errorf("a request took %v while another tried whether the store was back", took)
	}
	w.set(func(w *watchedStore) { w.hangs = false })
	update(t, w.Store, "c-basic", func(c *store.Client) { c.Suspended = true })
	s.clock.move(2 * time.Second)
	for began = time.Now(); s.post(t, "/token", "c-basic", "grant_type=client_credentials&scope=read").StatusCode != http.StatusUnauthorized; {
		if time.Since(began) > 5*time.Second { // the reading that hung is given up after one
			t.Fatal("a client that was suspended still gets tokens when the store is back")
		}
	}
}

// TestAnOldCopyIsNotServedInAnOutage: the copy of a client that was not asked for since it was suspended, deleted or given
// another secret may be as old as the process. An outage, which an attacker can wait for, must not bring it back.
func TestAnOldCopyIsNotServedInAnOutage(t *testing.T) {
	s, w := watched(t)
	s.asks(t, "c-basic", http.StatusOK)
	update(t, w.Store, "c-basic", func(c *store.Client) { c.Suspended = true })
	s.poll(t)
	s.clock.move(14 * time.Minute)
	s.poll(t)
	s.asks(t, "c-two", http.StatusOK)
	s.clock.move(2 * time.Minute)
	s.poll(t)
	for _, take := range []func(*watchedStore){
		func(w *watchedStore) { w.down = true }, // while the catalog is fresh, and then when it is not
		func(*watchedStore) { s.clock.move(2 * time.Second) },
	} {
		w.set(take)
		s.asks(t, "c-basic", http.StatusServiceUnavailable)
		s.asks(t, "c-two", http.StatusOK)
	}
	w.set(func(w *watchedStore) { w.down = false })
	s.asks(t, "c-basic", http.StatusUnauthorized)
}

// TestV11RevocationThatCannotBeKept is AS-37 too: a revocation that is not on disk must not be answered with 200
// (CVE-2020-15223).
func TestV11RevocationThatCannotBeKept(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(*watchedStore)
	}{
		{"V11 the store is away", func(w *watchedStore) { w.down = true }},
		{"AS-37 the store is read-only", func(w *watchedStore) { w.readOnly = true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, w := watched(t)
			token := s.token(t, "c-basic", resourceA, "read")
			w.set(test.fail)
			got := s.post(t, "/revoke", "c-basic", "token="+token)
			if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") != "1" {
				t.Fatalf("got %d %v, want 503 with Retry-After: 1", got.StatusCode, got.Header)
			}
			w.set(func(w *watchedStore) { w.down, w.readOnly = false, false })
			s.active(t, "rs-a", token, true)
			if got = s.post(t, "/revoke", "c-basic", "token="+token); got.StatusCode != http.StatusOK {
				t.Fatalf("a retry: got %d %s", got.StatusCode, got.body)
			}
			s.active(t, "rs-a", token, false)
		})
	}
}

// TestNoTokenWithoutItsEvent: while the journal cannot be written, no token leaves (SECURITY, 7.2).
func TestNoTokenWithoutItsEvent(t *testing.T) {
	journal := audit.InMemory()
	s := newServer(t, func(o *authority.Options) { o.Journal = journal })
	token := s.token(t, "c-basic", resourceA, "read")
	must(t, journal.Close())

	got := s.asks(t, "c-basic", http.StatusServiceUnavailable)
	if got.Header.Get("Retry-After") == "" || strings.Contains(got.body, "access_token") {
		t.Errorf("got %v %s, want Retry-After and no token", got.Header, got.body)
	}
	if got := s.post(t, "/revoke", "c-basic", "token="+token); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("revocation: got %d, want 503", got.StatusCode)
	}
	s.active(t, "rs-a", token, false) // it is dead all the same: the caller wanted it so and may retry
	s.asks(t, "c-off", http.StatusUnauthorized)
}
