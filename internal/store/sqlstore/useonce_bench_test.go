package sqlstore_test

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store/storetest"
)

// BenchmarkUseOnce uses IDs from 64 callers at once, and from one.
func BenchmarkUseOnce(b *testing.B) {
	for database, dsn := range map[string]func() string{
		"SQLite":     func() string { return sqlite(b) },
		"PostgreSQL": func() string { return storetest.PostgreSQL(b) },
	} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d callers", database, callers), func(b *testing.B) {
				s := open(b, dsn())
				expires := time.Now().Add(time.Hour)
				var n atomic.Int64
				use := func() {
					if err := s.UseOnce(b.Context(), fmt.Sprintf("assertion:%024d", n.Add(1)*7919), expires); err != nil {
						b.Error(err)
					}
				}
				if callers == 1 {
					for b.Loop() {
						use()
					}
				} else {
					b.SetParallelism(callers / runtime.GOMAXPROCS(0))
					b.RunParallel(func(p *testing.PB) {
						for p.Next() {
							use()
						}
					})
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "uses/s")
			})
		}
	}
}
