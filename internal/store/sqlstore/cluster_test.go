package sqlstore_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// TestST16 has two nodes decide at once that a key is needed: exactly one makes it.
func TestST16(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		nodes := []store.Store{open(t, dsn), open(t, dsn)}
		ctx := t.Context()
		for round := range 10 {
			var made atomic.Int32
			var wg sync.WaitGroup
			for n, node := range nodes {
				wg.Go(func() {
					id := fmt.Sprintf("%d-%d", round, n)
					var mine bool
					err := node.Update(ctx, func(tx store.Store) error {
						keys, err := tx.Keys().List(ctx, "", 100)
						mine = err == nil && len(keys) == round
						if !mine {
							return err
						}
						return tx.Keys().Insert(ctx, store.SigningKey{ID: id})
					})
					if err != nil {
						t.Errorf("node %d: %v", n, err)
					}
					if mine {
						made.Add(1)
					}
				})
			}
			wg.Wait()
			keys, err := nodes[0].Keys().List(ctx, "", 100)
			if err != nil || len(keys) != round+1 || made.Load() != 1 {
				t.Fatalf("round %d: %d nodes made a key, there are %d, %v, want one more than %d", round, made.Load(), len(keys), err, round)
			}
		}
	})
}

// TestNodes: what one node has done, the other sees when the call returns.
func TestNodes(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		one, other := open(t, dsn), open(t, dsn)
		ctx := t.Context()
		last := int64(-1)
		for i := range 5 {
			if err := one.Clients().Insert(ctx, store.Client{ID: fmt.Sprint(i), Name: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
			now, err := other.Generation(ctx)
			if err != nil || now <= last {
				t.Errorf("generation at the other node: got %d, %v, want above %d", now, err, last)
			}
			last = now
			if _, err := other.Clients().Get(ctx, fmt.Sprint(i)); err != nil {
				t.Errorf("client at the other node: %v", err)
			}
		}
		if err := one.UseOnce(ctx, "id", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := other.UseOnce(ctx, "id", time.Now().Add(time.Hour)); !errors.Is(err, store.ErrExists) {
			t.Errorf("the same ID at the other node: got %v, want ErrExists", err)
		}
		if err := one.Clients().Insert(ctx, store.Client{ID: "x", Name: "1"}); !errors.Is(err, store.ErrExists) {
			t.Errorf("a name that is taken: got %v, want ErrExists", err)
		}
	})
}

// TestUseOnceAcrossNodes: the replay that goes to another node, and after a restart.
func TestUseOnceAcrossNodes(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		nodes := []store.Store{open(t, dsn), open(t, dsn), open(t, dsn)}
		expires := time.Now().Add(time.Hour)
		var won atomic.Int32
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				switch err := nodes[i%len(nodes)].UseOnce(t.Context(), "id", expires); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, store.ErrExists):
					t.Errorf("call %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d of 30 calls won, want exactly one", won.Load())
		}
		for _, node := range nodes {
			if err := node.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := open(t, dsn).UseOnce(t.Context(), "id", expires); !errors.Is(err, store.ErrExists) {
			t.Errorf("after a restart: got %v, want ErrExists", err)
		}
	})
}

// TestTurns: writers on many nodes take turns, so that none conflicts, let alone runs out of retries.
func TestTurns(t *testing.T) {
	t.Parallel()
	const nodes, each = 6, 10
	databases(t, func(t *testing.T, dsn string) {
		ctx := t.Context()
		if err := open(t, dsn).Roles().Insert(ctx, store.Role{Name: "counter", Description: ""}); err != nil {
			t.Fatal(err)
		}
		var stores []store.Store
		for range nodes {
			stores = append(stores, open(t, dsn))
		}
		var attempts atomic.Int32
		var wg sync.WaitGroup
		for n, s := range stores {
			wg.Go(func() {
				for i := range each {
					err := s.Update(ctx, func(tx store.Store) error {
						attempts.Add(1)
						role, err := tx.Roles().Get(ctx, "counter")
						role.Description += "x"
						return errors.Join(err, tx.Roles().Put(ctx, role))
					})
					if err != nil {
						t.Errorf("node %d, update %d: %v", n, i, err)
					}
				}
			})
		}
		wg.Wait()
		if got, err := open(t, dsn).Roles().Get(ctx, "counter"); err != nil || len(got.Description) != nodes*each {
			t.Errorf("got %d updates, %v, want %d", len(got.Description), err, nodes*each)
		}
		if attempts.Load() != nodes*each {
			t.Errorf("it took %d attempts, want %d: no conflicts", attempts.Load(), nodes*each)
		}
	})
}
