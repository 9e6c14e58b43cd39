package jose

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// A Key is a public key that verifies signatures made with exactly one algorithm (RFC 8725bis: one key, one algorithm).
// Algorithm is empty only for a key that somebody else published without naming one; then the key's type limits it and
// the validator's own list decides.
type Key struct {
	ID        string
	Algorithm string
	Public    crypto.PublicKey
	// Certificate is the first of "x5c", if the key came with one: it has the same public key, and nothing else about it was
	// checked.
	Certificate *x509.Certificate
}

// Bounds on a key set (STANDARDS, section 5; SECURITY, section 5).
const (
	MaxJWKSBytes = 256 << 10
	MaxJWKSKeys  = 32
)

// ParseJWKS returns the keys of a JWK Set that can verify signatures. Keys of unknown type, curve, use or algorithm,
// weak or oversized RSA keys, and symmetric or private keys are left out, as RFC 7517, 5 asks, instead of failing the set.
func ParseJWKS(data []byte) ([]Key, error) {
	if len(data) > MaxJWKSBytes {
		return nil, errors.New("jose: key set is larger than 256 KiB")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := decodeStrict(data, &set); err != nil {
		return nil, fmt.Errorf("jose: key set: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New("jose: key set has no \"keys\" array")
	}
	if len(set.Keys) > MaxJWKSKeys {
		return nil, errors.New("jose: key set has more than 32 keys")
	}
	var keys []Key
	for _, raw := range set.Keys {
		if key, ok := usableKey(raw); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func usableKey(raw []byte) (Key, bool) {
	var jwk gojose.JSONWebKey
	if err := jwk.UnmarshalJSON(raw); err != nil || !jwk.Valid() || !jwk.IsPublic() {
		return Key{}, false
	}
	if jwk.Use != "" && jwk.Use != "sig" || !mayVerify(raw) {
		return Key{}, false
	}
	key := Key{ID: jwk.KeyID, Algorithm: jwk.Algorithm, Public: jwk.Key}
	if len(jwk.Certificates) > 0 {
		key.Certificate = jwk.Certificates[0]
	}
	if key.Algorithm != "" {
		return key, Known(key.Algorithm) && fits(key.Algorithm, key.Public)
	}
	for _, algorithm := range Algorithms {
		if fits(algorithm, key.Public) {
			return key, true
		}
	}
	return Key{}, false
}

// mayVerify reports whether the key's operations, if the key lists any, include verifying (RFC 7517, 4.3).
func mayVerify(raw []byte) bool {
	var key struct {
		Operations []string `json:"key_ops"`
	}
	if err := decodeStrict(raw, &key); err != nil {
		return false
	}
	return key.Operations == nil || slices.Contains(key.Operations, "verify")
}

// MarshalJWKS writes a JWK Set with the public members only, each key with kid, alg and use.
func MarshalJWKS(keys []Key) ([]byte, error) {
	set := gojose.JSONWebKeySet{Keys: []gojose.JSONWebKey{}}
	for _, key := range keys {
		set.Keys = append(set.Keys, gojose.JSONWebKey{Key: key.Public, KeyID: key.ID, Algorithm: key.Algorithm, Use: "sig"})
	}
	return json.Marshal(set)
}

// Thumbprint returns the SHA-256 thumbprint of a public key (RFC 7638), which Writ uses as key ID.
func Thumbprint(public crypto.PublicKey) (string, error) {
	jwk := gojose.JSONWebKey{Key: public}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("jose: thumbprint: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
