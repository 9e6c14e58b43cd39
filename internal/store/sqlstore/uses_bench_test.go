package sqlstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// BenchmarkNoteUses notes 500 uses at once, of credentials that were noted before.
func BenchmarkNoteUses(b *testing.B) {
	for database, dsn := range map[string]func() string{
		"SQLite":     func() string { return sqlite(b) },
		"PostgreSQL": func() string { return storetest.PostgreSQL(b) },
	} {
		b.Run(database, func(b *testing.B) {
			s, at := open(b, dsn()), time.Now()
			var uses []store.Use
			for i := range 500 {
				uses = append(uses, store.Use{ClientID: fmt.Sprintf("machine-%07d", i*7919%100_000), Credential: "first", Remote: "192.0.2.1", Agent: "bench/1"})
			}
			for b.Loop() {
				at = at.Add(time.Minute)
				for i := range uses {
					uses[i].Last = at
				}
				if err := s.NoteUses(b.Context(), uses); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(uses)), "µs/use")
		})
	}
}

// BenchmarkSweepUses sweeps where 20 000 clients have used ten credentials each, of which none is to go.
func BenchmarkSweepUses(b *testing.B) {
	for database, dsn := range map[string]func() string{
		"SQLite":     func() string { return sqlite(b) },
		"PostgreSQL": func() string { return storetest.PostgreSQL(b) },
	} {
		b.Run(database, func(b *testing.B) {
			s := open(b, dsn())
			fillUses(b, s, 20_000, 10)
			for b.Loop() {
				if _, err := s.Sweep(b.Context(), time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
