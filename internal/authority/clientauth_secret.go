package authority

import (
	"context"
	"crypto/subtle"
	"errors"

	"github.com/writ-auth/writ/internal/store"
)

const (
	reasonWrongSecret   reason = "wrong_secret"
	reasonSecretExpired reason = "secret_expired"
	reasonSecretEarly   reason = "secret_not_yet_valid"
)

// maxSecretBytes bounds what is hashed. No secret of ours is longer, and no imported one needs to be.
const maxSecretBytes = 1024

// proveSecret looks for the presented secret among the client's: first among those that were generated, with 256 bits, so
// that one SHA-256 is all it needs (there is nothing to guess: RFC 6819, 5.1.4.1.3); then among those that came with an import.
func proveSecret(ctx context.Context, a *Authority, client *client, presented credentials) (credential, error) {
	secret, run := presented.secret, presented.run
	if !presented.mayBeSlow() {
		secret = ""
	}
	if run == nil {
		run = &slowRun{}
	}
	hash := store.HashSecret(secret)
	proved, why := a.proveOne(client, presented.remote, func(known store.Secret) bool { return sameText(known.Hash, hash) && secret != "" })
	if !errors.Is(why, reasonWrongSecret) || secret == "" {
		return proved, why
	}
	return a.proveOne(client, presented.remote, func(known store.Secret) bool { return isSlow(known) && a.slow.verify(ctx, known, secret, run) })
}

// proveOne returns a secret that is the presented one and counts now and here, or why there is none. Whether it may be used
// from here is looked at for each secret: the time must not tell that one was right.
func (a *Authority) proveOne(client *client, remote string, presented func(store.Secret) bool) (elsewhere credential, why error) {
	why = reasonWrongSecret
	for _, known := range client.Secrets {
		found := credential{known.ID, client.limits[known.ID]}
		here := client.covers(remote, found.limit)
		if !presented(known) {
			continue
		}
		now := a.now()
		if !known.Expires.IsZero() && !now.Before(known.Expires) {
			why = reasonSecretExpired
			continue
		}
		if now.Before(known.NotBefore) {
			why = reasonSecretEarly
			continue
		}
		if !here {
			elsewhere, why = found, reasonNetwork
			continue
		}
		return found, nil
	}
	return elsewhere, why
}

// settleSecret takes note of a secret that was good.
func settleSecret(_ context.Context, a *Authority, client *client, presented credentials) error {
	if presented.run != nil {
		a.slow.settled(client.ID, presented.secret, presented.run)
	}
	return nil
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
