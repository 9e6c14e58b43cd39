package sqlstore_test

import (
	"errors"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// TestST12 follows docs/operations.md, section "PostgreSQL roles", to the letter, and then tries what the server's role
// must not be able to do.
func TestST12(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	super := connect(t, dsn)
	before, after := documentedRoles(t)
	super.exec(t, before)
	t.Cleanup(func() { // roles are the server's, not the database's
		if _, err := super.Exec(`DROP OWNED BY writ_server; DROP OWNED BY writ_owner CASCADE; DROP ROLE writ_server, writ_owner`); err != nil {
			t.Error(err)
		}
	})
	super.exec(t, `ALTER ROLE writ_owner PASSWORD 'owner'`)
	super.exec(t, `ALTER ROLE writ_server PASSWORD 'server'`)
	super.exec(t, `CREATE SCHEMA other; CREATE TABLE other.secrets (id TEXT)`)
	as := func(user string) string {
		u := must(url.Parse(dsn))
		u.User = url.UserPassword("writ_"+user, user)
		return u.String()
	}

	if _, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: as("server")}); err == nil || !strings.Contains(err.Error(), "42501") {
		t.Errorf("the server's role migrates: got %v, want permission denied (42501)", err)
	}
	if _, err := sqlstore.Migrate(t.Context(), sqlstore.Options{DSN: as("owner")}); err != nil {
		t.Fatalf("the owner migrates: %v", err)
	}
	super.exec(t, `SET search_path = writ; `+after)
	serveAs(t, openWith(t, sqlstore.Options{DSN: as("server"), NoMigrate: true}))
	if _, err := sqlstore.Migrate(t.Context(), newer(t, sqlstore.Options{DSN: as("owner")}, expand)); err != nil {
		t.Fatalf("the owner migrates again: %v", err)
	}
	openWith(t, sqlstore.Options{DSN: as("server")}) // nothing pending: the default needs no right either

	server := connect(t, as("server"))
	for _, forbidden := range []string{
		`CREATE TABLE evil (id TEXT)`,
		`CREATE TABLE public.evil (id TEXT)`,
		`CREATE SCHEMA evil`,
		`ALTER TABLE clients ADD COLUMN evil TEXT`,
		`DROP TABLE clients`,
		`TRUNCATE clients`,
		`CREATE INDEX evil ON clients (name)`,
		`COPY clients TO PROGRAM 'id'`,
		`COPY clients FROM PROGRAM 'id'`,
		`COPY clients TO '/tmp/evil'`,
		`SELECT * FROM other.secrets`,
		`SELECT rolpassword FROM pg_authid`,
		`SELECT pg_read_file('/etc/passwd')`,
		`CREATE ROLE evil SUPERUSER`,
		`ALTER ROLE writ_server SUPERUSER`,
		`SET ROLE writ_owner`,
		`CREATE EXTENSION adminpack`,
		`DELETE FROM events`,
		`UPDATE events SET actor = 'someone else'`,
		`UPDATE writ_schema SET readable_from = 99`,
		`DELETE FROM writ_migrations`,
	} {
		if _, err := server.ExecContext(t.Context(), forbidden); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s: got %v, want permission denied (42501)", forbidden, err)
		}
	}
}

// documentedRoles returns the statements of the section's two blocks.
func documentedRoles(t *testing.T) (before, after string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## PostgreSQL roles\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(blocks) != 2 {
		t.Fatalf("section PostgreSQL roles has %d blocks of SQL, want 2", len(blocks))
	}
	return blocks[0][1], blocks[1][1]
}

// serveAs does everything that a Store can do.
func serveAs(t *testing.T, s store.Store) {
	t.Helper()
	ctx := t.Context()
	err := errors.Join(
		s.Clients().Insert(ctx, store.Client{ID: "a", Name: "a"}),
		s.Clients().Put(ctx, store.Client{ID: "a", Name: "b"}),
		s.Clients().Delete(ctx, "a"),
		s.Resources().Insert(ctx, store.Resource{URI: "a"}),
		s.Roles().Insert(ctx, store.Role{Name: "a"}),
		s.Keys().Insert(ctx, store.SigningKey{ID: "a"}),
		s.Revocations().Insert(ctx, store.Revocation{TokenID: "a", Expires: time.Unix(1, 0)}),
		s.UseOnce(ctx, "a", time.Unix(1, 0)),
		s.UseOnce(ctx, "a", time.Unix(1, 0)),
		s.Append(ctx, store.Event{Action: "client.created"}),
		s.Ping(ctx),
	)
	if err != nil {
		t.Errorf("the server's role serves: %v", err)
	}
	if swept, err := s.Sweep(ctx, time.Now()); err != nil || swept != 2 {
		t.Errorf("the server's role sweeps: got %d, %v, want 2", swept, err)
	}
	if events, err := s.Events(ctx, 0, 10); err != nil || len(events) != 1 {
		t.Errorf("the server's role reads events: got %d, %v, want 1", len(events), err)
	}
}
