package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A target is where requests go, what they are, and what a good answer holds.
type target struct {
	name    string
	address string
	others  []string    // addresses that the connections are spread over, in the place of the one
	tls     *tls.Config // nil: plain HTTP
	good    []byte
	// request appends a request. It is called by many goroutines at once.
	request func(dst []byte) []byte
	// fresh, in the place of request, makes one that is good only once. It is called ahead of the run, as often as the run may
	// need it, so that the run does not wait for signatures of the generator.
	fresh func() ([]byte, error)
}

// A load is what is done to a target.
type load struct {
	connections int
	duration    time.Duration
	// rate is how many requests begin in a second, whether or not those before were answered: one that has to wait for a
	// connection waits on the clock (open loop). 0: each connection sends its next request when it has its answer (closed
	// loop), which finds out how many there can be, and is no way to tell how long they take.
	rate float64
	// most ends the load after so many requests; 0: the duration alone does.
	most int
}

// An outcome is what came of a load.
type outcome struct {
	requests int
	elapsed  time.Duration
	took     []time.Duration // each request, in order of size
}

func (o outcome) perSecond() float64 { return float64(o.requests) / o.elapsed.Seconds() }

// quantile returns the time that a share of the requests stayed below.
func (o outcome) quantile(share float64) time.Duration {
	if len(o.took) == 0 {
		return 0
	}
	return o.took[min(int(share*float64(len(o.took))), len(o.took)-1)]
}

// A session is open connections to a target.
type session struct {
	target      target
	connections []*connection
	stock       [][]byte // fresh requests
}

func openSession(t target, connections int) *session {
	s := &session{target: t}
	for i := range connections {
		c := &connection{target: &s.target, address: t.address}
		if len(t.others) > 0 {
			c.address = t.others[i%len(t.others)]
		}
		s.connections = append(s.connections, c)
	}
	return s
}

func (s *session) close() {
	for _, c := range s.connections {
		c.close()
	}
}

// prepare makes as many fresh requests as a run may need, if its target needs such.
func (s *session) prepare(n int) error {
	if s.target.fresh == nil {
		return nil
	}
	s.stock = s.stock[:0]
	for range n {
		request, err := s.target.fresh()
		if err != nil {
			return err
		}
		s.stock = append(s.stock, request)
	}
	return nil
}

// A running is a load while it happens.
type running struct {
	*session
	load

	ctx      context.Context
	deadline time.Time
	schedule chan time.Time // when requests are to begin; nil in a closed loop
	taken    atomic.Int64

	mu   sync.Mutex
	took []time.Duration // under mu
	err  error           // the first; under mu
}

// run applies a load. Any answer that is not good is an error.
func (s *session) run(ctx context.Context, l load) (outcome, error) {
	begin := time.Now()
	r := &running{session: s, load: l, ctx: ctx, deadline: begin.Add(l.duration)}
	if l.rate > 0 {
		r.schedule = make(chan time.Time, int(l.rate*l.duration.Seconds())+1) // nobody waits for room in it
		// Who keeps the time sleeps in the kernel, with a processor of the runtime's.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1))
		go r.keepTime(begin)
	}
	var all sync.WaitGroup
	for _, c := range s.connections {
		all.Go(func() { r.work(c) })
	}
	all.Wait()
	elapsed := time.Since(begin)
	if r.err != nil {
		return outcome{}, r.err
	}
	if err := ctx.Err(); err != nil {
		return outcome{}, err
	}
	if len(r.took) == 0 {
		return outcome{}, fmt.Errorf("%s: %w", s.target.name, errNothing)
	}
	slices.Sort(r.took)
	return outcome{requests: len(r.took), elapsed: elapsed, took: r.took}, nil
}

var errNothing = errors.New("no request was made")

// keepTime says when each request of an open loop is to begin, at that time.
func (r *running) keepTime(begin time.Time) {
	defer close(r.schedule)
	waiter := newWaiter()
	defer waiter.close()
	for i := range cap(r.schedule) - 1 {
		at := begin.Add(time.Duration(float64(i) / r.rate * float64(time.Second)))
		waiter.until(at)
		r.schedule <- at
	}
}

// work is what one connection does.
func (r *running) work(c *connection) {
	var took []time.Duration
	var buffer []byte
	var err error
	for err == nil {
		begin, more := r.begin()
		if !more {
			break
		}
		request := r.next(buffer[:0])
		if request == nil {
			break
		}
		if r.target.fresh == nil {
			buffer = request
		}
		err = c.try(request)
		took = append(took, time.Since(begin))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.took = append(r.took, took...)
	if r.err == nil {
		r.err = err
	}
}

// begin returns when the next request begins, or should have.
func (r *running) begin() (time.Time, bool) {
	if r.schedule != nil {
		at, more := <-r.schedule
		return at, more && r.ctx.Err() == nil
	}
	now := time.Now()
	return now, now.Before(r.deadline) && r.ctx.Err() == nil
}

// next returns the next request, or nil when there are no more.
func (r *running) next(dst []byte) []byte {
	n := int(r.taken.Add(1))
	if r.most > 0 && n > r.most {
		return nil
	}
	if r.target.fresh == nil {
		return r.target.request(dst)
	}
	if n > len(r.stock) {
		return nil
	}
	return r.stock[n-1]
}
