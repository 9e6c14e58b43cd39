package main

import (
	"fmt"
	"time"
)

// What was promised beside ratios (issue 5).
const (
	latencyPromise  = 5 * time.Millisecond
	busyPromise     = 60 << 20
	issuancePromise = 0.95
)

// targets says of each promise whether it is kept. None of them fails a test: a machine may be slow.
func (b *bench) targets() string {
	t := table{head: []string{"target", "promised", "measured", ""}}
	add := func(kept bool, what, promised, measured string) {
		verdict := "miss"
		if kept {
			verdict = "pass"
		}
		t.add(what, promised, measured, verdict)
	}
	for _, r := range b.results {
		if r.failed != nil {
			add(false, r.title, "every answer right", "not so")
			continue
		}
		if r.target > 0 {
			add(r.ratio >= r.target, fmt.Sprintf("%s, of %s", r.title, r.against), "≥ "+ratio(r.target), ratio(r.ratio))
		}
		if r.rate > 0 {
			p99 := middle(r.pair.second).p99
			add(p99 < latencyPromise, r.title+", p99", "< "+millis(latencyPromise), millis(p99))
		}
	}
	if s := b.start; s != nil && s.peak > 0 {
		add(s.peak < busyPromise, fmt.Sprintf("memory at %d connections", b.busy), "< "+megabytes(busyPromise), megabytes(s.peak))
	}
	for _, g := range b.growth {
		if g.target > 0 {
			add(g.ratio >= g.target, fmt.Sprintf("%s clients, %s", thousands(g.clients), g.what), "≥ "+ratio(g.target), ratio(g.ratio))
		}
	}
	for _, o := range b.operated {
		of := fmt.Sprintf("%s clients in %s: ", thousands(o.clients), o.database)
		add(max(o.first, o.page) < pagePromise, of+"a page", "< "+millis(pagePromise), millis(max(o.first, o.page)))
		add(o.search < pagePromise, of+"search", "< "+millis(pagePromise), millis(o.search))
		add(o.plan < planPromise, fmt.Sprintf("%splan of %s", of, thousands(o.declared)), "< "+millis(planPromise), millis(o.plan))
		add(o.some.ratio >= issuancePromise, of+"tokens/s, 1 000 of them asking, to 10 clients", "≥ "+ratio(issuancePromise), ratio(o.some.ratio))
		add(o.all.ratio >= issuancePromise, of+"tokens/s, all of them asking, to 10 clients", "≥ "+ratio(issuancePromise), ratio(o.all.ratio))
		add(o.usual < memoryPromise, of+"memory, 1 000 of them asking", "< "+megabytes(memoryPromise), megabytes(o.usual))
		add(o.memory < memoryPromise, of+"memory, all of them asking", "< "+megabytes(memoryPromise), megabytes(o.memory))
	}
	if c := b.cluster; c != nil && c.cores {
		add(c.ratio >= nodesPromise, "three nodes on three cores, to one", "≥ "+ratio(nodesPromise), ratio(c.ratio))
	} else if c != nil {
		for _, how := range []struct {
			asked string
			pair  pair
		}{{"in turn", c.turns}, {"at once, on one core", c.pair}} {
			of := byCPU(how.pair.first, how.pair.second)
			add(of >= sharedPromise, "CPU of a token at one node, to that at three, asked "+how.asked, "≥ "+ratio(sharedPromise), ratio(of))
		}
	}
	if t.rows == nil {
		return ""
	}
	return t.String()
}
