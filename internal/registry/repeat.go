package registry

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// repeatable is how long a request that creates something can be sent again.
const repeatable = 24 * time.Hour

// Once returns the registry for one request that creates a client, a resource or a role, and that may be sent again: within a
// day, the same actor's same request with the same key creates nothing, and has the answer of the first. With another content
// it is a Conflict. Without a key it is the registry itself.
func (r *Registry) Once(key string) *Registry {
	if key == "" {
		return r
	}
	repeated := *r
	repeated.request = key
	return &repeated
}

// again reports whether a request was carried out before, inside the transaction that would carry it out: of two that come
// together one waits for the other. What is remembered is an HMAC of it.
func (o once) again(ctx context.Context, tx store.Store, content any, now time.Time) (bool, error) {
	if o.request == "" {
		return false, nil
	}
	if err := checkRequest(o.request); err != nil {
		return false, err
	}
	sum := sha256.Sum256([]byte(detail(content)))
	same := "request:" + base64.RawURLEncoding.EncodeToString(o.sum(o.markKey, "", string(sum[:])))
	switch err := tx.UseOnce(ctx, same, now.Add(repeatable)); {
	case errors.Is(err, store.ErrExists):
		return true, nil
	case err != nil:
		return false, err
	}
	err := tx.UseOnce(ctx, "request:"+base64.RawURLEncoding.EncodeToString(o.sum(o.markKey, "", "")), now.Add(repeatable))
	if errors.Is(err, store.ErrExists) {
		err = conflict("another request had this Idempotency-Key: use another key")
	}
	return false, err
}

// errGone is the answer to a request that is sent again when what it made is not there any more.
var errGone = conflict("the first request with this Idempotency-Key was carried out, and what it made was deleted, or is another now: use another key")
