package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// A side is one of two servers that are compared.
type side struct {
	target target
	pids   []int // of the processes whose processor time counts
	more   int   // times the connections; 0: once
	// expect is how many requests a second there will be, for those that must be made ahead; kept from run to run.
	expect float64
}

// A sample is one measurement of one side.
type sample struct {
	perSecond float64
	cpu       time.Duration // of the server, for each request; 0 where the system does not say
	busy      float64       // how much of one core the server used
	generator time.Duration // processor time of the load, for each request
	loaded    float64       // how much of one core the load used
	p50, p99  time.Duration
}

// A measurer measures, and adds up what else was going on meanwhile.
type measurer struct {
	settings

	measured, foreign time.Duration // processor time that neither server nor generator used, while measuring
}

// sample measures one side: warm up, then measure.
func (m *measurer) sample(ctx context.Context, s *side, l load) (sample, error) {
	l.connections *= max(1, s.more)
	open := openSession(s.target, l.connections)
	defer open.close()
	l.duration = m.warm
	if err := open.prepare(ahead(s.expect, l)); err != nil {
		return sample{}, err
	}
	warm, err := open.run(ctx, l)
	if err != nil {
		return sample{}, err
	}
	s.expect = max(s.expect, warm.perSecond())
	l.duration = m.measure
	if err := open.prepare(ahead(s.expect, l)); err != nil {
		return sample{}, err
	}
	before, all, own := s.cpuTime(), busyTime(), ownTime()
	out, err := open.run(ctx, l)
	if err != nil {
		return sample{}, err
	}
	used, made := s.cpuTime()-before, ownTime()-own
	m.measured += out.elapsed
	m.foreign += max(0, busyTime()-all-made-used)
	s.expect = max(s.expect, out.perSecond())
	return sample{
		perSecond: out.perSecond(), cpu: used / time.Duration(out.requests), busy: used.Seconds() / out.elapsed.Seconds(),
		generator: made / time.Duration(out.requests), loaded: made.Seconds() / out.elapsed.Seconds(),
		p50: out.quantile(0.5), p99: out.quantile(0.99),
	}, nil
}

// ahead returns how many requests to make ahead of a run.
func ahead(expect float64, l load) int {
	return int(1.3*max(expect, 2000)*l.duration.Seconds()) + l.connections
}

func (s *side) cpuTime() (sum time.Duration) {
	for _, pid := range s.pids {
		sum += cpuTime(pid)
	}
	return sum
}

// A pair is what was measured of two sides in turn.
type pair struct {
	first, second []sample // the first is the limit, mostly
	ratio         float64  // second to first in requests a second, the median of the rounds
}

// compare measures two sides in turn: what slows the machine down for a while slows both.
func (m *measurer) compare(ctx context.Context, first, second *side, l load) (pair, error) {
	var p pair
	var ratios []float64
	for round := range m.rounds {
		for i, s := range []*side{first, second} {
			own := l
			if l.rate > 0 {
				own.rate = l.rate * s.expect // a share of what it can do
			}
			measured, err := m.sample(ctx, s, own)
			if err != nil {
				return p, err
			}
			if i == 0 {
				p.first = append(p.first, measured)
			} else {
				p.second = append(p.second, measured)
			}
			fmt.Fprintf(m.progress, " %.0f", measured.perSecond)
		}
		ratios = append(ratios, p.second[round].perSecond/p.first[round].perSecond)
		fmt.Fprint(m.progress, " |")
	}
	p.ratio = median(ratios)
	return p, nil
}

func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// middle returns the median of each of the figures of samples.
func middle(samples []sample) sample {
	return sample{
		perSecond: median(each(samples, func(s sample) float64 { return s.perSecond })),
		cpu:       median(each(samples, func(s sample) time.Duration { return s.cpu })),
		busy:      median(each(samples, func(s sample) float64 { return s.busy })),
		generator: median(each(samples, func(s sample) time.Duration { return s.generator })),
		loaded:    median(each(samples, func(s sample) float64 { return s.loaded })),
		p50:       median(each(samples, func(s sample) time.Duration { return s.p50 })),
		p99:       median(each(samples, func(s sample) time.Duration { return s.p99 })),
	}
}

func each[S, T any](list []S, of func(S) T) (values []T) {
	for _, one := range list {
		values = append(values, of(one))
	}
	return values
}

// ownTime returns the processor time of this process.
func ownTime() time.Duration { return cpuTime(os.Getpid()) }
