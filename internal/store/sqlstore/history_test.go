package sqlstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// TestUpgradeFrom2: events from before there were hashes stay as they are, and the first one behind them covers them.
func TestUpgradeFrom2(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		if _, err := sqlstore.Migrate(t.Context(), first(t, sqlstore.Options{DSN: dsn}, 2)); err != nil {
			t.Fatal(err)
		}
		old := raw(t, dsn)
		defer old.Close()
		execute := func(statement string) {
			t.Helper()
			if _, err := old.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 3 {
			execute(fmt.Sprintf(`INSERT INTO events (sequence, time, actor, action, object, detail) VALUES (%d, 1000000, 'op', 'client.created', 'c%d', '{}')`, n+1, n))
		}
		execute(`UPDATE counters SET value = 3 WHERE name = 'event'`)
		s := open(t, dsn)
		if err := s.Append(t.Context(), store.Event{Action: "client.deleted"}); err != nil {
			t.Fatal(err)
		}
		if got := breaks(t, s); len(got) != 0 {
			t.Errorf("a history with hashes from the fourth event on: %q", got)
		}
		execute(`UPDATE events SET actor = 'nobody' WHERE sequence = 2`)
		if got := breaks(t, s); len(got) != 1 || !strings.HasPrefix(got[0], "4: its hash is not") {
			t.Errorf("an old event was changed: got %q, want the first with a hash to say so", got)
		}
	})
}

// breaks returns where the history of a store does not hold.
func breaks(t *testing.T, s store.Store) (found []string) {
	t.Helper()
	_, err := store.Chain{}.Follow(t.Context(), s, func(e store.Event, _ store.Chain, broken error) error {
		if broken != nil {
			found = append(found, fmt.Sprint(e.Sequence, ": ", broken))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestOP12History tampers with the rows of the history, as whoever has the database can.
func TestOP12History(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, statement string
		at              []string // where it is found, and how that begins
	}{
		{"actor", `UPDATE events SET actor = 'x' WHERE sequence = 3`, []string{"3: its hash"}},
		{"action", `UPDATE events SET action = 'x' WHERE sequence = 3`, []string{"3: its hash"}},
		{"object", `UPDATE events SET object = 'x' WHERE sequence = 3`, []string{"3: its hash"}},
		{"detail", `UPDATE events SET detail = 'x' WHERE sequence = 3`, []string{"3: its hash"}},
		{"a letter from one field to the next", `UPDATE events SET actor = actor || 'c', action = substr(action, 2) WHERE sequence = 3`, []string{"3: its hash"}},
		{"time", `UPDATE events SET time = time + 1 WHERE sequence = 3`, []string{"3: its hash"}},
		{"the last one", `UPDATE events SET actor = 'x' WHERE sequence = 5`, []string{"5: its hash"}},
		{"hash", `UPDATE events SET hash = 'x' WHERE sequence = 3`, []string{"3: its hash", "4: its hash"}},
		{"no hash", `UPDATE events SET hash = '' WHERE sequence = 3`, []string{"3: it has no hash"}},
		{"removed", `DELETE FROM events WHERE sequence = 3`, []string{"4: it does not come"}},
		{"removed at the start", `DELETE FROM events WHERE sequence = 1`, []string{"2: it does not come"}},
		{"removed, and closed up", `DELETE FROM events WHERE sequence = 3; UPDATE events SET sequence = 3 WHERE sequence = 4; UPDATE events SET sequence = 4 WHERE sequence = 5`,
			[]string{"3: its hash", "4: its hash"}},
		{"two swapped", `UPDATE events SET sequence = 9 WHERE sequence = 3; UPDATE events SET sequence = 3 WHERE sequence = 4; UPDATE events SET sequence = 4 WHERE sequence = 9`,
			[]string{"3: its hash", "4: its hash", "5: its hash"}},
		{"put in", `INSERT INTO events (sequence, time, actor, action, object, detail, hash) VALUES (6, 0, '', '', '', '', '')`, []string{"6: it has no hash"}},
		{"put in, with a hash", `INSERT INTO events (sequence, time, actor, action, object, detail, hash) VALUES (6, 0, '', '', '', '', 'x')`, []string{"6: its hash"}},
		{"copied", `INSERT INTO events (sequence, time, actor, action, object, detail, hash) SELECT 6, time, actor, action, object, detail, hash FROM events WHERE sequence = 5`,
			[]string{"6: its hash"}},
	} {
		t.Run("OP-12 "+test.name, func(t *testing.T) {
			dsn := sqlite(t)
			s := open(t, dsn)
			for n := range 5 {
				if err := s.Append(t.Context(), store.Event{Actor: "op", Action: "client.created", Object: fmt.Sprint("c", n), Detail: "{}"}); err != nil {
					t.Fatal(err)
				}
			}
			if got := breaks(t, s); len(got) != 0 {
				t.Fatalf("before: %q", got)
			}
			db := raw(t, dsn)
			defer db.Close()
			if _, err := db.ExecContext(t.Context(), test.statement); err != nil {
				t.Fatal(err)
			}
			got := breaks(t, s)
			if !slices.EqualFunc(got, test.at, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, test.at)
			}
		})
	}
}
