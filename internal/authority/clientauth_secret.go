package authority

import (
	"crypto/subtle"

	"github.com/writ-auth/writ/internal/store"
)

// maxSecretBytes bounds what is hashed. No secret of ours is longer, and no imported one needs to be.
const maxSecretBytes = 1024

// proveSecret looks for the presented secret among the client's. A generated secret has 256 bits, so that one SHA-256 is
// all it needs: there is nothing to guess (RFC 6819, 5.1.4.1.3).
func (a *Authority) proveSecret(client *store.Client, presented credentials) error {
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
		return nil
	}
	return why
}
