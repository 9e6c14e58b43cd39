package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// heapFloor is memory that is counted and never touched, so that it takes none: the collector runs when the heap has doubled,
// and the heap of a server that keeps nothing per token is so small that it would run forty times a second under load, for a
// tenth of the processor. With it the heap grows by 14 MiB more before it does.
const heapFloor = 14 << 20

// maxGarbage is how much garbage the collector waits for, although more is kept: what a large heap keeps are clients, mostly,
// which it need not look through (authority.half), so that it costs no more than with a small one to run as often.
const maxGarbage = 17 << 20

// paceCollector has the collector wait for a heap of heapFloor, and for no more than maxGarbage, until release is called. Who says
// with GOGC or GOMEMLIMIT how much memory there is to be has the last word.
func paceCollector(gogc, limit string) (release func()) {
	if gogc != "" || limit != "" {
		return func() {}
	}
	p := &pacer{floor: make([]byte, heapFloor), percent: 100, before: debug.SetGCPercent(100)}
	p.collected()
	return p.release
}

// A pacer sets the pace anew whenever the collector has run.
type pacer struct {
	floor    []byte
	percent  int // how much the heap grows; one goroutine at a time has it
	before   int
	released atomic.Bool
}

func (p *pacer) collected() {
	if p.released.Load() {
		return
	}
	if percent := percentOf(kept()); 10*percent < 9*p.percent || 10*percent > 11*p.percent { // it stops the world
		p.percent = percent
		debug.SetGCPercent(percent)
	}
	runtime.AddCleanup(new(*pacer), (*pacer).collected, p) // runs when the collector next has: nobody refers to what is new
}

func (p *pacer) release() {
	p.released.Store(true)
	debug.SetGCPercent(p.before)
	runtime.KeepAlive(p.floor)
}

// kept is how much memory was in use when the collector ran last.
func kept() int {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	return int(live[0].Value.Uint64())
}

// percentOf returns by how much a heap may grow: by as much as is kept, or by maxGarbage, but never by less than a quarter.
func percentOf(kept int) int { return max(25, min(100, 100*maxGarbage/max(1, kept))) }
