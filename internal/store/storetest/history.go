package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// soon returns a time that does not pass while the suite runs.
func soon() time.Time { return time.Now().Add(time.Hour) }

func testUseOnce(t *testing.T, s store.Store) {
	ctx := t.Context()
	must(t, s.UseOnce(ctx, "a", soon()))
	must(t, s.UseOnce(ctx, "A", soon()))
	must(t, s.UseOnce(ctx, "b", time.Time{}))
	for _, id := range []string{"a", "A", "b"} {
		mustBe(t, s.UseOnce(ctx, id, soon()), store.ErrExists)
		mustBe(t, s.UseOnce(ctx, id, time.Now().Add(-time.Hour)), store.ErrExists)
		mustBe(t, s.UseOnce(ctx, id, time.Time{}), store.ErrExists)
	}
	for _, wrong := range []string{"", "\x00", "\xff"} {
		mustBe(t, s.UseOnce(ctx, wrong, soon()), store.ErrInvalid)
	}
}

// testUseOnceConcurrent is the replay that races the original (CVE-2026-1035).
func testUseOnceConcurrent(t *testing.T, s store.Store) {
	ctx := t.Context()
	for round, prepare := range []func(string){
		func(string) {},
		func(id string) { must(t, s.UseOnce(ctx, id, time.Now().Add(-time.Hour))) }, // a row that has passed
	} {
		id := fmt.Sprint("id", round)
		prepare(id)
		var won atomic.Int32
		concurrently(t, 50, func(int) error {
			err := s.UseOnce(ctx, id, soon())
			if err == nil {
				won.Add(1)
			}
			if errors.Is(err, store.ErrExists) {
				return nil
			}
			return err
		})
		if won.Load() != 1 {
			t.Errorf("round %d: %d of 50 calls won, want exactly one", round, won.Load())
		}
	}
}

func testUseOncePassed(t *testing.T, s store.Store) {
	ctx := t.Context()
	must(t, s.UseOnce(ctx, "a", time.Now().Add(-time.Minute)))
	must(t, s.UseOnce(ctx, "a", soon())) // what has passed does not bar a fresh use for ever
	mustBe(t, s.UseOnce(ctx, "a", soon()), store.ErrExists)
}

func testUseOnceInUpdate(t *testing.T, s store.Store) {
	ctx := t.Context()
	mustBe(t, s.Update(ctx, func(tx store.Store) error {
		must(t, tx.UseOnce(ctx, "a", soon()))
		mustBe(t, tx.UseOnce(ctx, "a", soon()), store.ErrExists)
		return errTest
	}), errTest)
	must(t, s.UseOnce(ctx, "a", soon()))
}

func testEvents(t *testing.T, s store.Store) {
	ctx := t.Context()
	if events, err := s.Events(ctx, 0, 10); err != nil || len(events) != 0 {
		t.Fatalf("a new store: got %v, %v, want no event", events, err)
	}
	var want []store.Event
	for i := range 5 {
		var e store.Event
		fill(reflect.ValueOf(&e).Elem(), i)
		must(t, s.Append(ctx, e))
		want = append(want, asKept(e))
	}
	got, err := s.Events(ctx, 0, 10)
	must(t, err)
	if len(got) != len(want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	for i := range got {
		if i > 0 && got[i].Sequence <= got[i-1].Sequence || got[i].Sequence <= 0 {
			t.Errorf("event %d: got sequence %d, want it to grow from above 0", i, got[i].Sequence)
		}
		want[i].Sequence, want[i].Hash = got[i].Sequence, got[i].Hash
	}
	mustHold(t, s, len(want))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, test := range []struct {
		after int64
		limit int
		want  []store.Event
	}{
		{got[1].Sequence, 2, got[2:4]},
		{got[4].Sequence, 2, nil},
		{-1, 100, got},
		{0, 0, nil},
		{0, -1, nil},
	} {
		page, err := s.Events(ctx, test.after, test.limit)
		must(t, err)
		if !slices.Equal(page, test.want) {
			t.Errorf("Events(%d, %d): got %v, want %v", test.after, test.limit, page, test.want)
		}
	}
	mustBe(t, s.Append(ctx, store.Event{Detail: "\x00"}), store.ErrInvalid)
}

// testEventsConcurrent reads on from the last event that it saw while others append: an event that became visible with a
// lower number than one that was read already would never be seen.
func testEventsConcurrent(t *testing.T, s store.Store) {
	const writers, each = 8, 5
	ctx := t.Context()
	done := make(chan struct{})
	go func() {
		defer close(done)
		concurrently(t, writers, func(i int) error {
			for n := range each {
				event := store.Event{Object: fmt.Sprint(i, "/", n)}
				err := s.Update(ctx, func(tx store.Store) error { return tx.Append(ctx, event) })
				if i%2 == 0 {
					err = errors.Join(err, s.Append(ctx, event))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}()
	seen, last := 0, int64(0)
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true // and read once more
		default:
		}
		events, err := s.Events(ctx, last, 1000)
		must(t, err)
		for _, e := range events {
			seen, last = seen+1, e.Sequence
		}
	}
	if want := writers * each * 3 / 2; seen != want {
		t.Errorf("a reader that follows the history saw %d events, want %d", seen, want)
	}
	mustHold(t, s, writers*each*3/2)
}

// testEventsTakenBack: what an Update took back leaves no gap in the history.
func testEventsTakenBack(t *testing.T, s store.Store) {
	ctx := t.Context()
	must(t, s.Append(ctx, store.Event{Action: "before"}))
	mustBe(t, s.Update(ctx, func(tx store.Store) error {
		must(t, tx.Append(ctx, store.Event{Action: "taken back"}))
		must(t, tx.Append(ctx, store.Event{Action: "taken back"}))
		return errTest
	}), errTest)
	must(t, s.Update(ctx, func(tx store.Store) error {
		must(t, tx.Append(ctx, store.Event{Action: "two"}))
		must(t, tx.Append(ctx, store.Event{Action: "in one", Hash: "its own", Sequence: 77}))
		return nil
	}))
	mustHold(t, s, 3)
}

// mustHold checks the chain of the history.
func mustHold(t *testing.T, s store.Store, want int) {
	t.Helper()
	count := 0
	end, err := store.Chain{}.Follow(t.Context(), s, func(e store.Event, _ store.Chain, broken error) error {
		if count++; broken != nil || e.Hash == "" {
			t.Errorf("event %d with hash %q: got %v", e.Sequence, e.Hash, broken)
		}
		return nil
	})
	must(t, err)
	if count != want || end.Sequence != int64(want) {
		t.Errorf("%d events up to %d, want %d", count, end.Sequence, want)
	}
}

func testGeneration(t *testing.T, s store.Store) {
	ctx := t.Context()
	first, err := s.Generation(ctx)
	must(t, err)
	must(t, s.UseOnce(ctx, "a", soon()))
	must(t, s.Append(ctx, store.Event{}))
	must(t, s.Revocations().Insert(ctx, store.Revocation{TokenID: "a", Expires: time.Now().Add(-time.Hour)}))
	_, err = s.Sweep(ctx, time.Now())
	must(t, err)
	mustBe(t, s.Roles().Put(ctx, store.Role{Name: "none"}), store.ErrNotFound)
	mustBe(t, s.Roles().Delete(ctx, "none"), store.ErrNotFound)
	if now, err := s.Generation(ctx); err != nil || now != first {
		t.Errorf("after what changes no client, resource, role or key: got %d, %v, want %d", now, err, first)
	}
	var inside int64
	must(t, s.Update(ctx, func(tx store.Store) error {
		must(t, tx.Roles().Insert(ctx, store.Role{Name: "a"}))
		must(t, tx.Keys().Insert(ctx, store.SigningKey{ID: "a"}))
		inside, err = tx.Generation(ctx)
		return err
	}))
	if now, err := s.Generation(ctx); err != nil || now <= first || now != inside {
		t.Errorf("after an Update: got %d, %v, want what the Update saw, %d, above %d", now, err, inside, first)
	}
}

func testSweep(t *testing.T, s store.Store) {
	const expired = 1200 // more than one step
	ctx := t.Context()
	now := time.Now().Truncate(time.Microsecond)
	must(t, s.Update(ctx, func(tx store.Store) error {
		for i := range expired {
			err := errors.Join(
				tx.Revocations().Insert(ctx, store.Revocation{TokenID: fmt.Sprint("token", i), Expires: now.Add(-time.Second)}),
				tx.UseOnce(ctx, fmt.Sprint("id", i), now.Add(-time.Microsecond)))
			if err != nil {
				return err
			}
		}
		return nil
	}))
	for _, stays := range []store.Revocation{{TokenID: "now", Expires: now}, {TokenID: "later", Expires: soon()}, {TokenID: "never"}} {
		must(t, s.Revocations().Insert(ctx, stays))
		must(t, s.UseOnce(ctx, stays.TokenID, stays.Expires))
	}
	if swept, err := s.Sweep(ctx, now); err != nil || swept != 2*expired {
		t.Errorf("Sweep: got %d, %v, want %d", swept, err, 2*expired)
	}
	left, err := s.Revocations().List(ctx, "", 10)
	must(t, err)
	if got, want := keysOf(left), []string{"later", "never", "now"}; !slices.Equal(got, want) {
		t.Errorf("revocations left: got %q, want %q", got, want)
	}
	mustBe(t, s.UseOnce(ctx, "later", soon()), store.ErrExists)
	mustBe(t, s.UseOnce(ctx, "never", soon()), store.ErrExists)
	if swept, err := s.Sweep(ctx, now); err != nil || swept != 0 {
		t.Errorf("a second Sweep: got %d, %v, want 0", swept, err)
	}
}
