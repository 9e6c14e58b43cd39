// Package storetest is the contract of store.Store as a test suite. Every implementation runs it; what it does not
// demand, no caller may rely on. It also starts the PostgreSQL server that other packages' tests need.
package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// Run holds a Store to the contract. open returns a new empty Store each time and closes it with t.Cleanup; it is called
// from parallel tests.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tables(t, open, "Get", "Put", "Delete", "List", "Copies", "WrongText", "Empty", "Generation")
	updates(t, open)
}

// RunOrder is the part of Run that depends on how a database compares text.
func RunOrder(t *testing.T, open func(t *testing.T) store.Store) {
	tables(t, open, "List")
	t.Run("FindClients", func(t *testing.T) {
		t.Parallel()
		testFindOrders(t, open(t))
	})
}

// tables runs the named tests on every kind of record.
func tables(t *testing.T, open func(*testing.T) store.Store, tests ...string) {
	t.Run("Clients", func(t *testing.T) {
		testTable(t, open, tests, store.Store.Clients, func(c *store.Client, key string) { c.ID, c.Name = key, "name of "+key })
	})
	t.Run("Resources", func(t *testing.T) {
		testTable(t, open, tests, store.Store.Resources, func(r *store.Resource, key string) { r.URI = key })
	})
	t.Run("Roles", func(t *testing.T) {
		testTable(t, open, tests, store.Store.Roles, func(r *store.Role, key string) { r.Name = key })
	})
	t.Run("Keys", func(t *testing.T) {
		testTable(t, open, tests, store.Store.Keys, func(k *store.SigningKey, key string) { k.ID = key })
	})
	t.Run("Revocations", func(t *testing.T) {
		testTable(t, open, tests, store.Store.Revocations, func(r *store.Revocation, key string) { r.TokenID = key })
	})
	t.Run("Checkpoints", func(t *testing.T) {
		testTable(t, open, tests, store.Store.Checkpoints, func(c *store.Checkpoint, key string) { c.Journal = key })
	})
	t.Run("InitialTokens", func(t *testing.T) {
		testTable(t, open, tests, store.Store.InitialTokens, func(r *store.InitialToken, key string) { r.ID = key })
	})
}

func updates(t *testing.T, open func(*testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store){
		"UniqueNames":              testUniqueNames,
		"FindClients/Orders":       testFindOrders,
		"FindClients/Text":         testFindText,
		"FindClients/Name":         testFindName,
		"FindClients/Resource":     testFindResource,
		"FindClients/Changed":      testFindChanged,
		"ClientsCalled":            testClientsCalled,
		"ClientsDue":               testClientsDue,
		"Update/AllOrNothing":      testUpdateAllOrNothing,
		"Update/ErrorIsHandedOn":   testUpdateError,
		"Update/Panic":             testUpdatePanic,
		"Update/RefusalsDoNoHarm":  testUpdateRefusals,
		"Update/ReadsItsOwnWrites": testUpdateReads,
		"Update/OthersSeeNothing":  testUpdateIsolated,
		"Update/Nested":            testUpdateNested,
		"Update/NothingIsLost":     testUpdateConcurrent,
		"Update/FirstOneWins":      testUpdateReadCheckInsert,
		"UseOnce":                  testUseOnce,
		"UseOnce/Concurrent":       testUseOnceConcurrent,
		"UseOnce/Passed":           testUseOncePassed,
		"UseOnce/InUpdate":         testUseOnceInUpdate,
		"Events":                   testEvents,
		"Events/Concurrent":        testEventsConcurrent,
		"Events/TakenBack":         testEventsTakenBack,
		"Generation":               testGeneration,
		"Sweep":                    testSweep,
		"Uses":                     testUses,
		"Uses/Wrong":               testUsesWrong,
		"Uses/InUpdate":            testUsesInUpdate,
		"Uses/Concurrent":          testUsesConcurrent,
		"Uses/Sweep":               testSweepUses,
		"Watch":                    testWatch,
		"Context":                  testContext,
		"Close":                    testClose,
		"ST09":                     testLinearizable,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func testUniqueNames(t *testing.T, s store.Store) {
	ctx := t.Context()
	clients := s.Clients()
	must(t, clients.Insert(ctx, store.Client{ID: "a", Name: "one"}))
	must(t, clients.Insert(ctx, store.Client{ID: "b", Name: "two"}))
	mustBe(t, clients.Insert(ctx, store.Client{ID: "c", Name: "one"}), store.ErrExists)
	mustBe(t, clients.Put(ctx, store.Client{ID: "b", Name: "one"}), store.ErrExists)
	mustBe(t, clients.Put(ctx, store.Client{ID: "c", Name: "one"}), store.ErrNotFound)
	must(t, clients.Put(ctx, store.Client{ID: "b", Name: "two", Suspended: true})) // its own name is no conflict
	must(t, clients.Insert(ctx, store.Client{ID: "d", Name: "ONE"}))               // names are compared byte by byte

	must(t, clients.Put(ctx, store.Client{ID: "a", Name: "three"})) // frees "one"
	must(t, clients.Put(ctx, store.Client{ID: "b", Name: "one"}))   // frees "two"
	must(t, clients.Delete(ctx, "b"))                               // frees "one" again
	must(t, clients.Insert(ctx, store.Client{ID: "e", Name: "one"}))
	must(t, clients.Insert(ctx, store.Client{ID: "f", Name: "two"}))
}

func testContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Clients().Get(ctx, "a")
	mustBe(t, err, context.Canceled)
	_, err = s.Clients().List(ctx, "", 1)
	mustBe(t, err, context.Canceled)
	mustBe(t, s.Clients().Insert(ctx, store.Client{ID: "a", Name: "a"}), context.Canceled)
	mustBe(t, s.UseOnce(ctx, "a", time.Time{}), context.Canceled)
	mustBe(t, s.Append(ctx, store.Event{}), context.Canceled)
	mustBe(t, s.NoteUses(ctx, []store.Use{{ClientID: "a", Credential: "a"}}), context.Canceled)
	_, err = s.FindClients(ctx, store.ClientQuery{Limit: 1})
	mustBe(t, err, context.Canceled)
	_, err = s.ClientsCalled(ctx, "a")
	mustBe(t, err, context.Canceled)
	_, err = s.Uses(ctx, "a")
	mustBe(t, err, context.Canceled)
	mustBe(t, s.Update(ctx, func(store.Store) error { return nil }), context.Canceled)
	mustBe(t, s.Ping(ctx), context.Canceled)

	// A change whose caller gave up while it ran does not happen.
	ctx, cancel = context.WithCancel(t.Context())
	err = s.Update(ctx, func(tx store.Store) error {
		must(t, tx.Clients().Insert(ctx, store.Client{ID: "a", Name: "a"}))
		cancel()
		return nil
	})
	mustBe(t, err, context.Canceled)
	_, err = s.Clients().Get(t.Context(), "a")
	mustBe(t, err, store.ErrNotFound)
}

func testClose(t *testing.T, s store.Store) {
	must(t, s.Ping(t.Context()))
	must(t, s.Close())
	if err := s.Ping(t.Context()); err == nil {
		t.Error("Ping after Close: got nil, want an error")
	}
	if _, err := s.Clients().Get(t.Context(), "a"); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get after Close: got %v, want an error that is not ErrNotFound", err)
	}
	if err := s.Clients().Insert(t.Context(), store.Client{ID: "a", Name: "a"}); err == nil {
		t.Error("Insert after Close: got nil, want an error")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}

func mustBe(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}
