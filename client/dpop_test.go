package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/oauth"
)

// A bench is an issuer of DPoP tokens, an API, and a client that is set up for both.
type bench struct {
	*issuer

	source *client.Source
	net    network
	api    *apiServer

	mu      sync.Mutex
	headers []http.Header // of all requests to the API
}

// newBench returns a bench whose issuer and API want the nonce that stands in the pointers, if it is not empty.
func newBench(t *testing.T, issuerNonce, apiNonce *string, change ...func(*client.Config)) *bench {
	t.Helper()
	b := &bench{issuer: newIssuer(issuerURL), api: &apiServer{}}
	b.issuer.token = demand(t, http.StatusBadRequest, issuerNonce, b.issue(t))
	b.api.answer = demand(t, http.StatusUnauthorized, apiNonce, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "orders") })
	b.net = network{"as.example": b.issuer, "api.example": b}
	c := config(b.net)
	c.DPoP = true
	for _, f := range change {
		f(&c)
	}
	b.source = source(t, c)
	return b
}

// ServeHTTP is the API. It keeps the headers.
func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.headers = append(b.headers, r.Header.Clone())
	b.mu.Unlock()
	b.api.ServeHTTP(w, r)
}

func (b *bench) issue(t *testing.T) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, _ *http.Request) {
		b.issuer.mu.Lock()
		b.sequence++
		n := b.sequence
		b.issuer.mu.Unlock()
		reply(w, http.StatusOK, map[string]any{"access_token": fmt.Sprintf("token-%d", n), "token_type": "DPoP", "expires_in": 300})
	}
}

// demand lets pass what has the nonce, and answers use_dpop_nonce to the rest.
func demand(t *testing.T, status int, nonce *string, next http.HandlerFunc) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		proof := readJWT(t, r.Header.Get("DPoP"), nil)
		if *nonce == "" || proof.text("nonce") == *nonce {
			next(w, r)
			return
		}
		w.Header().Set("DPoP-Nonce", *nonce)
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce", algs="ES256"`)
		}
		reply(w, status, map[string]string{"error": "use_dpop_nonce"})
	}
}

// nonces returns the nonces in proofs.
func nonces(proofs []jwt) []string {
	var all []string
	for _, proof := range proofs {
		all = append(all, proof.text("nonce"))
	}
	return all
}

func wantNonces(t *testing.T, proofs []jwt, want ...string) {
	t.Helper()
	if got := nonces(proofs); !slices.Equal(got, want) {
		t.Errorf("nonces sent: %q, want %q", got, want)
	}
	wantFresh(t, proofs)
}

// TestC03 is row C03 of STANDARDS 7.13: one retry with the nonce and a new jti, at the issuer and at the API.
func TestC03(t *testing.T) {
	t.Parallel()
	t.Run("C03 issuer", func(t *testing.T) {
		nonce := new("one")
		key := newKey()
		b := newBench(t, nonce, new(""), func(c *client.Config) { c.Credential = client.PrivateKey(key) })
		wantToken(t, b.source, "token-1")
		wantNonces(t, proofs(t, b.issuer.headers), "", "one")
		var assertions []jwt
		for _, form := range b.forms {
			assertions = append(assertions, readJWT(t, form.Get("client_assertion"), key.Public()))
		}
		wantFresh(t, assertions)
	})
	t.Run("C03 issuer, the nonce is kept for the next token", func(t *testing.T) {
		nonce := new("one")
		b := newBench(t, nonce, new(""))
		first := token(t, b.source)
		b.source.Invalidate(first)
		wantToken(t, b.source, "token-2")
		wantNonces(t, proofs(t, b.issuer.headers), "", "one", "one")
	})
	t.Run("C03 issuer, a nonce that changes", func(t *testing.T) {
		nonce := new("one")
		b := newBench(t, nonce, new(""))
		first := token(t, b.source)
		*nonce = "two"
		b.source.Invalidate(first)
		wantToken(t, b.source, "token-2")
		wantNonces(t, proofs(t, b.issuer.headers), "", "one", "one", "two")
	})
	t.Run("C03 issuer, use_dpop_nonce for ever", func(t *testing.T) {
		b := newBench(t, new(""), new(""))
		n := 0
		b.answer(func(w http.ResponseWriter, r *http.Request) {
			n++
			w.Header().Set("DPoP-Nonce", fmt.Sprint("nonce-", n))
			refuse(400, "use_dpop_nonce", "")(w, r)
		})
		_, err := b.source.Token(t.Context())
		wantError(t, err, "the nonce that the server gives is not the one that it takes")
		wantAsked(t, b.issuer, 2)
	})
	t.Run("C03 issuer, use_dpop_nonce without one", func(t *testing.T) {
		b := newBench(t, new(""), new(""))
		b.answer(refuse(400, "use_dpop_nonce", ""))
		if _, err := b.source.Token(t.Context()); !errors.Is(err, oauth.UseDPoPNonce) {
			t.Errorf("error is %v", err)
		}
		wantAsked(t, b.issuer, 1)
	})
	t.Run("C03 API", func(t *testing.T) {
		b := newBench(t, new(""), new("one"))
		wantStatus(t, b.source.Client(), api+"/orders", 200)
		wantStatus(t, b.source.Client(), api+"/orders/7", 200)
		wantNonces(t, proofs(t, b.headers), "", "one", "one")
		b.api.wantTokens(t, "DPoP token-1", "DPoP token-1", "DPoP token-1")
		wantAsked(t, b.issuer, 1)
	})
	t.Run("C03 API, use_dpop_nonce for ever", func(t *testing.T) {
		b := newBench(t, new(""), new(""))
		b.api.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("DPoP-Nonce", "one")
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
		wantStatus(t, b.source.Client(), api, 401)
		wantNonces(t, proofs(t, b.headers), "", "one")
		wantAsked(t, b.issuer, 1)
	})
	t.Run("C03 API, a body that can be sent again", func(t *testing.T) {
		b := newBench(t, new(""), new("one"))
		status, _, err := send(t, b.source.Client(), http.MethodPost, api, strings.NewReader("order"))
		if want := []string{"order", "order"}; status != 200 || err != nil || !slices.Equal(b.api.bodies, want) {
			t.Errorf("got %d (%v) and bodies %q, want %q", status, err, b.api.bodies, want)
		}
		wantNonces(t, proofs(t, b.headers), "", "one")
	})
	t.Run("C03 API, a body that cannot", func(t *testing.T) {
		b := newBench(t, new(""), new("one"))
		for _, want := range []int{401, 200} { // the first one brings the nonce for the next
			status, _, err := send(t, b.source.Client(), http.MethodPost, api, io.MultiReader(strings.NewReader("order")))
			if status != want || err != nil {
				t.Errorf("got %d (%v), want %d", status, err, want)
			}
		}
		wantNonces(t, proofs(t, b.headers), "", "one")
	})
	t.Run("C03, C01 API, a nonce and then a new token", func(t *testing.T) {
		b := newBench(t, new(""), new("one"))
		good := b.api.answer
		b.api.answer = func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "DPoP token-1" && readJWT(t, r.Header.Get("DPoP"), nil).text("nonce") == "one" {
				w.Header().Set("WWW-Authenticate", `DPoP error="invalid_token"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			good(w, r)
		}
		status, _, err := send(t, b.source.Client(), http.MethodPost, api, strings.NewReader("order"))
		if status != 200 || err != nil || !slices.Equal(b.api.bodies, []string{"order", "order", "order"}) {
			t.Errorf("got %d (%v) and bodies %q", status, err, b.api.bodies)
		}
		b.api.wantTokens(t, "DPoP token-1", "DPoP token-1", "DPoP token-2")
		wantNonces(t, proofs(t, b.headers), "", "one", "one")
	})
	t.Run("C03 each answer can bring another nonce", func(t *testing.T) {
		b := newBench(t, new(""), new(""))
		statuses, n := []int{200, 204, 403, 404}, 0
		b.api.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("DPoP-Nonce", fmt.Sprint("nonce-", n+1))
			w.WriteHeader(statuses[n])
			n++
		}
		for _, status := range statuses {
			wantStatus(t, b.source.Client(), api, status)
		}
		wantNonces(t, proofs(t, b.headers), "", "nonce-1", "nonce-2", "nonce-3")
	})
	t.Run("C03 each server has nonces of its own", separateNonces)
	t.Run("C03 nonces that no server gives", strangeNonces)
}

// separateNonces checks that a nonce goes to the server that gave it, and an issuer and an API at one origin are two.
func separateNonces(t *testing.T) {
	b := newBench(t, new("of-issuer"), new(""), func(c *client.Config) {
		c.Resource, c.AllowHosts = issuerURL+"/admin", []string{"one.example", "two.example"}
	})
	var one, two, admin []http.Header
	keep := func(into *[]http.Header, nonce string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*into = append(*into, r.Header.Clone())
			w.Header().Set("DPoP-Nonce", nonce)
		})
	}
	b.net["one.example"], b.net["two.example"] = keep(&one, "of-one"), keep(&two, "of-two")
	mux := http.NewServeMux()
	mux.Handle("/", b.issuer)
	mux.Handle("/admin", keep(&admin, "of-admin"))
	b.net["as.example"] = mux
	c := b.source.Client()
	for range 2 {
		for _, address := range []string{"https://one.example/a", "https://ONE.example:443/b", "https://two.example/", issuerURL + "/admin"} {
			wantStatusAt(t, b.net, c, address)
		}
	}
	b.source.Invalidate(token(t, b.source))
	token(t, b.source)
	wantNonces(t, proofs(t, one), "", "of-one", "of-one", "of-one")
	wantNonces(t, proofs(t, two), "", "of-two")
	wantNonces(t, proofs(t, admin), "", "of-admin")
	wantNonces(t, proofs(t, b.issuer.headers), "", "of-issuer", "of-issuer")
}

// wantStatusAt is wantStatus for an address that the network may know by another spelling.
func wantStatusAt(t *testing.T, n network, c *http.Client, address string) {
	t.Helper()
	if strings.Contains(address, "ONE") {
		n["ONE.example:443"] = n["one.example"]
	}
	wantStatus(t, c, address, http.StatusOK)
}

// strangeNonces checks that what cannot be a nonce is not repeated to anybody.
func strangeNonces(t *testing.T) {
	for name, values := range map[string][]string{
		"two": {"one", "two"}, "empty": {""}, "quote": {`a"b`}, "escape": {`a\b`}, "space": {"a b"}, "not ASCII": {"é"}, "long": {strings.Repeat("a", 513)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, new(""), new(""))
			b.api.answer = func(w http.ResponseWriter, _ *http.Request) { w.Header()["Dpop-Nonce"] = values }
			wantStatus(t, b.source.Client(), api, 200)
			wantStatus(t, b.source.Client(), api, 200)
			wantNonces(t, proofs(t, b.headers), "", "")
		})
	}
}
