//go:build drills

package drills

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// crowd registers many clients in the database of a node that has ended, all with the rights and the secret of one, and returns
// them.
func crowd(t *testing.T, n *node, like party, size int) []party {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(n.data, "writ.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	template, err := s.Clients().Get(t.Context(), like.ID)
	if err != nil {
		t.Fatal(err)
	}
	var all []party
	const batch = 5000
	for len(all) < size {
		err := s.Update(t.Context(), func(tx store.Store) error {
			for i := range batch {
				c := template
				c.Name = fmt.Sprintf("crowd-%06d", len(all)+i)
				c.ID = c.Name
				if err := tx.Clients().Insert(t.Context(), c); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for range batch {
			name := fmt.Sprintf("crowd-%06d", len(all))
			all = append(all, party{ID: name, Name: name, Secret: like.Secret})
		}
	}
	return all
}

// fill puts rows into the database of a node that has ended: a history of changes, and the IDs of assertions that have expired
// or not.
func fill(t *testing.T, n *node, events, expired, live int) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(n.data, "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < $1) `
	now := time.Now()
	run := func(text string, values ...any) {
		if _, err := db.ExecContext(t.Context(), text, values...); err != nil {
			t.Fatal(err)
		}
	}
	run(many+`INSERT INTO used_ids (id, expires) SELECT 'drill-expired-' || i, $2 FROM n`, expired, now.Add(-time.Hour).UnixMicro())
	run(many+`INSERT INTO used_ids (id, expires) SELECT 'drill-live-' || i, $2 FROM n`, live, now.Add(time.Hour).UnixMicro())
	var last int64
	if err := db.QueryRowContext(t.Context(), `SELECT value FROM counters WHERE name = 'event'`).Scan(&last); err != nil {
		t.Fatal(err)
	}
	run(many+`INSERT INTO events (sequence, time, actor, action, object, detail) SELECT $2 + i, $3, 'drill', 'client.updated', 'crowd', '{}' FROM n`, events, last, now.UnixMicro())
	run(`UPDATE counters SET value = value + $1 WHERE name = 'event'`, events)
}

// lengthen puts lines into the journal of a node that has ended.
func lengthen(t *testing.T, n *node, lines int) {
	t.Helper()
	j, err := audit.Open(filepath.Join(n.data, "audit"), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const writers = 256
	var work sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			for i := range lines / writers {
				event := audit.Event{
					Time: time.Now(), Kind: "token.issued", ClientID: fmt.Sprintf("crowd-%06d", i), TokenID: fmt.Sprint(w, "-", i), Scope: "orders:read",
					Audience: []string{api}, RequestID: "drill", Remote: "127.0.0.1",
				}
				if err := j.Record(context.Background(), event); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}
