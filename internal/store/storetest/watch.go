package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// patience is how long a test waits for what must happen at once.
const patience = 20 * time.Second

// testWatch: who watches hears of every write to what the generation counts, and of an Update when it is done.
func testWatch(t *testing.T, s store.Store) {
	watching, stop := context.WithCancel(t.Context())
	rung, ended := make(chan struct{}, 1000), make(chan error, 1)
	go func() { ended <- s.Watch(watching, func() { rung <- struct{}{} }) }()
	heard := func(what string) {
		t.Helper()
		select {
		case <-rung:
		case err := <-ended:
			t.Fatalf("%s: Watch returned %v", what, err)
		case <-time.After(patience):
			t.Fatalf("%s: nothing was heard", what)
		}
	}
	heard("the beginning")
	ctx := t.Context()
	must(t, s.Clients().Insert(ctx, store.Client{ID: "a", Name: "a"}))
	heard("Insert")
	must(t, s.Roles().Insert(ctx, store.Role{Name: "a"}))
	heard("Insert of a role")
	must(t, s.Clients().Put(ctx, store.Client{ID: "a", Name: "b"}))
	heard("Put")
	must(t, s.Clients().Delete(ctx, "a"))
	heard("Delete")
	must(t, s.Update(ctx, func(tx store.Store) error { return tx.Keys().Insert(ctx, store.SigningKey{ID: "a"}) }))
	heard("Update")

	for len(rung) > 0 {
		<-rung
	}
	mustBe(t, s.Clients().Delete(ctx, "a"), store.ErrNotFound)
	mustBe(t, s.Update(ctx, func(tx store.Store) error {
		must(t, tx.Roles().Delete(ctx, "a"))
		return errTest
	}), errTest)
	must(t, s.UseOnce(ctx, "a", time.Time{}))
	must(t, s.Revocations().Insert(ctx, store.Revocation{TokenID: "a"}))
	must(t, s.Append(ctx, store.Event{Action: "none"}))
	must(t, s.Roles().Delete(ctx, "a")) // what was heard of the others would have come before
	heard("the last one")
	if len(rung) > 0 {
		t.Error("something was heard of what changed nothing")
	}
	stop()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Watch at the end of its context: got %v, want %v", err, context.Canceled)
		}
	case <-time.After(patience):
		t.Error("Watch does not end with its context")
	}
}
