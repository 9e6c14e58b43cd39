package remotekeys

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/jose"
)

// How long a set is used and what keeps us from asking too often.
const (
	shortestMaxAge = 5 * time.Minute  // whatever the host says
	longestMaxAge  = 15 * time.Minute // whatever the host says: a withdrawn key must not live on for longer
	maxStale       = 24 * time.Hour   // of the last good set, while fetching fails
	renewInterval  = time.Minute      // between fetches for unknown keys
	afterFailure   = 30 * time.Second // nothing is fetched
	justNow        = time.Second      // a set this young has what whoever asks to renew it is looking for
)

// A set is what was published at a time, read and checked.
type set struct {
	keys    []jose.Key
	fetched time.Time
	maxAge  time.Duration
}

// A source is what is known about one jwks_uri. Safe for concurrent use.
type source struct {
	uri    string
	weight atomic.Uint32 // bytes, about

	waiting atomic.Int32 // requests

	mu        sync.Mutex    // guards what follows
	good      *set          // the last good one; nil before the first
	flight    chan struct{} // closed when the running fetch has ended; nil when none runs
	failure   error         // of the last fetch
	nextFetch time.Time     // not before, after a failure
	nextRenew time.Time     // not before, for an unknown key
}

// baseWeight is for a source without certificates: its URI, its keys, their place in the cache.
const baseWeight = 4 << 10

func newSource(uri string) *source {
	s := &source{uri: uri}
	s.weight.Store(baseWeight)
	return s
}

// due returns a set that may be used at once, and else the fetch to wait for, if one may run. Keys that will soon be too
// old are renewed behind the caller's back; that nobody waits for those that cannot be renewed is what an outage of the
// host must not change.
func (c *Cache) due(s *source) (*set, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := c.now()
	good := s.usable(now)
	if good == nil {
		return nil, c.fetch(s, now)
	}
	age := now.Sub(good.fetched)
	if age < good.maxAge*4/5 {
		return good, nil
	}
	flight := c.fetch(s, now)
	if age < good.maxAge || s.failure != nil {
		return good, nil
	}
	return nil, flight
}

// renew returns the fetch to wait for, or none if it is too early for one; and whether there was one just now, which
// whoever asks may not have seen.
func (c *Cache) renew(s *source) (flight <-chan struct{}, just bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := c.now()
	just = s.good != nil && now.Sub(s.good.fetched) < justNow
	if s.flight != nil {
		return s.flight, just
	}
	if now.Before(s.nextRenew) {
		return nil, just
	}
	if flight = c.fetch(s, now); flight != nil {
		s.nextRenew = now.Add(renewInterval)
	}
	return flight, just
}

// fetch joins the running fetch or starts one; nil if it is too early after a failure. It needs s.mu.
func (c *Cache) fetch(s *source, now time.Time) <-chan struct{} {
	if s.flight == nil && !now.Before(s.nextFetch) {
		s.flight = make(chan struct{})
		go c.run(s, now, s.flight)
	}
	return s.flight
}

// await waits for a fetch to end, not to succeed; unless too many wait already.
func (c *Cache) await(ctx context.Context, s *source, flight <-chan struct{}) error {
	if flight == nil {
		return nil
	}
	defer c.waiting.Add(-1)
	defer s.waiting.Add(-1)
	if all, one := c.waiting.Add(1), s.waiting.Add(1); all > maxWaiting || one > maxWaitingOne {
		return errBusy
	}
	select {
	case <-flight:
		return nil
	case <-ctx.Done():
		return errSlow
	}
}

// usable returns the last good set while it is not too old. It needs mu.
func (s *source) usable(now time.Time) *set {
	if s.good != nil && now.Sub(s.good.fetched) < maxStale {
		return s.good
	}
	return nil
}

// current returns the set after a fetch, or why there is none.
func (s *source) current(now time.Time) (*set, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if good := s.usable(now); good != nil {
		return good, nil
	}
	if s.failure == nil {
		return nil, errSlow // what was fetched is too old already
	}
	return nil, s.failure
}

func (s *source) succeeded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure == nil
}

// run is a fetch. It belongs to no request: the one that started it may go away while others wait.
func (c *Cache) run(s *source, start time.Time, done chan struct{}) {
	ctx, cancel := context.WithTimeout(c.lifetime, fetchTimeout)
	defer cancel()
	defer close(done)
	fetched, err := c.load(ctx, s.uri)
	if err != nil {
		c.log.Warn("client's keys not renewed", "jwks_uri", s.uri, "error", err)
		s.failed(err, c.now())
		return
	}
	fetched.fetched = start
	s.renewed(fetched)
	c.sources.Set(s.uri, s) // weighs it again
	c.log.Debug("client's keys renewed", "jwks_uri", s.uri, "keys", len(fetched.keys), "for", fetched.maxAge)
}

// renewed takes over a set.
func (s *source) renewed(fetched *set) {
	weight := baseWeight
	for _, key := range fetched.keys {
		if key.Certificate != nil {
			weight += 3 * len(key.Certificate.Raw) // its bytes, and what they were parsed into
		}
	}
	s.weight.Store(uint32(weight))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight, s.failure, s.nextFetch = nil, nil, time.Time{}
	s.good = fetched
}

// failed keeps the last good set. Whoever waited too long for others' fetches to end may try again at once.
func (s *source) failed(err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight, s.failure = nil, err
	if err != errBusy { //nolint:errorlint // it is never wrapped
		s.nextFetch = now.Add(afterFailure + rand.N(afterFailure/8)) // jitter: after an outage not all at once
	}
}
