package server

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/internal/registry"
)

// An exchange is what came back over a raw connection.
type exchange struct {
	status int
	header http.Header
	body   string
	closed bool // nothing but the end of the connection came behind the answer
	rest   string
}

// raw sends bytes over a connection of their own, and reads an answer and whatever comes behind it until the server closes,
// or for a moment if it does not.
func raw(t *testing.T, address string, request []byte) exchange {
	t.Helper()
	connection := dial(t, address)
	go func() { _, _ = connection.Write(request) }() // a server that refuses early does not read to the end
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return exchange{closed: true}
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	wait := 30 * time.Millisecond
	if response.Close {
		wait = 10 * time.Second // it was announced; how long it takes does not matter
	}
	_ = connection.SetReadDeadline(time.Now().Add(wait))
	rest, err := io.ReadAll(reader)
	return exchange{response.StatusCode, response.Header, string(body), !errors.Is(err, os.ErrDeadlineExceeded), string(rest)}
}

func (r *running) address() string { a, _ := r.Addresses(); return a }

func basic(client registry.Registered) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(client.ID+":"+client.Secret.Reveal()))
}

// tokenRequest is a good request with more headers and another body, if given.
func tokenRequest(client registry.Registered, headers, body string) []byte {
	if body == "" {
		body = "grant_type=client_credentials"
	}
	if !strings.Contains(headers, "Transfer-Encoding") {
		headers += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return []byte("POST /token HTTP/1.1\r\nHost: as.example\r\nAuthorization: " + basic(client) +
		"\r\nContent-Type: application/x-www-form-urlencoded\r\n" + headers + "\r\n" + body)
}

func TestWireRequests(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig(t))
	client := r.newClient(t, "billing", nil)
	if got := raw(t, r.address(), tokenRequest(client, "Connection: close\r\n", "")); got.status != 200 {
		t.Fatalf("the request that all others are made from: %+v", got)
	}
	fill := func(n int) string {
		form := "grant_type=client_credentials&x="
		return form + strings.Repeat("a", n-len(form))
	}
	chunked := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	good := "grant_type=client_credentials"
	smuggled := "POST /token HTTP/1.1\r\nHost: evil\r\nContent-Length: 0\r\n\r\n"
	cases := []struct {
		name    string
		request []byte
		status  []int // any of; 0 for no answer at all
		closed  bool
	}{
		{"AS-16 64 KiB exactly", tokenRequest(client, "", fill(64<<10)), []int{200}, false},
		{"AS-16 64 KiB and one byte", tokenRequest(client, "", fill(64<<10+1)), []int{413}, true},
		{"AS-16 64 KiB and one byte in chunks", tokenRequest(client, "Transfer-Encoding: chunked\r\n", chunked(fill(64<<10+1))), []int{413}, true},
		{"T34 2 MB", tokenRequest(client, "", fill(2<<20)), []int{413}, true},
		{"T34 2 MB in chunks", tokenRequest(client, "Transfer-Encoding: chunked\r\n", chunked(fill(2<<20))), []int{413}, true},
		{"T34 2 MB announced, nothing sent", []byte("POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 2000000\r\n\r\n"), []int{413}, true},
		{"T35 10 000 parameters", tokenRequest(client, "", good+strings.Repeat("&a=1", 10_000)), []int{400}, false},
		{"T35 10 000 parameters of different names", tokenRequest(client, "", good+manyParameters(10_000)), []int{413}, true},
		{"T47 Content-Length and Transfer-Encoding", tokenRequest(client, "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunked(good)+smuggled), []int{200, 400}, true},
		{"T47 two Content-Lengths", tokenRequest(client, "Content-Length: 4\r\n", ""), []int{400}, true},
		{"T47 Content-Length list", []byte("POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 0\r\n\r\n"), []int{400}, true},
		{"T47 Content-Length with a sign", []byte("POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n"), []int{400}, true},
		{"T47 Transfer-Encoding twice", tokenRequest(client, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunked(good)), []int{400, 501}, true},
		{"T47 Transfer-Encoding hidden by a space", tokenRequest(client, "Transfer-Encoding : chunked\r\n", chunked(good)), []int{400}, true},
		{"T47 Transfer-Encoding unknown", tokenRequest(client, "Transfer-Encoding: xchunked\r\n", chunked(good)), []int{400, 501}, true},
		{"T47 chunk size with junk", tokenRequest(client, "Transfer-Encoding: chunked\r\n", "1dx\r\n"+good+"\r\n0\r\n\r\n"), []int{400, 408}, true},
		{"T47 line folding", []byte("POST /token HTTP/1.1\r\nHost: x\r\nX-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), []int{400}, false},
		{"T47 bare line feed in a header", []byte("POST /token HTTP/1.1\r\nHost: x\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n"), []int{400}, true},
		{"T47 two Hosts", []byte("POST /token HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 0\r\n\r\n"), []int{400}, true},
		{"T47 no Host", []byte("POST /token HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), []int{400}, true},
		{"T47 upgrade to h2c", tokenRequest(client, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", ""), []int{200}, false},
		{"T47 h2c with prior knowledge", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), []int{400, 404, 505}, true},
		{"T47 CONNECT", []byte("CONNECT as.example:443 HTTP/1.1\r\nHost: as.example:443\r\n\r\n"), []int{404}, false},
		{"AS-22 10 MB Authorization", []byte("POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + strings.Repeat("A", 10<<20) + "\r\nContent-Length: 0\r\n\r\n"), []int{431}, true},
		{"AS-22 17 KiB Authorization", []byte("POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + strings.Repeat("A", 17<<10) + "\r\nContent-Length: 0\r\n\r\n"), []int{431}, true},
		{"AS-22 400 headers", []byte("POST /token HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 400) + "Content-Length: 0\r\n\r\n"), []int{431}, true},
		{"AS-22 400 headers of different names", []byte("POST /token HTTP/1.1\r\nHost: x\r\n" + manyHeaders(400) + "Content-Length: 0\r\n\r\n"), []int{431}, true},
		{"AS-22 a long URL", []byte("GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n"), []int{431}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := raw(t, r.address(), c.request)
			if !slices.Contains(c.status, got.status) {
				t.Errorf("got %d %.300s, want one of %v", got.status, got.body, c.status)
			}
			if c.closed && !got.closed {
				t.Error("the connection stays open")
			}
			if strings.Contains(got.rest, "HTTP/1.1") {
				t.Errorf("a second answer came: %.300q", got.rest)
			}
			if got.status != 200 && strings.Contains(got.body, "access_token") {
				t.Errorf("a refusal holds a token")
			}
		})
	}
	if out := r.log.String(); strings.Contains(out, "AAAAAAAAAAAAAAAA") || strings.Contains(out, client.Secret.Reveal()) || strings.Contains(out, basic(client)[6:]) {
		t.Error("AS-22 the log holds what stood in an Authorization header")
	}
}

func manyParameters(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "&p%d=1", i)
	}
	return b.String()
}

func manyHeaders(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "X-%d: b\r\n", i)
	}
	return b.String()
}

func TestAS21(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Limits.InFlight, c.Limits.HeaderTimeout, c.Limits.BodyTimeout = 1, Duration(time.Second), Duration(2*time.Second)
	r := start(t, c)
	client := r.newClient(t, "billing", nil)
	for name, head := range map[string]string{"in chunks": "Transfer-Encoding: chunked\r\n", "announced": "Content-Length: 1000\r\n"} {
		t.Run("AS-21 a body a byte at a time, "+name, func(t *testing.T) {
			connection := dial(t, r.address())
			fmt.Fprintf(connection, "POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n%s\r\n", basic(client), head)
			stop := make(chan struct{})
			defer close(stop)
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
						if _, err := io.WriteString(connection, "1\r\na\r\n"); err != nil {
							return
						}
					}
				}
			}()
			began := time.Now()
			for range 3 { // the one slot is free meanwhile
				r.token(t, client)
			}
			reader := bufio.NewReader(connection)
			response, err := http.ReadResponse(reader, nil)
			if err == nil {
				if response.StatusCode != http.StatusRequestTimeout {
					t.Errorf("got %d, want 408", response.StatusCode)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_, err = reader.ReadByte()
			}
			if err == nil {
				t.Error("the connection stays open")
			}
			if took := time.Since(began); took < time.Second || took > 15*time.Second {
				t.Errorf("it lasted %s with a body timeout of 2 s", took)
			}
		})
	}
}

// TestOP01: connections that dribble their header are closed, and others are served meanwhile.
func TestOP01(t *testing.T) {
	c := testConfig(t)
	c.Limits.HeaderTimeout, c.Limits.BodyTimeout = Duration(3*time.Second), Duration(time.Minute)
	c.Log.Level = "warn"
	r := start(t, c)
	client := r.newClient(t, "billing", nil)
	connections := 2000
	if testing.Short() {
		connections = 200
	}
	if limit := (syscall.Rlimit{}); syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		connections = min(connections, int(limit.Cur)/3)
	}
	slowest := func(during func() bool) time.Duration {
		var worst time.Duration
		for range 100 {
			began := time.Now()
			r.token(t, client)
			worst = max(worst, time.Since(began))
			if !during() {
				break
			}
		}
		return worst
	}
	baseline := slowest(func() bool { return true })

	var open atomic.Int64
	var group sync.WaitGroup
	for range connections {
		connection, err := net.Dial("tcp", r.address())
		if err != nil {
			t.Fatal(err)
		}
		open.Add(1)
		group.Go(func() {
			defer connection.Close()
			defer open.Add(-1)
			_, _ = io.WriteString(connection, "POST /token HTTP/1.1\r\nX: ")
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = connection.SetReadDeadline(time.Now().Add(time.Minute))
				_, _ = io.Copy(io.Discard, connection)
			}()
			ticker := time.NewTicker(time.Second) // a byte a second
			defer ticker.Stop()
			for {
				select {
				case <-done:
					return
				case <-ticker.C:
					_, _ = io.WriteString(connection, "a")
				}
			}
		})
	}
	worst := slowest(func() bool { return open.Load() > int64(connections/2) })
	began := time.Now()
	group.Wait()
	t.Logf("OP-01 slowest token with %d slow connections %s, without %s; the last one was closed after %s", connections, worst, baseline, time.Since(began))
	if worst > time.Second {
		t.Errorf("OP-01 a token took %s beside %d slow connections", worst, connections)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("OP-01 slow connections lived for %s", took)
	}
}

// TestOP02: a caller that does not read its answer is cut off.
func TestOP02(t *testing.T) {
	t.Parallel()
	limits := Default().Limits
	limits.WriteTimeout = Duration(time.Second)
	ended := make(chan error, 1)
	address := listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for range 1 << 10 { // 64 MiB, more than all buffers in between
			if _, err = w.Write(make([]byte, 64<<10)); err != nil {
				break
			}
		}
		ended <- err
	}), nil, limits)
	connection := dial(t, address)
	_ = connection.(*net.TCPConn).SetReadBuffer(1)
	_, _ = io.WriteString(connection, "GET /jwks HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case err := <-ended:
		if err == nil {
			t.Error("OP-02 all was written although nothing was read")
		}
	case <-time.After(20 * time.Second):
		t.Error("OP-02 a caller who does not read holds the connection past the write timeout")
	}
}

func TestOP05(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	c := testConfig(t)
	c.TLS.Certificate, c.TLS.Key = authority.files(t, "localhost")
	c.Issuer = "https://as.example"
	encrypted, plain := start(t, c), start(t, testConfig(t))
	client := plain.newClient(t, "billing", nil)
	t.Run("OP-05 HTTP to the TLS port", func(t *testing.T) {
		got := raw(t, encrypted.address(), tokenRequest(client, "", ""))
		if got.status != 400 || !got.closed || strings.Contains(got.body, "access_token") {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("T38 HTTP to the TLS port", func(t *testing.T) {
		if got := raw(t, encrypted.address(), tokenRequest(client, "", "")); got.status == 200 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("OP-05 TLS to the HTTP port", func(t *testing.T) {
		connection := tls.Client(dial(t, plain.address()), &tls.Config{InsecureSkipVerify: true})
		if err := connection.Handshake(); err == nil {
			t.Error("the handshake succeeded")
		}
	})
	t.Run("TLS serves, with HSTS, over HTTP/2", func(t *testing.T) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.pool, ServerName: "localhost"}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport}).Get("https://" + encrypted.address() + "/.well-known/oauth-authorization-server")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		if response.StatusCode != 200 || response.ProtoMajor != 2 || !strings.Contains(response.Header.Get("Strict-Transport-Security"), "max-age=") {
			t.Errorf("got %s %s %v", response.Proto, response.Status, response.Header)
		}
		if !strings.Contains(string(body), `"issuer":"https://as.example"`) {
			t.Errorf("got %s", body)
		}
	})
}

// publicPaths are all that is served there.
var publicPaths = []string{"/token", "/introspect", "/revoke", "/jwks", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/oauth-protected-resource/admin/v1"}

// TestOP07: other methods are refused everywhere, and reflect nothing.
func TestOP07(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig(t))
	public, admin := r.Addresses()
	adminPaths := []string{"/healthz", "/readyz", adminapi.Prefix + "/clients", adminapi.Prefix + "/openapi.json", "/.well-known/oauth-protected-resource/admin/v1"}
	for address, paths := range map[string][]string{public: publicPaths, admin: adminPaths} {
		for _, path := range paths {
			for _, method := range []string{"TRACE", "TRACK", "PROPFIND", "OPTIONS", "FOO"} {
				t.Run("OP-07 "+method+" "+path, func(t *testing.T) {
					got := raw(t, address, []byte(method+" "+path+" HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\nCanary: reflected\r\n\r\n"))
					if got.status != 405 && got.status != 401 && !(got.status == 204 && method == "OPTIONS") {
						t.Errorf("got %d %s", got.status, got.body)
					}
					if origin := got.header.Get("Access-Control-Allow-Origin"); got.header.Get("Access-Control-Allow-Credentials") != "" || origin == "https://evil.example" {
						t.Errorf("CORS: %v", got.header)
					}
					if strings.Contains(got.body, "reflected") {
						t.Errorf("the request is reflected: %s", got.body)
					}
				})
			}
		}
	}
}

func TestOP18(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig(t))
	public, admin := r.Addresses()
	for _, path := range []string{"/debug/pprof", "/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/metrics", "/healthz", "/healthz?verbose", "/readyz", "/", "/admin/v1/clients", "/admin/v1/openapi.json", "/operator.json", "/server-status"} {
		t.Run("OP-18 public "+path, func(t *testing.T) {
			if got := raw(t, public, []byte("GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")); got.status != 404 {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
	for _, path := range []string{"/debug/pprof/", "/debug/vars", "/token"} {
		t.Run("OP-18 admin "+path, func(t *testing.T) {
			if got := raw(t, admin, []byte("GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")); got.status != 404 {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
	t.Run("OP-18 admin /metrics", func(t *testing.T) {
		if got := raw(t, admin, []byte("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")); got.status != 200 || !strings.Contains(got.body, "writ_tokens_issued_total") {
			t.Errorf("got %d %s", got.status, got.body)
		}
		if got := raw(t, admin, []byte("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")); got.status != 405 {
			t.Errorf("POST got %d %s", got.status, got.body)
		}
	})
	t.Run("OP-18 healthz tells no more when asked for more", func(t *testing.T) {
		got := raw(t, admin, []byte("GET /healthz?verbose HTTP/1.1\r\nHost: x\r\n\r\n"))
		if got.status != 200 || got.body != `{"status":"ok"}`+"\n" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
	t.Run("the admin API refuses without a token and says where to get one", func(t *testing.T) {
		got := raw(t, admin, []byte("GET /admin/v1/clients HTTP/1.1\r\nHost: x\r\n\r\n"))
		want := `resource_metadata="` + r.IssuerURL() + `/.well-known/oauth-protected-resource/admin/v1"`
		if got.status != 401 || !strings.Contains(got.header.Get("WWW-Authenticate"), want) {
			t.Errorf("got %d %v", got.status, got.header)
		}
	})
	t.Run("the metadata of the admin API is on both listeners", func(t *testing.T) {
		for _, address := range []string{public, admin} {
			got := raw(t, address, []byte("GET /.well-known/oauth-protected-resource/admin/v1 HTTP/1.1\r\nHost: x\r\n\r\n"))
			if got.status != 200 || !strings.Contains(got.body, `"resource":"`+r.IssuerURL()+`/admin/v1"`) {
				t.Errorf("got %d %s", got.status, got.body)
			}
		}
	})
}

func TestOP20(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig(t))
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/.well-known/oauth-protected-resource/admin/v1"} {
		want := raw(t, r.address(), []byte("GET "+path+" HTTP/1.1\r\nHost: "+r.address()+"\r\n\r\n"))
		if want.status != 200 || !strings.Contains(want.body, r.IssuerURL()) {
			t.Fatalf("%s: %+v", path, want)
		}
		for name, head := range map[string]string{
			"Host":                       "Host: evil.example\r\n",
			"X-Forwarded-Host":           "Host: x\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Prefix: /evil\r\n",
			"Forwarded":                  "Host: x\r\nForwarded: host=evil.example;proto=http\r\n",
			"X-Original-URL":             "Host: x\r\nX-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\n",
			"Host with a port and a dot": "Host: evil.example.:99999\r\n",
		} {
			t.Run("OP-20 "+name+" "+path, func(t *testing.T) {
				if got := raw(t, r.address(), []byte("GET "+path+" HTTP/1.1\r\n"+head+"\r\n")); got.status == 200 && got.body != want.body || got.status != 200 && got.status != 400 {
					t.Errorf("got %d %s\nwant %s", got.status, got.body, want.body)
				}
			})
		}
		t.Run("OP-20 absolute form "+path, func(t *testing.T) {
			if got := raw(t, r.address(), []byte("GET http://evil.example"+path+" HTTP/1.1\r\nHost: evil.example\r\n\r\n")); got.body != want.body {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
}

// TestOP21: the metadata stands at exactly the path of RFC 8414, 3.1, in one spelling.
func TestOP21(t *testing.T) {
	t.Parallel()
	plain := start(t, testConfig(t))
	c := testConfig(t)
	c.Issuer = "https://as.example/tenant1"
	tenant := start(t, c)
	meta := "/.well-known/oauth-authorization-server"
	cases := []struct {
		server *running
		path   string
		want   int
	}{
		{plain, meta, 200}, {plain, meta + "/", 404}, {plain, meta + "/tenant1", 404}, {plain, "/tenant1" + meta, 404},
		{plain, meta + "%2Ftenant1", 404}, {plain, "/.well-known%2Foauth-authorization-server", 404}, {plain, meta + "/..", 404}, {plain, meta + "/../oauth-authorization-server", 404},
		{plain, meta + ";tenant1", 404}, {plain, "/.WELL-KNOWN/oauth-authorization-server", 404}, {plain, meta + "?tenant=1", 200},
		{tenant, meta + "/tenant1", 200}, {tenant, meta, 404}, {tenant, meta + "/tenant2", 404}, {tenant, meta + "/tenant1/", 404}, {tenant, meta + "/tenant1/x", 404},
		{tenant, meta + "%2Ftenant1", 404}, {tenant, meta + "/tenant%31", 404}, {tenant, "/tenant1" + meta, 404}, {tenant, "/tenant2/jwks", 404}, {tenant, "/tenant1/jwks", 200}, {tenant, "/jwks", 404},
	}
	for _, c := range cases {
		t.Run("OP-21 "+c.server.IssuerURL()+" "+c.path, func(t *testing.T) {
			got := raw(t, c.server.address(), []byte("GET "+c.path+" HTTP/1.1\r\nHost: x\r\n\r\n"))
			if got.status != c.want {
				t.Errorf("got %d, want %d", got.status, c.want)
			}
			if strings.HasPrefix(c.path, meta) && got.status == 200 && !strings.Contains(got.body, `"issuer":"`+c.server.IssuerURL()+`"`) {
				t.Errorf("got %s", got.body)
			}
		})
	}
}

// OP-14 over the whole server: nothing that was sent or issued is in the log or in the files, at the most talkative level.
func TestOP14WholeServer(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	r := start(t, c)
	client := r.newClient(t, "billing", nil)
	token := r.token(t, client)
	r.post(t, "/introspect", client, url.Values{"token": {token}})
	r.post(t, "/revoke", client, url.Values{"token": {token}})
	r.post(t, "/token", client, url.Values{"grant_type": {"client_credentials"}, "scope": {token}, "client_secret": {client.Secret.Reveal()}})
	secret := client.Secret.Reveal()
	for _, request := range []string{
		"GET /token?client_id=" + client.ID + "&client_secret=" + secret + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /introspect?token=" + token + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /token/" + secret + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nUser-Agent: " + secret + "\r\nReferer: " + token + "\r\n\r\n",
		"POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Type: text/" + token[:20] + "\r\nContent-Length: 0\r\n\r\n",
		secret + " /token HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + secret + "\r\nX-Request-Id: " + secret + "\r\n\r\n",
	} {
		raw(t, r.address(), []byte(request))
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	canaries := [][]byte{[]byte(secret), []byte(secret[9:52]), []byte(token), []byte(token[len(token)-40:]), []byte(basic(client)[6:])}
	scan := func(name string, data []byte) {
		for i, canary := range canaries {
			if bytes.Contains(data, canary) {
				t.Errorf("OP-14 canary %d is in %s", i, name)
			}
		}
	}
	scan("the log", []byte(r.log.String()))
	_ = filepath.WalkDir(c.Data, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			data, _ := os.ReadFile(path)
			scan(path, data)
		}
		return err
	})
}
