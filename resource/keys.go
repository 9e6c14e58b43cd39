package resource

import (
	"context"

	"github.com/writ-auth/writ/internal/jose"
)

// A Key is a public key of the issuer: the key ID that tokens name, the one algorithm that it is for, and an
// *ecdsa.PublicKey, *rsa.PublicKey or ed25519.PublicKey.
type Key = jose.Key

// A KeySource gives the keys of the issuer to a Verifier that shall not fetch them.
type KeySource interface {
	// Keys returns the keys that are published now. It is called for every token, from many goroutines, and must
	// answer at once. A token whose key is gone is refused, even if it was accepted before.
	Keys() []Key
}

// keys is where a Verifier finds the issuer's keys: given by the program, or fetched.
type keys interface {
	// ready returns the keys that may be used now, or none if somebody must wait for them first.
	ready() []Key
	// current returns the keys that may be used now, or an *UnavailableError if there are none yet.
	current(ctx context.Context) ([]Key, error)
	// renew asks the issuer for keys that are newer than the current ones, unless it was asked too recently.
	renew(ctx context.Context) bool
}

// fixed are keys that the program gives.
type fixed struct{ source KeySource }

func (f fixed) ready() []Key                           { return f.source.Keys() }
func (f fixed) current(context.Context) ([]Key, error) { return f.source.Keys(), nil }
func (f fixed) renew(context.Context) bool             { return false }
