package registry

import (
	"context"
	"errors"
	"strings"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
)

// Where a key stands on its way.
const (
	KeyAnnounced = "announced" // published, and does not sign yet
	KeySigning   = "signing"
	KeyRetired   = "retired" // signs no more, and still verifies
	KeyRevoked   = "revoked" // neither signs nor verifies
)

// Keys returns all keys of the ring, which are few.
func (r *Registry) Keys(ctx context.Context, actor Actor) ([]Key, error) {
	if err := r.read(ctx, actor, KeysRead); err != nil {
		return nil, err
	}
	if err := r.ring.Tick(ctx); err != nil { // what other nodes did counts
		return nil, wrap(err)
	}
	keys := []Key{}
	for _, record := range r.ring.List() {
		keys = append(keys, r.keyView(record))
	}
	return keys, nil
}

// RotateKey announces a new key for an algorithm, or with immediately lets it sign at once.
//
// The ring writes by itself, so the event follows in a transaction of its own: an error may mean that the key was rotated
// and the event is missing.
func (r *Registry) RotateKey(ctx context.Context, actor Actor, algorithm string, immediately bool) (Key, error) {
	if err := r.read(ctx, actor, KeysRotate); err != nil {
		return Key{}, err
	}
	if !jose.Known(algorithm) && algorithm != keyring.Sealing {
		return Key{}, invalid(Problem{"algorithm", "must be one of " + strings.Join(jose.Algorithms, ", ") + ", " + keyring.Sealing})
	}
	record, err := r.ring.Rotate(ctx, algorithm, immediately)
	if errors.Is(err, keyring.ErrNoKey) {
		return Key{}, notFound("key for", algorithm)
	}
	if errors.Is(err, keyring.ErrTooManyKeys) {
		return Key{}, conflict("%d keys are published, and APIs refuse a key set that is too large: wait until old ones are dropped, or revoke some", keyring.MaxPublished)
	}
	if err != nil {
		return Key{}, wrap(err)
	}
	key := r.keyView(record)
	err = r.change(ctx, actor, KeysRotate, func(transaction) (store.Event, error) {
		return store.Event{Action: "key.rotated", Object: key.ID, Detail: detail(key)}, nil
	})
	return key, err
}

// RevokeKey withdraws a key at once: all tokens that it signed are dead. The event follows, as for RotateKey.
func (r *Registry) RevokeKey(ctx context.Context, actor Actor, id string) error {
	if err := r.read(ctx, actor, KeysRotate); err != nil {
		return err
	}
	err := r.ring.Revoke(ctx, id)
	if errors.Is(err, keyring.ErrNoKey) {
		return notFound("key", id)
	}
	if err != nil {
		return wrap(err)
	}
	return r.change(ctx, actor, KeysRotate, func(transaction) (store.Event, error) {
		return store.Event{Action: "key.revoked", Object: id}, nil
	})
}

func (r *Registry) keyView(record store.SigningKey) Key {
	key := Key{
		ID: record.ID, Algorithm: record.Algorithm, Status: KeyRetired, Created: record.Created,
		SignFrom: record.SignFrom, SignUntil: record.SignUntil, DropAt: record.DropAt, Revoked: record.Revoked,
	}
	switch {
	case !record.Revoked.IsZero():
		key.Status = KeyRevoked
	case r.ring.SignsNow(record):
		key.Status = KeySigning
	case r.now().Before(record.SignFrom):
		key.Status = KeyAnnounced
	}
	return key
}
