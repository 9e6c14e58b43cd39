package authority

import (
	"context"
	"crypto/subtle"

	"github.com/writ-auth/writ/internal/store"
)

const (
	reasonWrongSecret   reason = "wrong_secret"
	reasonSecretExpired reason = "secret_expired"
	reasonSecretEarly   reason = "secret_not_yet_valid"
)

// maxSecretBytes bounds what is hashed. No secret of ours is longer, and no imported one needs to be.
const maxSecretBytes = 1024

// proveSecret looks for the presented secret among the client's. A generated secret has 256 bits, so that one SHA-256 is
// all it needs: there is nothing to guess (RFC 6819, 5.1.4.1.3).
func proveSecret(_ context.Context, a *Authority, client *client, presented credentials) (string, error) {
	secret := presented.secret
	if len(secret) > maxSecretBytes {
		secret = ""
	}
	hash := []byte(store.HashSecret(secret))
	why := error(reasonWrongSecret)
	for _, known := range client.Secrets {
		if subtle.ConstantTimeCompare([]byte(known.Hash), hash) != 1 || secret == "" {
			continue
		}
		if !known.Expires.IsZero() && !a.now().Before(known.Expires) {
			why = reasonSecretExpired
			continue
		}
		if a.now().Before(known.NotBefore) {
			why = reasonSecretEarly
			continue
		}
		return known.ID, nil
	}
	return "", why
}
