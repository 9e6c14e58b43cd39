package authority

import (
	"sync/atomic"
	"time"
)

// A Pace says how many tokens a client gets at a node: Burst at once, then Rate a second (GCRA). A Rate of 0 is as many as it
// likes. It counts clients that have authenticated: nobody uses up the share of another.
type Pace struct{ Rate, Burst int }

// take counts a request of a client, whose state is when it will have worked off its requests, in Unix nanoseconds. It returns
// an *Unavailable for one too many, and that one is not counted. It costs one atomic exchange, and nothing without a limit.
func (p Pace) take(state *atomic.Int64, clock func() time.Time) error {
	if p.Rate <= 0 {
		return nil
	}
	now, interval := clock().UnixNano(), int64(time.Second)/int64(p.Rate)
	borne := now + int64(max(1, p.Burst)-1)*interval
	for {
		until := state.Load()
		if until > borne {
			return &Unavailable{RetryAfter: time.Duration(until - borne), Fault: FaultRequests}
		}
		if state.CompareAndSwap(until, max(until, now)+interval) {
			return nil
		}
	}
}
