package sqlstore_test

import (
	"context"
	"database/sql"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// TestUpgradeFrom1: a client from before there were keys is the same client behind migration 2, with nothing new about it.
func TestUpgradeFrom1(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		if _, err := sqlstore.Migrate(t.Context(), first(t, sqlstore.Options{DSN: dsn}, 1)); err != nil {
			t.Fatal(err)
		}
		old := raw(t, dsn)
		_, err := old.ExecContext(t.Context(), `INSERT INTO clients (id, name, auth_method, grant_types, secrets, grants, roles,
			resource_server_for, multiple_audiences, token_ttl, suspended, not_before, created, updated) VALUES ('billing-a', 'billing',
			'client_secret_basic', '["client_credentials"]', '[{"id":"s","hash":"sha256:x","created":1000000,"expires":0}]', '[]', '["clerk"]',
			'[]', FALSE, 60000000, FALSE, 0, 1000000, 2000000)`)
		if err != nil {
			t.Fatal(err)
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		s := open(t, dsn)
		got, err := s.Clients().Get(t.Context(), "billing-a")
		want := store.Client{
			ID: "billing-a", Name: "billing", AuthMethod: "client_secret_basic", GrantTypes: []string{"client_credentials"},
			Secrets: []store.Secret{{ID: "s", Hash: "sha256:x", Created: time.UnixMicro(1_000_000).UTC()}}, Roles: []string{"clerk"},
			TokenTTL: time.Minute, Created: time.UnixMicro(1_000_000).UTC(), Updated: time.UnixMicro(2_000_000).UTC(),
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
		want.Keys, want.DPoPBound = []store.ClientKey{{ID: "k", Algorithm: "ES256", Public: []byte{1}}}, true
		if err := s.Clients().Put(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Clients().Get(t.Context(), "billing-a"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
		// It would hand out tokens that are bound to nothing.
		if _, err := sqlstore.Open(context.WithoutCancel(t.Context()), first(t, sqlstore.Options{DSN: dsn}, 1)); err == nil || !strings.Contains(err.Error(), "upgrade") {
			t.Errorf("a binary from before opens the database: got %v, want a refusal", err)
		}
	})
}

// first returns the options of an old binary, which has the first n migrations.
func first(t *testing.T, options sqlstore.Options, n int) sqlstore.Options {
	t.Helper()
	files := fstest.MapFS{}
	names := must(fs.Glob(sqlstore.Embedded, "migrations/*.sql"))
	for _, name := range names[:n] {
		files[strings.TrimPrefix(name, "migrations/")] = &fstest.MapFile{Data: must(fs.ReadFile(sqlstore.Embedded, name))}
	}
	return sqlstore.WithMigrations(options, files)
}

// raw opens the database without the Store.
func raw(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	if file, found := strings.CutPrefix(dsn, "sqlite:"); found {
		return must(sql.Open("sqlite3", file))
	}
	return must(sql.Open("pgx", dsn))
}
