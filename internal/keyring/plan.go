package keyring

import (
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// A Policy says how long keys live.
type Policy struct {
	Lifetime    time.Duration // how long a key signs
	Announce    time.Duration // how long a key is published before it signs; at least one cache lifetime of the key set
	MaxTokenTTL time.Duration // how long the longest token lives, and so a key after its last signature
}

// DefaultPolicy rotates every 30 days, a day after the successor was announced.
var DefaultPolicy = Policy{Lifetime: 30 * 24 * time.Hour, Announce: 24 * time.Hour, MaxTokenTTL: 24 * time.Hour}

// margin is added to a key's published life for clocks that differ.
const margin = time.Minute

// A change is one step of a plan: a key to make, to write again with other times, or to delete.
type change struct {
	create *store.SigningKey // without ID and key material
	put    *store.SigningKey
	drop   string
}

// plan returns what the schedule asks for at a moment, given all keys. It is pure: nodes that share a database plan
// alike, the first to commit does it, and the second finds nothing to do.
//
// A key is announced when it is made, signs from SignFrom until its successor's SignFrom, and is published until the
// last token that it signed is dead. Each algorithm that ever had a key keeps having one.
func plan(now time.Time, keys []store.SigningKey, policy Policy) []change {
	var changes []change
	for _, algorithm := range algorithmsOf(keys) {
		last, found := lastSigner(keys, algorithm)
		switch {
		case !found:
			changes = append(changes, change{create: newKey(now, now, algorithm, policy)})
		case !now.Before(last.SignUntil.Add(-policy.Announce)):
			changes = append(changes, succession(now, last, policy)...)
		}
	}
	if len(changes) > 0 {
		return changes // what is dropped is decided after that: a succession may prolong the life of an old key
	}
	for _, key := range keys {
		if !now.Before(key.DropAt) {
			changes = append(changes, change{drop: key.ID})
		}
	}
	return changes
}

// succession announces a successor of last. A server that was away past the end of last lets it sign on until the
// successor has been published for as long as any other: nobody meets a key that they could not have seen.
func succession(now time.Time, last store.SigningKey, policy Policy) []change {
	from := last.SignUntil
	if earliest := now.Add(policy.Announce); from.Before(earliest) {
		from = earliest
	}
	changes := []change{{create: newKey(now, from, last.Algorithm, policy)}}
	if !from.Equal(last.SignUntil) {
		retired := retire(last, from, policy)
		changes = append(changes, change{put: &retired})
	}
	return changes
}

func newKey(now, from time.Time, algorithm string, policy Policy) *store.SigningKey {
	key := retire(store.SigningKey{Algorithm: algorithm, Created: now, SignFrom: from}, from.Add(policy.Lifetime), policy)
	return &key
}

// heir returns a new key that an operator asks for: it ends where a successor that was announced before takes over.
func heir(now, from time.Time, algorithm string, keys []store.SigningKey, policy Policy) *store.SigningKey {
	key := *newKey(now, from, algorithm, policy)
	for _, other := range keys {
		if other.Algorithm == algorithm && other.Revoked.IsZero() && other.SignFrom.After(from) && other.SignFrom.Before(key.SignUntil) {
			key = retire(key, other.SignFrom, policy)
		}
	}
	return &key
}

// publishedCount returns how many keys stand in the key set.
func publishedCount(now time.Time, keys []store.SigningKey) int {
	count := 0
	for _, key := range keys {
		if key.Algorithm != Sealing && key.Revoked.IsZero() && now.Before(key.DropAt) {
			count++
		}
	}
	return count
}

// retire sets when a key signs last, and with it when it can be dropped.
func retire(key store.SigningKey, until time.Time, policy Policy) store.SigningKey {
	key.SignUntil = until
	key.DropAt = until.Add(policy.MaxTokenTTL + margin)
	return key
}

// signerAt returns the key that signs at a moment: of those that may, the one that began last, and of those that began
// together the one that ends last. SignUntil does not end it, only a successor does, so that there is never nobody.
func signerAt(now time.Time, keys []store.SigningKey, algorithm string) (store.SigningKey, bool) {
	var signer *store.SigningKey // records are large, and this is on the path of every token
	for i := range keys {
		key := &keys[i]
		if key.Algorithm != algorithm || !key.Revoked.IsZero() || now.Before(key.SignFrom) {
			continue
		}
		if signer == nil || key.SignFrom.After(signer.SignFrom) || key.SignFrom.Equal(signer.SignFrom) && key.SignUntil.After(signer.SignUntil) {
			signer = key
		}
	}
	if signer == nil {
		return store.SigningKey{}, false
	}
	return *signer, true
}

func lastSigner(keys []store.SigningKey, algorithm string) (store.SigningKey, bool) {
	return signerAt(time.Unix(1<<40, 0), keys, algorithm)
}

// signerNow returns the key that signs at a node whose clock says now: where that is behind the clock of the node that
// made the very first key, the key that begins first.
func signerNow(now time.Time, keys []store.SigningKey, algorithm string) (store.SigningKey, bool) {
	signer, found := signerAt(now, keys, algorithm)
	if found {
		return signer, true
	}
	for _, key := range keys {
		if key.Algorithm == algorithm && key.Revoked.IsZero() && (!found || key.SignFrom.Before(signer.SignFrom)) {
			signer, found = key, true
		}
	}
	return signer, found
}

func algorithmsOf(keys []store.SigningKey) []string {
	var algorithms []string
	for _, key := range keys {
		if !slices.Contains(algorithms, key.Algorithm) {
			algorithms = append(algorithms, key.Algorithm)
		}
	}
	return algorithms
}
