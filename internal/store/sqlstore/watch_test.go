package sqlstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// TestWatchOtherNode: a change through one node is heard on the other.
func TestWatchOtherNode(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	here, there := open(t, dsn), open(t, dsn)
	rung := make(chan struct{}, 100)
	go func() { _ = there.Watch(t.Context(), func() { rung <- struct{}{} }) }()
	wait := func(what string) {
		t.Helper()
		select {
		case <-rung:
		case <-time.After(sqlstore.Wait):
			t.Fatalf("%s was not heard on the other node", what)
		}
	}
	wait("the beginning")
	insert(t, here, "a")
	wait("a change")
}

// TestConnections: who listens counts among the connections that are allowed, however many want one.
func TestConnections(t *testing.T) {
	t.Parallel()
	const allowed, callers = 3, 20
	dsn := storetest.PostgreSQL(t)
	s, side := openWith(t, sqlstore.Options{DSN: dsn, MaxConnections: allowed}), connect(t, dsn)
	rung := make(chan struct{}, 10)
	go func() { _ = s.Watch(t.Context(), func() { rung <- struct{}{} }) }()
	<-rung // it listens
	lock := side.begin(t)
	lock.exec(t, `LOCK TABLE clients`)
	waited := s.Waited()
	var answered sync.WaitGroup
	for range callers {
		answered.Go(func() { _, _ = s.Clients().Get(t.Context(), "a") })
	}
	const count = `SELECT count(*), count(*) FILTER (WHERE wait_event_type = 'Lock') FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'writ'`
	for {
		var open, held int
		if err := side.QueryRowContext(t.Context(), count).Scan(&open, &held); err != nil {
			t.Fatal(err)
		}
		if held+int(s.Waited()-waited) < callers {
			continue // some have not asked yet
		}
		if open != allowed {
			t.Errorf("%d connections, want %d", open, allowed)
		}
		break
	}
	lock.rollback(t)
	answered.Wait()
}

// TestWatchEnds: who listens on a connection that was cut is told so, and can listen again.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s, side := open(t, dsn), connect(t, dsn)
	for range 2 {
		rung, ended := make(chan struct{}, 100), make(chan error, 1)
		go func() { ended <- s.Watch(t.Context(), func() { rung <- struct{}{} }) }()
		<-rung
		side.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`)
		select {
		case err := <-ended:
			if err == nil {
				t.Error("Watch returned nil, want what happened")
			}
		case <-time.After(sqlstore.Wait):
			t.Fatal("Watch does not notice that its connection is gone")
		}
	}
	insert(t, s, "a")
}

// TestWithoutNotify: on an engine that has no NOTIFY changes are made all the same, and Watch says that there is nothing to hear.
func TestWithoutNotify(t *testing.T) {
	t.Parallel()
	s := open(t, storetest.PostgreSQL(t))
	for _, code := range []string{"0A000", "42601"} {
		if !sqlstore.UnknownStatement(code) {
			t.Errorf("%s: want it taken for a statement that the engine does not have", code)
		}
	}
	s.WithoutNotify()
	insert(t, s, "a")
	called := false
	if err := s.Watch(context.WithoutCancel(t.Context()), func() { called = true }); err == nil || called {
		t.Errorf("Watch: got %v, called: %t, want an error and no call", err, called)
	}
	if _, err := s.FindClients(t.Context(), store.ClientQuery{Limit: 1}); err != nil {
		t.Error(err)
	}
}
