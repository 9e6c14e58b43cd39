package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"time"
)

// A startup is what it takes until there is a token, and what a server takes of the machine.
type startup struct {
	limit, first, again time.Duration // until the first token; again: with a database that is there
	idle                int64         // bytes in memory, of Writ
	limitPeak, peak     int64         // at 64 connections
	binary              int64
}

// measureStart starts servers on empty directories, and loads the last ones.
func (b *bench) measureStart(ctx context.Context) error {
	if !b.wants("start") && !b.wants("memory") {
		return nil
	}
	b.say("start and memory ")
	info, err := os.Stat(b.settings.writ)
	if err != nil {
		return err
	}
	s := &startup{binary: info.Size()}
	var limits, first, again []time.Duration
	for i := range b.starts {
		took, err := b.startOnceLimit(ctx, s, i == b.starts-1)
		if err != nil {
			return err
		}
		limits = append(limits, took)
		began, restarted, err := b.startOnceWrit(ctx, s, fmt.Sprint("start", i), i == b.starts-1)
		if err != nil {
			return err
		}
		first, again = append(first, began), append(again, restarted)
		fmt.Fprintf(b.progress, " %v", began.Round(time.Millisecond))
	}
	s.limit, s.first, s.again = median(limits), median(first), median(again)
	b.start = s
	return nil
}

func (b *bench) startOnceLimit(ctx context.Context, s *startup, last bool) (time.Duration, error) {
	l, err := b.startLimit(ctx, "start-limit")
	if err != nil {
		return 0, err
	}
	defer l.stop()
	own := credential{limitClient, limitSecret}
	took, err := l.await(ctx, func() error {
		_, err := fetchToken(ctx, "http://"+l.plain+"/token/es256", own, url.Values{})
		return err
	})
	if err != nil || !last {
		return took, err
	}
	_, err = b.sample(ctx, &side{target: tokenRequests("limit", l.plain, "/token/es256", own), pids: []int{l.pid()}}, load{connections: b.busy})
	s.limitPeak = memory(l.pid(), "VmHWM")
	return took, err
}

// startOnceWrit starts a node where there is nothing, then once more where it has been.
func (b *bench) startOnceWrit(ctx context.Context, s *startup, name string, last bool) (first, again time.Duration, err error) {
	n, err := startWrit(ctx, b.settings.writ, place{dir: b.dir, name: name, cpus: b.server})
	if err != nil {
		return 0, 0, err
	}
	first = n.sinceStart
	n.stop()
	if n, err = n.restart(ctx); err != nil {
		return 0, 0, err
	}
	defer n.stop()
	again = n.sinceStart
	if !last {
		return first, again, nil
	}
	s.idle = memory(n.pid(), "VmRSS")
	if err := n.createResource(ctx, formats[0]); err != nil {
		return first, again, err
	}
	if err := n.createClient(ctx, "es256", "--resource", formats[0].audience(), "--scope", "read"); err != nil {
		return first, again, err
	}
	_, err = b.sample(ctx, &side{target: tokenRequests("writ", n.public, "/token", n.clients["es256"]), pids: []int{n.pid()}}, load{connections: b.busy})
	s.peak = memory(n.pid(), "VmHWM")
	return first, again, err
}
