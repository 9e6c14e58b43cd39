package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"
)

// Names of the signature algorithms Writ knows (RFC 7518, 3.1; RFC 8037; RFC 9864). There is no symmetric one and no
// "none" anywhere in this package: a validator that cannot name them cannot be talked into them.
const (
	ES256   = "ES256"
	ES384   = "ES384"
	PS256   = "PS256"
	RS256   = "RS256"
	Ed25519 = "Ed25519"
	EdDSA   = "EdDSA" // the older name of Ed25519 (RFC 9864, 2.2)
)

// Algorithms lists every algorithm that can be verified, the preferred ones first.
var Algorithms = []string{ES256, Ed25519, EdDSA, PS256, RS256, ES384}

// Bounds on RSA keys: below 2048 bits they are weak (RFC 7518, 3.3), above 4096 verifying one costs the validator more
// than it should pay for a stranger's key (CVE-2023-29409), and go-jose takes none.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// Known reports whether name is one of Algorithms.
func Known(name string) bool { return slices.Contains(Algorithms, name) }

// GenerateKey makes a private key for the named algorithm.
func GenerateKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Ed25519, EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RS256, PS256:
		return rsa.GenerateKey(rand.Reader, minRSABits)
	}
	return nil, fmt.Errorf("jose: unknown algorithm %q", algorithm)
}

// fits reports whether a public key can be used with the algorithm at all.
func fits(algorithm string, public crypto.PublicKey) bool {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return algorithm == ES256 && key.Curve == elliptic.P256() || algorithm == ES384 && key.Curve == elliptic.P384()
	case ed25519.PublicKey:
		return algorithm == Ed25519 || algorithm == EdDSA
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return (algorithm == RS256 || algorithm == PS256) && bits >= minRSABits && bits <= maxRSABits && soundRSA(key)
	}
	return false
}

// soundRSA refuses exponents and moduli that no honest key has.
func soundRSA(key *rsa.PublicKey) bool {
	return key.E >= 3 && key.E%2 == 1 && key.E < 1<<31 && key.N.Bit(0) == 1
}
