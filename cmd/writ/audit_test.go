package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/admin"
)

// hostileRecord is what an attacker gets into the journal: a client_id of its choice, and what else a request has.
func hostileRecord(text string) admin.AuditRecord {
	return admin.AuditRecord{
		Time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Kind: "token.refused", Source: "journal", ClientID: text, Reason: text, RequestID: text,
		Remote: text, Scope: text, Audience: []string{text}, Count: 2,
	}
}

// TestCO08CSV: no cell is a formula, whatever a spreadsheet takes for one, and nothing leaves its cell.
func TestCO08CSV(t *testing.T) {
	for _, text := range []string{
		`=HYPERLINK("https://evil.test","x")`, "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "a,b", `a"b`, "a\nb;=1",
	} {
		var out bytes.Buffer
		write := newAuditWriter(&out, false, true)
		if err := write.record(hostileRecord(text)); err != nil {
			t.Fatal(err)
		}
		if err := write.flush(); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(rows) != 2 || len(rows[1]) != len(csvColumns) {
			t.Fatalf("%q: %v, %v", text, rows, err)
		}
		for i, cell := range rows[1] {
			if strings.IndexAny(cell, "=+-@\t\r\n＝＋－＠") == 0 {
				t.Errorf("CO-08: %q: the cell %s is %q", text, csvColumns[i], cell)
			}
		}
	}
}

// TestOP13List: what stands in a record does nothing to a terminal, and makes no line of its own.
func TestOP13List(t *testing.T) {
	for _, text := range []string{"\x1b[31mred", "a\nb", "a\rb", "\u202egnp.exe", "a\u2028b", "\x00", "\u009b31m", "\ufeff"} {
		for _, asJSON := range []bool{false, true} {
			var out bytes.Buffer
			write := newAuditWriter(&out, asJSON, false)
			if err := write.record(hostileRecord(text)); err != nil {
				t.Fatal(err)
			}
			lines := 1
			if !asJSON {
				lines = 2
			}
			if got := strings.Count(out.String(), "\n"); got != lines {
				t.Errorf("OP-13: %q: %d lines, want %d", text, got, lines)
			}
			if i := strings.IndexFunc(out.String(), func(r rune) bool { return r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x2028 }); i >= 0 && !asJSON {
				t.Errorf("OP-13: %q: byte %d of %q", text, i, out.String())
			}
		}
	}
}

func TestWhenever(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                     {},
		"90m":                  now.Add(-90 * time.Minute),
		"2026-11-21T10:00:00Z": time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC),
		"2026-11-21":           time.Date(2026, 11, 21, 0, 0, 0, 0, time.Local),
	} {
		if got, err := whenever(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "2026-13-01", "1"} {
		if got, err := whenever(text, now); err == nil {
			t.Errorf("%q: got %v", text, got)
		}
	}
}

// TestListFollows: it goes on where it was, and nothing is written twice.
func TestListFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(context.Background())
		asked := 0
		trail := auditTrail{Page: func(_ context.Context, _ admin.AuditFilter, after string, _ int) (admin.AuditPage, error) {
			want := ""
			if asked > 0 {
				want = fmt.Sprint("place ", asked)
			}
			if after != want {
				t.Errorf("asked for what is behind %q, want %q", after, want)
			}
			asked++
			page := admin.AuditPage{Position: fmt.Sprint("place ", asked), Items: []admin.AuditRecord{{Kind: fmt.Sprint("k", asked)}}}
			switch asked {
			case 1:
				page.Next = page.Position
			case 4:
				stop()
			}
			return page, nil
		}}
		began := time.Now()
		var out bytes.Buffer
		if err := listAudit(ctx, trail, admin.AuditFilter{}, true, newAuditWriter(&out, true, false)); err != nil {
			t.Fatal(err)
		}
		for n := range 4 {
			if strings.Count(out.String(), fmt.Sprintf(`"k%d"`, n+1)) != 1 {
				t.Errorf("record %d: %s", n+1, out.String())
			}
		}
		if took := time.Since(began); took != 2*followEvery {
			t.Errorf("it waited %s", took)
		}
	})
}
