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
func (r *Registry) RotateKey(ctx context.Context, actor Actor, algorithm string, immediately bool) (Key, error) {
	if err := r.read(ctx, actor, KeysRotate); err != nil {
		return Key{}, err
	}
	if !jose.Known(algorithm) && algorithm != keyring.Sealing {
		return Key{}, invalid(Problem{"algorithm", "must be one of " + strings.Join(jose.Algorithms, ", ") + ", " + keyring.Sealing})
	}
	made, err := r.rotate(ctx, actor, algorithm, immediately)
	if errors.Is(err, keyring.ErrNoKey) {
		return Key{}, notFound("key for", algorithm)
	}
	if errors.Is(err, keyring.ErrTooManyKeys) {
		return Key{}, conflict("%d keys are published, and APIs refuse a key set that is too large: wait until old ones are dropped, or revoke some", keyring.MaxPublished)
	}
	if err != nil {
		return Key{}, err
	}
	if err := r.ring.Tick(ctx); err != nil {
		return Key{}, wrap(err)
	}
	return r.keyView(made), nil
}

// rotate writes the new key and its event, or finds the key that the same request has made.
func (r *Registry) rotate(ctx context.Context, actor Actor, algorithm string, immediately bool) (store.SigningKey, error) {
	once := r.once("rotate key", actor, r.request)
	rotation, err := r.ring.NewRotation(algorithm, immediately)
	if err != nil {
		return store.SigningKey{}, wrap(err)
	}
	var made store.SigningKey
	err = r.change(ctx, actor, KeysRotate, func(tx transaction) (store.Event, error) {
		again, err := once.again(ctx, tx, map[string]bool{algorithm: immediately}, tx.now)
		if err != nil {
			return store.Event{}, err
		}
		if again {
			made, err = once.rotatedBefore(ctx, tx, tx.now)
			return store.Event{}, err
		}
		if made, err = rotation.Write(ctx, tx); err != nil {
			return store.Event{}, err
		}
		key := r.keyView(made)
		if key.Status = KeyAnnounced; immediately {
			key.Status = KeySigning // the ring does not know it yet
		}
		return store.Event{Action: "key.rotated", Object: key.ID, Detail: detail(key)}, once.rotated(ctx, tx, key.ID, tx.now)
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return made, err
}

// RevokeKey withdraws a key at once: all tokens that it signed are dead. Once more changes nothing.
func (r *Registry) RevokeKey(ctx context.Context, actor Actor, id string) error {
	if err := r.read(ctx, actor, KeysRotate); err != nil {
		return err
	}
	revocation, err := r.ring.NewRevocation(id)
	if err != nil {
		return wrap(err)
	}
	err = r.change(ctx, actor, KeysRotate, func(tx transaction) (store.Event, error) {
		heir, changed, err := revocation.Write(ctx, tx)
		if errors.Is(err, keyring.ErrNoKey) {
			err = notFound("key", id)
		}
		if err != nil || !changed {
			return store.Event{}, err
		}
		return store.Event{Action: "key.revoked", Object: id, Detail: detail(struct {
			Successor string `json:"successor,omitempty"`
		}{heir})}, nil
	})
	if err != nil {
		return err
	}
	return wrap(r.ring.Tick(ctx))
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
