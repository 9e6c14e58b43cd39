package sqlstore_test

import (
	"context"
	"database/sql"
	"io/fs"
	"reflect"
	"slices"
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

// TestUpgradeFrom7: of clients from before it is known when something ends; at least whether, of which not all is.
func TestUpgradeFrom7(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		if _, err := sqlstore.Migrate(t.Context(), first(t, sqlstore.Options{DSN: dsn}, 7)); err != nil {
			t.Fatal(err)
		}
		old := raw(t, dsn)
		hash, noon := store.HashSecret("right"), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		secret := func(more string) string {
			return `[{"id":"s","name":"\"expires\":1","hash":"` + hash + `","created":1,"expires":0}` + more + `]`
		}
		for id, row := range map[string][4]string{
			"never":         {secret(`,{"id":"t","hash":"` + hash + `","created":1,"expires":0}`), `[{"id":"k","algorithm":"ES256","public":"","certificate":"","created":1,"expires":0}]`, "", "{}"},
			"none":          {`[]`, `[]`, "", "{}"},
			"secret ends":   {secret(`,{"id":"t","hash":"` + hash + `","created":1,"expires":1763899200000000}`), `[]`, "", "{}"},
			"key ends":      {`[]`, `[{"id":"k","algorithm":"ES256","public":"","certificate":"","created":1,"expires":5}]`, "", "{}"},
			"theirs":        {secret(`,{"id":"t","hash":"$2a$10$x","created":1,"expires":0}`), `[]`, "", "{}"},
			"former":        {`[]`, `[]`, "client_secret_basic", "{}"},
			"of themselves": {`[]`, `[]`, "", `{"first_use":1000000}`},
		} {
			_, err := old.ExecContext(t.Context(), `INSERT INTO clients (id, name, auth_method, grant_types, secrets, grants, roles, resource_server_for,
				multiple_audiences, token_ttl, suspended, not_before, created, updated, keys, former_method, registration) VALUES ($1, $1, 'none', '[]',
				$2, '[]', '[]', '[]', FALSE, 0, FALSE, 0, 0, 0, $3, $4, $5)`, id, row[0], row[1], row[2], row[3])
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}
		s := open(t, dsn)
		due := func() (ids []string) {
			must(0, store.EachDue(t.Context(), s, time.Time{}, func(c store.Client) error {
				ids = append(ids, c.ID)
				return nil
			}))
			return ids
		}
		if got, want := due(), []string{"former", "key ends", "of themselves", "secret ends", "theirs"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		client := must(s.Clients().Get(t.Context(), "secret ends"))
		client.Secrets[0].Expires, client.Secrets[1].Expires = time.Time{}, noon
		if err := s.Clients().Put(t.Context(), client); err != nil {
			t.Fatal(err)
		}
		if got, want := due(), []string{"former", "key ends", "of themselves", "theirs"}; !slices.Equal(got, want) {
			t.Errorf("after it was written: got %q, want %q", got, want)
		}
		// It would hide from those who look what ends.
		if _, err := sqlstore.Open(context.WithoutCancel(t.Context()), first(t, sqlstore.Options{DSN: dsn}, 7)); err == nil || !strings.Contains(err.Error(), "upgrade") {
			t.Errorf("a binary from before opens the database: got %v, want a refusal", err)
		}
	})
}
