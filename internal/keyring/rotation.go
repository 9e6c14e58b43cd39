package keyring

import (
	"context"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// A decision says what is to change at a moment, given all keys.
type decision func(time.Time, []store.SigningKey) ([]change, error)

// prepared is a decision with the key material that it takes, which is made ahead of the transaction, by the copy in memory: an
// RSA key takes long enough to be in the way of others.
type prepared struct {
	ring   *Ring
	now    time.Time
	decide decision
	spare  map[string]*material
}

func (r *Ring) prepare(decide decision) (prepared, error) {
	p := prepared{r, r.now().UTC().Truncate(time.Microsecond), decide, map[string]*material{}}
	ahead, _ := decide(p.now, slices.Clone(r.state.Load().records)) // a guess: what another node did a moment ago is not in it
	for _, c := range ahead {
		if c.create != nil {
			var err error
			if p.spare[c.create.Algorithm], err = newMaterial(c.create.Algorithm); err != nil {
				return p, err
			}
		}
	}
	return p, nil
}

// write decides by what the transaction finds, and writes. It returns what it wrote.
func (p prepared) write(ctx context.Context, tx store.Store) ([]change, error) {
	keys, err := readKeys(ctx, tx)
	if err != nil {
		return nil, err
	}
	changes, err := p.decide(p.now, keys)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if err := p.ring.write(ctx, tx, c, p.spare); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// A Rotation is what Rotate does, for whoever writes something else in the same transaction. It is for one of them.
type Rotation struct {
	prepared
	made *store.SigningKey
}

// NewRotation prepares a rotation. Nothing has happened yet.
func (r *Ring) NewRotation(algorithm string, immediately bool) (*Rotation, error) {
	var rotation Rotation
	var err error
	rotation.prepared, err = r.prepare(func(now time.Time, keys []store.SigningKey) ([]change, error) {
		from := now
		if !immediately {
			from = now.Add(r.policy.Announce)
		}
		signing, found := signerAt(from, keys, algorithm) // the one that would: it may be announced only
		if !found {
			return nil, ErrNoKey
		}
		if algorithm != Sealing && publishedCount(now, keys) >= MaxPublished {
			return nil, ErrTooManyKeys
		}
		rotation.made = heir(now, from, algorithm, keys, r.policy)
		changes := []change{{create: rotation.made}}
		if from.Before(signing.SignUntil) {
			retired := retire(signing, from, r.policy)
			changes = append(changes, change{put: &retired})
		}
		return changes, nil
	})
	return &rotation, err
}

// Write writes the new key in a transaction, and returns it without its private half. The ring knows it from the next Tick on,
// which should follow the transaction.
func (n *Rotation) Write(ctx context.Context, tx store.Store) (store.SigningKey, error) {
	if _, err := n.write(ctx, tx); err != nil {
		return store.SigningKey{}, err
	}
	made := *n.made
	made.Sealed = nil
	return made, nil
}

// A Revocation is what Revoke does, for whoever writes something else in the same transaction. It is for one of them.
type Revocation struct {
	prepared
	heir *store.SigningKey
}

// NewRevocation prepares the withdrawal of a key. Nothing has happened yet.
func (r *Ring) NewRevocation(id string) (*Revocation, error) {
	var revocation Revocation
	var err error
	revocation.prepared, err = r.prepare(func(now time.Time, keys []store.SigningKey) ([]change, error) {
		revocation.heir = nil
		i := slices.IndexFunc(keys, func(key store.SigningKey) bool { return key.ID == id })
		if i < 0 {
			return nil, ErrNoKey
		}
		if !keys[i].Revoked.IsZero() {
			return nil, nil
		}
		signing, _ := signerAt(now, keys, keys[i].Algorithm)
		keys[i].Revoked = now
		changes := []change{{put: &keys[i]}}
		if signing.ID == id {
			revocation.heir = heir(now, now, keys[i].Algorithm, keys, r.policy)
			// As if it had always been there: to a node whose clock is behind, a key that begins now has not begun, and an
			// older one would sign once more.
			revocation.heir.SignFrom = signing.SignFrom
			changes = append(changes, change{create: revocation.heir})
		}
		return changes, nil
	})
	return &revocation, err
}

// Write withdraws the key in a transaction, and returns the ID of the one that takes over, "" if another one signs; changed is
// false if it was withdrawn before. The ring knows of it from the next Tick on, which should follow the transaction.
func (n *Revocation) Write(ctx context.Context, tx store.Store) (heir string, changed bool, err error) {
	changes, err := n.write(ctx, tx)
	if err != nil || len(changes) == 0 {
		return "", false, err
	}
	if n.heir != nil {
		heir = n.heir.ID
	}
	return heir, true, nil
}
