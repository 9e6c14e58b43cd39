package pop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/writ-auth/writ/internal/jose"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

const tokenURL = "https://as.example/token"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSigner(t testing.TB, algorithm string) *jose.Signer {
	t.Helper()
	key, err := jose.GenerateKey(algorithm)
	must(t, err)
	signer, err := jose.NewSigner(key, algorithm, "unused")
	must(t, err)
	return signer
}

// A draft is a proof before it is signed: what a test changes in it is all that is wrong.
type draft struct {
	header, claims map[string]any
	key            *ecdsa.PrivateKey
}

func newDraft(t testing.TB) *draft {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return &draft{
		header: map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": jwkOf(t, key)},
		claims: map[string]any{"jti": "an-id", "htm": "POST", "htu": tokenURL, "iat": now.Unix()},
		key:    key,
	}
}

// jwkOf returns the public half as a JWK that a test can change.
func jwkOf(t testing.TB, key *ecdsa.PrivateKey) map[string]any {
	t.Helper()
	point, err := key.PublicKey.Bytes()
	must(t, err)
	return map[string]any{
		"kty": "EC", "crv": "P-256",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}
}

func (d *draft) sign(t testing.TB) string {
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
