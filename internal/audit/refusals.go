package audit

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// maxCounted bounds how many kinds and reasons are counted apart. Both are fixed words of ours; should one ever carry what
// a caller sent, the memory stays bounded all the same.
const maxCounted = 64

// refusals bounds what a flood of refused requests may write. The journal's mutex guards it.
type refusals struct {
	events bucket
	bytes  bucket
	low    bool // the disk is nearly full: count only
	counts map[counted]int64
}

type counted struct{ kind, reason string }

func newRefusals(options Options) refusals {
	rate := float64(options.RefusalsPerSecond)
	daily := float64(options.RefusalBytesPerDay)
	return refusals{
		events: bucket{perSecond: rate, most: 10 * rate},
		bytes:  bucket{perSecond: daily / (24 * 60 * 60), most: daily},
		counts: map[counted]int64{},
	}
}

// oneByOne reports whether a refusal of size bytes may have a line of its own.
func (r *refusals) oneByOne(now time.Time, size int) bool {
	const perLine = len(linkPrefix) + linkText + len("\",\n")
	return !r.low && r.bytes.has(now, float64(size+perLine)) && r.events.has(now, 1) &&
		r.bytes.spend(float64(size+perLine)) && r.events.spend(1)
}

func (r *refusals) count(event Event) {
	key := counted{event.Kind, event.Reason}
	if _, known := r.counts[key]; !known && len(r.counts) >= maxCounted {
		key = counted{"other.refused", "other"}
	}
	r.counts[key] += max(event.Count, 1)
}

// take returns what was counted, as events, and starts again at nothing.
func (r *refusals) take(now time.Time) []Event {
	keys := slices.SortedFunc(maps.Keys(r.counts), func(a, b counted) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.reason, b.reason))
	})
	var events []Event
	for _, key := range keys {
		events = append(events, Event{Time: now, Kind: key.kind, Reason: key.reason, Count: r.counts[key]})
	}
	clear(r.counts)
	return events
}

// A bucket holds up to most, and fills by perSecond. Its zero time is full.
type bucket struct {
	perSecond, most float64
	level           float64
	filled          time.Time
}

// has fills the bucket up to now and reports whether it holds n.
func (b *bucket) has(now time.Time, n float64) bool {
	if b.filled.IsZero() {
		b.level, b.filled = b.most, now
	}
	if passed := now.Sub(b.filled); passed > 0 {
		b.level = min(b.most, b.level+passed.Seconds()*b.perSecond)
		b.filled = now
	}
	return b.level >= n
}

// spend takes n out; has has said that it is there.
func (b *bucket) spend(n float64) bool {
	b.level -= n
	return true
}
