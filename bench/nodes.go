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
	pair       // one node first, with a third of the connections
	cores bool // each node had a core of its own, or all had one
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
	one := &side{target: tokenRequests("one node", all[0].public, "/token", all[0].clients["es256"]), pids: []int{all[0].pid()}}
	three := &side{target: one.target}
	for _, n := range all {
		three.target.others, three.pids = append(three.target.others, n.public), append(three.pids, n.pid())
	}
	three.more = nodes
	if c.pair, err = b.compare(ctx, one, three, load{connections: b.busy}); err != nil {
		return err
	}
	fmt.Fprintf(b.progress, " ratio %.2f", c.ratio)
	b.cluster = c
	return nil
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

// byCPU is the processor time of a token at one node to that at three.
func (c *cluster) byCPU() float64 {
	one, three := middle(c.first).cpu, middle(c.second).cpu
	if three == 0 {
		return 0
	}
	return float64(one) / float64(three)
}

// clusterTable is what three nodes do.
func (b *bench) clusterTable() string {
	if b.cluster == nil {
		return ""
	}
	where := "all on one core"
	if b.cluster.cores {
		where = "each on a core of its own"
	}
	t := table{head: []string{"nodes", "", "connections", "tokens /s", "CPU µs"}}
	one, three := middle(b.cluster.first), middle(b.cluster.second)
	t.add("1", "", fmt.Sprint(b.busy), whole(one.perSecond), micros(one.cpu))
	t.add(fmt.Sprint(nodes), where, fmt.Sprint(nodes*b.busy), whole(three.perSecond), micros(three.cpu))
	return t.String()
}
