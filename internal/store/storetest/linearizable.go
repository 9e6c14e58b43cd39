package storetest

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// testLinearizable has 64 goroutines rotate, disable, delete and re-create one client while others read it. Every write
// leaves a new version and notes which version it found, so the order of the writes is known: their notes must form one
// chain. Linearizable then means that nothing contradicts the clock: no operation that was done before another one
// began may come behind it.
func testLinearizable(t *testing.T, s store.Store) {
	const goroutines, each = 64, 4
	ctx := t.Context()
	var h history
	must(t, s.Clients().Insert(ctx, clientOfVersion(0)))
	concurrently(t, goroutines, func(g int) error {
		for range each {
			op := operation{call: h.tick()}
			var err error
			if kind := g % 4; kind == 3 {
				op.read = true
				op.found, err = readVersion(ctx, s)
			} else {
				op.left = h.versions.Add(1)
				err = s.Update(ctx, func(tx store.Store) (err error) {
					op.found, op.deletes, err = writeVersion(ctx, tx, kind, op.left)
					return err
				})
			}
			if err != nil {
				return err
			}
			op.done = h.tick()
			h.add(op)
		}
		return nil
	})
	h.check(t, goroutines*each)
}

// gone is the version that a reader finds when there is no client.
const gone = -1

func clientOfVersion(version int64) store.Client {
	return store.Client{ID: "c", Name: "c", TokenTTL: time.Duration(version) * time.Second}
}

func readVersion(ctx context.Context, s store.Store) (int64, error) {
	client, err := s.Clients().Get(ctx, "c")
	if errors.Is(err, store.ErrNotFound) {
		return gone, nil
	}
	return int64(client.TokenTTL / time.Second), err
}

// writeVersion rotates a secret, suspends or deletes the client, or creates it again if it is gone. Where a deleted
// client cannot carry the version, a role does.
func writeVersion(ctx context.Context, tx store.Store, kind int, version int64) (found int64, deletes bool, err error) {
	next := clientOfVersion(version)
	found, err = readVersion(ctx, tx)
	runtime.Gosched()
	if err != nil {
		return 0, false, err
	}
	if found == gone {
		grave, err := tx.Roles().Get(ctx, "grave")
		if err != nil {
			return 0, false, err
		}
		found, err = strconv.ParseInt(grave.Description, 10, 64)
		return found, false, errors.Join(err, tx.Roles().Delete(ctx, "grave"), tx.Clients().Insert(ctx, next))
	}
	switch kind {
	case 0:
		next.Secrets = []store.Secret{{ID: strconv.FormatInt(version, 10)}}
	case 1:
		next.Suspended = true
	case 2:
		grave := store.Role{Name: "grave", Description: strconv.FormatInt(version, 10)}
		return found, true, errors.Join(tx.Clients().Delete(ctx, "c"), tx.Roles().Insert(ctx, grave))
	}
	return found, false, tx.Clients().Put(ctx, next)
}

// An operation found a version and, if it is a write, left another one, between two ticks of the clock.
type operation struct {
	read, deletes bool
	found, left   int64
	call, done    int64
	place         int // of a write in the order of writes; of a read, behind the write with that place
}

// history is what all goroutines did.
type history struct {
	clock, versions atomic.Int64
	mu              sync.Mutex
	all             []operation // under mu
}

func (h *history) tick() int64 { return h.clock.Add(1) }

func (h *history) add(op operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, op)
}

func (h *history) check(t *testing.T, want int) {
	if len(h.all) != want {
		t.Fatalf("history has %d operations, want %d", len(h.all), want)
	}
	chain := h.chain(t)
	places := map[int64]int{}
	for i, w := range chain {
		places[w.left] = i
	}
	ordered := chain
	for _, op := range h.all {
		switch {
		case op.read && op.found == gone:
			checkGone(t, op, chain)
		case op.read:
			place, ok := places[op.found]
			if !ok {
				t.Fatalf("a read found version %d, which no write left", op.found)
			}
			op.place = place
			ordered = append(ordered, op)
		}
	}
	for _, a := range ordered {
		for _, b := range ordered {
			if a.done < b.call && (a.place > b.place || !b.read && a.place == b.place) {
				t.Errorf("%+v was done before %+v began, but comes behind it", a, b)
			}
		}
	}
}

// chain returns the writes in the order in which they happened, with the first state in front.
func (h *history) chain(t *testing.T) []operation {
	next, writes := map[int64]operation{}, 0
	for _, op := range h.all {
		if op.read {
			continue
		}
		writes++
		if other, ok := next[op.found]; ok {
			t.Fatalf("two writes found version %d, one is lost: %+v, %+v", op.found, op, other)
		}
		next[op.found] = op
	}
	chain := []operation{{found: gone}}
	for {
		op, ok := next[chain[len(chain)-1].left]
		if !ok {
			break
		}
		op.place = len(chain)
		chain = append(chain, op)
	}
	if len(chain) != writes+1 {
		t.Fatalf("the chain of writes has %d of %d", len(chain)-1, writes)
	}
	return chain
}

// checkGone: there must be a deletion that began before the read was done, and whose successor was not done before the
// read began.
func checkGone(t *testing.T, read operation, chain []operation) {
	for i, w := range chain {
		if w.deletes && w.call < read.done && (i+1 == len(chain) || chain[i+1].done > read.call) {
			return
		}
	}
	t.Errorf("%+v found no client, but there was one all the time", read)
}
