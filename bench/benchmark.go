package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A bench is a run: the servers, and what was measured.
type bench struct {
	measurer

	server, load []int // cores
	dir          string
	self         string // this binary
	pki          *pki
	writ         *node
	limit        *limitServer
	api          *apiServer

	began    time.Time
	failed   bool // a row has no figure
	results  []result
	start    *startup
	growth   []grown
	issued   *issued
	operated []operated
	cluster  *cluster // nil without PostgreSQL
	profiled *profile // nil without perf
}

type limitServer struct {
	*process

	plain, vouched, shown string // addresses
}

type apiServer struct {
	*process

	plain string
}

// benchmark measures everything that is wanted and writes it down.
func benchmark(ctx context.Context, s settings) error {
	b, err := measured(ctx, s)
	if err == nil && b.failed {
		return errWrong
	}
	return err
}

// measured is benchmark, and what came of it.
func measured(ctx context.Context, s settings) (*bench, error) {
	b := &bench{measurer: measurer{settings: s}, began: time.Now()}
	b.server, b.load = cores()
	dir, err := os.MkdirTemp("", "writ-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is under the system's temporary files
	b.dir = dir
	defer b.stop()
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context) error{b.measureStart, b.measureRows, b.measurePeer, b.measureGrowth, b.measureOperators, b.measureNodes, b.measureProfile} {
		if failed := part(ctx); failed != nil { // the others are worth having
			fmt.Fprintf(b.progress, "\nFAILED: %v\n", failed)
			err = errors.Join(err, failed)
		}
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), err)
		}
	}
	return b, errors.Join(err, b.report())
}

// errWrong says that a server gave an answer that is no success: what it does then is fast, and no figure.
var errWrong = errors.New("a wrong answer")

// say shows progress.
func (b *bench) say(format string, values ...any) {
	fmt.Fprintf(b.progress, "\n%4.0fs  ", time.Since(b.began).Seconds())
	fmt.Fprintf(b.progress, format, values...)
}

// prepare builds what is measured and pins this process to the cores that are not.
func (b *bench) prepare(ctx context.Context) (err error) {
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	if b.settings.writ == "" {
		b.say("building writ")
		if b.settings.writ, err = buildWrit(ctx, b.source, filepath.Join(b.out, "writ"), asDelivered); err != nil {
			return err
		}
	}
	if err := makePKI(b.dir); err != nil {
		return err
	}
	if b.pki, err = loadPKI(b.dir); err != nil {
		return err
	}
	if b.server == nil {
		b.say("only one core, or not Linux: nothing is pinned, and servers and load are in each other's way")
	}
	return pinSelf(b.load)
}

func (b *bench) stop() {
	if b.api != nil {
		b.api.stop()
	}
	if b.writ != nil {
		b.writ.stop()
	}
	if b.limit != nil {
		b.limit.stop()
	}
}

// startLimit starts a limit server.
func (b *bench) startLimit(ctx context.Context, name string) (*limitServer, error) {
	addresses, err := freeAddresses(3)
	if err != nil {
		return nil, err
	}
	l := &limitServer{plain: addresses[0], vouched: addresses[1], shown: addresses[2]}
	l.process, err = startProcess(b.dir, name, b.server, b.self, "limit", "-listen", l.plain, "-tls", l.vouched, "-self-signed", l.shown, "-pki", b.dir)
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		if _, err := l.await(ctx, func() error { return answers(address) }); err != nil {
			l.stop()
			return nil, err
		}
	}
	return l, nil
}

// startServers starts what the rows need.
func (b *bench) startServers(ctx context.Context) (err error) {
	b.say("starting the servers")
	if b.limit, err = b.startLimit(ctx, "limit"); err != nil {
		return err
	}
	if b.writ, err = startWrit(ctx, b.settings.writ, place{dir: b.dir, name: "writ", pki: b.dir, cpus: b.server}); err != nil {
		return err
	}
	if err := b.writ.register(ctx, b.dir); err != nil {
		return err
	}
	addresses, err := freeAddresses(1)
	if err != nil {
		return err
	}
	a := &apiServer{plain: addresses[0]}
	if a.process, err = startProcess(b.dir, "api", b.server, b.self, "api", "-listen", a.plain, "-issuer", b.writ.issuer); err != nil {
		return err
	}
	b.api = a
	_, err = a.await(ctx, func() error { return answers(a.plain) })
	return err
}

// measureRows compares Writ with its limit.
func (b *bench) measureRows(ctx context.Context) error {
	if !b.wantsRows() {
		return nil
	}
	if err := b.startServers(ctx); err != nil {
		return err
	}
	rows, err := b.rows(ctx)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if b.wants(r.name) {
			if err := b.measureRow(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// wantsRows reports whether anything is wanted that the servers are needed for.
func (b *bench) wantsRows() bool {
	others := []string{"start", "memory", "growth", "operators", "nodes", "profile"}
	return b.peer.url != "" || slices.ContainsFunc(strings.Split(b.only, ","), func(word string) bool {
		return !slices.ContainsFunc(others, func(other string) bool { return word != "" && strings.HasPrefix(other, word) })
	})
}

func (b *bench) measureRow(ctx context.Context, r row) error {
	b.say("%-34s %3d connections ", r.title, r.connections)
	l := load{connections: r.connections, rate: r.rate}
	if r.rate > 0 { // of what they can do, which is measured first
		for _, s := range []*side{r.first, r.second} {
			if _, err := b.sample(ctx, s, load{connections: r.connections}); err != nil {
				return err
			}
		}
	}
	measured, err := b.compare(ctx, r.first, r.second, l)
	if errors.Is(err, errWrong) { // no figure, and the others are worth having
		fmt.Fprintf(b.progress, " FAILED: %v", err)
		b.results, b.failed = append(b.results, result{row: r, failed: err}), true
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(b.progress, " ratio %.2f", measured.ratio)
	b.results = append(b.results, result{row: r, pair: measured})
	return nil
}

// measurePeer measures another token endpoint beside the limit.
func (b *bench) measurePeer(ctx context.Context) error {
	if b.peer.url == "" || b.limit == nil {
		return nil
	}
	first, second := b.limitTokens("es256"), &side{target: peerRequests(b.peer)}
	if b.peer.pid != 0 {
		second.pids = []int{b.peer.pid}
	}
	for _, connections := range b.connections {
		r := row{name: "peer", title: "peer, " + b.peer.url, against: "ES256, one signature", connections: connections, first: first, second: second}
		if err := b.measureRow(ctx, r); err != nil {
			return err
		}
	}
	return nil
}
