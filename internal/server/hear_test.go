package server

import (
	"database/sql"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// TestHear: a change through one node counts on the other although that one never asks by itself, and does again when its
// listening connection was cut.
func TestHear(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	config := func() Config {
		c := testConfig(t)
		c.Database, c.Issuer = dsn, "https://as.example"
		return c
	}
	here := start(t, config())
	lazy := config()
	lazy.RootKey = here.config.rootKeyPath()
	there := startLazy(t, lazy)
	made := here.newClient(t, "billing", posting)
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {made.ID}, "client_secret": {made.Secret.Reveal()}}
	counts := func(change func() error, status int, what string) {
		t.Helper()
		before := there.polled.Load()
		if err := change(); err != nil {
			t.Fatal(err)
		}
		until(t, what+": it is heard", func() bool { return there.polled.Load() > before })
		until(t, what+": it counts", func() bool { got, _, _ := there.ask(t, form, ""); return got == status })
	}
	operator := registry.System("test")
	suspend := func() error { _, err := here.registry.SuspendClient(t.Context(), operator, made.ID); return err }
	resume := func() error { _, err := here.registry.ResumeClient(t.Context(), operator, made.ID); return err }
	counts(suspend, http.StatusUnauthorized, "suspended")
	counts(resume, http.StatusOK, "resumed")

	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`); err != nil {
		t.Fatal(err)
	}
	until(t, "the log says that it is deaf", func() bool { return strings.Contains(there.log.String(), "does not hear of changes") })
	until(t, "and that it hears again", func() bool { return strings.Contains(there.log.String(), "at once again") })
	counts(suspend, http.StatusUnauthorized, "suspended after the cut")
}

// startLazy starts a server whose background work is never done by itself.
func startLazy(t *testing.T, c Config) *running {
	t.Helper()
	log := &logged{}
	s, err := New(t.Context(), c, Options{Logger: NewLogger(log, c.Log)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.loops {
		s.loops[i].every = 24 * time.Hour
	}
	return serving(t, s, log)
}
