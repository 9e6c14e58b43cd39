package sqlstore_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, sqlite(t)) })
}

func TestPostgreSQL(t *testing.T) {
	empty := emptyPostgreSQL()
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, empty(t)) })
}

// TestPostgreSQLCollation: in a database whose language sorts a before B, we sort by bytes all the same.
func TestPostgreSQLCollation(t *testing.T) {
	empty := emptyPostgreSQL("--template=template0", "--locale-provider=icu", "--icu-locale=en-US")
	storetest.RunOrder(t, func(t *testing.T) store.Store { return open(t, empty(t)) })
}

// emptyPostgreSQL returns a function that gives an empty database, a new one or one that was emptied again: to make one
// takes longer than most tests.
func emptyPostgreSQL(createdb ...string) func(t *testing.T) (dsn string) {
	idle := make(chan string, 100)
	return func(t *testing.T) (dsn string) {
		select {
		case dsn = <-idle:
		default:
			dsn = storetest.PostgreSQL(t, createdb...)
		}
		t.Cleanup(func() { // after the store was closed
			db := must(sql.Open("pgx", dsn))
			defer db.Close()
			_, err := db.Exec(`TRUNCATE clients, resources, roles, signing_keys, revocations, checkpoints, initial_tokens, used_ids, uses, events;
				UPDATE counters SET value = 0`)
			if err != nil {
				t.Error(err)
				return
			}
			idle <- dsn
		})
		return dsn
	}
}

// databases are the two kinds, for tests that need more than one Store on the same database.
func databases(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, sqlite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, storetest.PostgreSQL(t)) })
}

// sqlite returns the DSN of a new database.
func sqlite(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "data", "writ.db") }

func open(t testing.TB, dsn string) *sqlstore.Store {
	t.Helper()
	return openWith(t, sqlstore.Options{DSN: dsn})
}

func openWith(t testing.TB, options sqlstore.Options) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), options)
	if err != nil {
		t.Fatalf("open: got %v, want no error", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: got %v, want no error", err)
		}
	})
	return s
}

func closeIt(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
