package resource_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// The cast of the tests: an issuer, the API that trusts it, and another API of the same issuer.
const (
	theIssuer   = "https://as.test"
	theAudience = "https://a.test"
	otherAPI    = "https://b.test"
)

// A clock is moved by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// A network is the wire between an API and the outside: handlers by host, and a record of every request that left.
type network struct {
	mu    sync.Mutex
	hosts map[string]http.Handler
	sent  []string // URL of every request
}

func (n *network) serve(host string, h http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[host] = h
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.sent = append(n.sent, r.URL.String())
	h := n.hosts[r.URL.Host]
	n.mu.Unlock()
	if h == nil {
		h = http.NotFoundHandler()
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// count returns how many requests went to a URL, or anywhere.
func (n *network) count(url string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if url == "" {
		return len(n.sent)
	}
	count := 0
	for _, s := range n.sent {
		if s == url {
			count++
		}
	}
	return count
}

// An issuer publishes metadata and keys, and mints whatever a test wants.
type issuer struct {
	t       testing.TB
	url     string
	clock   *clock
	network *network
	signer  *jose.Signer

	mu         sync.Mutex
	published  []jose.Key
	keys       http.HandlerFunc // answers for the key set, if not nil
	introspect http.HandlerFunc
	describe   func(*oauth.Metadata) // changes the metadata, if not nil
}

// private is the ES256 key of every issuer in the tests, for tokens whose every byte the test chooses.
var private = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		panic(err)
	}
	return key.(*ecdsa.PrivateKey)
})

// rsaKey is the RS256 key, for signing with it in another way.
var rsaKey = sync.OnceValue(func() crypto.Signer {
	key, err := jose.GenerateKey(jose.RS256)
	if err != nil {
		panic(err)
	}
	return key
})

// signers holds a signer per algorithm: RSA keys take long to make.
var signers = sync.OnceValue(func() map[string]*jose.Signer {
	all := map[string]*jose.Signer{
		jose.ES256: signerOf(private(), jose.ES256), jose.RS256: signerOf(rsaKey(), jose.RS256),
	}
	for _, algorithm := range jose.Algorithms {
		if all[algorithm] == nil {
			all[algorithm] = newSigner(algorithm)
		}
	}
	return all
})

func newSigner(algorithm string) *jose.Signer {
	key, err := jose.GenerateKey(algorithm)
	if err != nil {
		panic(err)
	}
	return signerOf(key, algorithm)
}

func signerOf(key crypto.Signer, algorithm string) *jose.Signer {
	id, err := jose.Thumbprint(key.Public())
	if err != nil {
		panic(err)
	}
	signer, err := jose.NewSigner(key, algorithm, id)
	if err != nil {
		panic(err)
	}
	return signer
}

func newIssuer(t testing.TB) *issuer {
	i := &issuer{
		t: t, url: theIssuer, clock: newClock(), network: &network{hosts: map[string]http.Handler{}},
		signer: signers()[jose.ES256],
	}
	i.published = []jose.Key{i.signer.Key()}
	i.network.serve("as.test", i)
	return i
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	published, keys, introspect, describe := i.published, i.keys, i.introspect, i.describe
	i.mu.Unlock()
	switch {
	case r.URL.Path == "/.well-known/oauth-authorization-server":
		metadata := oauth.Metadata{
			Issuer: i.url, TokenEndpoint: i.url + "/token", JWKSURI: i.url + "/jwks", IntrospectionEndpoint: i.url + "/introspect",
		}
		if describe != nil {
			describe(&metadata)
		}
		_ = json.NewEncoder(w).Encode(metadata)
	case r.URL.Path == "/jwks" && keys != nil:
		keys(w, r)
	case r.URL.Path == "/jwks":
		body, _ := jose.MarshalJWKS(published)
		w.Header().Set("Cache-Control", "public, max-age=300")
		_, _ = w.Write(body)
	case r.URL.Path == "/introspect" && introspect != nil:
		introspect(w, r)
	default:
		http.NotFound(w, r)
	}
}

// publish replaces the key set.
func (i *issuer) publish(keys ...jose.Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = keys
}

// answerKeys makes the key set endpoint misbehave; nil makes it well again.
func (i *issuer) answerKeys(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = h
}

func (i *issuer) answerIntrospection(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.introspect = h
}

func (i *issuer) fetches() int { return i.network.count(i.url + "/jwks") }

// claims are those of a good token, with changes: a nil value removes a claim.
func (i *issuer) claims(changes map[string]any) map[string]any {
	now := i.clock.Now().Unix()
	c := map[string]any{
		"iss": i.url, "aud": theAudience, "sub": "billing-4fk2p9qz7a", "client_id": "billing-4fk2p9qz7a",
		"iat": now, "exp": now + 300, "jti": "0123456789abcdef", "scope": "read", "roles": []string{"auditor"},
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, value any) bool { return value == nil })
	return c
}

// mint signs claims as an access token.
func (i *issuer) mint(changes map[string]any) string {
	return i.sign(i.signer, oauth.TypeAccessToken, []byte(i.payload(changes)))
}

func (i *issuer) sign(signer *jose.Signer, typ string, payload []byte) string {
	token, err := signer.Sign(typ, payload)
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

// raw signs any header and payload with the issuer's ES256 key, or what the header says is one.
func (i *issuer) raw(header, payload string) string { return signRaw(private(), header, payload) }

// signRaw is a compact JWS of any header and payload.
func signRaw(key *ecdsa.PrivateKey, header, payload string) string {
	input := b64(header) + "." + b64(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		panic(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// header is the JOSE header of a good token with further members, such as `,"crit":[]`.
func (i *issuer) header(more string) string {
	return `{"alg":"ES256","kid":"` + i.signer.KeyID + `","typ":"at+jwt"` + more + `}`
}

// payload is claims as JSON.
func (i *issuer) payload(changes map[string]any) string {
	payload, err := json.Marshal(i.claims(changes))
	if err != nil {
		i.t.Fatal(err)
	}
	return string(payload)
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// verifier trusts the issuer; change may alter the configuration.
func (i *issuer) verifier(change func(*resource.Config)) *resource.Verifier {
	config := resource.Config{
		Issuer: i.url, Audience: theAudience, Now: i.clock.Now, HTTPClient: &http.Client{Transport: i.network},
	}
	if change != nil {
		change(&config)
	}
	v, err := resource.NewVerifier(config)
	if err != nil {
		i.t.Fatal(err)
	}
	return v
}

// get sends a request with the token to a handler that needs the scope "read".
func get(v *resource.Verifier, token string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return do(v.Require("read"), r)
}

func do(m resource.Middleware, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	m.Func(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, resource.FromContext(r.Context()).ClientID)
	}).ServeHTTP(w, r)
	return w.Result()
}

// expect fails unless the answer is the status with the error code in its challenge (none for "").
func expect(t testing.TB, got *http.Response, status int, code oauth.Code) {
	t.Helper()
	challenge := got.Header.Get("WWW-Authenticate")
	parseChallenges(t, got)
	if got.StatusCode != status || parseChallenge(t, challenge)["error"] != string(code) {
		body, _ := io.ReadAll(got.Body)
		t.Errorf("got %d, challenge %s, body %s; want %d and error %q", got.StatusCode, challenge, body, status, code)
	}
}

func expectOK(t testing.TB, got *http.Response) { t.Helper(); expect(t, got, http.StatusOK, "") }

func expectInvalid(t testing.TB, got *http.Response) {
	t.Helper()
	expect(t, got, http.StatusUnauthorized, oauth.InvalidToken)
}

// slow is a handler that answers never.
func slow(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// A journal is what a Logger wrote.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

var background = context.Background()
