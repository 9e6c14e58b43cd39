package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// When a token is renewed, how long a fetch may take, and how soon the issuer is asked again.
const (
	renewFrom    = 0.80             // share of a token's life after which a renewal may start
	renewSpread  = 0.10             // the start is drawn from this much of it, so that a fleet does not renew at once
	fetchTimeout = 30 * time.Second // a fetch with all its attempts

	firstHold   = time.Second      // no new fetch so soon after a failed one; doubles with each further failure
	maxHold     = 5 * time.Second  // while there is no valid token
	maxHoldKept = 30 * time.Second // while there is one

	invalidateEvery = 5 * time.Second
)

// A cache holds the token for one target. At most one fetch is under way, however many callers wait for it.
type cache struct {
	// fetch obtains a token. renewal says that there still is a valid one, so that one attempt is enough.
	fetch func(ctx context.Context, renewal bool) (*Token, error)
	// failed hears of each failed fetch; kept says that there still is a valid token.
	failed func(err error, kept bool)
	// landed is called after each fetch that brought a token, when the callers have it; nil: nothing is.
	landed func(ctx context.Context)

	mu sync.Mutex
	// All below is guarded by mu.
	token       *Token    // nil at first, and after an API refused it
	renewAt     time.Time // from here on a caller starts a renewal and does not wait
	staleAt     time.Time // from here on callers wait for a new token
	flight      *flight   // the fetch under way, or nil
	failure     error     // of the last fetch; nil after a good one
	failures    int       // in a row
	holdUntil   time.Time // no fetch before
	invalidated time.Time // when a token was last dropped
}

// A flight is one fetch. token and err are set before done is closed and not touched after.
type flight struct {
	done  chan struct{}
	token *Token
	err   error
}

// get returns a valid token, waiting for one if there is none or its life is all but over.
func (c *cache) get(ctx context.Context) (*Token, error) {
	token, flight, err := c.join(ctx)
	if flight == nil {
		return token, err
	}
	if token == nil {
		return flight.wait(ctx)
	}
	// Half of what is left of the old token is spent on waiting; then it must do.
	short, cancel := context.WithTimeout(ctx, time.Until(token.Expires)/2)
	defer cancel()
	if renewed, err := flight.wait(short); err == nil {
		return renewed, nil
	}
	return token, ctx.Err()
}

// wait returns what the flight brings, or the error of ctx.
func (f *flight) wait(ctx context.Context) (*Token, error) {
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join returns the token there is and, if the caller should wait, the fetch to wait for.
func (c *cache) join(ctx context.Context) (*Token, *flight, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	valid := c.rest() > 0
	if valid && !reached(c.renewAt) {
		return c.token, nil, nil
	}
	fresh := valid && !reached(c.staleAt)
	if c.flight == nil && reached(c.holdUntil) {
		c.start(ctx, valid)
	}
	switch {
	case fresh, valid && (c.flight == nil || c.failure != nil): // the issuer has trouble: do not wait for it
		return c.token, nil, nil
	case c.flight == nil:
		return nil, nil, fmt.Errorf("not asked again so soon after: %w", c.failure)
	case valid:
		return c.token, c.flight, nil
	}
	return nil, c.flight, nil
}

// start begins a fetch. It keeps the caller's values, for tracing, and not its cancellation: the other waiters must not
// fail because the first one gave up.
func (c *cache) start(ctx context.Context, renewal bool) {
	flight := &flight{done: make(chan struct{})}
	c.flight = flight
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	go func() {
		defer cancel()
		token, err := c.fetch(ctx, renewal)
		c.land(flight, token, err)
		if err == nil && c.landed != nil {
			c.landed(ctx)
		}
	}()
}

func (c *cache) land(flight *flight, token *Token, err error) {
	flight.token, flight.err = token, err
	kept := c.record(token, err)
	if err != nil {
		c.failed(err, kept)
	}
	close(flight.done)
}

// record ends the flight under way and reports whether a failed one leaves a valid token behind.
func (c *cache) record(token *Token, err error) (kept bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flight, c.failure = nil, err
	if err != nil {
		c.failures++
		rest := c.rest()
		c.holdUntil = time.Now().Add(hold(err, c.failures, rest))
		return rest > 0
	}
	c.failures, c.token = 0, token
	c.renewAt, c.staleAt = schedule(time.Now(), token.Expires)
	return false
}

// schedule returns when a token that lives from now to expires is renewed: in the background from renewAt, with callers
// waiting from staleAt, because a token sent in its last seconds arrives dead.
func schedule(now, expires time.Time) (renewAt, staleAt time.Time) {
	life := expires.Sub(now)
	renewAt = now.Add(time.Duration(float64(life) * (renewFrom + renewSpread*rand.Float64())))
	return renewAt, expires.Add(-min(life/20, 10*time.Second))
}

// rest returns how long the token is still valid, or 0. Call it with mu held.
func (c *cache) rest() time.Duration {
	if c.token == nil || reached(c.token.Expires) {
		return 0
	}
	return time.Until(c.token.Expires)
}

// hold returns how long not to ask after failure n in a row: what the issuer asked for; else, as long as there is a
// token with some rest of life, a share of that, so that few requests meet a server in trouble; else a doubling time.
// Half of it is drawn, so that clients that failed together do not come back together.
func hold(err error, n int, rest time.Duration) time.Duration {
	if t, ok := errors.AsType[*transientError](err); ok && t.after > 0 {
		return jitter(t.after)
	}
	d := min(firstHold<<min(n-1, 10), maxHold)
	if rest > 0 {
		d = min(max(rest/2, firstHold), maxHoldKept)
	}
	return d/2 + rand.N(d/2)
}

// jitter lengthens d by up to a quarter.
func jitter(d time.Duration) time.Duration { return d + rand.N(d/4+1) }

// invalidate drops token if it is the one in the cache, and reports whether get will return another.
func (c *cache) invalidate(token *Token) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == nil || token == nil || c.token.AccessToken() != token.AccessToken() {
		return true // somebody was faster
	}
	if !c.invalidated.IsZero() && !reached(c.invalidated.Add(invalidateEvery)) {
		return false
	}
	c.token, c.invalidated = nil, time.Now()
	return true
}

// reached reports whether t has come by either clock: the monotonic one, which no administrator sets back, or the wall
// clock, which goes on while a laptop sleeps.
func reached(t time.Time) bool {
	now := time.Now()
	return !now.Before(t) || !now.Round(0).Before(t.Round(0))
}
