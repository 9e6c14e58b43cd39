package endpoint_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// An assertion is a client assertion in the making. It is signed by the test's own hand, so that it can say what no library
// would let it.
type assertion struct {
	header, claims map[string]any
	key            crypto.Signer
	algorithm      string // how it is signed, whatever the header says
	secret         []byte // of HS256

	headerText, claimsText func(string) string // the JSON as it is sent, if not as it was made
	finish                 func(string) string // the whole, if not as it was made
}

// good returns an assertion of a client that is good at once.
func (s *server) good(client string, key crypto.Signer, algorithm, keyID string) *assertion {
	now := s.clock.Now().Unix()
	return &assertion{
		header: map[string]any{"alg": algorithm, "kid": keyID, "typ": oauth.TypeClientAuthentication},
		claims: map[string]any{"iss": client, "sub": client, "aud": s.issuer, "exp": now + 60, "iat": now, "jti": rand.Text()},
		key:    key, algorithm: algorithm,
	}
}

func (a *assertion) compact(t *testing.T) string {
	t.Helper()
	text := func(members map[string]any, change func(string) string) string {
		data, err := json.Marshal(members)
		must(t, err)
		if change != nil {
			data = []byte(change(string(data)))
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	input := text(a.header, a.headerText) + "." + text(a.claims, a.claimsText)
	whole := input + "." + base64.RawURLEncoding.EncodeToString(a.sign(t, input))
	if a.finish != nil {
		whole = a.finish(whole)
	}
	return whole
}

func (a *assertion) sign(t *testing.T, input string) []byte {
	t.Helper()
	short, long := sha256.Sum256([]byte(input)), sha512.Sum384([]byte(input))
	var signature []byte
	var err error
	switch a.algorithm {
	case jose.ES256:
		return fixedLength(t, a.key, short[:], 32)
	case jose.ES384:
		return fixedLength(t, a.key, long[:], 48)
	case jose.RS256:
		signature, err = a.key.Sign(rand.Reader, short[:], crypto.SHA256)
	case jose.PS256:
		signature, err = a.key.Sign(rand.Reader, short[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	case jose.Ed25519, jose.EdDSA:
		signature = ed25519.Sign(a.key.(ed25519.PrivateKey), []byte(input))
	case "HS256":
		mac := hmac.New(sha256.New, a.secret)
		mac.Write([]byte(input))
		signature = mac.Sum(nil)
	case "none":
	default:
		t.Fatalf("nothing here signs with %s", a.algorithm)
	}
	must(t, err)
	return signature
}

func fixedLength(t *testing.T, key crypto.Signer, digest []byte, size int) []byte {
	t.Helper()
	r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), digest)
	must(t, err)
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

// authenticated is a form with an assertion in it.
func authenticated(form url.Values, compact string) url.Values {
	form = maps.Clone(form)
	form.Set("client_assertion_type", oauth.AssertionTypeJWT)
	form.Set("client_assertion", compact)
	return form
}

// ask is a token request without credentials.
func ask() url.Values {
	return url.Values{"grant_type": {oauth.ClientCredentials}, "scope": {"read"}, "resource": {resourceA}}
}

// errorOf is what an answer without a more exact one says.
var errorOf = map[int]oauth.Code{
	http.StatusBadRequest: oauth.InvalidRequest, http.StatusRequestEntityTooLarge: oauth.InvalidRequest,
	http.StatusUnauthorized: oauth.InvalidClient, http.StatusServiceUnavailable: oauth.TemporarilyUnavailable,
}

// exchange sends a form and checks what must hold for every answer. If the answer is a refusal, the journal has why.
func (s *server) exchange(t *testing.T, path string, form url.Values, status int, why string, headers ...string) answer {
	t.Helper()
	c := &conversation{server: s, tokens: map[string]string{}}
	request := step{method: http.MethodPost, target: path, body: form.Encode(), status: status}
	request.headers = append([]string{"Content-Type: application/x-www-form-urlencoded"}, headers...)
	switch {
	case why != "":
		request.want = []string{"error " + string(errorOf[status]), "event " + refusalKinds[path] + " " + why}
	case path == "/revoke":
		request.want = []string{"event none"}
	}
	before := len(s.journal.Events())
	got := c.send(t, request)
	c.expect(t, request, got)
	c.invariants(t, request, got, s.journal.Events()[before:])
	if t.Failed() {
		t.Fatalf("%s answered %d %s; journal %+v", path, got.StatusCode, got.body, s.journal.Events()[before:])
	}
	return got
}

// The key pairs of the clients. Each is made once.
var (
	keyOne   = sync.OnceValue(func() crypto.Signer { return generate(jose.ES256) })
	keyTwo   = sync.OnceValue(func() crypto.Signer { return generate(jose.ES256) })
	keyThree = sync.OnceValue(func() crypto.Signer { return generate(jose.ES256) })
	keyRSA   = sync.OnceValue(func() crypto.Signer { return generate(jose.PS256) })
	keyEd    = sync.OnceValue(func() crypto.Signer { return generate(jose.Ed25519) })
	keyLong  = sync.OnceValue(func() crypto.Signer { return generate(jose.ES384) })
)

func generate(algorithm string) crypto.Signer {
	key, err := jose.GenerateKey(algorithm)
	if err != nil {
		panic(err)
	}
	return key
}

// registered returns the public half of a key as a client's record has it.
func registered(t *testing.T, id, algorithm string, key crypto.Signer) store.ClientKey {
	t.Helper()
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	return store.ClientKey{ID: id, Algorithm: algorithm, Public: public}
}

// newKeyServer is newServer with clients that have keys: c-jwt has k1, c-other has k2, c-rsa a key for PS256, c-ed one for
// Ed25519, and c-three three for ES256.
func newKeyServer(t *testing.T, changes ...change) *server {
	t.Helper()
	s := newServer(t, changes...)
	addKeyClients(t, s.store)
	s.poll(t)
	return s
}

func addKeyClients(t *testing.T, to store.Store) {
	t.Helper()
	update(t, to, "c-jwt", func(c *store.Client) { c.Keys = []store.ClientKey{registered(t, "k1", jose.ES256, keyOne())} })
	template, err := to.Clients().Get(t.Context(), "c-jwt")
	must(t, err)
	for id, keys := range map[string][]store.ClientKey{
		"c-other": {registered(t, "k2", jose.ES256, keyTwo())},
		"c-rsa":   {registered(t, "kr", jose.PS256, keyRSA())},
		"c-ed":    {registered(t, "ke", jose.Ed25519, keyEd())},
		"c-three": {
			registered(t, "k2", jose.ES256, keyTwo()), registered(t, "kl", jose.ES384, keyLong()),
			registered(t, "k3", jose.ES256, keyThree()), registered(t, "k1", jose.ES256, keyOne()),
		},
	} {
		c := template
		c.ID, c.Name, c.Keys = id, id, keys
		must(t, to.Clients().Insert(t.Context(), c))
	}
}

// seconds is a date some time from now.
func (s *server) seconds(from time.Duration) int64 { return s.clock.Now().Add(from).Unix() }
