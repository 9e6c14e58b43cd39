package main

import (
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// newLimit is the limit server on plain HTTP, and the PKI that it knows.
func newLimit(t *testing.T) (*limit, *pki, http.Handler) {
	t.Helper()
	dir := t.TempDir()
	if err := makePKI(dir); err != nil {
		t.Fatal(err)
	}
	known, err := loadPKI(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := &limit{secret: sha256.Sum256([]byte(limitSecret)), client: &known.clientKey.PublicKey, now: time.Now}
	routes, err := l.routes()
	if err != nil {
		t.Fatal(err)
	}
	return l, known, routes
}

func ask(handler http.Handler, path, form string, change func(*http.Request)) (int, string) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(limitClient, limitSecret)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Body)
	return w.Code, string(body)
}

// TestLimitIsHonest: the limit checks what it says it does, or the ratio would flatter nobody.
func TestLimitIsHonest(t *testing.T) {
	l, known, routes := newLimit(t)
	key, err := jose.NewSigner(known.clientKey, jose.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := pop.NewAssertion(key, limitClient, limitIssuer, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	proof, err := pop.NewProof(key, pop.Request{Method: "POST", URL: limitIssuer + "/dpop", Now: time.Now()}, "")
	if err != nil {
		t.Fatal(err)
	}
	signers, err := newSigners()
	if err != nil {
		t.Fatal(err)
	}
	foreign := string(l.mint(nil, signers["es256"], ""))
	_, answer := ask(routes, "/token/es256", grant, nil)
	own, _, _ := strings.Cut(strings.TrimPrefix(answer, `{"access_token":"`), `"`)
	withProof := func(proof string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("DPoP", proof) }
	}
	for name, test := range map[string]struct {
		path, form string
		change     func(*http.Request)
		want       string
	}{
		"token":            {"/token/es256", grant, nil, `{"access_token":"ey`},
		"wrong secret":     {"/token/es256", grant, func(r *http.Request) { r.SetBasicAuth(limitClient, "x") }, "invalid_client"},
		"other grant":      {"/token/es256", "grant_type=password", nil, "invalid_client"},
		"post":             {"/post", grant + "&client_id=" + limitClient + "&client_secret=" + limitSecret, nil, `{"access_token":"ey`},
		"post wrong":       {"/post", grant + "&client_id=" + limitClient + "&client_secret=x", nil, "invalid_client"},
		"assertion":        {"/assertion", grant + "&client_assertion=" + assertion, nil, `{"access_token":"ey`},
		"assertion forged": {"/assertion", grant + "&client_assertion=" + foreign, nil, "invalid_client"},
		"proof":            {"/dpop", grant, withProof(proof), `"token_type":"DPoP"`},
		"proof cut":        {"/dpop", grant, withProof(proof[:len(proof)-4] + "AAAA"), "invalid_client"},
		"no proof":         {"/dpop", grant, nil, "invalid_client"},
		"active":           {"/introspect/es256", "token=" + url.QueryEscape(own), nil, `{"active":true`},
		"foreign":          {"/introspect/es256", "token=" + url.QueryEscape(foreign), nil, `{"active":false}`},
		"stranger asks":    {"/introspect/es256", "token=" + own, func(r *http.Request) { r.SetBasicAuth("x", "x") }, "invalid_client"},
	} {
		if _, got := ask(routes, test.path, test.form, test.change); !strings.Contains(got, test.want) {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
	l.now = func() time.Time { return time.Now().Add(time.Hour) }
	if _, got := ask(routes, "/introspect/es256", "token="+own, nil); got != `{"active":false}` {
		t.Errorf("an expired token: got %s", got)
	}
}

// TestLimitTokens are tokens that our own parser takes, with the claims of RFC 9068.
func TestLimitTokens(t *testing.T) {
	l, _, _ := newLimit(t)
	signers, err := newSigners()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"es256", "es256-rfc6979", "ed25519", "rs256"} {
		for range 300 { // an R or S that is short comes up once in 128
			token, err := jose.Parse(string(l.mint(nil, signers[name], "")))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if public := signers[name].public; public != nil {
				if err := token.Verify(jose.Key{Algorithm: token.Algorithm, Public: public}); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
			}
			var claims oauth.Claims
			if err := token.Decode(&claims); err != nil || claims.ID == "" || claims.Expires != claims.IssuedAt+3600 || !claims.Audience.Has(limitAudience) {
				t.Fatalf("%s: got %+v, %v", name, claims, err)
			}
			if name == "rs256" {
				break
			}
		}
	}
}
