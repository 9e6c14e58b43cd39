package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A part is what processor time of a token goes into: samples whose stack has one of these in the name of a function, and none
// of a part before.
type part struct {
	name  string
	marks []string
}

var parts = []part{
	{"the signature", []string{"p256", "crypto/ecdsa.", "crypto/ed25519.", "crypto/rsa."}},
	{"collecting garbage", []string{"runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.bgsweep", "runtime.gcStart"}},
	{"the journal", []string{"writ/internal/audit."}},
	{"the access log", []string{"log/slog.", "writ/internal/server.(*logLines)"}},
	{"who may have which token", []string{"writ/internal/authority.", "main.(*limit)"}},
	{"the form and the answer", []string{"writ/internal/endpoint."}},
	{"checks in front of that", []string{"writ/internal/server.front", "writ/internal/server.chain"}},
	{"HTTP and its sockets", []string{"net/http."}},
	{"goroutines that wait and wake", nil}, // all the rest
}

// A profile is the processor time of one token, by part.
type profile struct {
	limit, writ []time.Duration
}

// measureProfile looks where the processor time of an ES256 token goes, with perf(1), in a binary with symbols. Without perf
// there is no profile.
func (b *bench) measureProfile(ctx context.Context) error {
	if !b.wants("profile") {
		return nil
	}
	if _, err := exec.LookPath("perf"); err != nil {
		b.say("no perf, no profile: apt-get install linux-perf")
		return nil
	}
	b.say("profile ")
	delivered := b.settings.writ
	defer func() { b.settings.writ = delivered }()
	var err error
	if b.settings.writ, err = buildWrit(ctx, b.source, filepath.Join(b.out, "writ-with-symbols"), ""); err != nil {
		return err
	}
	n, err := b.startSeeded(ctx, "profile", "", b.clients[0], 0)
	if err != nil {
		return err
	}
	defer n.stop()
	l, err := b.startLimit(ctx, "profile-limit")
	if err != nil {
		return err
	}
	defer l.stop()
	var p profile
	own := tokenRequests("limit", l.plain, "/token/es256-rfc6979", credential{limitClient, limitSecret})
	if p.limit, err = b.profile(ctx, &side{target: own, pids: []int{l.pid()}}); err == nil {
		p.writ, err = b.profile(ctx, seededSide("writ", n, b.clients[0]))
	}
	if errors.Is(err, errNoPerf) {
		b.say("%v", err)
		return nil
	}
	b.profiled = &p
	return err
}

// errNoPerf says that there is perf, and that it may not or cannot look.
var errNoPerf = errors.New("perf gives no profile")

// profile measures one server, and then lets perf look at it under the same load.
func (b *bench) profile(ctx context.Context, s *side) ([]time.Duration, error) {
	measured, err := b.sample(ctx, s, load{connections: b.busy})
	if err != nil {
		return nil, err
	}
	script, err := b.look(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoPerf, err)
	}
	counts, total := count(bytes.NewReader(script))
	if total == 0 {
		return nil, errNoPerf
	}
	var times []time.Duration
	for _, n := range counts {
		times = append(times, measured.cpu*time.Duration(n)/time.Duration(total))
	}
	return times, nil
}

// look returns the stacks that perf finds. It takes its time to begin, and the load goes on until it has ended.
func (b *bench) look(ctx context.Context, s *side) ([]byte, error) {
	loaded, enough := context.WithCancel(ctx)
	open, done := openSession(s.target, b.busy), make(chan struct{})
	go func() {
		defer close(done)
		_, _ = open.run(loaded, load{connections: b.busy, duration: time.Minute}) // it was measured before
	}()
	defer func() {
		enough()
		<-done
		open.close()
	}()
	into := filepath.Join(b.dir, "perf.data")
	seconds := strconv.FormatFloat(2*b.measure.Seconds(), 'f', 3, 64)
	record := exec.CommandContext(ctx, "perf", "record", "-q", "-F", "997", "--call-graph", "fp", "-p", strconv.Itoa(s.pids[0]), "-o", into, "--", "sleep", seconds)
	if err := record.Run(); err != nil {
		return nil, err
	}
	return exec.CommandContext(ctx, "perf", "script", "-i", into, "-F", "ip,sym").Output()
}

// count counts the samples of perf script by part. A blank line ends a stack.
func count(script io.Reader) (counts []int, total int) {
	counts = make([]int, len(parts))
	var stack []string
	end := func() {
		if stack != nil {
			counts[partOf(stack)]++
			total++
		}
		stack = nil
	}
	lines := bufio.NewScanner(script)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			stack = append(stack, line)
		} else {
			end()
		}
	}
	end()
	return counts, total
}

// partOf returns which part a stack belongs to.
func partOf(stack []string) int {
	for i, p := range parts {
		for _, mark := range p.marks {
			if slices.ContainsFunc(stack, func(frame string) bool { return strings.Contains(frame, mark) }) {
				return i
			}
		}
	}
	return len(parts) - 1
}

// profileTable is where the time of a token goes.
func (b *bench) profileTable() string {
	if b.profiled == nil {
		return ""
	}
	t := table{head: []string{"µs of CPU for an ES256 token", "limit, RFC 6979 nonce", "Writ", "more"}}
	var limit, writ time.Duration
	for i, p := range parts {
		one, two := b.profiled.limit[i], b.profiled.writ[i]
		t.add(p.name, micros(one), micros(two), micros(two-one))
		limit, writ = limit+one, writ+two
	}
	t.add("together", micros(limit), micros(writ), micros(writ-limit))
	return t.String()
}
