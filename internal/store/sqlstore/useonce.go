package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/writ-auth/writ/internal/store"
)

const (
	maxUses        = 256  // in one batch
	maxUsesWaiting = 4096 // for a batch; more wait to be let in
	longID         = 512  // a longer one goes alone: an index may refuse it, and would refuse with it whoever came along
)

// A use is what one call of UseOnce asks for.
type use struct {
	ID      string `json:"id"`
	Expires int64  `json:"expires"`

	given atomic.Bool   // up by the caller
	done  chan struct{} // closed when err is there
	err   error
}

func (u *use) answer(err error) {
	u.err = err
	close(u.done)
}

// A gathering makes one batch of the calls of UseOnce that come while the last batch is under way. A commit, which waits for
// the disk, is what each of them costs: under load many share one, and alone none waits for another.
type gathering struct {
	room chan struct{} // has one for each that waits

	mu      sync.Mutex
	waiting []*use // under mu
	running bool   // under mu: somebody takes what waits
}

func newGathering() *gathering { return &gathering{room: make(chan struct{}, maxUsesWaiting)} }

// add reports whether nobody takes what waits: then the caller must.
func (g *gathering) add(u *use) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, u)
	idle := !g.running
	g.running = true
	return idle
}

// take returns the next batch, nil when nobody waits any more.
func (g *gathering) take() []*use {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxUses)
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.running = n > 0
	for range n {
		<-g.room
	}
	return batch
}

func (v view) UseOnce(ctx context.Context, id string, expires time.Time) error {
	if id == "" || !store.Valid(id) {
		return store.ErrInvalid
	}
	u := &use{ID: id, Expires: microseconds(expires), done: make(chan struct{})}
	if v.tx == nil && len(id) <= longID {
		return v.store.share(ctx, u)
	}
	v.useAll(ctx, []*use{u})
	return u.err
}

// share has a use made in a batch. A caller who gives up before the batch begins has used nothing; then, nobody knows, as of a
// commit whose answer is lost.
func (s *Store) share(ctx context.Context, u *use) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.uses.room <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("sqlstore: use once: wait for others: %w", ctx.Err())
	}
	if s.uses.add(u) {
		go s.useBatches(context.WithoutCancel(ctx)) // of whoever comes
	}
	select {
	case <-u.done:
		return u.err
	case <-ctx.Done():
		u.given.Store(true)
		return fmt.Errorf("sqlstore: use once: %w", ctx.Err())
	}
}

// useBatches makes one batch after the other until nobody waits.
func (s *Store) useBatches(ctx context.Context) {
	for {
		batch := s.uses.take()
		if len(batch) == 0 {
			return
		}
		s.useAll(ctx, slices.DeleteFunc(batch, func(u *use) bool { return u.given.Load() }))
	}
}

// useAll uses IDs with one statement and answers all who asked. In the order of the IDs, so that batches of several nodes do not
// wait for each other in a circle.
func (v view) useAll(ctx context.Context, batch []*use) {
	slices.SortStableFunc(batch, func(a, b *use) int { return cmp.Compare(a.ID, b.ID) })
	first := slices.CompactFunc(slices.Clone(batch), func(a, b *use) bool { return a.ID == b.ID })
	used, err := v.tryUse(ctx, first)
	for retry := 0; v.tx == nil && retryable(err) && retry < maxRetries; retry++ {
		used, err = v.tryUse(ctx, first)
	}
	for _, u := range batch {
		switch {
		case err != nil:
			u.answer(fmt.Errorf("sqlstore: use once: %w", err))
		case !used[u.ID]:
			u.answer(store.ErrExists)
		default:
			used[u.ID] = false // who else asks for it in this batch comes later
			u.answer(nil)
		}
	}
}

// tryUse returns which of the IDs were not used before.
func (v view) tryUse(ctx context.Context, batch []*use) (used map[string]bool, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	wanted, err := json.Marshal(batch)
	if err != nil {
		return nil, err
	}
	used = make(map[string]bool, len(batch))
	args := []any{string(wanted), microseconds(v.store.now())}
	err = v.queryFrom(ctx, v.store.database.writes, v.store.database.useOnce(), args, func(scan func(...any) error) error {
		var id string
		err := scan(text{&id})
		used[id] = true
		return err
	})
	return used, err
}

// useOnce has a list of IDs with their ends, each once, and returns those that were not used. The condition keeps SQLite from
// taking ON for a part of a join.
func (d dialect) useOnce() sqlText {
	return `INSERT INTO used_ids (id, expires) SELECT value ->> 'id', CAST(value ->> 'expires' AS BIGINT) FROM ` + d.elements + ` WHERE TRUE ORDER BY 1
		ON CONFLICT (id) DO UPDATE SET expires = excluded.expires WHERE used_ids.expires <> 0 AND used_ids.expires < $2
		RETURNING id`
}
