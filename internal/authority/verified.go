package authority

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// A resource server that asks about the token of each of its requests asks about the same token again and again. So what costs
// most of an answer is remembered: that the signature is ours, for as long as its key is, and that the token was not revoked,
// for a second (SECURITY, AS-32), and no longer than until this node hears of a revocation. All the rest is looked at each time.

// Bounds of what is remembered, in two halves each: what was asked for before the last half was full is forgotten.
const (
	maxVerified      = 1 << 12 // tokens
	maxVerifiedBytes = 4 << 10 // of one of them
	maxUnrevoked     = 1 << 14
)

// A memory keeps the latest things under their keys, in two halves. It is safe for concurrent use.
type memory[K comparable, V any] struct {
	half int

	mu            sync.Mutex
	recent, older map[K]V // under mu
}

func newMemory[K comparable, V any](most int) *memory[K, V] {
	return &memory[K, V]{half: most / 2, recent: map[K]V{}}
}

func (m *memory[K, V]) find(key K) (value V, found bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value, found = m.recent[key]; found {
		return value, true
	}
	if value, found = m.older[key]; found {
		m.add(key, value) // or it would be forgotten although it is asked for
	}
	return value, found
}

func (m *memory[K, V]) keep(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(key, value)
}

// add keeps a value. The caller has mu.
func (m *memory[K, V]) add(key K, value V) {
	if len(m.recent) >= m.half {
		m.older, m.recent = m.recent, map[K]V{}
	}
	m.recent[key] = value
}

// A verified token is one that a key of ours has signed. Nobody changes it.
type verified struct {
	keyID string
	*issued
}

// verifiedLately returns a token whose signature was verified before, by a key that still counts.
func (a *Authority) verifiedLately(sum [sha256.Size]byte) (*issued, bool) {
	known, found := a.verified.find(sum)
	if !found {
		return nil, false
	}
	if _, counts := a.ring.Find(known.keyID); !counts {
		return nil, false
	}
	return known.issued, true
}

// unrevoked says when a token was looked for among the revoked ones and not found, and how many revocations this node knew of.
type unrevoked struct {
	at          time.Time
	revocations uint64
}

// revokedLately is revoked, but asks the store no more than once a second about the same token.
func (a *Authority) revokedLately(ctx context.Context, id string) (bool, error) {
	now, revocations := a.now(), a.reuse.revocations.Load() // before the store is asked: a revocation after that counts
	if known, found := a.unrevoked.find(id); found {
		if age := now.Sub(known.at); 0 <= age && age < maxAge && known.revocations == revocations {
			return false, nil
		}
	}
	revoked, err := a.revoked(ctx, id)
	if err == nil && !revoked {
		a.unrevoked.keep(id, unrevoked{now, revocations})
	}
	return revoked, err
}
