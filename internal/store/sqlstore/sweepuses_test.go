package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// usesOf returns n uses of a client, each of another credential.
func usesOf(clientID string, n int, last time.Time) (uses []store.Use) {
	for i := range n {
		uses = append(uses, store.Use{ClientID: clientID, Credential: fmt.Sprintf("%05d", i), Last: last})
	}
	return uses
}

func noteUses(t *testing.T, s store.Store, uses ...store.Use) {
	t.Helper()
	if err := s.NoteUses(t.Context(), uses); err != nil {
		t.Fatal(err)
	}
}

func sweep(t *testing.T, s store.Store, now time.Time) {
	t.Helper()
	if swept, err := s.Sweep(t.Context(), now); err != nil || swept != 0 {
		t.Errorf("Sweep: got %d, %v, want 0: uses are not counted", swept, err)
	}
}

// mustHaveUses wants so many uses of the clients together.
func mustHaveUses(t *testing.T, s store.Store, when string, want int, clientIDs ...string) {
	t.Helper()
	if got := len(must(s.Uses(t.Context(), clientIDs...))); got != want {
		t.Errorf("%s: %d uses of %q, want %d", when, got, clientIDs, want)
	}
}

// TestSweepUsesInParts: a Sweep looks at so many uses, kept or not, and the next one goes on from there, to the end and anew.
func TestSweepUsesInParts(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		s, now := open(t, dsn), time.Now()
		s.SweepUsesAtMost(100)
		insert(t, s, "m")
		noteUses(t, s, slices.Concat(usesOf("m", 250, now), usesOf("x", 130, now), usesOf("y", 200, now))...)
		noteUses(t, s, usesOf("old", 1, now.Add(-store.KeepUses-time.Hour))...)
		for i, left := range []int{331, 331, 281, 181, 81, 0} {
			if i == 4 {
				noteUses(t, s, usesOf("gone", 1, now)...)
			}
			sweep(t, s, now)
			mustHaveUses(t, s, fmt.Sprint("after ", i+1, " times"), left, "x", "y", "old")
		}
		mustHaveUses(t, s, "behind the walk", 1, "gone")
		sweep(t, s, now)
		mustHaveUses(t, s, "anew from the beginning", 0, "gone")
		mustHaveUses(t, s, "of a client that is there", 250, "m")
	})
}

// TestSweepUsesOld: of a client that is there, what it used too long ago is forgotten, and no more.
func TestSweepUsesOld(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		s, now := open(t, dsn), time.Now()
		insert(t, s, "m")
		uses := usesOf("m", 1500, now.Add(-store.KeepUses+time.Hour))
		for i := range uses {
			if i%3 == 0 {
				uses[i].Last = now.Add(-store.KeepUses - time.Hour)
			}
		}
		noteUses(t, s, uses...)
		sweep(t, s, now)
		mustHaveUses(t, s, "after one Sweep", 1000, "m")
	})
}

// TestSweepUsesTakenBack: what the Sweep of an Update that failed went past is met the next time round.
func TestSweepUsesTakenBack(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		s, now, no := open(t, dsn), time.Now(), errors.New("no")
		s.SweepUsesAtMost(100)
		noteUses(t, s, usesOf("gone", 150, now)...)
		err := s.Update(t.Context(), func(tx store.Store) error {
			sweep(t, tx, now)
			mustHaveUses(t, tx, "within the Update", 50, "gone")
			return no
		})
		if !errors.Is(err, no) {
			t.Fatalf("Update: got %v, want the error of its function", err)
		}
		mustHaveUses(t, s, "taken back", 150, "gone")
		sweep(t, s, now)
		mustHaveUses(t, s, "to the end", 100, "gone")
		sweep(t, s, now)
		mustHaveUses(t, s, "from the beginning", 0, "gone")
	})
}

// TestSweepUsesAtOnce: Sweeps at once, of one node and of two, do not keep each other from the end.
func TestSweepUsesAtOnce(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s, other, now := open(t, dsn), open(t, dsn), time.Now()
	noteUses(t, s, usesOf("gone", 3000, now)...)
	swept := make(chan error)
	for i := range 6 {
		go func() {
			_, err := []store.Store{s, other}[i%2].Sweep(context.WithoutCancel(t.Context()), now)
			swept <- err
		}()
	}
	for range 6 {
		if err := <-swept; err != nil {
			t.Error(err)
		}
	}
	sweep(t, s, now) // to the end, wherever the last ones left it
	sweep(t, s, now)
	mustHaveUses(t, s, "after all", 0, "gone")
}

// TestSweepUsesNotedMeanwhile: a use that was old when the sweep came to it, and that is noted anew while it waits, stays.
func TestSweepUsesNotedMeanwhile(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s, side, now := open(t, slowly(dsn, "lock_timeout=60s&statement_timeout=60s")), connect(t, dsn), time.Now()
	insert(t, s, "m")
	noteUses(t, s, usesOf("m", 3, now.Add(-store.KeepUses-time.Hour))...)
	tx := side.begin(t)
	tx.exec(t, fmt.Sprintf(`UPDATE uses SET last = %d WHERE credential = '00001'`, now.UnixMicro()))
	swept := make(chan error)
	go func() {
		_, err := s.Sweep(context.WithoutCancel(t.Context()), now)
		swept <- err
	}()
	waitForLock(t, side)
	if err := errors.Join(tx.Commit(), <-swept); err != nil {
		t.Fatal(err)
	}
	mustHaveUses(t, s, "noted meanwhile", 1, "m")
}

// TestSweepUsesPlan: a step follows the index, and asks for one client at a time.
func TestSweepUsesPlan(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		fillUses(t, s, 2000, 10)
		var plan []string
		if strings.HasPrefix(dsn, "sqlite:") {
			plan = must(s.SweepPlan(t.Context()))
			if expired := "(expires>? AND expires<?)"; strings.Count(strings.Join(plan, "\n"), expired) != 2 { // or what never expires is gone through
				t.Errorf("want %s of the others:\n%s", expired, strings.Join(plan, "\n"))
			}
		} else {
			plan = postgresPlan(t, connect(t, dsn))
		}
		along, walk := 0, strings.Join(plan, "\n")
		for _, index := range []string{"uses_pkey on uses", "Bitmap Index Scan on uses_pkey", "SEARCH uses USING"} {
			along += strings.Count(walk, index)
		}
		if along == 0 || strings.Contains(walk, "Seq Scan") || strings.Contains(walk, "SCAN uses") || strings.Contains(walk, "SCAN clients") {
			t.Errorf("goes through a table:\n%s", walk)
		}
	})
}

// fillUses notes uses of so many clients.
func fillUses(t testing.TB, s *sqlstore.Store, clients, each int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	for at := 0; at < clients; at += 1000 {
		err := s.Update(ctx, func(tx store.Store) error {
			var uses []store.Use
			for i := at; i < min(at+1000, clients); i++ {
				c := store.Client{ID: fmt.Sprintf("machine-%07d", i*7919%1_000_003), Name: fmt.Sprint(i)}
				if err := tx.Clients().Insert(ctx, c); err != nil {
					return err
				}
				uses = append(uses, usesOf(c.ID, each, time.Now())...)
			}
			return tx.NoteUses(ctx, uses)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// postgresPlan returns how PostgreSQL goes about the statements, once it knows how large the tables are.
func postgresPlan(t *testing.T, side side) (plan []string) {
	t.Helper()
	side.SetMaxOpenConns(1)
	side.exec(t, `VACUUM ANALYZE clients, uses`)
	side.exec(t, `PREPARE step (text, text, bigint) AS `+sqlstore.ReadUsesStep)
	side.exec(t, `PREPARE sweep (text, text, text, text, bigint) AS `+sqlstore.SweepUses)
	for _, mode := range []string{"force_generic_plan", "force_custom_plan"} {
		side.exec(t, `SET plan_cache_mode = `+mode)
		for _, call := range []string{`step ('machine-0500000', '00003', 500)`, `sweep ('machine-0500000', '00003', 'machine-0520000', '00005', 1)`} {
			rows := must(side.QueryContext(t.Context(), `EXPLAIN EXECUTE `+call))
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					t.Fatal(err)
				}
				plan = append(plan, line)
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return plan
}
