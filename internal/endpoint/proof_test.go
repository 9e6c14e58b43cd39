package endpoint_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
)

const tokenURL = "https://as.example/token"

// A draft is a DPoP proof before it is signed, with a new key and an ID that must never be seen again: what a test changes
// in it is all that is wrong.
type draft struct {
	header, claims map[string]any
	key            *ecdsa.PrivateKey
}

func (s *server) draft(t *testing.T) *draft {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return &draft{
		header: map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwkOf(t, key)},
		claims: map[string]any{"jti": "canary-" + rand.Text(), "htm": "POST", "htu": tokenURL, "iat": s.clock.Now().Unix()},
		key:    key,
	}
}

// jwkOf returns the public half of a key as a JWK.
func jwkOf(t *testing.T, key *ecdsa.PrivateKey) map[string]any {
	t.Helper()
	point, err := key.PublicKey.Bytes()
	must(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "EC", "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])}
}

// claim changes one claim.
func (d *draft) claim(name string, value any) *draft {
	d.claims[name] = value
	return d
}

func (d *draft) without(name string) *draft {
	delete(d.header, name)
	delete(d.claims, name)
	return d
}

func (d *draft) sign(t *testing.T) string {
	t.Helper()
	header, err := json.Marshal(d.header)
	must(t, err)
	claims, err := json.Marshal(d.claims)
	must(t, err)
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, d.key, digest[:])
	must(t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (d *draft) thumbprint(t *testing.T) string {
	t.Helper()
	thumbprint, err := jose.Thumbprint(d.key.Public())
	must(t, err)
	return thumbprint
}

// proving is a client that gets no token without a proof, c-dpop of SECURITY, section 5.
const proving = "c-dpop"

// newProvingServer starts a server that asks proofs of c-dpop.
func newProvingServer(t *testing.T, changes ...change) *server {
	t.Helper()
	s := newServer(t, changes...)
	s.enrol(t, proving, func(c *store.Client) { c.DPoPBound = true })
	return s
}

// enrol adds a client of client_secret_basic that may read and write the first resource and the opaque one.
func (s *server) enrol(t *testing.T, id string, edit func(*store.Client)) {
	t.Helper()
	c := store.Client{
		ID: id, Name: id, AuthMethod: "client_secret_basic", GrantTypes: []string{"client_credentials"},
		Secrets: []store.Secret{{ID: "1", Hash: store.HashSecret(secretOf(id))}},
		Grants:  []store.Grant{{Resource: resourceA, Scopes: []string{"read", "write"}}, {Resource: resourceO, Scopes: []string{"read"}}},
	}
	edit(&c)
	must(t, s.store.Clients().Insert(t.Context(), c))
	s.poll(t)
}

// withNonces makes a server ask for nonces, of a key that all servers of the fixture have.
func withNonces(t *testing.T) change {
	return func(o *authority.Options) {
		nonces, err := pop.NewNonces(o.Ring.Derive("dpop nonce"), o.Now)
		must(t, err)
		o.Nonces = nonces
	}
}

// prove asks for a token of the first resource with the proofs in DPoP headers, and checks what must hold for every answer.
// A refusal is stated as its error and its reason in the journal.
func (s *server) prove(t *testing.T, client string, proofs []string, refusal ...string) answer {
	t.Helper()
	want := step{
		method: http.MethodPost, target: "/token", body: "grant_type=client_credentials&scope=read&resource=" + resourceA,
		headers: []string{"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic(client, secretOf(client))},
		status:  http.StatusOK,
	}
	for _, proof := range proofs {
		want.headers = append(want.headers, "DPoP: "+proof)
	}
	if len(refusal) == 2 {
		want.status = http.StatusBadRequest
		want.want = []string{"error " + refusal[0], "event token.refused " + refusal[1] + " " + client}
	}
	return s.tell(t, want)
}

// tell sends a request and checks the answer.
func (s *server) tell(t *testing.T, want step) answer {
	t.Helper()
	c := &conversation{server: s, tokens: map[string]string{}}
	before := len(s.journal.Events())
	got := c.send(t, want)
	c.expect(t, want, got)
	c.invariants(t, want, got, s.journal.Events()[before:])
	if t.Failed() {
		t.Fatalf("answered %d %v\n%s", got.StatusCode, got.Header, shorten(got.body))
	}
	return got
}

func newSigner(t *testing.T, algorithm string) *jose.Signer {
	t.Helper()
	key, err := jose.GenerateKey(algorithm)
	must(t, err)
	signer, err := jose.NewSigner(key, algorithm, "")
	must(t, err)
	return signer
}

// proofBy returns a proof as our own client makes it.
func (s *server) proofBy(t *testing.T, signer *jose.Signer) string {
	t.Helper()
	proof, err := pop.NewProof(signer, pop.Request{Method: http.MethodPost, URL: tokenURL, Now: s.clock.Now()}, "")
	must(t, err)
	return proof
}
