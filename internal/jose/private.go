package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// ParseSigner reads a private key as it lies in files, PEM (PKCS #8, SEC 1 or PKCS #1) or a JWK, and returns a Signer.
// The algorithm is the argument's, or the one that the JWK names, or DefaultAlgorithm's; the key ID is the JWK's, or the thumbprint.
// Errors never repeat the input.
func ParseSigner(data []byte, algorithm string) (*Signer, error) {
	key, named, id, err := parsePrivate(data)
	if err != nil {
		return nil, err
	}
	if algorithm == "" {
		algorithm = named
	}
	if algorithm == "" {
		if algorithm = DefaultAlgorithm(key.Public()); algorithm == "" {
			return nil, errors.New("jose: the key is of a kind that is not supported (P-256, P-384, Ed25519, RSA)")
		}
	}
	if id == "" {
		if id, err = Thumbprint(key.Public()); err != nil {
			return nil, errors.New("jose: the key is of a kind that is not supported")
		}
	}
	if named != "" && named != algorithm {
		return nil, fmt.Errorf("jose: the key is for %s", named)
	}
	return NewSigner(key, algorithm, id)
}

// DefaultAlgorithm returns the algorithm that a key is used with when nothing says otherwise, or "" for a key of a kind
// that is not supported. An RSA key signs with PS256: RS256 is what is being left behind (FAPI 2.0, 5.4).
func DefaultAlgorithm(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return ES256
		case elliptic.P384():
			return ES384
		}
	case ed25519.PublicKey:
		return EdDSA
	case *rsa.PublicKey:
		return PS256
	}
	return ""
}

// Fits reports whether a public key can be used with an algorithm: its kind, curve and size.
func Fits(algorithm string, public crypto.PublicKey) bool { return fits(algorithm, public) }

func parsePrivate(data []byte) (key crypto.Signer, algorithm, id string, err error) {
	if block, rest := pem.Decode(data); block != nil {
		// Tools write EC PARAMETERS in front of the key.
		for block != nil && block.Type == "EC PARAMETERS" {
			block, rest = pem.Decode(rest)
		}
		key, err := parsePEM(block)
		return key, "", "", err
	}
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) == 0 || start[0] != '{' {
		return nil, "", "", errors.New("jose: neither PEM nor a JWK")
	}
	var jwk gojose.JSONWebKey
	if err := jwk.UnmarshalJSON(data); err != nil || !jwk.Valid() {
		return nil, "", "", errors.New("jose: not a valid JWK")
	}
	key, ok := jwk.Key.(crypto.Signer)
	if !ok {
		return nil, "", "", errors.New("jose: the JWK has no private key")
	}
	return key, jwk.Algorithm, jwk.KeyID, nil
}

func parsePEM(block *pem.Block) (crypto.Signer, error) {
	var key any
	err := errors.New("no key")
	switch {
	case block == nil:
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "": // RFC 1423, which OpenSSL wrote for long
		return nil, errors.New("jose: the key is encrypted: decrypt it, or use a crypto.Signer")
	case block.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case block.Type == "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, errors.New("jose: the PEM block is not a private key")
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("jose: the PEM block has no private key that can be read")
	}
	return signer, nil
}

// ParsePublic reads public keys as they lie in files: PEM (PKIX, PKCS #1 or a certificate), a JWK or a JWK Set. A file with a
// private key is refused, so that nobody hands one over by mistake, and so is one with a key that cannot be used: where
// ParseJWKS reads what others publish for everybody, this reads what somebody wants to rely on. Keys without algorithm or ID
// get the default and the thumbprint.
func ParsePublic(data []byte) ([]Key, error) {
	keys, err := parsePublic(data)
	if err != nil {
		return nil, err
	}
	for i := range keys {
		if keys[i].Algorithm == "" {
			keys[i].Algorithm = DefaultAlgorithm(keys[i].Public)
		}
		if !Fits(keys[i].Algorithm, keys[i].Public) {
			return nil, errors.New("jose: a key is of a kind or size that is not supported (P-256, P-384, Ed25519, RSA of 2048 to 4096 bits)")
		}
		if keys[i].ID == "" {
			if keys[i].ID, err = Thumbprint(keys[i].Public); err != nil {
				return nil, err
			}
		}
	}
	return keys, nil
}

// ErrPrivate is the error for a private key where a public one belongs.
var ErrPrivate = errors.New("jose: this is a private key; it must stay where it is: give the public half")

func parsePublic(data []byte) ([]Key, error) {
	if _, _, _, err := parsePrivate(data); err == nil || hasPrivatePEM(data) {
		return nil, ErrPrivate
	}
	if block, _ := pem.Decode(data); block != nil {
		return parsePublicPEM(block)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := DecodeObject(data, &set); err != nil {
		return nil, errors.New("jose: neither PEM, nor a JWK, nor a JWK Set")
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{data}
		data = append(append([]byte(`{"keys":[`), data...), `]}`...)
	}
	for _, raw := range set.Keys {
		var jwk gojose.JSONWebKey
		if err := jwk.UnmarshalJSON(raw); err == nil && !jwk.IsPublic() {
			return nil, ErrPrivate
		}
	}
	keys, err := ParseJWKS(data)
	if err == nil && len(keys) != len(set.Keys) {
		err = errors.New("jose: a key is of a kind, size or use that is not supported (P-256, P-384, Ed25519, RSA of 2048 to 4096 bits, for signatures)")
	}
	return keys, err
}

// hasPrivatePEM reports whether any block, readable or not, is a private key: many files hold a key behind its certificate.
func hasPrivatePEM(data []byte) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return true
		}
	}
	return false
}

func parsePublicPEM(block *pem.Block) ([]Key, error) {
	var public crypto.PublicKey
	var certificate *x509.Certificate
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = certificate.PublicKey
		}
	default:
		return nil, errors.New("jose: the PEM block is neither a public key nor a certificate")
	}
	if err != nil {
		return nil, errors.New("jose: the PEM block cannot be read")
	}
	return []Key{{Public: public, Certificate: certificate}}, nil
}
