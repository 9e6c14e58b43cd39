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
	text, run := presented.secret, presented.run
	if !presented.mayBeSlow() {
		text = ""
	}
	if run == nil {
		run = &slowRun{}
	}
	sum := store.SumSecret(text)
	proved, why := a.proveOne(client, presented.remote, func(known *secret) bool { return sameBytes(known.sum[:], sum[:]) && text != "" })
	if !errors.Is(why, reasonWrongSecret) || text == "" {
		return proved, why
	}
	return a.proveOne(client, presented.remote, func(known *secret) bool {
		return isSlow(known.foreign) && a.slow.verify(ctx, known.ID, known.foreign, text, run)
	})
}

// proveOne returns a secret that is the presented one and counts now and here, or why there is none. Whether it may be used
// from here is looked at for each secret: the time must not tell that one was right.
func (a *Authority) proveOne(client *client, remote string, presented func(*secret) bool) (elsewhere credential, why error) {
	why = reasonWrongSecret
	for i := range client.Secrets {
		known := &client.Secrets[i]
		found := credential{known.ID, known.limit}
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

func sameText(a, b string) bool { return sameBytes([]byte(a), []byte(b)) }

func sameBytes(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
