package jose

import (
	"crypto"
	"crypto/x509"
	"errors"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// MarshalPrivate writes a private key as a JWK with kid, the thumbprint, alg and use: what ParseSigner reads. The result is
// a secret.
func MarshalPrivate(key crypto.Signer, algorithm string) ([]byte, error) {
	id, err := Thumbprint(key.Public())
	if err != nil || !fits(algorithm, key.Public()) {
		return nil, errors.New("jose: the key is not for " + algorithm)
	}
	return json.Marshal(gojose.JSONWebKey{Key: key, KeyID: id, Algorithm: algorithm, Use: "sig"})
}

// MarshalPublic writes a public key as a JWK with kid, alg and use, and with the certificate in "x5c" if it has one: what
// ParsePublic reads.
func MarshalPublic(key Key) ([]byte, error) {
	jwk := gojose.JSONWebKey{Key: key.Public, KeyID: key.ID, Algorithm: key.Algorithm, Use: "sig"}
	if key.Certificate != nil {
		jwk.Certificates = []*x509.Certificate{key.Certificate}
	}
	return json.Marshal(jwk)
}
