package server

import (
	"context"
	"runtime"
	"time"
)

// How many processors the Go runtime has on a machine, or in a container, with a single core.
//
// With one, a goroutine that waits for the disk in a system call holds up all others until the runtime notices, up to 10 ms
// later. With two, nobody waits; but the threads of the two take the core from each other, which costs a sixth of all tokens. So
// it is one while nothing waits for the disk, and two where something does: a journal that cannot be synced aside (see package
// audit), or SQLite while it is written to all the time, as it is where clients authenticate with assertions or send DPoP
// proofs. On more cores, or where GOMAXPROCS is set, nothing is changed.

// Writes so often keep the disk busy; after so many steps without them, it is not.
const (
	processorsStep = 100 * time.Millisecond
	manyWrites     = 5 // in a step
	calmSteps      = 50
)

// processors decides for one core again and again. One goroutine at a time may use it.
type processors struct {
	writes func() int64 // to the disk, by threads that wait for it, until now
	set    func(n int)  // tells the runtime
	now    int          // what it was told

	seen int64
	calm int // steps since the last with many writes
}

func (p *processors) step(context.Context) error {
	writes := p.writes()
	if p.calm++; writes-p.seen >= manyWrites {
		p.calm = 0
	}
	p.seen = writes
	n := 1
	if p.calm < calmSteps {
		n = 2
	}
	if n != p.now {
		p.now = n
		p.set(n)
	}
	return nil
}

// shareCore begins to decide, where there is anything to decide: on one core, and where nobody has decided already (GOMAXPROCS).
func (s *Server) shareCore(cores int, decided string) error {
	if cores > 1 || decided != "" {
		return nil
	}
	if s.journal.Blocks() {
		runtime.GOMAXPROCS(2)
		return nil
	}
	options, err := s.config.storeOptions()
	if err != nil || !isSQLite(options) {
		return err
	}
	p := &processors{writes: s.metrics.store.writes.Load, set: func(n int) { runtime.GOMAXPROCS(n) }, now: cores, calm: calmSteps}
	s.loops = append(s.loops, loop{name: "processors", every: processorsStep, timeout: time.Second, step: p.step})
	return nil
}
