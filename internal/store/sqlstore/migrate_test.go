package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// binary is the number of the newest migration of this binary.
const binary = 8

// expand is a step of a later version that this binary can live with; contract is one that it cannot.
const (
	expand = `-- +goose Up
ALTER TABLE clients ADD COLUMN colour TEXT NOT NULL DEFAULT 'green';
INSERT INTO writ_schema (version, readable_from) VALUES (9, 8);`
	contract = `-- +goose Up
ALTER TABLE clients DROP COLUMN auth_method;
INSERT INTO writ_schema (version, readable_from) VALUES (10, 10);`
)

// newer returns the options of a later binary, which has more migrations.
func newer(t *testing.T, options sqlstore.Options, more ...string) sqlstore.Options {
	files := fstest.MapFS{}
	names, err := fs.Glob(sqlstore.Embedded, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(sqlstore.Embedded, name)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(name, "migrations/")] = &fstest.MapFile{Data: text}
	}
	for i, text := range more {
		files[fmt.Sprintf("%05d_later.sql", binary+1+i)] = &fstest.MapFile{Data: []byte(text)}
	}
	return sqlstore.WithMigrations(options, files)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		options := sqlstore.Options{DSN: dsn}
		empty, err := sqlstore.Status(t.Context(), options)
		if want := (sqlstore.Schema{Binary: binary}); err != nil || empty != want || !empty.Pending() {
			t.Errorf("status of an empty database: got %+v, %v, want %+v", empty, err, want)
		}
		options.NoMigrate = true
		if _, err := sqlstore.Open(t.Context(), options); !errors.Is(err, sqlstore.ErrSchema) || !strings.Contains(err.Error(), "writ migrate") {
			t.Errorf("open without migration: got %v, want ErrSchema and what to do", err)
		}
		want := sqlstore.Schema{Version: binary, ReadableFrom: 8, Binary: binary}
		for range 2 {
			if got, err := sqlstore.Migrate(t.Context(), options); err != nil || got != want {
				t.Errorf("migrate: got %+v, %v, want %+v", got, err, want)
			}
		}
		if got, err := sqlstore.Status(t.Context(), options); err != nil || got != want || got.Pending() {
			t.Errorf("status: got %+v, %v, want %+v", got, err, want)
		}
		openWith(t, options)
	})
}

func TestMigrateConcurrently(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn})
				if err != nil {
					t.Errorf("opener %d: %v", i, err)
					return
				}
				defer s.Close()
				if err := s.Roles().Insert(t.Context(), store.Role{Name: fmt.Sprint("role", i)}); err != nil {
					t.Errorf("opener %d: insert: %v", i, err)
				}
			})
		}
		wg.Wait()
		if roles, err := open(t, dsn).Roles().List(t.Context(), "", 100); err != nil || len(roles) != 8 {
			t.Errorf("got %d roles, %v, want 8", len(roles), err)
		}
	})
}

// TestMigrationLock: while one node migrates, another waits and changes nothing.
func TestMigrationLock(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	side := connect(t, dsn)
	tx := side.begin(t)
	tx.exec(t, fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, sqlstore.MigrationLockID))
	opened := make(chan error, 1)
	go func() {
		s, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	for tries := map[time.Time]bool{}; len(tries) < 3; {
		var at sql.NullTime
		err := side.QueryRowContext(t.Context(), `SELECT max(query_start) FROM pg_stat_activity
			WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock%' AND pid <> pg_backend_pid()`).Scan(&at)
		if err != nil {
			t.Fatal(err)
		}
		if at.Valid {
			tries[at.Time] = true
		}
		select {
		case err := <-opened:
			t.Fatalf("opened in spite of another node's migration: %v", err)
		default:
		}
	}
	if got, err := sqlstore.Status(t.Context(), sqlstore.Options{DSN: dsn}); err != nil || got.Version != 0 {
		t.Errorf("status: got %+v, %v, want an empty database", got, err)
	}
	tx.rollback(t)
	if err := <-opened; err != nil {
		t.Errorf("open once the other one is done: %v", err)
	}
}

func TestMigrationThatFails(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		options := sqlstore.Options{DSN: dsn}
		s := open(t, dsn)
		broken := strings.Replace(expand, "INSERT", "CREATE TABLE half (id TEXT); INSERT INTO nowhere VALUES ('canary'); INSERT", 1)
		_, err := sqlstore.Migrate(t.Context(), newer(t, options, broken))
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("migrate: got %v, want an error without SQL", err)
		}
		if got, err := sqlstore.Status(t.Context(), options); err != nil || got.Version != binary {
			t.Errorf("status: got %+v, %v, want version %d as before", got, err, binary)
		}
		if _, err := sqlstore.Migrate(t.Context(), newer(t, options, expand)); err != nil {
			t.Errorf("migrate again, mended: %v", err) // "half" and the column are gone
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("ping: %v", err)
		}
		forgetful := "-- +goose Up\nCREATE TABLE more (id TEXT);"
		if _, err := sqlstore.Migrate(t.Context(), newer(t, options, expand, forgetful)); err == nil {
			t.Error("a migration that does not say who can read it: got no error")
		}
	})
}

// TestST13ST14 upgrades a cluster of three nodes under load, and back.
func TestST13ST14(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		options := sqlstore.Options{DSN: dsn}
		stop := serve(t, open(t, dsn), open(t, dsn), open(t, dsn))

		later, err := sqlstore.Open(t.Context(), newer(t, options, expand))
		if err != nil {
			t.Fatalf("ST-13: the newer binary opens and migrates: %v", err)
		}
		if err := later.Clients().Insert(t.Context(), store.Client{ID: "later", Name: "later"}); err != nil {
			t.Errorf("ST-13: the newer binary writes: %v", err)
		}
		if err := later.Close(); err != nil {
			t.Error(err)
		}
		stop(2)

		again := open(t, dsn)
		if got, err := again.Clients().Get(t.Context(), "later"); err != nil || got.Name != "later" {
			t.Errorf("ST-14: the older binary, opened again, reads what the newer one wrote: got %+v, %v", got, err)
		}
		if err := again.Clients().Put(t.Context(), store.Client{ID: "later", Name: "earlier"}); err != nil {
			t.Errorf("ST-14: the older binary writes: %v", err)
		}
		options.NoMigrate = true
		openWith(t, options)
		got, err := sqlstore.Status(t.Context(), options)
		if want := (sqlstore.Schema{Version: binary + 1, ReadableFrom: 8, Binary: binary}); err != nil || got != want || got.Pending() {
			t.Errorf("ST-14: status: got %+v, %v, want %+v", got, err, want)
		}

		if _, err := sqlstore.Migrate(t.Context(), newer(t, options, expand, contract)); err != nil {
			t.Fatalf("ST-14: contract: %v", err)
		}
		for _, options := range []sqlstore.Options{options, {DSN: dsn}, newer(t, options, expand)} {
			if _, err := sqlstore.Open(t.Context(), options); !errors.Is(err, sqlstore.ErrSchema) || !strings.Contains(err.Error(), "upgrade") {
				t.Errorf("ST-14: an older binary behind the contract step: got %v, want ErrSchema and what to do", err)
			}
		}
		if got, err := sqlstore.Migrate(t.Context(), options); !errors.Is(err, sqlstore.ErrSchema) {
			t.Errorf("ST-14: migrate with an older binary: got %+v, %v, want ErrSchema", got, err)
		}
	})
}

// serve reads and writes on every store until stop, which waits for so many more rounds of each first.
func serve(t *testing.T, stores ...*sqlstore.Store) (stop func(rounds int)) {
	t.Helper()
	done := make(chan struct{})
	steps := make(chan struct{})
	var wg sync.WaitGroup
	for node, s := range stores {
		wg.Go(func() {
			for n := 0; ; n++ {
				if err := serveOnce(t.Context(), s, fmt.Sprintf("%d-%d", node, n)); err != nil {
					t.Errorf("ST-13: node %d, round %d: %v", node, n, err)
					<-done
					return
				}
				select {
				case <-done:
					return
				case steps <- struct{}{}:
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
	return func(rounds int) {
		t.Helper()
		for range rounds * len(stores) {
			select {
			case <-steps:
			case <-time.After(sqlstore.Wait):
				t.Fatal("ST-13: the nodes stopped serving")
			}
		}
		close(done)
		wg.Wait()
	}
}

func serveOnce(ctx context.Context, s *sqlstore.Store, id string) error {
	client := store.Client{ID: id, Name: id, AuthMethod: "client_secret_basic"}
	if err := s.Clients().Insert(ctx, client); err != nil {
		return err
	}
	client.Suspended = true
	if err := s.Clients().Put(ctx, client); err != nil {
		return err
	}
	got, err := s.Clients().Get(ctx, id)
	if err == nil && (!got.Suspended || got.AuthMethod != client.AuthMethod) {
		err = fmt.Errorf("got %+v, want %+v", got, client)
	}
	_, listErr := s.Clients().List(ctx, "", 10)
	return errors.Join(err, listErr)
}

// TestST13LockTimeout: a migration that would have to wait for a long transaction gives up, instead of making everybody wait
// behind it.
func TestST13LockTimeout(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s, side := open(t, dsn), connect(t, dsn)
	tx := side.begin(t)
	tx.exec(t, `LOCK TABLE clients IN ACCESS SHARE MODE`)
	began := time.Now()
	_, err := sqlstore.Migrate(t.Context(), newer(t, sqlstore.Options{DSN: dsn}, expand))
	if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "55P03") || took > 5*time.Second {
		t.Errorf("migrate behind a lock: got %v after %s, want a lock timeout after 3 s", err, took)
	}
	tx.rollback(t)
	if err := serveOnce(t.Context(), s, "a"); err != nil {
		t.Errorf("serving behind the failed migration: %v", err)
	}
}

// TestMigrationFiles: numbered without gaps, forward only, one transaction each, and each says who can read the schema.
func TestMigrationFiles(t *testing.T) {
	names, err := fs.Glob(sqlstore.Embedded, "migrations/*.sql")
	if err != nil || len(names) != binary {
		t.Fatalf("got %d migrations, %v, want %d", len(names), err, binary)
	}
	for i, name := range names {
		text, err := fs.ReadFile(sqlstore.Embedded, name)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("migrations/%05d_", i+1); !strings.HasPrefix(name, want) {
			t.Errorf("%s: want a name that begins with %s", name, want)
		}
		if want := fmt.Sprintf("INSERT INTO writ_schema (version, readable_from) VALUES (%d, ", i+1); !strings.Contains(string(text), want) {
			t.Errorf("%s does not say who can read the schema: want %q", name, want)
		}
		for _, never := range []string{"+goose Down", "NO TRANSACTION"} {
			if strings.Contains(string(text), never) {
				t.Errorf("%s has %q: migrations go forward, each in a transaction", name, never)
			}
		}
	}
}
