package authority

import (
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"sync"

	"github.com/writ-auth/writ/internal/jose"
)

// decoyTries is how many keys are tried at least for an assertion that names none: how many a client has is not to be
// told by the time that a refusal takes, nor whether there is such a client. Only who has more of one algorithm, and is
// asked for without a key ID, can be told.
const decoyTries = 4

// decoyKey returns a key that nobody can sign with, for a signature of an algorithm and a length. There is none for a
// length that no key signs with: then no key of a client can be tried either.
func decoyKey(algorithm string, signatureBytes int) (jose.Key, bool) {
	switch algorithm {
	case jose.RS256, jose.PS256:
		key := jose.Key{Algorithm: algorithm, Public: &rsa.PublicKey{N: decoyModulus(signatureBytes), E: 65537}}
		return key, jose.Fits(algorithm, key.Public)
	case jose.EdDSA:
		algorithm = jose.Ed25519
	}
	key, known := decoyKeys()[algorithm]
	key.Algorithm = ""
	return key, known
}

// decoyKeys are those whose length does not vary. The private halves are thrown away.
var decoyKeys = sync.OnceValue(func() map[string]jose.Key {
	keys := map[string]jose.Key{}
	for _, algorithm := range []string{jose.ES256, jose.ES384, jose.Ed25519} {
		private, err := jose.GenerateKey(algorithm)
		if err != nil {
			panic(err) // the system has no randomness
		}
		keys[algorithm] = jose.Key{Public: private.Public()}
	}
	return keys
})

// decoyModulus returns a number of the size of a modulus. Verifying with it takes as long as with any other; that nobody
// knows its factors is more than is needed.
func decoyModulus(bytes int) *big.Int {
	if bytes > 1024 {
		bytes = 1024
	}
	digits := make([]byte, 0, bytes+sha256.Size)
	for block := sha256.Sum256([]byte("writ decoy")); len(digits) < bytes; block = sha256.Sum256(block[:]) {
		digits = append(digits, block[:]...)
	}
	digits = digits[:bytes]
	if bytes > 8 { // larger than any signature that is smaller than its own modulus, but for one in 2^64
		for i := range 8 {
			digits[i] = 0xff
		}
		digits[bytes-1] |= 1
	}
	return new(big.Int).SetBytes(digits)
}
