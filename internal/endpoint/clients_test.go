package endpoint_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/store"
)

func TestA24Rotation(t *testing.T) {
	s := newServer(t)
	with := func(secret string, status int) { t.Helper(); s.rotated(t, secret, status) }
	with("c-old", http.StatusOK)
	with("c-rot", http.StatusOK)
	s.clock.move(time.Hour - time.Second)
	with("c-old", http.StatusOK)
	s.clock.move(time.Second)
	with("c-old", http.StatusUnauthorized)
	with("c-rot", http.StatusOK)
}

// rotated asks for a token as the client that has two secrets.
func (s *server) rotated(t *testing.T, secret string, status int) {
	t.Helper()
	c := &conversation{server: s}
	got := c.send(t, step{method: http.MethodPost, target: "/token", body: "grant_type=client_credentials&scope=read", headers: []string{
		"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic("c-rot", secretOf(secret)),
	}})
	if got.StatusCode != status {
		t.Errorf("with %s: got %d %s, want %d", secret, got.StatusCode, got.body, status)
	}
}

// TestA24SecretThatHasNotBegun: a successor that was handed out ahead of its time is no secret until then.
func TestA24SecretThatHasNotBegun(t *testing.T) {
	s := newServer(t)
	update(t, s.store, "c-rot", func(c *store.Client) { c.Secrets[1].NotBefore = s.clock.Now().Add(time.Minute) })
	for _, step := range []struct {
		pass   time.Duration
		secret string
		status int
	}{
		{0, "c-rot", http.StatusUnauthorized},
		{0, "c-old", http.StatusOK},
		{time.Minute - time.Microsecond, "c-rot", http.StatusUnauthorized},
		{time.Microsecond, "c-rot", http.StatusOK},
	} {
		s.clock.move(step.pass)
		s.rotated(t, step.secret, step.status)
	}
}

// TestI12TokensOfAClientThatIsGone: a token is as good as its client is now.
func TestI12TokensOfAClientThatIsGone(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(t *testing.T, s *server)
	}{
		{"I12, T48 deleted", func(t *testing.T, s *server) { must(t, s.store.Clients().Delete(t.Context(), "c-basic")) }},
		{"AS-33 suspended", func(t *testing.T, s *server) {
			update(t, s.store, "c-basic", func(c *store.Client) { c.Suspended = true })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			token := s.token(t, "c-basic", resourceA, "read")
			others := s.token(t, "c-two", resourceA, "read")
			s.active(t, "rs-a", token, true)
			test.end(t, s)
			s.poll(t)
			s.active(t, "rs-a", token, false)
			s.active(t, "rs-a", others, true)
			refused := s.asks(t, "c-basic", http.StatusUnauthorized)
			if stranger := s.asks(t, "c-stranger", http.StatusUnauthorized); unnamed(stranger.body) != unnamed(refused.body) {
				t.Errorf("a client that is gone hears %s, a stranger %s", refused.body, stranger.body)
			}
		})
	}
}

// TestV12AllTokensOfAClient is AS-33's compromised secret as well: everything issued before a moment is dead.
func TestV12AllTokensOfAClient(t *testing.T) {
	s := newServer(t)
	jwt := s.token(t, "c-many", resourceA, "read")
	opaque := s.token(t, "c-many", resourceO, "read")
	others := s.token(t, "c-basic", resourceA, "read")
	s.clock.move(time.Second)
	update(t, s.store, "c-many", func(c *store.Client) { c.NotBefore = s.clock.Now() })
	s.poll(t)
	s.active(t, "rs-a", jwt, false)
	s.active(t, "rs-o", opaque, false)
	s.active(t, "rs-a", others, true)
	s.active(t, "rs-a", s.token(t, "c-many", resourceA, "read"), true)
}

// TestT50Throttle: failures are borne up to a number, by client and address, and then not heard at all.
func TestT50Throttle(t *testing.T) {
	s := newServer(t, func(o *authority.Options) { o.Throttle = authority.Throttle{Burst: 3, Interval: 10 * time.Second} })
	guess := func(status int) answer {
		t.Helper()
		c := &conversation{server: s}
		got := c.send(t, step{method: http.MethodPost, target: "/token", body: "grant_type=client_credentials&scope=read", headers: []string{
			"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic("c-basic", "guess"),
		}})
		if got.StatusCode != status {
			t.Fatalf("got %d %s, want %d", got.StatusCode, got.body, status)
		}
		return got
	}
	for range 3 {
		guess(http.StatusUnauthorized)
	}
	before := len(s.journal.Events())
	got := guess(http.StatusTooManyRequests)
	if seconds, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || seconds != 10 {
		t.Errorf("Retry-After: got %q, want 10", got.Header.Get("Retry-After"))
	}
	c := &conversation{server: s}
	c.invariants(t, step{method: http.MethodPost, target: "/token", want: []string{
		"error temporarily_unavailable", "event token.refused too_many_failures c-basic",
	}}, got, s.journal.Events()[before:])

	s.asks(t, "c-basic", http.StatusTooManyRequests) // or the guesser would learn which guess was right
	s.asks(t, "c-two", http.StatusOK)
	if s.token(t, "c-basic", resourceA, "read") == "" { // from another address
		t.Error("the client is locked out of other addresses")
	}
	for _, path := range []string{"/introspect", "/revoke"} {
		if got := s.post(t, path, "c-basic", "token=x"); got.StatusCode != http.StatusTooManyRequests {
			t.Errorf("%s: got %d, want 429: it would be the way around", path, got.StatusCode)
		}
	}
	s.clock.move(100 * time.Millisecond)
	if got := guess(http.StatusTooManyRequests).Header.Get("Retry-After"); got != "10" {
		t.Errorf("Retry-After: got %q, want 9.9 seconds rounded up", got)
	}
	s.clock.move(9900 * time.Millisecond)
	guess(http.StatusUnauthorized)
	guess(http.StatusTooManyRequests)
	s.clock.move(time.Minute)
	s.asks(t, "c-basic", http.StatusOK)
	if strings.Contains(s.log.String(), "level=ERROR") {
		t.Errorf("a caller who asks too often is no error of ours: %s", s.log)
	}
}
