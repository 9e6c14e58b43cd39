package resource

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// A ReplayStore remembers which DPoP proofs were used, so that whoever overhears one cannot send it again (RFC 9449,
// 11.1). Instances of an API that share one refuse what another has seen; so may several APIs. In Valkey or Redis it is
// one command:
//
//	func (s store) UseOnce(ctx context.Context, id string, until time.Time) error {
//		// SET dpop:ID 1 NX PXAT MILLISECONDS: with redis.Client, SetArgs
//		added, err := s.client.SetNX(ctx, "dpop:"+id, 1, time.Until(until)).Result()
//		if err == nil && !added {
//			err = resource.ErrReplayed
//		}
//		return err
//	}
//
// In SQL it is an INSERT … ON CONFLICT DO NOTHING into a table with the ID as primary key, ErrReplayed when no row was
// affected, and now and then a DELETE of the rows whose time has passed.
type ReplayStore interface {
	// UseOnce remembers id until the time given and returns nil; and if id is remembered already, an error that wraps
	// ErrReplayed. Of calls with one id at the same moment exactly one returns nil. After any other error the request is
	// refused with 503, because a store that cannot say "never seen" cannot be taken for one that did. An id has 43
	// characters of base64url and the time is little more than a minute ahead. It is called from many goroutines.
	UseOnce(ctx context.Context, id string, until time.Time) error
}

// ErrReplayed is what a ReplayStore returns for an ID that it remembers.
var ErrReplayed = errors.New("resource: the proof was used before")

var (
	errSlowReplays = errors.New("resource: the replay store takes too long")
	errManyReplays = errors.New("resource: more DPoP proofs in a minute than can be remembered")
)

// maxReplays bounds the memory of a Verifier without a ReplayStore, at about 40 MB: 13 000 proofs a second for as long as
// each must be remembered. Only proofs get in that are good and whose token is, so that a stranger cannot fill it.
const maxReplays = 1 << 20

// replaySlice is the grain of the time for which replays remembers.
const replaySlice = 10 * time.Second

// replays is a ReplayStore in memory. IDs lie in one map for each slice of time at whose end they may be forgotten, so that
// forgetting is dropping a map. Safe for concurrent use.
type replays struct {
	max int
	now func() time.Time

	mu     sync.Mutex                               // guards what follows
	slices map[int64]map[[replayBytes]byte]struct{} // by the number of the slice
	held   int                                      // IDs in all of them
}

// replayBytes is how much of an ID's hash is kept. Two IDs that collide would cost a client one repetition.
const replayBytes = 16

func newReplays(size int, now func() time.Time) *replays {
	return &replays{max: size, now: now, slices: map[int64]map[[replayBytes]byte]struct{}{}}
}

// UseOnce is ReplayStore's. When the memory is full it refuses what is new, and forgets nothing.
func (m *replays) UseOnce(_ context.Context, id string, until time.Time) error {
	sum := sha256.Sum256([]byte(id))
	key := [replayBytes]byte(sum[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(m.now())
	for _, slice := range m.slices {
		if _, used := slice[key]; used {
			return ErrReplayed
		}
	}
	if m.held >= m.max {
		return errManyReplays
	}
	number := sliceOf(until) + 1 // at the end of which until has passed
	if m.slices[number] == nil {
		m.slices[number] = map[[replayBytes]byte]struct{}{}
	}
	m.slices[number][key] = struct{}{}
	m.held++
	return nil
}

// forget drops the slices that have passed. It needs mu.
func (m *replays) forget(now time.Time) {
	for number, slice := range m.slices {
		if number <= sliceOf(now) {
			m.held -= len(slice)
			delete(m.slices, number)
		}
	}
}

func sliceOf(t time.Time) int64 { return t.Unix() / int64(replaySlice/time.Second) }
