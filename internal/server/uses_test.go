package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
)

func TestUsesThatAreNotTakenAreTriedAgain(t *testing.T) {
	taken := [][]store.Use{
		{{ClientID: "a", Credential: "one", Remote: "first"}, {ClientID: "b", Credential: "one"}},
		{{ClientID: "a", Credential: "one", Remote: "second"}},
		nil,
	}
	var kept []store.Use
	away := true
	u := uses{
		take: func() []store.Use { next := taken[0]; taken = taken[1:]; return next },
		keep: func(_ context.Context, batch []store.Use) error {
			if away {
				return errors.New("away")
			}
			kept = append(kept, batch...)
			return nil
		},
	}
	for range 2 {
		if err := u.flush(t.Context()); err == nil {
			t.Error("the failure is kept from the log")
		}
	}
	if len(taken) != 2 {
		t.Error("more was taken while the store was away: nothing bounds that")
	}
	away = false
	for range 2 {
		if err := u.flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	last := map[string]string{}
	for _, use := range kept {
		last[use.ClientID] = use.Remote
	}
	if len(kept) != 3 || last["a"] != "second" {
		t.Errorf("kept %+v, want each use once, in their order", kept)
	}
}

// TestUsesAreKeptInParts: the store gets no more at once than others who write may wait for. What it took is not sent again when
// it fails in between, and nothing is lost.
func TestUsesAreKeptInParts(t *testing.T) {
	const all = 2*maxUsesKept + 20
	noted := make([]store.Use, all)
	for i := range noted {
		noted[i] = store.Use{ClientID: fmt.Sprint("client-", i), Credential: "one"}
	}
	kept, parts := map[string]int{}, 0
	u := uses{
		take: func() []store.Use { next := noted; noted = nil; return next },
		keep: func(_ context.Context, part []store.Use) error {
			if parts++; parts == 2 {
				return errors.New("away")
			}
			if len(part) > maxUsesKept {
				t.Errorf("%d at once, want %d or fewer", len(part), maxUsesKept)
			}
			for _, use := range part {
				kept[use.ClientID]++
			}
			return nil
		},
	}
	if err := u.flush(t.Context()); err == nil || len(kept) != maxUsesKept {
		t.Errorf("the second part failed: got %v, and %d kept", err, len(kept))
	}
	if err := u.flush(t.Context()); err != nil || len(kept) != all || parts != 4 {
		t.Errorf("got %v, %d kept in %d parts, want all of %d in 4", err, len(kept), parts, all)
	}
	for id, times := range kept {
		if times != 1 {
			t.Errorf("%s: kept %d times", id, times)
		}
	}
}

// TestUsesLeaveTimeToOthers: between two parts the store has as much rest as the first took, and behind the last there is none.
func TestUsesLeaveTimeToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := uses{
			take: func() []store.Use { return make([]store.Use, 3*maxUsesKept) },
			keep: func(context.Context, []store.Use) error { time.Sleep(time.Second); return nil },
		}
		began := time.Now()
		if err := u.flush(t.Context()); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("got %v after %v, want 3 parts of a second and 2 rests", err, time.Since(began))
		}
	})
}

// TestUsesCostNoSecondProcessor: on one core, a processor more for the runtime costs all requests a tenth, for seconds. What is
// noted beside them is written so slowly that there is none; what is left when the server ends, at once.
func TestUsesCostNoSecondProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var writes atomic.Int64
		u := uses{
			take: func() []store.Use { return make([]store.Use, 20*maxUsesKept) },
			keep: func(context.Context, []store.Use) error { writes.Add(1); return nil },
		}
		p := &processors{holds: writes.Load, set: func(n int) { t.Errorf("%d processors", n) }, cores: 1, now: 1, calm: calmSteps}
		go func() {
			for writes.Load() < 20 {
				_ = p.step(t.Context()) // has no errors
				time.Sleep(processorsStep)
			}
		}()
		if err := u.flush(t.Context()); err != nil || writes.Load() != 20 {
			t.Errorf("got %v after %d writes", err, writes.Load())
		}
		time.Sleep(processorsStep)
		began := time.Now()
		if err := u.flushAtOnce(t.Context()); err != nil || writes.Load() != 40 || time.Since(began) > 0 {
			t.Errorf("at last: got %v after %d writes and %v", err, writes.Load(), time.Since(began))
		}
	})
}

// TestLastUsesAreKept: a use is in the store after the server has stopped.
func TestLastUsesAreKept(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, c Config) {
		r := start(t, c)
		client := r.newClient(t, "billing", nil)
		r.token(t, client)
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		again := start(t, c)
		uses, err := again.store.Uses(t.Context(), client.ID)
		scopes := slices.DeleteFunc(slices.Clone(uses), func(u store.Use) bool { _, _, scope := u.Scope(); return !scope })
		if resource, scope, _ := (append(scopes, store.Use{}))[0].Scope(); len(scopes) != 1 || resource != testResource || scope != "orders:read" {
			t.Errorf("uses of scopes: got %+v", scopes)
		}
		uses = slices.DeleteFunc(uses, func(u store.Use) bool { return slices.Contains(scopes, u) })
		if err != nil || len(uses) != 1 || time.Since(uses[0].Last) > time.Minute || uses[0].Remote != here {
			t.Errorf("got %+v, %v", uses, err)
		}
		if len(client.Secrets) != 1 || len(uses) == 1 && uses[0].Credential != client.Secrets[0].ID {
			t.Errorf("the use is of %+v, the secrets are %+v", uses, client.Secrets)
		}
	})
}

// A use is no change that the copy of the registry would have to be read again for.
func TestUsesAreNoChange(t *testing.T) {
	changes := 0
	memory := memstore.New()
	n := notifying{Store: memory, changed: func(context.Context) error { changes++; return nil }}
	if err := n.NoteUses(t.Context(), []store.Use{{ClientID: "a", Credential: "one", Last: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	if uses, err := n.Uses(t.Context(), "a"); err != nil || len(uses) != 1 {
		t.Errorf("got %v, %v", uses, err)
	}
	if generation, err := memory.Generation(t.Context()); err != nil || generation != 0 || changes != 0 {
		t.Errorf("generation %d, %d changes, %v", generation, changes, err)
	}
}
