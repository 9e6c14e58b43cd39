package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// A trailBench is a node's journal and database, with what a server does about them.
type trailBench struct {
	trail

	t       *testing.T
	file    string // of the database
	journal *audit.Journal
	anchor  *anchor
	clock   time.Time
}

func newTrailBench(t *testing.T) *trailBench {
	t.Helper()
	dir := t.TempDir()
	b := &trailBench{t: t, file: filepath.Join(dir, "data", "writ.db"), clock: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + b.file})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := audit.NewSigner(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	b.trail = trail{dir: filepath.Join(dir, "audit"), store: s, keys: []string{signer.Key()}, alone: true}
	began := b.clock // the journal signs in a goroutine of its own, which must not look at the clock
	now := func() time.Time { return b.clock }
	b.journal, err = audit.Open(b.dir, audit.Options{Signer: signer, MaxFileBytes: 1000, Now: func() time.Time { return began }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = b.journal.Close(), s.Close() })
	b.anchor = &anchor{journal: b.journal, store: s, now: now, logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	return b
}

// live lets n things happen and be changed, in turn, and signs.
func (b *trailBench) live(n int) {
	b.t.Helper()
	for i := range n {
		b.clock = b.clock.Add(time.Second)
		event := audit.Event{Time: b.clock, Kind: "token.issued", ClientID: fmt.Sprint("c", i%3), TokenID: fmt.Sprint("t", i), RequestID: fmt.Sprint("r", i)}
		if i%4 == 3 {
			event.Kind, event.Reason = "token.refused", "wrong_secret"
		}
		if err := b.journal.Record(b.t.Context(), event); err != nil {
			b.t.Fatal(err)
		}
		b.clock = b.clock.Add(time.Second)
		change := store.Event{Time: b.clock, Actor: "operator", Action: "client.created", Object: fmt.Sprint("c", i%3)}
		if err := b.store.Append(b.t.Context(), change); err != nil {
			b.t.Fatal(err)
		}
	}
	b.sign()
}

func (b *trailBench) sign() {
	b.t.Helper()
	if err := b.anchor.step(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *trailBench) exec(statements ...string) {
	b.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+b.file)
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(b.t.Context(), statement); err != nil {
			b.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// findings returns what is found, place and text in one.
func (b *trailBench) findings() (found []string) {
	b.t.Helper()
	report, err := b.verify(b.t.Context())
	if err != nil || report.Good != (len(report.Findings) == 0) {
		b.t.Fatalf("%+v, %v", report, err)
	}
	for _, f := range report.Findings {
		found = append(found, fmt.Sprintf("%s:%d:%d %s", f.File, f.Line, f.Change, f.Text))
	}
	return found
}

// rehash makes every hash of the history good again, as whoever knows how they are made can.
func (b *trailBench) rehash() {
	b.t.Helper()
	events, err := b.store.Events(b.t.Context(), 0, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	var chain store.Chain
	for _, e := range events {
		e = chain.Link(e, e.Sequence)
		chain, _ = chain.Next(e)
		b.exec(fmt.Sprintf("UPDATE events SET hash = '%s' WHERE sequence = %d", e.Hash, e.Sequence))
	}
}

func TestOP12Trail(t *testing.T) {
	for _, test := range []struct {
		name   string
		tamper func(*trailBench)
		want   string // a finding begins so; "" means nothing is found
	}{
		{"nothing", func(*trailBench) {}, ""},
		{"a change edited", func(b *trailBench) { b.exec("UPDATE events SET actor = 'x' WHERE sequence = 3") }, ":0:3 its hash"},
		{"a change removed", func(b *trailBench) { b.exec("DELETE FROM events WHERE sequence = 3") }, ":0:4 it does not come after"},
		{"the last changes removed", func(b *trailBench) { b.exec("DELETE FROM events WHERE sequence > 6") }, ":0:6 the history ends here; a checkpoint says that it went to change 8"},
		{"a change edited, the hashes made good", func(b *trailBench) {
			b.exec("UPDATE events SET actor = 'x' WHERE sequence = 3")
			b.rehash()
		}, ":0:8 a checkpoint says otherwise"},
		{"the history rewritten, and the database's checkpoint gone", func(b *trailBench) {
			b.exec("UPDATE events SET actor = 'x' WHERE sequence = 3", "DELETE FROM checkpoints")
			b.rehash()
		}, ":0:8 a checkpoint says otherwise"},
		{"the database's checkpoint edited", func(b *trailBench) {
			b.exec("UPDATE checkpoints SET note = replace(note, 'history 8', 'history 7')")
		}, ":0:0 the checkpoint that is kept elsewhere: "},
		{"the journal removed", func(b *trailBench) {
			if err := os.RemoveAll(b.dir); err != nil {
				b.t.Fatal(err)
			}
		}, ":0:0 the journal "},
		{"the journal's last file removed", func(b *trailBench) {
			names, err := filepath.Glob(filepath.Join(b.dir, "*.jsonl"))
			if err != nil {
				b.t.Fatal(err)
			}
			if err := os.Remove(slices.Max(names)); err != nil {
				b.t.Fatal(err)
			}
		}, "000000"},
	} {
		t.Run("OP-12 "+test.name, func(t *testing.T) {
			b := newTrailBench(t)
			b.live(8)
			if got := b.findings(); len(got) != 0 {
				t.Fatalf("before: %q", got)
			}
			test.tamper(b)
			got := b.findings()
			if test.want == "" && len(got) > 0 || test.want != "" && !slices.ContainsFunc(got, func(f string) bool { return strings.HasPrefix(f, test.want) }) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestTamperedHistoryIsNotSigned: what does not hold is never given a signature that says it does.
func TestTamperedHistoryIsNotSigned(t *testing.T) {
	b := newTrailBench(t)
	b.live(4)
	b.exec("UPDATE events SET actor = 'x' WHERE sequence = 2")
	b.anchor.history = store.Chain{} // a server that starts goes along all of it
	b.live(2)
	if signed := b.anchor.history.Sequence; signed != 1 {
		t.Errorf("signed up to %d, want 1, before what was tampered with", signed)
	}
	if got := b.findings(); len(got) == 0 {
		t.Error("nothing is found any more")
	}
	report, err := b.verify(t.Context())
	if err != nil || report.History.Signed != 4 {
		t.Errorf("signed up to %d, %v, want 4, from before", report.History.Signed, err)
	}
}

// pages reads everything that passes a filter, a few records at a time.
func (b *trailBench) pages(filter adminapi.AuditFilter, limit int) (kinds []string, last string) {
	b.t.Helper()
	for after, n := "", 0; ; n++ {
		page, err := b.page(b.t.Context(), filter, after, limit)
		if err != nil || len(page.Items) > limit || n > 1000 {
			b.t.Fatalf("%+v, %v", page, err)
		}
		for _, r := range page.Items {
			kinds = append(kinds, r.Source[:1]+r.ClientID+r.Object)
		}
		if after = page.Position; page.Next == "" {
			return kinds, page.Position
		}
	}
}

func TestTrailPages(t *testing.T) {
	b := newTrailBench(t)
	b.live(6)
	checkpoints := func(kinds []string) []string {
		return slices.DeleteFunc(kinds, func(k string) bool { return k == "j" })
	}
	want := []string{"jc0", "hc0", "jc1", "hc1", "jc2", "hc2", "jc0", "hc0", "jc1", "hc1", "jc2", "hc2"}
	for limit := 1; limit < 15; limit++ {
		got, _ := b.pages(adminapi.AuditFilter{}, limit)
		if got = checkpoints(got); !slices.Equal(got, want) {
			t.Errorf("%d at a time: got %v", limit, got)
		}
	}
	_, end := b.pages(adminapi.AuditFilter{}, 100)
	b.live(1)
	page, err := b.page(t.Context(), adminapi.AuditFilter{}, end, 100)
	if err != nil || len(page.Items) < 2 || page.Items[0].TokenID != "t0" {
		t.Errorf("behind the end: %+v, %v", page, err)
	}
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		filter adminapi.AuditFilter
		want   []string
	}{
		{adminapi.AuditFilter{Client: "c1"}, []string{"jc1", "hc1", "jc1", "hc1"}},
		{adminapi.AuditFilter{Client: "c"}, nil},
		{adminapi.AuditFilter{Kind: "token"}, []string{"jc0", "jc1", "jc2", "jc0", "jc1", "jc2", "jc0"}},
		{adminapi.AuditFilter{Kind: "toke"}, nil},
		{adminapi.AuditFilter{Reason: "wrong_secret"}, []string{"jc0"}},
		{adminapi.AuditFilter{Actor: "operator", Client: "c2"}, []string{"hc2", "hc2"}},
		{adminapi.AuditFilter{RequestID: "r4"}, []string{"jc1"}},
		{adminapi.AuditFilter{Since: start.Add(3 * time.Second), Until: start.Add(6 * time.Second)}, []string{"jc1", "hc1", "jc2"}},
	} {
		if got, _ := b.pages(test.filter, 3); !slices.Equal(checkpoints(got), test.want) {
			t.Errorf("%+v: got %v, want %v", test.filter, got, test.want)
		}
	}
}

// TestCO17Audit: a place that no page said is no place.
func TestCO17Audit(t *testing.T) {
	b := newTrailBench(t)
	b.live(2)
	for _, after := range []string{"x", "1", "1.2", "1.1.0", "1.999999999.0", "-1.0.0", "1.-5.0", "0.0.-1", "1.0.0.0", "01.0.0", "1.0.0 ", "1.0.0;drop", "99999999999999999999.0.0", "../../etc.0.0"} {
		_, err := b.page(context.Background(), adminapi.AuditFilter{}, after, 10)
		if !errors.Is(err, registry.Invalid) {
			t.Errorf("CO-17: %q: got %v", after, err)
		}
	}
}
