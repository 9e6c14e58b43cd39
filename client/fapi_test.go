package client_test

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// A variant is one of the four of the plan fapi2-security-profile-final-client-test-plan with
// fapi_profile=fapi_client_credentials_grant.
type variant struct {
	auth      string // "private_key_jwt" or "mtls"
	constrain string // "dpop" or "mtls"
}

func (v variant) String() string {
	return "client_auth_type=" + v.auth + " sender_constrain=" + v.constrain
}

func (v variant) mtls() bool { return v.auth == "mtls" || v.constrain == "mtls" }

// TestFAPIClient holds the modules of the OpenID Foundation's plan for clients (SECURITY 3.3), against a server that
// checks what the runner checks.
func TestFAPIClient(t *testing.T) {
	t.Parallel()
	for _, v := range []variant{{"private_key_jwt", "dpop"}, {"private_key_jwt", "mtls"}, {"mtls", "dpop"}, {"mtls", "mtls"}} {
		t.Run("fapi2-security-profile-final-client-test-happy-path "+v.String(), func(t *testing.T) {
			for _, algorithm := range []string{jose.ES256, jose.PS256, jose.EdDSA} {
				t.Run(algorithm, func(t *testing.T) {
					newRunner(t, v, algorithm).nonces(true).walk()
				})
			}
		})
		t.Run("fapi2-security-profile-final-client-test-token-type-case-insensitivity "+v.String(), func(t *testing.T) {
			for _, change := range []func(string) string{strings.ToLower, strings.ToUpper, inverted} {
				r := newRunner(t, v, jose.ES256).nonces(true)
				r.tokenType = change(r.tokenType)
				r.walk()
			}
		})
		if v.constrain == "dpop" {
			t.Run("fapi2-security-profile-final-client-test-happy-path-no-dpop-nonce "+v.String(), func(t *testing.T) {
				newRunner(t, v, jose.ES256).nonces(false).walk()
			})
		}
	}
}

// inverted returns s with the case of each letter changed.
func inverted(s string) string {
	return strings.Map(func(r rune) rune {
		if upper := r - 'a' + 'A'; r >= 'a' && r <= 'z' {
			return upper
		}
		return r - 'A' + 'a'
	}, s)
}

// A runner is authorization server and resource server in one. It checks each request as the OpenID Foundation's runner
// does, and fails the test for what that one would fail the client for.
type runner struct {
	t           *testing.T
	variant     variant
	key         crypto.Signer    // of client assertions
	certificate *tls.Certificate // of the client
	tokenType   string
	askNonces   bool

	front, alias, api *httptest.Server

	mu     sync.Mutex
	used   map[string]bool  // every jti
	tokens map[string]bound // by access token
	asked  map[string]int   // requests, by who got them
}

// A bound is what a token is bound to.
type bound struct{ key, certificate string }

func newRunner(t *testing.T, v variant, algorithm string) *runner {
	r := &runner{
		t: t, variant: v, key: keyFor(algorithm), certificate: newCertificate("client", time.Now().Add(time.Hour)),
		tokenType: oauth.Bearer, used: map[string]bool{}, tokens: map[string]bound{}, asked: map[string]int{},
	}
	if v.constrain == "dpop" {
		r.tokenType = oauth.DPoP
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", r.metadata)
	mux.HandleFunc("/token", r.token)
	r.front = r.start(mux, false)
	r.alias = r.start(mux, true)
	r.api = r.start(http.HandlerFunc(r.resource), v.constrain == "mtls")
	return r
}

func (r *runner) nonces(ask bool) *runner {
	r.askNonces = ask && r.variant.constrain == "dpop"
	return r
}

// start starts a TLS server, which demands a certificate if it is for clients that have one.
func (r *runner) start(handler http.Handler, demand bool) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if demand {
		server.TLS.ClientAuth = tls.RequireAnyClientCert
	}
	server.StartTLS()
	r.t.Cleanup(server.Close)
	return server
}

func (r *runner) issuer() string { return r.front.URL }

func (r *runner) tokenEndpoint() string {
	if r.variant.mtls() {
		return r.alias.URL + "/token"
	}
	return r.front.URL + "/token"
}

// client returns the client under test.
func (r *runner) client() *client.Source {
	pool := x509.NewCertPool()
	for _, server := range []*httptest.Server{r.front, r.alias, r.api} {
		pool.AddCert(server.Certificate())
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	certificate := client.CertificateFile(writeCertificate(r.t, r.t.TempDir(), r.certificate))
	config := client.Config{
		Issuer: r.issuer(), ClientID: clientID, Credential: certificate, Scope: "orders:read", Resource: r.api.URL,
		HTTPClient: &http.Client{Transport: transport}, DPoP: r.variant.constrain == "dpop",
	}
	if r.variant.auth == "private_key_jwt" {
		config.Credential = client.PrivateKeyFile(writeKey(r.t, r.key))
		if r.variant.mtls() {
			config.Certificate = certificate
		}
	}
	s := source(r.t, config)
	r.t.Cleanup(s.Client().CloseIdleConnections)
	return s
}

// walk gets a token and calls the API, twice, as the module asks the client to.
func (r *runner) walk() {
	r.t.Helper()
	s := r.client()
	for _, path := range []string{"/orders?page=1#top", "/orders/7"} {
		status, body, err := get(r.t, s.Client(), r.api.URL+path)
		if err != nil || status != http.StatusOK || body != "orders" {
			r.t.Errorf("GET %s gives %d %q (%v), want the orders", path, status, body, err)
		}
	}
	if got := token(r.t, s).Type; !strings.EqualFold(got, r.tokenType) || got != oauth.DPoP && got != oauth.Bearer {
		r.t.Errorf("Token.Type is %q, want that of %q", got, r.tokenType)
	}
	want := map[string]int{"token": 1, "resource": 2}
	if r.askNonces {
		want = map[string]int{"token": 2, "resource": 3}
	}
	if fmt.Sprint(r.asked) != fmt.Sprint(want) {
		r.t.Errorf("requests were %v, want %v", r.asked, want)
	}
}

func (r *runner) metadata(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"issuer": r.issuer(), "token_endpoint": r.front.URL + "/token", "jwks_uri": r.front.URL + "/jwks",
		"mtls_endpoint_aliases":                 map[string]string{"token_endpoint": r.alias.URL + "/token"},
		"grant_types_supported":                 []string{oauth.ClientCredentials},
		"token_endpoint_auth_methods_supported": []string{oauth.PrivateKeyJWT, oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth},
	})
}

func (r *runner) token(w http.ResponseWriter, request *http.Request) {
	r.count("token")
	r.check(request.Method == http.MethodPost, "method is %s", request.Method)
	r.check(request.URL.RawQuery == "", "the query is %q", request.URL.RawQuery)
	r.check(request.Header.Get("Content-Type") == "application/x-www-form-urlencoded", "content type is %q", request.Header.Get("Content-Type"))
	r.check(request.Header.Get("Authorization") == "", "there is an Authorization header, too")
	r.check("https://"+request.Host+request.URL.Path == r.tokenEndpoint(), "the request is for %s%s", request.Host, request.URL.Path)
	r.check(request.ParseForm() == nil, "the form cannot be read")
	for name, values := range request.PostForm {
		r.check(len(values) == 1, "%s is there %d times", name, len(values))
	}
	r.check(request.PostForm.Get("grant_type") == oauth.ClientCredentials, "grant_type is %q", request.PostForm.Get("grant_type"))
	r.check(request.PostForm.Get("scope") == "orders:read", "scope is %q", request.PostForm.Get("scope"))
	r.authenticate(request.PostForm)
	var to bound
	if r.variant.mtls() {
		to.certificate = r.presented(request)
	}
	if r.variant.constrain == "dpop" {
		var good bool
		if to.key, good = r.proof(w, request, r.tokenEndpoint(), "", "nonce-of-issuer", http.StatusBadRequest); !good {
			return
		}
	}
	r.issue(w, to)
}

func (r *runner) issue(w http.ResponseWriter, to bound) {
	r.mu.Lock()
	token := fmt.Sprintf("token-%d", len(r.tokens)+1)
	r.tokens[token] = to
	r.mu.Unlock()
	reply(w, http.StatusOK, map[string]any{"access_token": token, "token_type": r.tokenType, "expires_in": 300, "scope": "orders:read"})
}

// authenticate checks what the form says about the client.
func (r *runner) authenticate(form url.Values) {
	r.check(!form.Has("client_secret"), "there is a client_secret")
	r.check(form.Get("client_id") == clientID, "client_id is %q", form.Get("client_id"))
	if r.variant.auth == "mtls" {
		r.check(!form.Has("client_assertion") && !form.Has("client_assertion_type"), "there is an assertion, too")
		return
	}
	r.check(form.Get("client_assertion_type") == oauth.AssertionTypeJWT, "client_assertion_type is %q", form.Get("client_assertion_type"))
	assertion := readJWT(r.t, form.Get("client_assertion"), r.key.Public())
	r.check(allowed(assertion.header["alg"]), "the assertion is signed with %v", assertion.header["alg"])
	r.check(assertion.header["typ"] == "client-authentication+jwt", "the assertion's typ is %v", assertion.header["typ"])
	r.check(assertion.text("iss") == clientID && assertion.text("sub") == clientID, "the assertion is %s", assertion.raw)
	r.check(assertion.text("aud") == r.issuer(), "the assertion's aud is %v, want the issuer as a string", assertion.claims["aud"])
	now := time.Now()
	r.check(assertion.time("exp").After(now) && assertion.time("exp").Before(now.Add(time.Minute+time.Second)), "the assertion's exp is %v", assertion.time("exp"))
	r.check(!assertion.time("iat").After(now) && now.Sub(assertion.time("iat")) < time.Minute, "the assertion's iat is %v", assertion.time("iat"))
	r.once(assertion)
}

func allowed(algorithm any) bool {
	return slices.Contains([]any{"PS256", "ES256", "EdDSA"}, algorithm)
}

// presented returns the thumbprint of the certificate that the client presents.
func (r *runner) presented(request *http.Request) string {
	if request.TLS == nil || len(request.TLS.PeerCertificates) == 0 {
		r.t.Errorf("%s came without a certificate", request.URL)
		return ""
	}
	got := thumbprint(request.TLS.PeerCertificates[0].Raw)
	r.check(got == thumbprint(r.certificate.Certificate[0]), "another certificate was presented")
	return got
}

// proof checks the DPoP proof of a request (RFC 9449, 4.3) and returns the thumbprint of its key. Without the nonce that
// it wants, it refuses with status.
func (r *runner) proof(w http.ResponseWriter, request *http.Request, uri, token, nonce string, status int) (string, bool) {
	values := request.Header.Values("DPoP")
	if len(values) != 1 {
		r.t.Errorf("%d DPoP headers, want one", len(values))
		return "", true
	}
	proof := readJWT(r.t, values[0], nil)
	r.check(proof.header["typ"] == "dpop+jwt", "the proof's typ is %v", proof.header["typ"])
	r.check(allowed(proof.header["alg"]), "the proof is signed with %v", proof.header["alg"])
	jwk, _ := proof.header["jwk"].(map[string]any)
	r.check(jwk["d"] == nil && jwk["kty"] == "EC", "the proof's key is %v", jwk)
	r.check(proof.text("htm") == request.Method, "htm is %q", proof.text("htm"))
	r.check(proof.text("htu") == uri, "htu is %q, want %q", proof.text("htu"), uri)
	r.check(time.Since(proof.time("iat")).Abs() < 5*time.Second, "iat is %v", proof.time("iat"))
	if token == "" {
		r.check(proof.claims["ath"] == nil, "there is an ath at the token endpoint")
	} else {
		sum := sha256.Sum256([]byte(token))
		r.check(proof.text("ath") == base64.RawURLEncoding.EncodeToString(sum[:]), "ath is %q", proof.text("ath"))
	}
	r.once(proof)
	if r.askNonces && proof.text("nonce") != nonce {
		w.Header().Set("DPoP-Nonce", nonce)
		w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		reply(w, status, map[string]string{"error": "use_dpop_nonce"})
		return "", false
	}
	r.check(r.askNonces || proof.claims["nonce"] == nil, "there is a nonce that nobody gave: %v", proof.claims["nonce"])
	_, key, _ := jose.ParseWithKey(values[0])
	return key.ID, true
}

// once checks that a JWT has an ID that was never used.
func (r *runner) once(j jwt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := j.text("jti")
	if len(id) < 16 || r.used[id] {
		r.t.Errorf("jti %q is short or was used before", id)
	}
	r.used[id] = true
}

func (r *runner) resource(w http.ResponseWriter, request *http.Request) {
	r.count("resource")
	scheme, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	r.mu.Lock()
	to, known := r.tokens[token]
	r.mu.Unlock()
	r.check(known, "token %q is unknown", token)
	r.check(!request.URL.Query().Has("access_token"), "the token is in the URL")
	if r.variant.constrain == "mtls" {
		r.check(scheme == oauth.Bearer && len(request.Header.Values("DPoP")) == 0, "scheme is %q", scheme)
		r.check(to.certificate != "" && to.certificate == r.presented(request), "the token is bound to another certificate")
	} else {
		r.check(scheme == oauth.DPoP, "scheme is %q", scheme)
		key, good := r.proof(w, request, r.api.URL+request.URL.Path, token, "nonce-of-api", http.StatusUnauthorized)
		if !good {
			return
		}
		r.check(to.key != "" && to.key == key, "the token is bound to another key")
	}
	_, _ = io.WriteString(w, "orders")
}

func (r *runner) check(good bool, format string, args ...any) {
	r.t.Helper()
	if !good {
		r.t.Errorf(format, args...)
	}
}

func (r *runner) count(who string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[who]++
}
