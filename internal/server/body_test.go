package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestReceive(t *testing.T) {
	var n int
	var err error
	handler := receive(10, newBudget(Default().Limits, 10), anything, func() {})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body []byte
		body, err = io.ReadAll(r.Body)
		n = len(body)
	}))
	for name, c := range map[string]struct {
		body    string
		declare bool
		tooBig  bool
	}{
		"at the limit": {"0123456789", true, false}, "above": {"0123456789A", true, true},
		"at the limit, in chunks": {"0123456789", false, false}, "above, in chunks": {"0123456789A", false, true}, "nothing": {"", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
			if !c.declare {
				r.ContentLength = -1
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			var tooBig *http.MaxBytesError
			if errors.As(err, &tooBig) != c.tooBig || !c.tooBig && n != len(c.body) {
				t.Errorf("the handler read %d bytes, %v", n, err)
			}
			if closes := w.Header().Get("Connection") == "close"; closes != c.tooBig {
				t.Errorf("connection closed: %t", closes)
			}
		})
	}
}

// A hoard is a front whose bodies may take 256 KiB together.
func hoard(t *testing.T, pair *certificate) (address string) {
	t.Helper()
	limits := Default().Limits
	limits.InFlight = 4
	f, _ := newFront(limits)
	return listen(t, f.public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v", len(body), err)
	})), pair, limits)
}

func send(t *testing.T, address string, size int) exchange {
	t.Helper()
	return raw(t, address, fmt.Appendf(nil, "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("b", size)))
}

func TestBodiesShareABudget(t *testing.T) {
	t.Parallel()
	address := hoard(t, nil)
	stalled := func(size int) io.Closer { // all of a body of 64 KiB but the end
		connection := dial(t, address)
		fmt.Fprintf(connection, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n%s", strings.Repeat("b", size))
		return connection
	}
	for range 40 { // announced, and nothing of it here: costs nothing
		stalled(0)
	}
	if got := send(t, address, 64<<10); got.status != 200 || got.body != "65536 <nil>" {
		t.Fatalf("beside announcements: %+v", got)
	}
	var attackers []io.Closer
	for range 4 {
		attackers = append(attackers, stalled(63<<10))
	}
	until(t, "a large body is refused", func() bool {
		began := time.Now()
		got := send(t, address, 64<<10)
		if got.status != 503 {
			attackers = append(attackers, stalled(63<<10)) // for one that came while this body had the memory, and was refused itself
			return false
		}
		if took := time.Since(began); took > 2*time.Second || got.header.Get("Retry-After") != "1" || !strings.Contains(got.body, "temporarily_unavailable") || !got.closed {
			t.Errorf("refused after %s with %+v", took, got)
		}
		return true
	})
	refused := dial(t, address) // one that stalls is refused as soon as the budget is reached, not when its time is up
	fmt.Fprintf(refused, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n%s", strings.Repeat("b", 63<<10))
	_ = refused.SetDeadline(time.Now().Add(2 * time.Second))
	if response, err := http.ReadResponse(bufio.NewReader(refused), nil); err != nil || response.StatusCode != 503 {
		t.Errorf("one more that stalls: %v, %v", response, err)
	}
	for range 20 {
		if got := send(t, address, 4<<10-1); got.status != 200 || got.body != "4095 <nil>" {
			t.Fatalf("an honest form beside them: %+v", got)
		}
	}
	for _, attacker := range attackers {
		attacker.Close()
	}
	until(t, "the memory is free again", func() bool { return send(t, address, 64<<10).status == 200 })
}

// Many streams on few connections: what is free for a connection is not free for each of its streams.
func TestStreamsShareABudget(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	var files TLSFiles
	files.Certificate, files.Key = authority.files(t, "localhost")
	pair, err := newCertificate(files, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	address := hoard(t, pair)
	const connections, streams = 5, 30
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan int, connections*streams) // statuses of those that did not stall on
	var group sync.WaitGroup
	for range connections {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.pool, ServerName: "localhost"}, ForceAttemptHTTP2: true}
		client := &http.Client{Transport: transport}
		response, err := client.Get("https://" + address + "/") // so that all streams use this connection
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		for range streams {
			body, end := io.Pipe()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+address+"/x", body)
			if err != nil {
				t.Fatal(err)
			}
			group.Go(func() {
				defer end.Close()
				if response, err := client.Do(request); err == nil {
					answered <- response.StatusCode
					response.Body.Close()
				}
			})
			go func() { _, _ = end.Write([]byte("a")) }() // and nothing more
		}
		t.Cleanup(transport.CloseIdleConnections)
	}
	// One on each connection and 64 more, of 4 KiB each, fill 256 KiB.
	for range connections*streams - connections - 64 {
		select {
		case status := <-answered:
			if status != 503 {
				t.Errorf("got %d", status)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%d streams and more stall at once", connections+64)
		}
	}
	select {
	case status := <-answered:
		t.Errorf("one too many was answered: %d", status)
	case <-time.After(50 * time.Millisecond):
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.pool, ServerName: "localhost"}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Post("https://"+address+"/x", "text/plain", strings.NewReader("an honest form"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != 200 || string(body) != "14 <nil>" {
		t.Errorf("a new connection: %d %s", response.StatusCode, body)
	}
	cancel()
	group.Wait()
}

// Bodies where none belongs are answered without a look at them: none of these ever comes.
func TestBodiesThatBelongNowhere(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig(t))
	public, admin := r.Addresses()
	for _, c := range []struct {
		name, address, line string
		want                int
	}{
		{"GET", public, "GET /jwks", 400},
		{"HEAD", public, "HEAD /jwks", 400},
		{"GET of a form's endpoint", public, "GET /token", 400},
		{"unknown path", public, "POST /unknown", 404},
		{"path that is not read", public, "POST /jwks", 405},
		{"method that is not read", public, "PUT /token", 405},
		{"GET of the admin API", admin, "GET /admin/v1/clients", 400},
		{"admin listener, unknown path", admin, "POST /unknown", 404},
		{"readiness", admin, "POST /readyz", 405},
	} {
		for _, framing := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
			t.Run(c.name+", "+framing, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				got := raw(t, c.address, []byte(c.line+" HTTP/1.1\r\nHost: x\r\n"+framing+"\r\n\r\n"))
				if got.status != c.want || !got.closed {
					t.Errorf("got %+v, want %d and the end of the connection", got, c.want)
				}
				if took := time.Since(began); took > 4*time.Second {
					t.Errorf("it took %s", took)
				}
			})
		}
	}
	t.Run("an issuer with a path", func(t *testing.T) {
		forms := formsOf("https://as.example/tenant1")
		for path, want := range map[string]bool{"/tenant1/token": true, "/tenant1/introspect": true, "/tenant1/revoke": true, "/token": false, "/tenant1/jwks": false} {
			if got := forms(httptest.NewRequest(http.MethodPost, path, nil)); got != want {
				t.Errorf("%s takes a body: %t", path, got)
			}
		}
	})
}
