package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// logged collects log lines.
type logged struct {
	mu    sync.Mutex
	bytes bytes.Buffer // under mu
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes.String()
}

// lines returns the JSON objects, and fails for a line that is none.
func (l *logged) lines(t *testing.T) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.SplitSeq(strings.TrimSuffix(l.String(), "\n"), "\n") {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("line of the log is not one JSON object: %q", line)
		}
		out = append(out, object)
	}
	return out
}

func anything(*http.Request) bool { return true }

func newFront(limits Limits) (front, *logged) {
	log := &logged{}
	return front{
		limits: limits, logger: NewLogger(log, Log{Level: "debug", Format: "json"}),
		panics: new(atomic.Int64), draining: new(atomic.Bool), forms: anything,
	}, log
}

// listen serves a handler on a free port of loopback until the test ends.
func listen(t *testing.T, handler http.Handler, pair *certificate, limits Limits) (address string) {
	t.Helper()
	l, err := bind(t.Context(), "127.0.0.1:0", pair, proxies{}, limits, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.http.Handler = handler
	done := make(chan error, 1)
	go func() { done <- l.serve() }()
	t.Cleanup(func() {
		l.http.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return l.Addr().String()
}

func get(t *testing.T, handler http.Handler, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://as.example/x", nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, connected(r))
	return w
}

// connected has a request come over a connection, from the address that it names.
func connected(r *http.Request) *http.Request {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r
	}
	m, err := newGate(nil, 1, nobody).admit(distant{from: net.TCPAddrFromAddrPort(address)})
	if err != nil {
		panic(err)
	}
	return r.WithContext(withMeter(r.Context(), m))
}

func TestRequestID(t *testing.T) {
	f, log := newFront(Default().Limits)
	var seen, header string
	handler := f.public(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen, header = RequestID(r), r.Header.Get("X-Request-Id")
	}))
	w := get(t, handler, func(r *http.Request) { r.Header.Set("X-Request-Id", "callers-own") })
	answered := w.Header().Get("X-Request-Id")
	if len(answered) != 22 || seen != answered || header != answered {
		t.Errorf("answered %q, handler saw %q and %q; want one ID of 128 bits", answered, seen, header)
	}
	if line := log.lines(t)[0]; line["request_id"] != answered {
		t.Errorf("logged %v, want %q", line["request_id"], answered)
	}
	if again := get(t, handler, nil).Header().Get("X-Request-Id"); again == answered {
		t.Error("two requests have the same ID")
	}
}

func TestOP06(t *testing.T) {
	t.Parallel()
	const canary = "canary-8c1f"
	var reason any
	f, log := newFront(Default().Limits)
	address := listen(t, f.public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", "left over")
		switch r.URL.Path {
		case "/late":
			_, _ = io.WriteString(w, "half")
			_ = http.NewResponseController(w).Flush()
			panic(reason)
		case "/early":
			panic(reason)
		}
	})), nil, Default().Limits)
	var nothing map[string]int
	runtimeError := func() (reason any) {
		defer func() { reason = recover() }()
		nothing["a"] = 1
		return nil
	}()
	for name, value := range map[string]any{"string": "on " + canary, "error": errors.New(canary), "runtime error": runtimeError} {
		t.Run("OP-06 panic with "+name, func(t *testing.T) {
			reason = value
			before := f.panics.Load()
			connection := dial(t, address)
			reader := bufio.NewReader(connection)
			for range 2 { // the connection lives on
				fmt.Fprintf(connection, "GET /early?code=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\nUser-Agent: a\r\n\r\n", canary, canary)
				response, err := http.ReadResponse(reader, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(response.Body)
				want := `{"error":"server_error","error_description":"something went wrong here; the log has it"}`
				if response.StatusCode != 500 || string(body) != want || response.Header.Get("WWW-Authenticate") != "" {
					t.Errorf("got %d %s %v", response.StatusCode, body, response.Header)
				}
			}
			if got := f.panics.Load() - before; got != 2 {
				t.Errorf("%d panics were counted, want 2", got)
			}
			if out := log.String(); strings.Contains(out, canary) || !strings.Contains(out, "front_test.go") {
				t.Errorf("the log has what the request held, or no stack:\n%s", out)
			}
		})
	}
	t.Run("OP-06 panic after half an answer ends the connection", func(t *testing.T) {
		response, err := http.Get("http://" + address + "/late")
		if err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		if err == nil {
			t.Error("the client took half an answer for a whole one")
		}
	})
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(30 * time.Second))
	return connection
}

func TestOP13(t *testing.T) {
	hostile := map[string]string{
		"a line of its own": "x\n{\"level\":\"info\",\"event\":\"token.issued\"}",
		"carriage return":   "x\r\nlevel=INFO msg=forged",
		"escape sequence":   "x\x1b[31mred\x1b]0;title\x07",
		"U+2028":            "x\u2028{\"event\":1}\u2029",
		"right to left":     "x\u202egnp.exe",
		"C1 control":        "x\u009b31m",
		"not UTF-8":         "x\xff\xfe\xc0\xaf",
		"NUL":               "x\x00y",
		"1 MiB":             strings.Repeat("A", 1<<20),
		"multi-byte at cut": strings.Repeat("é", 400),
	}
	for _, format := range []string{"json", "text"} {
		for name, value := range hostile {
			t.Run("OP-13 "+format+" "+name, func(t *testing.T) {
				log := &logged{}
				logger := NewLogger(log, Log{Level: "debug", Format: format})
				f := front{limits: Default().Limits, logger: logger, panics: new(atomic.Int64), draining: new(atomic.Bool)}
				get(t, f.public(http.NotFoundHandler()), func(r *http.Request) {
					r.Method, r.URL.Path, r.RemoteAddr, r.Proto = value, value, value, value
					r.Header.Set("User-Agent", value)
				})
				logger.Error(value, "error", errors.New(value), "any", struct{ Text string }{value}, slog.Group("g", "k", value))
				out := log.String()
				if lines := strings.Count(out, "\n"); lines != 2 {
					t.Errorf("got %d lines, want 2:\n%.2000q", lines, out)
				}
				if len(out) > 20*maxLogged {
					t.Errorf("wrote %d bytes", len(out))
				}
				for _, r := range out {
					if r != '\n' && (r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0x202e) {
						t.Errorf("a %U is in %q", r, out)
						break
					}
				}
				if format == "json" {
					log.lines(t)
				}
			})
		}
	}
}

func TestOP14(t *testing.T) {
	secrets := []string{
		"writ_cs_3tZ8wH2mJr5xKq9vLc1nBd7fGs4yTp6aRe0uXiOjMkQ_abcdEF", "writ_at_3tZ8wH2mJr5xKq9vLc1nBd7fGs4yTp6aRe0uXi",
		"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwczovL2FzIn0.c2lnbmF0dXJlLWNhbmFyeQ", "Basic Y2FuYXJ5OmNhbmFyeS1zZWNyZXQ=", "bearer canary.token-1234567890",
		"postgres://writ:canary-password@db/writ",
	}
	for _, secret := range secrets {
		t.Run("OP-14 "+secret[:8], func(t *testing.T) {
			f, log := newFront(Default().Limits)
			for _, path := range []string{"/token", "/token/" + secret} {
				get(t, f.public(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					f.logger.Debug("a library says "+secret, "error", fmt.Errorf("dial %s: refused", secret), "values", []string{secret})
					panic(secret)
				})), func(r *http.Request) {
					r.URL.RawQuery = "client_secret=" + secret
					r.URL.Path = path
					r.Header.Set("Authorization", secret)
					r.Header.Set("User-Agent", "curl "+secret)
				})
			}
			if out := log.String(); strings.Contains(out, secret) || strings.Contains(out, "canary") || strings.Contains(out, "client_secret") {
				t.Errorf("the log has a secret:\n%s", out)
			}
			if lines := log.lines(t); len(lines) < 4 {
				t.Errorf("got %d lines, want what the library said, a panic and two requests", len(lines))
			}
		})
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func TestClientAddress(t *testing.T) {
	p := proxies{trusted: prefixes("10.0.0.0/24", "2001:db8::/64"), behind: prefixes("10.9.0.1/32")}
	cases := []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"nobody in between", "203.0.113.9:1", nil, "203.0.113.9"},
		{"a stranger's header is not believed", "203.0.113.9:1", []string{"192.0.2.1"}, "203.0.113.9"},
		{"one proxy", "10.0.0.1:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"the proxy that ends TLS", "10.9.0.1:1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"two proxies", "10.0.0.1:1", []string{"192.0.2.1, 10.0.0.2"}, "192.0.2.1"},
		{"what the client made up stands left", "10.0.0.1:1", []string{"1.1.1.1, 192.0.2.1"}, "192.0.2.1"},
		{"the client made up our own proxy", "10.0.0.1:1", []string{"1.1.1.1, 10.0.0.7, 192.0.2.1"}, "192.0.2.1"},
		{"two header lines", "10.0.0.1:1", []string{"1.1.1.1", "192.0.2.1"}, "192.0.2.1"},
		{"no header", "10.0.0.1:1", nil, "10.0.0.1"},
		{"garbage", "10.0.0.1:1", []string{"192.0.2.1, <script>"}, "10.0.0.1"},
		{"garbage behind a proxy", "10.0.0.1:1", []string{"unknown, 10.0.0.2"}, "10.0.0.2"},
		{"only proxies", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"with a port", "10.0.0.1:1", []string{"192.0.2.1:4711"}, "192.0.2.1"},
		{"IPv6", "[2001:db8::1]:1", []string{"[2001:db8:1::2]:4711"}, "2001:db8:1::2"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:192.0.2.1"}, "192.0.2.1"},
		{"longer than any honest one", "10.0.0.1:1", []string{"192.0.2.1" + strings.Repeat(", 10.0.0.2", 100)}, "10.0.0.2"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f, _ := newFront(Default().Limits)
			f.proxies = p
			var got string
			handler := f.public(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr }))
			get(t, handler, func(r *http.Request) {
				r.RemoteAddr = c.peer
				r.Header["X-Forwarded-For"] = c.forwarded
				r.TLS = &tls.ConnectionState{}
				r.Header.Set("X-Real-Ip", "6.6.6.6")
				r.Header.Set("True-Client-Ip", "6.6.6.6")
				r.Header.Set("Forwarded", "for=6.6.6.6")
			})
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestProxyThatNamesNobody(t *testing.T) {
	for name, c := range map[string]struct {
		peer, forwarded string
		want            int
	}{
		"trusted proxy": {"10.0.0.1:1", "", 1}, "the proxy that ends TLS": {"10.9.0.1:1", "", 1}, "garbage": {"10.0.0.1:1", "unknown", 1},
		"a caller is named": {"10.0.0.1:1", "192.0.2.1", 0}, "no proxy": {"203.0.113.9:1", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, log := newFront(Default().Limits)
			f.proxies = proxies{trusted: prefixes("10.0.0.0/24"), behind: prefixes("10.9.0.1/32")}
			handler := f.public(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			for range 3 {
				get(t, handler, func(r *http.Request) {
					r.RemoteAddr = c.peer
					if c.forwarded != "" {
						r.Header.Set("X-Forwarded-For", c.forwarded)
					}
				})
			}
			warned := 0
			for _, line := range log.lines(t) {
				if line["level"] == "WARN" && strings.Contains(fmt.Sprint(line["msg"]), "X-Forwarded-For") && strings.HasPrefix(c.peer, fmt.Sprint(line["proxy"])+":") {
					warned++
				}
			}
			if warned != c.want {
				t.Errorf("%d warnings after three requests, want %d:\n%s", warned, c.want, log)
			}
		})
	}
}

func TestT38(t *testing.T) {
	p := proxies{behind: prefixes("10.9.0.1/32")}
	for name, c := range map[string]struct {
		peer, proto string
		want        int
	}{
		"T38 from the proxy":                        {"10.9.0.1:1", "https", 200},
		"T38 from the proxy, which says nothing":    {"10.9.0.1:1", "", 200},
		"T38 from this machine":                     {"127.0.0.1:1", "", 200},
		"T38 from anyone else":                      {"203.0.113.9:1", "", 403},
		"T38 from anyone who claims TLS":            {"203.0.113.9:1", "https", 403},
		"T38 through the proxy's own port 80":       {"10.9.0.1:1", "http", 403},
		"T38 through the proxy, two spellings":      {"10.9.0.1:1", "https, http", 403},
		"T38 from a neighbour in IPv6 notation":     {"[::ffff:203.0.113.9]:1", "https", 403},
		"T38 from the proxy in its IPv6 notation":   {"[::ffff:10.9.0.1]:1", "https", 200},
		"T38 from a peer without a legible address": {"@", "https", 403},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := newFront(Default().Limits)
			f.proxies = p
			served := false
			w := get(t, f.public(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true })), func(r *http.Request) {
				r.RemoteAddr, r.TLS = c.peer, nil
				r.Header.Set("X-Forwarded-For", "10.9.0.1")
				if c.proto != "" {
					r.Header.Set("X-Forwarded-Proto", c.proto)
				}
			})
			if w.Code != c.want || served != (c.want == 200) {
				t.Errorf("got %d (served %t), want %d", w.Code, served, c.want)
			}
		})
	}
}

func TestGW29(t *testing.T) {
	t.Parallel()
	f, _ := newFront(Default().Limits)
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	mux.HandleFunc("/admin/v1/{id}", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.PathValue("id")) })
	public, admin := listen(t, f.public(mux), nil, Default().Limits), listen(t, f.admin(mux), nil, Default().Limits)
	for _, target := range []string{"//token", "/../token", "/./token", "/x/../token", "/token/../token", "/token//", "//", "/%74oken", "/%2e%2e/token", "/x%2f..%2ftoken", "/token%00", "/token/", "\\token", "/token\\..", "*"} {
		for name, address := range map[string]string{"public": public, "admin": admin} {
			t.Run("GW-29 "+name+" "+target, func(t *testing.T) {
				if status := rawStatus(t, address, "POST "+target+" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); status != 404 && status != 400 {
					t.Errorf("got %d, want 404", status)
				}
			})
		}
	}
	if status := rawStatus(t, public, "POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"); status != http.StatusTeapot {
		t.Errorf("/token itself: got %d", status)
	}
	response, err := http.Get("http://" + admin + "/admin/v1/https%3A%2F%2Fapi.example%2F")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); string(body) != "https://api.example/" {
		t.Errorf("an identifier in the admin path became %q", body)
	}
}

// rawStatus sends bytes and returns the status of the answer, 0 when there is none.
func rawStatus(t *testing.T, address, request string) int {
	t.Helper()
	connection := dial(t, address)
	_, _ = io.WriteString(connection, request)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func TestInFlightIsBounded(t *testing.T) {
	limits := Default().Limits
	limits.InFlight = 2
	f, _ := newFront(limits)
	entered, release := make(chan struct{}), make(chan struct{})
	handler := f.public(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	}))
	var group sync.WaitGroup
	for range limits.InFlight {
		group.Go(func() { get(t, handler, nil) })
		<-entered
	}
	w := get(t, handler, nil)
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), "temporarily_unavailable") {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	close(release)
	group.Wait()
	go func() { <-entered }()
	if w := get(t, handler, nil); w.Code != 200 {
		t.Errorf("afterwards: got %d", w.Code)
	}
}

// A caller who dribbles a body holds no slot: others are answered while it lasts.
func TestSlowBodiesHoldNoSlot(t *testing.T) {
	t.Parallel()
	limits := Default().Limits
	limits.InFlight = 1
	f, _ := newFront(limits)
	var got atomic.Value
	address := listen(t, f.public(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got.Store(fmt.Sprint(string(body), err))
	})), nil, limits)
	slow := dial(t, address)
	fmt.Fprint(slow, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
	for range 5 {
		if status := rawStatus(t, address, "GET /y HTTP/1.1\r\nHost: x\r\n\r\n"); status != 200 {
			t.Errorf("got %d while another body is on its way", status)
		}
	}
	fmt.Fprint(slow, "cd")
	if _, err := http.ReadResponse(bufio.NewReader(slow), nil); err != nil {
		t.Fatal(err)
	}
	if got.Load() != "abcd<nil>" {
		t.Errorf("the handler read %v", got.Load())
	}
}

func TestDrainingClosesConnections(t *testing.T) {
	f, _ := newFront(Default().Limits)
	address := listen(t, f.public(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), nil, Default().Limits)
	for _, draining := range []bool{false, true} {
		f.draining.Store(draining)
		response, err := http.Get("http://" + address + "/")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.Close != draining {
			t.Errorf("draining %t: the answer closes the connection: %t", draining, response.Close)
		}
	}
}
