package registry

import (
	"github.com/writ-auth/writ/internal/jose"
)

// newKey returns a new public key for an algorithm.
func newKey(algorithm string) jose.Key {
	pair, err := jose.GenerateKey(algorithm)
	if err != nil {
		panic(err) // the algorithms of the tests are known
	}
	return jose.Key{Algorithm: algorithm, Public: pair.Public()}
}

// publicJWK writes a key as a JWK.
func publicJWK(key jose.Key) []byte {
	data, err := jose.MarshalPublic(key)
	if err != nil {
		panic(err)
	}
	return data
}
