package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// A wire passes connections on to a database until it is cut.
type wire struct {
	net.Listener
	target string

	mu    sync.Mutex
	cut   bool       // under mu
	conns []net.Conn // under mu
}

// newWire returns a wire and the DSN that goes through it.
func newWire(t *testing.T, dsn string) (*wire, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, target: u.Host}
	t.Cleanup(func() { l.Close(); w.set(true) })
	go w.run()
	u.Host = l.Addr().String()
	return w, u.String()
}

func (w *wire) run() {
	for {
		near, err := w.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		far, err := net.Dial("tcp", w.target)
		if w.cut || err != nil {
			near.Close()
		}
		if err == nil {
			w.conns = append(w.conns, near, far)
			if w.cut {
				far.Close()
			}
			go func() { _, _ = io.Copy(near, far); near.Close() }()
			go func() { _, _ = io.Copy(far, near); far.Close() }()
		}
		w.mu.Unlock()
	}
}

// set cuts the wire or mends it.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for _, c := range w.conns {
			c.Close()
		}
		w.conns = nil
	}
}

// health asks the admin listener.
func (r *running) health(t *testing.T, path string) (int, string) {
	t.Helper()
	response, err := r.http.Get(r.AdminURL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, strings.TrimSpace(string(body))
}

// until waits for a condition that the background work brings about.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func TestOP19(t *testing.T) {
	t.Parallel()
	c, clock := testConfig(t), &clock{}
	var database *wire
	database, c.Database = newWire(t, storetest.PostgreSQL(t))
	r := startAt(t, c, clock.now)
	client := r.newClient(t, "billing", nil)
	token := r.token(t, client)
	form := url.Values{"grant_type": {"client_credentials"}}

	if status, body := r.health(t, "/readyz"); status != 200 || body != `{"status":"ok","store":"ok","journal":"ok"}` {
		t.Errorf("OP-19 with the database: readyz %d %s", status, body)
	}
	database.set(true)
	until(t, "the server notices that the database is away", func() bool {
		_, body := r.health(t, "/readyz")
		return strings.Contains(body, `"store":"unreachable"`)
	})
	t.Run("OP-19 database away: alive, degraded, issuing from memory", func(t *testing.T) {
		if status, body := r.health(t, "/healthz"); status != 200 || body != `{"status":"ok"}` {
			t.Errorf("healthz %d %s", status, body)
		}
		if status, body := r.health(t, "/readyz"); status != 200 || !strings.Contains(body, "degraded") {
			t.Errorf("readyz %d %s", status, body)
		}
		r.token(t, client)
		if got := len(signingKeys(t, r)); got != 1 {
			t.Errorf("%d keys are published", got)
		}
	})
	t.Run("OP-19 database away: what needs it is refused for now, never answered wrongly", func(t *testing.T) {
		for path, form := range map[string]url.Values{"/revoke": {"token": {token}}, "/introspect": {"token": {token}}} {
			status, answer := r.post(t, path, client, form)
			if status != http.StatusServiceUnavailable || answer["error"] != "temporarily_unavailable" {
				t.Errorf("%s: %d %v", path, status, answer)
			}
		}
	})
	t.Run("OP-19 database away for long: not ready", func(t *testing.T) {
		clock.add(16 * time.Minute)
		if status, body := r.health(t, "/readyz"); status != 503 || !strings.Contains(body, "failing") {
			t.Errorf("readyz %d %s", status, body)
		}
		if status, answer := r.post(t, "/token", client, form); status != http.StatusServiceUnavailable {
			t.Errorf("token %d %v", status, answer)
		}
		if status, _ := r.health(t, "/healthz"); status != 200 {
			t.Errorf("healthz %d", status)
		}
	})
	t.Run("OP-19 database back: ready without a restart", func(t *testing.T) {
		database.set(false)
		until(t, "the server notices that the database is back", func() bool {
			status, body := r.health(t, "/readyz")
			return status == 200 && strings.Contains(body, `"status":"ok"`)
		})
		if fresh := r.token(t, client); !r.active(t, client, fresh) {
			t.Error("no token is active")
		}
	})
	if errors := strings.Count(r.log.String(), "background work fails"); errors < 1 || errors > 2 {
		t.Errorf("OP-19 %d lines about background work that fails, want one for each loop that met it", errors)
	}
}

func TestOP19Journal(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	r := start(t, c)
	client := r.newClient(t, "billing", nil)
	r.token(t, client)
	if err := r.journal.Close(); err != nil { // as good as a disk that fails: nothing can be written
		t.Fatal(err)
	}
	if status, answer := r.post(t, "/token", client, url.Values{"grant_type": {"client_credentials"}}); status != http.StatusServiceUnavailable || answer["access_token"] != nil {
		t.Errorf("OP-19 a token without a record: %d %v", status, answer)
	}
	if status, _ := r.health(t, "/healthz"); status != 200 {
		t.Errorf("OP-19 healthz %d", status)
	}
}

func TestR23(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Shutdown.Delay = Duration(time.Second)
	r := start(t, c)
	client := r.newClient(t, "billing", nil)
	body := "grant_type=client_credentials"
	connection, answers := begin(t, r, client, len(body))
	idle := dial(t, r.address())
	public, admin := r.public, r.admin.url(c.Admin.Listen)
	ended := make(chan error, 1)
	go func() { ended <- r.stop() }()

	until(t, "the server says that it is stopping", func() bool {
		response, err := r.http.Get(admin + "/readyz")
		if err != nil {
			t.Fatalf("R23 the admin listener went first: %v", err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return response.StatusCode == 503 && strings.Contains(string(text), "stopping")
	})
	if got := raw(t, public.Addr().String(), tokenRequest(client, "", "")); got.status != 200 || !got.closed {
		t.Errorf("R23 a request in the time of grace: %d, connection closed %t; want it answered and the connection closed", got.status, got.closed)
	}
	if _, err := io.WriteString(connection, body); err != nil {
		t.Errorf("R23 the request that had begun: %v", err)
	}
	if answer, err := io.ReadAll(answers); err != nil || !strings.Contains(string(answer), "access_token") || !strings.Contains(string(answer), "Connection: close") {
		t.Errorf("R23 the request that had begun got %.200s, %v", answer, err)
	}
	if _, err := io.ReadAll(idle); err != nil {
		t.Errorf("R23 the idle connection was not closed: %v", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("R23 Run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("R23 the server does not end")
	}
	if _, err := net.Dial("tcp", public.Addr().String()); err == nil {
		t.Error("R23 the address still accepts")
	}
	again := start(t, c) // everything was given back: the database, the journal
	again.token(t, client)
}

// begin sends the header of a token request, and returns when the server waits for the body.
func begin(t *testing.T, r *running, client registry.Registered, body int) (net.Conn, *bufio.Reader) {
	t.Helper()
	connection := dial(t, r.address())
	fmt.Fprintf(connection, "POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n", basic(client), body)
	answers := bufio.NewReader(connection)
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		if line, err := answers.ReadString('\n'); line != want {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	return connection, answers
}

func TestR23DrainIsBounded(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Shutdown.Drain = Duration(300 * time.Millisecond)
	r := start(t, c)
	client := r.newClient(t, "billing", nil)
	begin(t, r, client, 100)
	began := time.Now()
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 8*time.Second { // the body timeout is 10 s
		t.Errorf("R23 it took %s", took)
	}
	if !strings.Contains(r.log.String(), "requests were cut off") {
		t.Errorf("R23 the log does not say that a request was cut off:\n%s", r.log)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	quiet := Options{Logger: slog.New(slog.DiscardHandler)}
	t.Run("an address that is taken, and gives everything back", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		c := testConfig(t)
		c.Admin.Listen = taken.Addr().String()
		if _, err := New(t.Context(), c, quiet); err == nil || !strings.Contains(err.Error(), "admin.listen") {
			t.Errorf("got %v", err)
		}
		c.Admin.Listen = "127.0.0.1:0"
		start(t, c)
	})
	t.Run("a configuration with a problem", func(t *testing.T) {
		c := testConfig(t)
		c.Tokens.TTL = 0
		_, err := New(t.Context(), c, quiet)
		wantProblem(t, err, "tokens.ttl", "between")
	})
	t.Run("a data directory that others can write to", func(t *testing.T) {
		c := testConfig(t)
		if err := os.Mkdir(c.Data, 0o700); err != nil {
			t.Fatal(err)
		}
		chmod(t, c.Data, 0o777)
		if _, err := New(t.Context(), c, quiet); err == nil || !strings.Contains(err.Error(), "chmod 700") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a data directory that another server has", func(t *testing.T) {
		c := testConfig(t)
		start(t, c)
		if _, err := New(t.Context(), c, quiet); err == nil || !strings.Contains(err.Error(), "another process") && !strings.Contains(err.Error(), "in use") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a context that has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if s, err := New(ctx, testConfig(t), quiet); err == nil {
			s.Close()
			t.Error("it started")
		}
	})
}
