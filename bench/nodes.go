package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"

	"github.com/writ-auth/writ/internal/store/storetest"
)

// A cluster is three nodes on one PostgreSQL, compared with one of them.
type cluster struct {
	pair       // one node first: with a third of the connections where each has its core, and with as many where they share one
	cores bool // each node had a core of its own, or all had one

	// Where they share a core, it goes from one of them to the next many times a second. What that costs is told by three limit
	// servers at once, and what the nodes cost each other by asking one after the other.
	limits pair
	turns  pair // each of the nodes alone; the second are with the CPU of all
}

// What was promised of three nodes (issue 5): tokens on three cores, CPU for each token on one.
const (
	nodes         = 3
	nodesPromise  = 2.7
	sharedPromise = 0.95
)

// measureNodes starts three nodes, and loads one and all of them in turn.
func (b *bench) measureNodes(ctx context.Context) error {
	if !b.wants("nodes") {
		return nil
	}
	dsn, err := storetest.StartPostgreSQL()
	if errors.Is(err, exec.ErrNotFound) {
		b.say("no PostgreSQL: apt-get install postgresql")
		return nil
	}
	if err != nil {
		return err
	}
	c, cpus := &cluster{}, [nodes][]int{b.server, b.server, b.server}
	if len(b.load) >= nodes { // a core for each of them, and one for the load
		c.cores, cpus[1], cpus[2] = true, b.load[:1], b.load[1:2]
		if err := pinSelf(b.load[2:]); err != nil {
			return err
		}
		defer func() { _ = pinSelf(b.load) }() // it could before
	}
	all, err := b.startNodes(ctx, dsn, cpus)
	for _, n := range all {
		defer n.stop() //nolint:revive // all run until all are measured
	}
	if err != nil {
		return err
	}
	b.say("%d nodes in PostgreSQL ", nodes)
	var each []*side
	for _, n := range all {
		each = append(each, &side{target: tokenRequests("a node", n.public, "/token", all[0].clients["es256"]), pids: []int{n.pid()}})
	}
	one := each[0]
	if !c.cores { // the load is the same, and all that differs is how many there are to take it
		one = &side{target: one.target, pids: one.pids, more: nodes}
	}
	if c.pair, err = b.compare(ctx, one, together(each), load{connections: b.busy}); err != nil {
		return err
	}
	fmt.Fprintf(b.progress, " ratio %.2f", c.ratio)
	if !c.cores {
		if err := b.shareCore(ctx, c, each); err != nil {
			return err
		}
	}
	b.cluster = c
	return nil
}

// together is all sides at once, as one.
func together(each []*side) *side {
	all := &side{target: each[0].target, more: len(each)}
	for _, s := range each {
		all.target.others, all.pids = append(all.target.others, s.target.address), append(all.pids, s.pids...)
	}
	return all
}

// shareCore measures what belongs to the core that the nodes share, and what to them.
func (b *bench) shareCore(ctx context.Context, c *cluster, each []*side) error {
	b.say("the nodes in turn ")
	for _, s := range each {
		p, err := b.compare(ctx, s, &side{target: s.target, pids: together(each).pids}, load{connections: b.busy})
		if err != nil {
			return err
		}
		c.turns.first, c.turns.second = append(c.turns.first, p.first...), append(c.turns.second, p.second...)
	}
	b.say("%d limit servers ", nodes)
	var limits []*side
	for i := range nodes {
		l, err := b.startLimit(ctx, fmt.Sprint("limit-", i))
		if err != nil {
			return err
		}
		defer l.stop() //nolint:revive // all run until all are measured
		limits = append(limits, &side{target: tokenRequests("limit", l.plain, "/token/es256", credential{limitClient, limitSecret}), pids: []int{l.pid()}})
	}
	var err error
	one := &side{target: limits[0].target, pids: limits[0].pids, more: nodes}
	c.limits, err = b.compare(ctx, one, together(limits), load{connections: b.busy})
	return err
}

// startNodes starts nodes that share database, issuer and root key.
func (b *bench) startNodes(ctx context.Context, dsn string, cpus [nodes][]int) (all []*node, err error) {
	at := place{dir: b.dir, name: "node-0", database: dsn, cpus: cpus[0]}
	first, err := startWrit(ctx, b.settings.writ, at)
	if err != nil {
		return nil, err
	}
	all = append(all, first)
	if err := first.createResource(ctx, formats[0]); err != nil {
		return all, err
	}
	if err := first.createClient(ctx, "es256", "--resource", formats[0].audience(), "--scope", "read"); err != nil {
		return all, err
	}
	for i := 1; i < nodes; i++ {
		at.name, at.cpus = fmt.Sprint("node-", i), cpus[i]
		at.issuer, at.rootKey, at.client = first.issuer, filepath.Join(first.data, "root.key"), first.clients["es256"]
		n, err := startWrit(ctx, b.settings.writ, at)
		if err != nil {
			return all, err
		}
		all = append(all, n)
	}
	return all, nil
}

// firstToken gets a token as soon as there is one to be had: the operator's, whose credential the first node of a database
// leaves, or that of a client.
func (n *node) firstToken(ctx context.Context) error {
	if n.place.client.ID == "" {
		_, err := n.operatorToken(ctx)
		return err
	}
	_, err := fetchToken(ctx, "http://"+n.public+"/token", n.place.client, url.Values{})
	return err
}

// byCPU is the processor time of a token at one server to that at three.
func byCPU(one, three []sample) float64 {
	first, second := middle(one).cpu, middle(three).cpu
	if second == 0 {
		return 0
	}
	return float64(first) / float64(second)
}

// clusterTable is what three nodes do.
func (b *bench) clusterTable() string {
	c := b.cluster
	if c == nil {
		return ""
	}
	t := table{head: []string{"servers", "", "connections", "tokens /s", "CPU µs", "CPU of one to that"}}
	add := func(servers, how string, connections int, measured, one []sample) {
		m := middle(measured)
		t.add(servers, how, fmt.Sprint(connections), whole(m.perSecond), micros(m.cpu), ratio(byCPU(one, measured)))
	}
	if c.cores {
		add("a node", "", b.busy, c.first, c.first)
		add("3 nodes", "each on a core of its own", nodes*b.busy, c.second, c.first)
		return t.String()
	}
	add("a node", "", b.busy, c.turns.first, c.turns.first)
	add("3 nodes", "on one core, asked in turn", b.busy, c.turns.second, c.turns.first)
	add("a node", "", nodes*b.busy, c.first, c.first)
	add("3 nodes", "on one core, asked at once", nodes*b.busy, c.second, c.first)
	add("a limit", "", nodes*b.busy, c.limits.first, c.limits.first)
	add("3 limits", "on one core, asked at once", nodes*b.busy, c.limits.second, c.limits.first)
	return t.String()
}
