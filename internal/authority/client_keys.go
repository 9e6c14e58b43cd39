package authority

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
)

// A clientKey is one of a client's public keys, read once with its record.
type clientKey struct {
	jose.Key           // with an algorithm: one key, one algorithm
	certificate []byte // SHA-256 of the certificate that came with it; nil without
	credential  string // what its uses are noted by; "" is to be made of the key itself
	notBefore   time.Time
	expires     time.Time // the zero time: never
	limit       *limit    // nil without, and for what the client publishes
}

// keysOf reads the keys of a client. One that cannot verify anything, such as an RSA key of 1024 bits that an older version
// let in, is as if it were not there.
func keysOf(records []store.ClientKey) []clientKey {
	var keys []clientKey
	for _, stored := range records {
		key := clientKey{credential: stored.ID, notBefore: stored.NotBefore, expires: stored.Expires, limit: limitOf(stored.Limit)}
		key.ID, key.Algorithm = stored.ID, stored.Algorithm
		if public, err := x509.ParsePKIXPublicKey(stored.Public); err == nil && jose.Fits(stored.Algorithm, public) {
			key.Public = public
		}
		if len(stored.Certificate) > 0 {
			sum := sha256.Sum256(stored.Certificate)
			key.certificate = sum[:]
		}
		if key.Public != nil || key.certificate != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// ruleOf reads the certificate rule of a client. One that cannot be read matches nothing.
func ruleOf(kind, value string) *pop.CertificateRule {
	if kind == "" {
		return nil
	}
	rule, err := pop.ParseCertificateRule(kind, value)
	if err != nil {
		return nil
	}
	return rule
}

var errNoRemoteKeys = errors.New("authority: nothing here reads key sets of clients")

// keys returns the keys of a client that count now, its own or those that it publishes.
func (a *Authority) keys(ctx context.Context, client *client) ([]clientKey, error) {
	if client.JWKSURI == "" {
		return a.counting(client.keys), nil
	}
	if a.remoteKeys == nil {
		return nil, errNoRemoteKeys
	}
	published, err := a.remoteKeys.Keys(ctx, client.JWKSURI)
	if err != nil {
		return nil, err
	}
	var keys []clientKey
	for _, key := range published[:min(len(published), jose.MaxJWKSKeys)] {
		// Without a name for it, the sender would choose the algorithm (CVE-2026-22818).
		key.Algorithm = cmp.Or(key.Algorithm, client.SigningAlgorithm, jose.DefaultAlgorithm(key.Public))
		known := clientKey{Key: key}
		if key.Certificate != nil {
			sum := sha256.Sum256(key.Certificate.Raw)
			known.certificate = sum[:]
		}
		keys = append(keys, known)
	}
	return keys, nil
}

// counting returns those of the keys that have begun and have not expired.
func (a *Authority) counting(keys []clientKey) []clientKey {
	now := a.now()
	idle := func(key clientKey) bool {
		return now.Before(key.notBefore) || !key.expires.IsZero() && !now.Before(key.expires)
	}
	if !slices.ContainsFunc(keys, idle) {
		return keys
	}
	return slices.DeleteFunc(slices.Clone(keys), idle)
}

// renew fetches the keys of a client again, if it publishes them and that is not too often.
func (a *Authority) renew(ctx context.Context, client *client) bool {
	return client.JWKSURI != "" && a.remoteKeys != nil && a.remoteKeys.Renew(ctx, client.JWKSURI)
}

// name returns what the uses of a key are noted by. A published key ID is the text of somebody else.
func (key clientKey) name() string {
	if key.credential != "" {
		return key.credential
	}
	if key.ID != "" && len(key.ID) <= 128 && identifier(key.ID) != "" {
		return "kid:" + key.ID
	}
	thumbprint, err := jose.Thumbprint(key.Public)
	if err != nil {
		return "kid:"
	}
	return "kid:" + thumbprint
}
