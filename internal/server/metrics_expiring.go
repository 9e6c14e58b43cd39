package server

import (
	"context"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
)

// How often the clients are read for what expires: when something was changed, but not more often than every half an hour;
// and every twelve hours, because the days go by.
const (
	expiringSoonest = 30 * time.Minute
	expiringLatest  = 12 * time.Hour
)

// expiringDays are the windows that are told, in order.
var expiringDays = []struct {
	name string
	days int
}{{"1d", 1}, {"7d", 7}, {"30d", 30}}

var (
	labelCredential = label{"kind", []string{"secret", "key"}}
	labelWithin     = label{"within", []string{"1d", "7d", "30d"}}
)

// expiring knows when the credentials of clients expire that do so before long, but for those that end as they should
// (registry.Expiring). They are read in the background, and counted
// from memory when somebody asks: one number for each.
type expiring struct {
	registry *registry.Registry
	store    store.Store
	now      func() time.Time

	reading    sync.Mutex
	generation int64     // under reading
	readAt     time.Time // under reading

	mu   sync.Mutex
	ends map[string][]int64 // sorted Unix seconds, by kind; under mu; nil until they were read
}

// refresh reads the clients again if it is time to.
func (e *expiring) refresh(ctx context.Context) error {
	e.reading.Lock()
	defer e.reading.Unlock()
	now := e.now()
	age := now.Sub(e.readAt)
	if age < expiringSoonest {
		return nil
	}
	generation, err := e.store.Generation(ctx)
	if err != nil || generation == e.generation && age < expiringLatest {
		return err
	}
	ends := map[string][]int64{}
	err = e.registry.Expiring(ctx, store.EachDueAtEase, 30*day+expiringLatest, func(x registry.Expiry) {
		ends[x.Kind] = append(ends[x.Kind], x.Expires.Unix())
	})
	if err != nil {
		return err
	}
	for _, of := range ends {
		slices.Sort(of)
	}
	e.generation, e.readAt = generation, now
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ends = ends
	return nil
}

// tell says how many expire within each window. Nothing is told before the clients were read: 0 would be a claim.
func (e *expiring) tell(tell func(float64, ...string)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ends == nil {
		return
	}
	now := e.now()
	for _, kind := range labelCredential.values {
		of := e.ends[kind]
		gone := sort.Search(len(of), func(i int) bool { return of[i] > now.Unix() })
		for _, window := range expiringDays {
			end := now.Add(time.Duration(window.days) * day).Unix()
			tell(float64(sort.Search(len(of), func(i int) bool { return of[i] > end })-gone), kind, window.name)
		}
	}
}
