package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/client"
)

// An apiServer is a protected API that keeps what it was sent.
type apiServer struct {
	answer http.HandlerFunc // nil answers 200

	mu     sync.Mutex
	tokens []string // the Authorization header of each request
	bodies []string
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	a.tokens, a.bodies = append(a.tokens, r.Header.Get("Authorization")), append(a.bodies, string(body))
	a.mu.Unlock()
	if a.answer != nil {
		a.answer(w, r)
	}
}

func (a *apiServer) wantTokens(t *testing.T, want ...string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.tokens, want) {
		t.Errorf("the API was sent %q, want %q", a.tokens, want)
	}
}

// refuseToken answers 401 with a challenge to all but the good tokens.
func refuseToken(challenge string, good ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !slices.Contains(good, token) {
			if challenge != "" {
				w.Header().Set("WWW-Authenticate", challenge)
			}
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "refused")
		}
	}
}

// startAPI returns an issuer, an API and a client that is set up for both.
func startAPI(t *testing.T) (*issuer, *apiServer, network, *http.Client) {
	t.Helper()
	i, n, s := start(t)
	a := &apiServer{}
	n["api.example"] = a
	return i, a, n, s.Client()
}

func get(t *testing.T, c *http.Client, address string) (int, string, error) {
	t.Helper()
	return send(t, c, http.MethodGet, address, nil)
}

func send(t *testing.T, c *http.Client, method, address string, body io.Reader) (int, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func wantStatus(t *testing.T, c *http.Client, address string, want int) {
	t.Helper()
	if got, _, err := get(t, c, address); err != nil || got != want {
		t.Errorf("GET %s gives %d (%v), want %d", address, got, err, want)
	}
}

// TestTransport holds rows C01 and C02 of STANDARDS 7.13.
func TestTransport(t *testing.T) {
	t.Parallel()
	t.Run("C01 401 once", func(t *testing.T) {
		for _, challenge := range []string{`Bearer error="invalid_token"`, `bearer realm="x"`, `DPoP algs="ES256", Bearer realm="a, b"`, ""} {
			i, a, _, c := startAPI(t)
			a.answer = refuseToken(challenge, "token-2")
			wantStatus(t, c, api+"/orders", 200)
			wantStatus(t, c, api+"/orders", 200)
			a.wantTokens(t, "Bearer token-1", "Bearer token-2", "Bearer token-2")
			wantAsked(t, i, 2)
		}
	})
	t.Run("C01 401 for ever surfaces", func(t *testing.T) {
		i, a, _, c := startAPI(t)
		a.answer = refuseToken(`Bearer error="invalid_token"`)
		status, body, err := get(t, c, api)
		if status != 401 || body != "refused" || err != nil {
			t.Errorf("got %d %q (%v), want the API's answer", status, body, err)
		}
		a.wantTokens(t, "Bearer token-1", "Bearer token-2")
		wantAsked(t, i, 2)
	})
	t.Run("C01 OP-24 a loop of 401 is no loop of token requests", refusalLoop)
	t.Run("C01 one refusal, many callers", manyRefused)
	t.Run("C01 not cured by a new token", func(t *testing.T) {
		for _, challenge := range []string{
			`Basic realm="x"`, `Bearer error="insufficient_user_authentication"`, `Bearer error="invalid_request"`, `DPoP error="invalid_token"`,
		} {
			i, a, _, c := startAPI(t)
			a.answer = refuseToken(challenge)
			wantStatus(t, c, api, 401)
			a.wantTokens(t, "Bearer token-1")
			wantAsked(t, i, 1)
		}
	})
	t.Run("C01 no new token to be had", func(t *testing.T) {
		i, a, _, c := startAPI(t)
		a.answer = refuseToken(`Bearer error="invalid_token"`)
		wantBefore := i.issue(300)
		i.token = func(w http.ResponseWriter, r *http.Request) {
			wantBefore(w, r)
			i.answer(refuse(401, "invalid_client", ""))
		}
		if status, body, err := get(t, c, api); status != 401 || body != "refused" || err != nil {
			t.Errorf("got %d %q (%v), want the API's answer", status, body, err)
		}
	})
	t.Run("C02 403 insufficient_scope", func(t *testing.T) {
		i, a, _, c := startAPI(t)
		a.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="orders:write"`)
			w.WriteHeader(http.StatusForbidden)
		}
		wantStatus(t, c, api, 403)
		a.wantTokens(t, "Bearer token-1")
		wantAsked(t, i, 1)
	})
}

func refusalLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, a, _, c := startAPI(t)
		a.answer = refuseToken(`Bearer error="invalid_token"`)
		for range 600 { // a minute
			wantStatus(t, c, api, 401)
			time.Sleep(100 * time.Millisecond)
		}
		if got := i.asked(); got > 13 {
			t.Errorf("the issuer was asked %d times in a minute, want once in 5 s at most", got)
		}
	})
}

func manyRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, a, _, c := startAPI(t)
		refuseOne := refuseToken(`Bearer error="invalid_token"`, "token-2")
		a.answer = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second) // all have the first token before one hears that it is bad
			refuseOne(w, r)
		}
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() { wantStatus(t, c, api, 200) })
		}
		callers.Wait()
		wantAsked(t, i, 2)
	})
}

// TestReplay checks which requests are sent twice.
func TestReplay(t *testing.T) {
	t.Parallel()
	t.Run("C01 a body that can be sent again", func(t *testing.T) {
		_, a, _, c := startAPI(t)
		a.answer = refuseToken(`Bearer`, "token-2")
		status, _, err := send(t, c, http.MethodPost, api, strings.NewReader("order"))
		if status != 200 || err != nil {
			t.Errorf("got %d (%v), want 200", status, err)
		}
		if want := []string{"order", "order"}; !slices.Equal(a.bodies, want) {
			t.Errorf("bodies are %q, want %q", a.bodies, want)
		}
	})
	t.Run("C01 a body that cannot", func(t *testing.T) {
		_, a, _, c := startAPI(t)
		a.answer = refuseToken(`Bearer`, "token-2")
		status, _, err := send(t, c, http.MethodPost, api, io.MultiReader(strings.NewReader("order")))
		if status != 401 || err != nil {
			t.Errorf("got %d (%v), want 401", status, err)
		}
		a.wantTokens(t, "Bearer token-1")
	})
}

// TestPlaces checks where a token goes.
func TestPlaces(t *testing.T) {
	t.Parallel()
	cases := []struct {
		resource, address string
		hosts             []string
		sent              bool
	}{
		{"https://api.example", "https://api.example", nil, true},
		{"https://api.example", "https://api.example/any/thing?x=y", nil, true},
		{"https://api.example/", "https://api.example/any", nil, true},
		{"https://api.example", "https://API.example:443/", nil, true},
		{"https://api.example:443", "https://api.example/", nil, true},
		{"https://api.example/v1", "https://api.example/v1", nil, true},
		{"https://api.example/v1", "https://api.example/v1/orders", nil, true},
		{"https://api.example/v1/", "https://api.example/v1/orders", nil, true},
		{"https://api.example/v1", "https://api.example/v1/a..b;x=1/..c/orders", nil, true},
		{"http://127.0.0.1:8086", "http://127.0.0.1:8086/orders", nil, true},
		{"http://localhost:8086", "http://localhost:8086/orders", nil, true},
		{"http://[::1]:8086", "http://[::1]:8086/orders", nil, true},
		{"urn:api", "https://api.example/", []string{"api.example"}, true},
		{"urn:api", "https://api.example:8443/", []string{"API.example:8443"}, true},
		{"urn:api", "http://127.0.0.1:9/", []string{"127.0.0.1:9"}, true},
		{"", "https://[::1]/", []string{"[::1]"}, true},

		{"https://api.example", "http://api.example/", nil, false},
		{"https://api.example", "https://api.example:8443/", nil, false},
		{"https://api.example", "https://evil.example/", nil, false},
		{"https://api.example", "https://api.example.evil.example/", nil, false},
		{"https://api.example", "https://evil.example/https://api.example", nil, false},
		{"https://api.example", "https://api.example@evil.example/", nil, false},
		{"https://api.example/v1", "https://api.example/", nil, false},
		{"https://api.example/v1", "https://api.example/v10", nil, false},
		{"https://api.example/v1", "https://api.example/v1/../admin", nil, false},
		{"https://api.example/v1", "https://api.example/v1/%2e%2e/admin", nil, false},
		{"https://api.example/v1", "https://api.example/v1/..;/admin", nil, false},
		{"https://api.example/v1", "https://api.example/v1/..%5Cadmin", nil, false},
		{"https://api.example/v1", "https://api.example/v1/%252E%252e/admin", nil, false},
		{"https://api.example", "https://ap\u0130.example/", nil, false}, // net/http asks xn--api-bec.example
		{"", "https://ap\u0130.example/", []string{"api.example"}, false},
		{"", "https://api.example/", []string{"ap\u0130.example"}, false},
		{"http://api.example", "http://api.example/", nil, false},
		{"https://127.0.0.1:9", "http://127.0.0.1:9/", nil, false},
		{"https://127.0.0.1", "http://127.0.0.1/", nil, false},
		{"http://127.0.0.1:8086", "http://127.0.0.1:9/", nil, false},
		{"urn:api", "https://api.example/", nil, false},
		{"", "https://api.example/", nil, false},
		{"", "http://api.example/", []string{"api.example"}, false},
		{"", "https://api.example:8443/", []string{"api.example"}, false},
		{"", "https://sub.api.example/", []string{"api.example"}, false},
		{"https://api.example", "http://localhost.evil.example/", nil, false},
	}
	for _, test := range cases {
		t.Run(fmt.Sprintf("%s to %s %v", test.resource, test.address, test.hosts), func(t *testing.T) {
			a := &apiServer{}
			c := config(network{"as.example": newIssuer(issuerURL)})
			c.Resource, c.AllowHosts = test.resource, test.hosts
			httpClient := &http.Client{Transport: &client.Transport{Source: source(t, c), Base: everywhere{a}}}
			_, _, err := get(t, httpClient, test.address)
			if test.sent {
				a.wantTokens(t, "Bearer token-1")
			} else {
				a.wantTokens(t)
				wantError(t, err, "the token is not for this address")
			}
		})
	}
}

// everywhere is a network with one server at all addresses.
type everywhere struct{ http.Handler }

func (e everywhere) RoundTrip(r *http.Request) (*http.Response, error) {
	return network{r.URL.Host: e}.RoundTrip(r)
}

// TestRedirectOfAPI checks that a token does not follow a redirect to another place, and follows one inside.
func TestRedirectOfAPI(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"https://api.example/new": "Bearer token-1", "https://files.example/x": "", "http://api.example/x": "",
	} {
		t.Run(target, func(t *testing.T) {
			i, n, s := start(t)
			_ = i
			end := &apiServer{}
			n["api.example"] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/old" {
					http.Redirect(w, r, target, http.StatusFound)
					return
				}
				end.ServeHTTP(w, r)
			})
			n["files.example"] = end
			wantStatus(t, s.Client(), api+"/old", 200)
			end.wantTokens(t, want)
		})
	}
}

// TestRoundTripperContract checks what http.RoundTripper asks of an implementation.
func TestRoundTripperContract(t *testing.T) {
	t.Parallel()
	_, n, s := start(t)
	a := &apiServer{}
	n["api.example"] = a
	transport := &client.Transport{Source: s, Base: n}
	t.Run("the request is left alone", func(t *testing.T) {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, api, nil)
		r.Header.Set("Authorization", "mine")
		response, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if got := r.Header.Get("Authorization"); got != "mine" {
			t.Errorf("the request's header became %q", got)
		}
		a.wantTokens(t, "Bearer token-1")
	})
	t.Run("the body is closed when nothing is sent", func(t *testing.T) {
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		for name, r := range map[string]*http.Request{
			"wrong place": request(t.Context(), "https://evil.example"),
			"no token":    request(cancelled, api+"/x"),
		} {
			body := &closing{}
			r.Body = body
			transport := transport
			if name == "no token" {
				c := config(network{})
				transport = &client.Transport{Source: source(t, c), Base: n}
			}
			if _, err := transport.RoundTrip(r); err == nil || !body.closed {
				t.Errorf("%s: error %v, closed %v; want an error and a closed body", name, err, body.closed)
			}
		}
	})
}

func request(ctx context.Context, address string) *http.Request {
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	return r
}

type closing struct{ closed bool }

func (c *closing) Read([]byte) (int, error) { return 0, io.EOF }
func (c *closing) Close() error             { c.closed = true; return nil }
