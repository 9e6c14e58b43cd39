//go:build drills

package drills

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// newKey makes a key pair; the public half is a set, as it is registered.
func newKey(t *testing.T) (crypto.Signer, gojose.JSONWebKeySet) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key, gojose.JSONWebKeySet{Keys: []gojose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "ES256"}}}
}

// assertion is what a client proves with, once, that it has a key.
func assertion(key crypto.Signer, id, issuer string, at time.Time) string {
	signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.ES256, Key: key}, nil)
	if err != nil {
		panic(err) // the drill's own key
	}
	text, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": id, "sub": id, "aud": issuer, "jti": rand.Text(), "iat": at.Unix(), "exp": at.Unix() + 60,
	}).Serialize()
	if err != nil {
		panic(err)
	}
	return text
}

// keyID returns the ID of the key that signed a token.
func keyID(token string) string {
	parsed, err := gojose.ParseSigned(token, []gojose.SignatureAlgorithm{gojose.ES256})
	if err != nil {
		return ""
	}
	return parsed.Signatures[0].Header.KeyID
}
