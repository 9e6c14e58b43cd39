package sqlstore_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

func TestST10(t *testing.T) {
	t.Parallel()
	t.Run("ST10 every connection has timeouts", testST10Settings)
	t.Run("ST10 a statement that takes too long", testST10StatementTimeout)
	t.Run("ST10 a lock that does not come", testST10LockTimeout)
	t.Run("ST10 serialization failure 40001 is tried again", testST10Serialization)
	t.Run("ST10 retries are bounded", testST10Bounded)
	t.Run("ST10 deadlock 40P01 is tried again", testST10Deadlock)
	t.Run("ST10 unique violation on retry", testST10Unique)
}

func testST10Settings(t *testing.T) {
	t.Parallel()
	s := open(t, storetest.PostgreSQL(t))
	for name, want := range map[string]string{
		"statement_timeout": "5s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "15s",
		"synchronous_commit": "on", "client_encoding": "UTF8", "application_name": "writ", "jit": "off",
	} {
		if got, err := s.Setting(t.Context(), name); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
}

// slowly returns the DSN with other timeouts, so that the tests need not wait for the real ones.
func slowly(dsn, parameters string) string { return dsn + "&" + parameters }

func testST10StatementTimeout(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s := open(t, slowly(dsn, "statement_timeout=200ms"))
	insert(t, s, "a")
	mustFailFor(t, s, connect(t, dsn), "57014") // the lock timeout is longer
}

func testST10LockTimeout(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s := open(t, slowly(dsn, "lock_timeout=200ms"))
	insert(t, s, "a")
	mustFailFor(t, s, connect(t, dsn), "55P03")
}

// mustFailFor has side lock everything: reads and writes then fail with the code and do not hang, and work again once
// the lock is gone.
func mustFailFor(t *testing.T, s store.Store, side side, code string) {
	t.Helper()
	tx := side.begin(t)
	tx.exec(t, `LOCK TABLE clients, counters, used_ids`)
	began := time.Now()
	_, err := s.Clients().Get(t.Context(), "a")
	for what, err := range map[string]error{
		"Get":     err,
		"Insert":  s.Clients().Insert(t.Context(), store.Client{ID: "b", Name: "b"}),
		"UseOnce": s.UseOnce(t.Context(), "b", time.Time{}),
		"Ping":    s.Ping(t.Context()),
	} {
		if err == nil || !strings.Contains(err.Error(), "SQLSTATE "+code) || strings.Contains(err.Error(), "clients WHERE") {
			t.Errorf("%s: got %v, want SQLSTATE %s and no SQL", what, err, code)
		}
	}
	if took := time.Since(began); took > sqlstore.Wait {
		t.Errorf("that took %s", took)
	}
	tx.rollback(t)
	insert(t, s, "b")
	if err := s.UseOnce(t.Context(), "b", time.Time{}); err != nil {
		t.Errorf("UseOnce, which had failed: got %v, want no error and no trace of the failure", err)
	}
}

func insert(t *testing.T, s store.Store, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.Clients().Insert(t.Context(), store.Client{ID: id, Name: id}); err != nil {
			t.Fatal(err)
		}
	}
}

// testST10Serialization has another program, which does not take turns, change what an Update has read.
func testST10Serialization(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s, side := open(t, dsn), connect(t, dsn)
	insert(t, s, "a")
	attempts := 0
	err := s.Update(t.Context(), func(tx store.Store) error {
		attempts++
		client, err := tx.Clients().Get(t.Context(), "a")
		if err != nil {
			return err
		}
		if attempts == 1 {
			side.exec(t, `UPDATE clients SET token_ttl = 1000000 WHERE id = 'a'`)
		}
		client.TokenTTL += time.Second
		if err := tx.Append(t.Context(), store.Event{Action: "client.updated"}); err != nil {
			return err
		}
		_ = tx.Clients().Put(t.Context(), client)
		return nil // even a change that overlooks the error is tried again
	})
	if err != nil || attempts != 2 {
		t.Errorf("Update: got %v after %d attempts, want success at the second", err, attempts)
	}
	if got, err := s.Clients().Get(t.Context(), "a"); err != nil || got.TokenTTL != 2*time.Second {
		t.Errorf("got %v, %v, want both changes: 2s", got.TokenTTL, err)
	}
	if events, err := s.Events(t.Context(), 0, 10); err != nil || len(events) != 1 {
		t.Errorf("got %d events, %v, want one effect", len(events), err)
	}
}

func testST10Bounded(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s, side := open(t, dsn), connect(t, dsn)
	insert(t, s, "a")
	attempts := 0
	err := s.Update(t.Context(), func(tx store.Store) error {
		attempts++
		client, err := tx.Clients().Get(t.Context(), "a")
		if err != nil {
			return err
		}
		side.exec(t, `UPDATE clients SET token_ttl = token_ttl + 1 WHERE id = 'a'`)
		return tx.Clients().Put(t.Context(), client)
	})
	if err == nil || !strings.Contains(err.Error(), "40001") || attempts != 1+sqlstore.MaxRetries {
		t.Errorf("got %v after %d attempts, want 40001 after %d", err, attempts, 1+sqlstore.MaxRetries)
	}
	insert(t, s, "b") // nothing is left locked
}

func testST10Deadlock(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s, side := open(t, dsn), connect(t, dsn)
	insert(t, s, "a", "b")
	attempts := 0
	crossed := make(chan error, 1)
	err := s.Update(t.Context(), func(tx store.Store) error {
		attempts++
		if attempts == 2 { // the other transaction goes on now; before it is done, our attempt would only meet it again, as 40001
			if err := <-crossed; err != nil {
				t.Errorf("the other transaction: %v", err)
			}
		}
		if err := tx.Clients().Put(t.Context(), store.Client{ID: "a", Name: "a", Suspended: true}); err != nil {
			return err
		}
		if attempts == 1 { // the other way round, and more patient than we are
			other := side.begin(t)
			other.exec(t, `SET LOCAL deadlock_timeout = '1min'`)
			other.exec(t, `UPDATE clients SET token_ttl = 0 WHERE id = 'b'`)
			go func() {
				_, err := other.Exec(`UPDATE clients SET token_ttl = 0 WHERE id = 'a'`)
				crossed <- errors.Join(err, other.Commit())
			}()
			waitForLock(t, side)
		}
		return tx.Clients().Put(t.Context(), store.Client{ID: "b", Name: "b", Suspended: true})
	})
	if err != nil || attempts != 2 {
		t.Errorf("Update: got %v after %d attempts, want success at the second", err, attempts)
	}
	for _, id := range []string{"a", "b"} {
		if got, err := s.Clients().Get(t.Context(), id); err != nil || !got.Suspended {
			t.Errorf("client %s: got %+v, %v, want it suspended", id, got, err)
		}
	}
}

// waitForLock waits until some statement in the database waits for a lock.
func waitForLock(t *testing.T, side side) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), sqlstore.Wait)
	defer cancel()
	for waiting := 0; waiting == 0; {
		err := side.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func testST10Unique(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s, side := open(t, dsn), connect(t, dsn)
	insert(t, s, "a")
	attempts := 0
	err := s.Update(t.Context(), func(tx store.Store) error {
		attempts++
		if _, err := tx.Clients().Get(t.Context(), "a"); err != nil {
			return err
		}
		if attempts == 1 {
			side.exec(t, `INSERT INTO clients SELECT 'other', 'taken', auth_method, grant_types, secrets, grants, roles,
				resource_server_for, multiple_audiences, token_ttl, suspended, not_before, created, updated FROM clients`)
		}
		if err := tx.Append(t.Context(), store.Event{Action: "client.created"}); err != nil {
			return err
		}
		return tx.Clients().Insert(t.Context(), store.Client{ID: "mine", Name: "taken"})
	})
	if !errors.Is(err, store.ErrExists) || attempts != 2 {
		t.Errorf("got %v after %d attempts, want ErrExists at the second", err, attempts)
	}
	if events, err := s.Events(t.Context(), 0, 10); err != nil || len(events) != 0 {
		t.Errorf("got %d events, %v, want none", len(events), err)
	}
}

// TestPostgreSQLGone: a node whose database went away fails its calls, and works again when it is back.
func TestPostgreSQLGone(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s, side := open(t, dsn), connect(t, dsn)
	insert(t, s, "a")
	name := strings.TrimPrefix(must(url.Parse(dsn)).Path, "/")
	admin := connect(t, strings.Replace(dsn, "/"+name, "/postgres", 1))
	closeSide(t, side)
	admin.exec(t, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS false`)
	admin.exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	for range 20 { // more than there are connections in the pool
		if err := s.Ping(t.Context()); err == nil {
			t.Fatal("Ping without a database: got no error")
		}
		if err := s.Clients().Insert(t.Context(), store.Client{ID: "b", Name: "b"}); err == nil {
			t.Fatal("Insert without a database: got no error")
		}
	}
	admin.exec(t, `ALTER DATABASE `+name+` ALLOW_CONNECTIONS true`)
	insert(t, s, "b")
}

func closeSide(t *testing.T, s side) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
