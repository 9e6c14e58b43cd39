package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// gathered has one call of UseOnce under way, which waits for a lock of somebody else's, and behind it many that wait to share
// the next batch. The lock ends with unlock.
func gathered(t *testing.T, many int, call func(s store.Store, i int)) (s *sqlstore.Store, side side, unlock func(), answered *sync.WaitGroup) {
	t.Helper()
	dsn := storetest.PostgreSQL(t)
	s, side = open(t, slowly(dsn, "lock_timeout=60s&statement_timeout=60s")), connect(t, dsn)
	tx := side.begin(t)
	tx.exec(t, `LOCK TABLE used_ids`)
	answered = &sync.WaitGroup{}
	answered.Go(func() { call(s, 0) })
	waitForLock(t, side)
	for i := range many {
		answered.Go(func() { call(s, i+1) })
	}
	for deadline := time.Now().Add(sqlstore.Wait); s.Waiting() < many; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls wait for the next batch, want %d", s.Waiting(), many)
		}
	}
	return s, side, func() { tx.rollback(t) }, answered
}

// TestUseOnceBatch: in a batch each has its own answer; an ID that is in it several times is good once; who gave up before
// it began has used nothing.
func TestUseOnceBatch(t *testing.T) {
	t.Parallel()
	const many, ids = 60, 20
	soon := time.Now().Add(time.Hour)
	gone, leave := context.WithCancel(t.Context())
	var mu sync.Mutex
	won, left := map[string]int{}, make(chan error, 1)
	s, _, unlock, answered := gathered(t, many, func(s store.Store, i int) {
		if i == many {
			left <- s.UseOnce(gone, "left", soon)
			return
		}
		id := fmt.Sprint("id", i%ids)
		err := s.UseOnce(t.Context(), id, soon)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			won[id]++
		case !errors.Is(err, store.ErrExists):
			t.Errorf("%s: %v", id, err)
		}
	})
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up: got %v, want %v", err, context.Canceled)
	}
	unlock()
	answered.Wait()
	for id, n := range won {
		if n != 1 {
			t.Errorf("%s was good %d times", id, n)
		}
	}
	if len(won) != ids {
		t.Errorf("%d IDs were good, want %d", len(won), ids)
	}
	if err := s.UseOnce(t.Context(), "left", soon); err != nil {
		t.Errorf("the ID of who gave up: got %v, want it unused", err)
	}
	if err := s.UseOnce(t.Context(), "id1", soon); !errors.Is(err, store.ErrExists) {
		t.Errorf("an ID of the batch, again: got %v, want ErrExists", err)
	}
}

// TestUseOnceBatchFails: what the database refuses, it refuses to all of the batch, and nothing of it is used.
func TestUseOnceBatchFails(t *testing.T) {
	t.Parallel()
	const many = 10
	soon := time.Now().Add(time.Hour)
	s, side, unlock, answered := gathered(t, many, func(s store.Store, i int) {
		if err := s.UseOnce(t.Context(), fmt.Sprint("id", i), soon); err == nil || !strings.Contains(err.Error(), "57014") {
			t.Errorf("id%d: got %v, want that it was cancelled", i, err)
		}
	})
	all := make(chan struct{})
	go func() { defer close(all); answered.Wait() }()
	for over := false; !over; {
		side.exec(t, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		select {
		case <-all:
			over = true
		case <-time.After(10 * time.Millisecond):
		}
	}
	unlock()
	for i := range many + 1 {
		if err := s.UseOnce(t.Context(), fmt.Sprint("id", i), soon); err != nil {
			t.Errorf("id%d, tried again: %v", i, err)
		}
	}
}

// TestUseOnceLong: an ID that no index takes does no harm to others.
func TestUseOnceLong(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				id := fmt.Sprint("id", i)
				if i%2 == 0 {
					_ = s.UseOnce(t.Context(), id+strings.Repeat(fmt.Sprint(i, "x"), 1<<20), time.Time{})
				} else if err := s.UseOnce(t.Context(), id, time.Time{}); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			})
		}
		all.Wait()
	})
}
