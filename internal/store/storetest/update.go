package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/writ-auth/writ/internal/store"
)

var errTest = errors.New("storetest: the change failed")

func testUpdateAllOrNothing(t *testing.T, s store.Store) {
	ctx := t.Context()
	must(t, s.Clients().Insert(ctx, store.Client{ID: "old", Name: "old"}))
	must(t, s.Roles().Insert(ctx, store.Role{Name: "old"}))
	must(t, s.Revocations().Insert(ctx, store.Revocation{TokenID: "old"}))
	before, err := s.Generation(ctx)
	must(t, err)
	change := func(fail error) func(store.Store) error {
		return func(tx store.Store) error {
			must(t, tx.Clients().Insert(ctx, store.Client{ID: "new", Name: "new"}))
			must(t, tx.Clients().Put(ctx, store.Client{ID: "old", Name: "renamed"}))
			must(t, tx.Roles().Delete(ctx, "old"))
			must(t, tx.Revocations().Delete(ctx, "old"))
			must(t, tx.UseOnce(ctx, "id", soon()))
			must(t, tx.Append(ctx, store.Event{Action: "client.created"}))
			return fail
		}
	}
	mustBe(t, s.Update(ctx, change(errTest)), errTest)
	_, err = s.Clients().Get(ctx, "new")
	mustBe(t, err, store.ErrNotFound)
	mustGet(t, s.Clients(), store.Client{ID: "old", Name: "old"})
	mustGet(t, s.Roles(), store.Role{Name: "old"})
	mustGet(t, s.Revocations(), store.Revocation{TokenID: "old"})
	if events, err := s.Events(ctx, 0, 10); err != nil || len(events) != 0 {
		t.Errorf("events after a failed Update: got %v, %v, want none", events, err)
	}
	if after, err := s.Generation(ctx); err != nil || after != before {
		t.Errorf("generation after a failed Update: got %d, %v, want %d", after, err, before)
	}

	must(t, s.Update(ctx, change(nil))) // UseOnce and the name included: nothing of the failed one is left
	mustGet(t, s.Clients(), store.Client{ID: "new", Name: "new"})
	mustGet(t, s.Clients(), store.Client{ID: "old", Name: "renamed"})
	_, err = s.Roles().Get(ctx, "old")
	mustBe(t, err, store.ErrNotFound)
	_, err = s.Revocations().Get(ctx, "old")
	mustBe(t, err, store.ErrNotFound)
	mustBe(t, s.UseOnce(ctx, "id", soon()), store.ErrExists)
	if events, err := s.Events(ctx, 0, 10); err != nil || len(events) != 1 {
		t.Errorf("events after an Update: got %v, %v, want one", events, err)
	}
}

func testUpdateError(t *testing.T, s store.Store) {
	wrapped := fmt.Errorf("wrapped: %w", errTest)
	if err := s.Update(t.Context(), func(store.Store) error { return wrapped }); err != wrapped {
		t.Errorf("got %v, want the very error that the change returned", err)
	}
}

func testUpdatePanic(t *testing.T, s store.Store) {
	ctx := t.Context()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a panic in the change did not come through")
			}
		}()
		_ = s.Update(ctx, func(tx store.Store) error {
			must(t, tx.Roles().Insert(ctx, store.Role{Name: "a"}))
			panic("boom")
		})
	}()
	_, err := s.Roles().Get(ctx, "a")
	mustBe(t, err, store.ErrNotFound)
	must(t, s.Update(ctx, func(tx store.Store) error { // and the next writer is not locked out
		return tx.Roles().Insert(ctx, store.Role{Name: "a"})
	}))
}

// testUpdateRefusals: PostgreSQL gives up a transaction at its first error, so a store must not let one arise.
func testUpdateRefusals(t *testing.T, s store.Store) {
	ctx := t.Context()
	must(t, s.Clients().Insert(ctx, store.Client{ID: "a", Name: "a"}))
	must(t, s.Clients().Insert(ctx, store.Client{ID: "b", Name: "b"}))
	must(t, s.UseOnce(ctx, "used", soon()))
	must(t, s.Update(ctx, func(tx store.Store) error {
		clients := tx.Clients()
		mustBe(t, clients.Insert(ctx, store.Client{ID: "a", Name: "x"}), store.ErrExists)
		mustBe(t, clients.Insert(ctx, store.Client{ID: "x", Name: "a"}), store.ErrExists)
		mustBe(t, clients.Put(ctx, store.Client{ID: "b", Name: "a"}), store.ErrExists)
		mustBe(t, clients.Put(ctx, store.Client{ID: "x", Name: "x"}), store.ErrNotFound)
		mustBe(t, clients.Insert(ctx, store.Client{ID: "x\x00", Name: "x"}), store.ErrInvalid)
		mustBe(t, clients.Delete(ctx, "x"), store.ErrNotFound)
		mustBe(t, tx.UseOnce(ctx, "used", soon()), store.ErrExists)
		_, err := clients.Get(ctx, "x")
		mustBe(t, err, store.ErrNotFound)
		return clients.Insert(ctx, store.Client{ID: "c", Name: "c"})
	}))
	mustGet(t, s.Clients(), store.Client{ID: "b", Name: "b"})
	mustGet(t, s.Clients(), store.Client{ID: "c", Name: "c"})
}

func testUpdateReads(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, name := range []string{"a", "c", "e"} {
		must(t, s.Roles().Insert(ctx, store.Role{Name: name}))
	}
	must(t, s.Append(ctx, store.Event{Action: "before"}))
	must(t, s.Update(ctx, func(tx store.Store) error {
		must(t, tx.Roles().Insert(ctx, store.Role{Name: "b"}))
		must(t, tx.Roles().Delete(ctx, "c"))
		must(t, tx.Roles().Put(ctx, store.Role{Name: "e", Description: "new"}))
		roles, err := tx.Roles().List(ctx, "", 10)
		must(t, err)
		if got := fmt.Sprint(keysOf(roles)); got != "[a b e]" {
			t.Errorf("List inside: got %s, want [a b e]", got)
		}
		mustGet(t, tx.Roles(), store.Role{Name: "e", Description: "new"})
		must(t, tx.Append(ctx, store.Event{Action: "inside"}))
		events, err := tx.Events(ctx, 0, 10)
		must(t, err)
		if len(events) != 2 || events[1].Action != "inside" {
			t.Errorf("Events inside: got %v, want before and inside", events)
		}
		return nil
	}))
}

func testUpdateIsolated(t *testing.T, s store.Store) {
	ctx := t.Context()
	before, err := s.Generation(ctx)
	must(t, err)
	must(t, s.Update(ctx, func(tx store.Store) error {
		must(t, tx.Roles().Insert(ctx, store.Role{Name: "a"}))
		_, err := s.Roles().Get(ctx, "a")
		mustBe(t, err, store.ErrNotFound)
		if during, err := s.Generation(ctx); err != nil || during != before {
			t.Errorf("generation outside: got %d, %v, want %d", during, err, before)
		}
		return nil
	}))
	mustGet(t, s.Roles(), store.Role{Name: "a"})
}

func testUpdateNested(t *testing.T, s store.Store) {
	ctx := t.Context()
	mustBe(t, s.Update(ctx, func(tx store.Store) error {
		must(t, tx.Update(ctx, func(inner store.Store) error {
			must(t, inner.Ping(ctx))
			return inner.Roles().Insert(ctx, store.Role{Name: "a"})
		}))
		mustGet(t, tx.Roles(), store.Role{Name: "a"})
		return errTest
	}), errTest)
	_, err := s.Roles().Get(ctx, "a")
	mustBe(t, err, store.ErrNotFound)
}

// testUpdateConcurrent is the classic lost update: ten read, add one, and write.
func testUpdateConcurrent(t *testing.T, s store.Store) {
	const writers = 10
	ctx := t.Context()
	must(t, s.Roles().Insert(ctx, store.Role{Name: "counter", Description: "0"}))
	concurrently(t, writers, func(int) error {
		return s.Update(ctx, func(tx store.Store) error {
			role, err := tx.Roles().Get(ctx, "counter")
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(role.Description)
			if err != nil {
				return err
			}
			runtime.Gosched() // let others read the same
			role.Description = strconv.Itoa(n + 1)
			return tx.Roles().Put(ctx, role)
		})
	})
	mustGet(t, s.Roles(), store.Role{Name: "counter", Description: strconv.Itoa(writers)})
}

// testUpdateReadCheckInsert is write skew: each looks whether there is one, and makes one of its own if not.
func testUpdateReadCheckInsert(t *testing.T, s store.Store) {
	ctx := t.Context()
	concurrently(t, 10, func(i int) error {
		return s.Update(ctx, func(tx store.Store) error { return insertIfNone(ctx, tx, i) })
	})
	mustHaveOneKey(t, s)
}

func insertIfNone(ctx context.Context, tx store.Store, i int) error {
	keys, err := tx.Keys().List(ctx, "", 1)
	runtime.Gosched()
	if err != nil || len(keys) > 0 {
		return err
	}
	return tx.Keys().Insert(ctx, store.SigningKey{ID: fmt.Sprint("key", i)})
}

func mustHaveOneKey(t testing.TB, s store.Store) {
	t.Helper()
	keys, err := s.Keys().List(t.Context(), "", 100)
	must(t, err)
	if len(keys) != 1 {
		t.Errorf("got %d keys %q, want exactly one", len(keys), keysOf(keys))
	}
}

// concurrently calls f(0) to f(n-1) at once, and fails the test if one returns an error.
func concurrently(t testing.TB, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			if err := f(i); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	close(start)
	wg.Wait()
}
