package main

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// A grown is what a registry of some size does.
type grown struct {
	clients, revoked int
	what             string // is measured
	target           float64
	pair             // with the smallest registry first
	sinceStart       time.Duration
	memory, database int64
}

// An issued is what tokens leave behind.
type issued struct {
	tokens                  int
	before, after           float64 // tokens a second, at first and at last
	databaseBefore          int64
	databaseAfter           int64
	journal                 int64 // bytes more
	memoryBefore, memoryNow int64
}

// measureGrowth compares registries of several sizes with the smallest.
func (b *bench) measureGrowth(ctx context.Context) error {
	if !b.wants("growth") {
		return nil
	}
	small, err := b.startSeeded(ctx, "growth-small", "", b.clients[0], 0)
	if err != nil {
		return err
	}
	defer small.stop()
	for _, clients := range b.clients[1:] {
		if err := b.growClients(ctx, small, clients); err != nil {
			return err
		}
	}
	if err := b.growRevoked(ctx, small); err != nil {
		return err
	}
	return b.issueMany(ctx, small)
}

// startSeeded makes a node whose registry has a size. With a database it is not SQLite's.
func (b *bench) startSeeded(ctx context.Context, name, database string, clients, revoked int) (*node, error) {
	b.say("%s: %d clients, %d revoked tokens", name, clients, revoked)
	n, err := startWrit(ctx, b.settings.writ, place{dir: b.dir, name: name, database: database, cpus: b.server})
	if err != nil {
		return nil, err
	}
	if err := n.createResource(ctx, formats[0]); err != nil {
		n.stop()
		return nil, err
	}
	if err := n.createClient(ctx, "api", "--resource-server", formats[0].audience()); err != nil {
		n.stop()
		return nil, err
	}
	n.stop()
	began := time.Now()
	if err := n.seed(ctx, clients, revoked); err != nil {
		return nil, err
	}
	fmt.Fprintf(b.progress, ", written in %.1f s", time.Since(began).Seconds())
	return n.restart(ctx)
}

func seededSide(name string, n *node, clients int) *side {
	return &side{target: seededRequests(name, n, clients), pids: []int{n.pid()}}
}

// growClients measures a registry of a size: with all of its clients asking, and with a part of them; and the largest with clients
// that have not asked before, too.
func (b *bench) growClients(ctx context.Context, small *node, clients int) error {
	n, err := b.startSeeded(ctx, fmt.Sprint("growth-", clients), "", clients, 0)
	if err != nil {
		return err
	}
	defer n.stop()
	g := grown{clients: clients, sinceStart: n.sinceStart}
	few := seededSide("small", small, b.clients[0])
	if clients == b.clients[len(b.clients)-1] {
		g.what = "tokens, each asking for the first time"
		if err := b.grow(ctx, g, few, &side{target: n.newcomers(clients), pids: []int{n.pid()}}, n); err != nil {
			return err
		}
		g.target = 0.95
	}
	asking := []int{clients}
	if part := b.clients[1]; part < clients {
		asking = append(asking, part)
	}
	for _, who := range asking {
		g.what = "tokens, any of them asking"
		if who < clients {
			g.what = fmt.Sprintf("tokens, %s of them asking", thousands(who))
		}
		if err := n.touch(ctx, who, b.busy); err != nil {
			return err
		}
		if err := b.grow(ctx, g, few, seededSide("grown", n, who), n); err != nil {
			return err
		}
	}
	return nil
}

// grow measures one row of growth.
func (b *bench) grow(ctx context.Context, g grown, first, second *side, n *node) (err error) {
	b.say("%s clients, %s revoked: %s ", thousands(g.clients), thousands(g.revoked), g.what)
	coarse := b.settings
	b.settings = coarse.finely()
	g.pair, err = b.compare(ctx, first, second, load{connections: b.busy})
	if b.settings = coarse; err != nil {
		return err
	}
	fmt.Fprintf(b.progress, " ratio %.2f", g.ratio)
	g.memory = memory(n.pid(), "VmRSS")
	g.database, _ = n.size()
	b.growth = append(b.growth, g)
	return nil
}

// growRevoked measures a registry with many revoked tokens.
func (b *bench) growRevoked(ctx context.Context, small *node) error {
	n, err := b.startSeeded(ctx, "growth-revoked", "", b.clients[0], b.revoked)
	if err != nil {
		return err
	}
	defer n.stop()
	g := grown{clients: b.clients[0], revoked: b.revoked, what: "tokens", sinceStart: n.sinceStart}
	if err := b.grow(ctx, g, seededSide("small", small, g.clients), seededSide("revoked", n, g.clients), n); err != nil {
		return err
	}
	var sides []*side
	for _, one := range []*node{small, n} {
		var tokens []string
		for range many {
			token, err := fetchToken(ctx, one.issuer+"/token", credential{seededID(0), seedSecret}, url.Values{})
			if err != nil {
				return err
			}
			tokens = append(tokens, token)
		}
		sides = append(sides, &side{target: introspections("introspection", one.public, "/introspect", one.clients["api"], tokens), pids: []int{one.pid()}})
	}
	g.what = "introspection"
	return b.grow(ctx, g, sides[0], sides[1], n)
}

// issueMany issues tokens and looks at what they leave behind.
func (b *bench) issueMany(ctx context.Context, n *node) error {
	b.say("issuing %s tokens", thousands(b.settings.issued))
	s := seededSide("issued", n, b.clients[0])
	i := issued{tokens: b.settings.issued, memoryBefore: memory(n.pid(), "VmRSS")}
	first, err := b.sample(ctx, s, load{connections: b.busy})
	if err != nil {
		return err
	}
	database, journal := n.size()
	open := openSession(s.target, b.busy)
	defer open.close()
	if _, err := open.run(ctx, load{connections: b.busy, duration: 2 * time.Hour, most: i.tokens}); err != nil {
		return err
	}
	i.databaseBefore = database
	var grownJournal int64
	i.databaseAfter, grownJournal = n.size()
	i.journal, i.memoryNow = grownJournal-journal, memory(n.pid(), "VmRSS")
	last, err := b.sample(ctx, s, load{connections: b.busy})
	i.before, i.after = first.perSecond, last.perSecond
	b.issued = &i
	return err
}

// thousands writes a number with a space in front of every three digits.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}
