package registry

import (
	"context"
	"errors"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// errFound ends a transaction that has found what it was for, and is to change nothing.
var errFound = errors.New("the request was carried out before")

// keyMark stands for the key of the ring that a request has made. Its ID cannot be told beforehand, and the key has no room for
// the name of the request.
func (o once) keyMark(id string) string { return o.used("key " + id) }

// rotated remembers which key a request has made.
func (o once) rotated(ctx context.Context, tx store.Store, id string, now time.Time) error {
	if o.request == "" {
		return nil
	}
	return tx.UseOnce(ctx, o.keyMark(id), now.Add(repeatable))
}

// rotatedBefore returns the key that a request has made which is sent again: the one whose mark was used. To ask uses the marks of
// others, so there is always an error, errFound when it was found, with which the transaction comes to nothing.
func (o once) rotatedBefore(ctx context.Context, tx store.Store, now time.Time) (store.SigningKey, error) {
	var made store.SigningKey
	err := store.Each(ctx, tx.Keys(), func(key store.SigningKey) error {
		err := tx.UseOnce(ctx, o.keyMark(key.ID), now.Add(repeatable))
		if errors.Is(err, store.ErrExists) {
			made, err = key, errFound
		}
		return err
	})
	if err == nil {
		err = errGone
	}
	return made, err
}
