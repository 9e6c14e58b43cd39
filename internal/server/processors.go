package server

import (
	"context"
	"runtime"
	"time"
)

// How many processors the Go runtime has, where what it does holds one of them up.
//
// On a single core, a goroutine that waits for the disk in a system call holds up all others until the runtime notices, up to
// 10 ms later. With two processors, nobody waits; but the threads of the two take the core from each other, which costs a sixth of
// all tokens. So it is one while nothing waits for the disk, and two where something does: a journal that cannot be synced
// aside (see package audit), or SQLite while it is written to all the time, as it is where clients authenticate with assertions
// or send DPoP proofs.
//
// On any number of cores, signatures with RSA and slow hashes take so long that while all processors are at them nobody looks for
// requests, not even to refuse one (SECURITY, drills R24 and R25). While there are many, there is one processor more than cores: the
// kernel lets it have its share of them at once.
//
// Where GOMAXPROCS is set, nothing is changed.

// So often is many; after so many steps without, it is over.
const (
	processorsStep = 100 * time.Millisecond
	manyHolds      = 5 // in a step
	calmSteps      = 50
)

// processors decides again and again whether there is to be one more. One goroutine at a time may use it.
type processors struct {
	holds func() int64 // how often a processor was held up, until now
	set   func(n int)  // tells the runtime
	cores int
	now   int // what it was told

	seen int64
	calm int // steps since the last with many
}

func (p *processors) step(context.Context) error {
	holds := p.holds()
	if p.calm++; holds-p.seen >= manyHolds {
		p.calm = 0
	}
	p.seen = holds
	n := p.cores
	if p.calm < calmSteps {
		n++
	}
	if n != p.now {
		p.now = n
		p.set(n)
	}
	return nil
}

// shareCores begins to decide, unless somebody has decided already (GOMAXPROCS).
func (s *Server) shareCores(cores int, decided string) error {
	if decided != "" {
		return nil
	}
	holds := s.longWork
	if cores == 1 {
		if s.journal.Blocks() {
			runtime.GOMAXPROCS(2)
			return nil
		}
		options, err := s.config.storeOptions()
		if err != nil {
			return err
		}
		if isSQLite(options) {
			holds = func() int64 { return s.metrics.store.writes.Load() + s.longWork() }
		}
	}
	p := &processors{holds: holds, set: func(n int) { runtime.GOMAXPROCS(n) }, cores: cores, now: cores, calm: calmSteps}
	s.loops = append(s.loops, loop{name: "processors", every: processorsStep, timeout: time.Second, step: p.step})
	return nil
}

// longWork counts what takes long. One slow hash is many: it takes most of a step.
func (s *Server) longWork() int64 {
	signatures, hashes := s.authority.LongWork()
	return signatures + manyHolds*hashes
}
