package server

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// A gate bounds how many connections of a listener are open at once, in all and from one address, and meters each of them.
//
// When all slots are taken, a new connection gets the one of the connection that has been idle for longest: otherwise a few
// thousand that ask for something once a minute would keep everybody else out (SECURITY, drill R26). A connection with a
// request is never closed for another one: while there are no others, new ones wait.
type gate struct {
	net.Listener
	most  int                   // connections in all
	share int                   // connections from one address
	many  func(netip.Addr) bool // addresses that many callers come from: they have no share, only the whole

	waiting atomic.Int32 // calls of Accept that have a connection and no slot for it
	refused atomic.Int64 // connections from an address that has its share
	evicted atomic.Int64 // connections that were closed for others

	mu      sync.Mutex
	room    *sync.Cond // on mu: a slot is free, a connection is idle, or the gate is closed
	open    int        // under mu, like all below
	closed  bool
	spare   line
	sources map[netip.Prefix]*source
}

// A source is where connections come from: one IPv4 address, or the /64 that one host can make any number of IPv6 addresses in.
type source struct {
	open  int
	spare line
}

// A line has the connections that may be closed for others, the next one in front.
type line struct {
	idle  queue // answered, and without a request since
	fresh queue // never had a whole request
}

func (l *line) first() *metered {
	for _, q := range []*queue{&l.idle, &l.fresh} {
		if m := q.front(); m != nil {
			return m
		}
	}
	return nil
}

func newGate(l net.Listener, connections int, many func(netip.Addr) bool) *gate {
	g := &gate{
		Listener: l, most: connections, share: max(1, connections/4), many: many,
		sources: map[netip.Prefix]*source{},
	}
	g.room = sync.NewCond(&g.mu)
	return g
}

// Accept waits for a connection and for a slot. A connection from an address that has its share, and none to spare, is
// closed: the others behind it do not wait for that one.
func (g *gate) Accept() (net.Conn, error) {
	for {
		connection, err := g.Listener.Accept()
		if err != nil {
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				g.shed() // the system has fewer slots than the configuration; net/http tries again in a moment
			}
			return nil, err
		}
		m, err := g.admit(connection)
		if err == nil {
			return m, nil
		}
		_ = connection.Close() // nothing was written
		if !errors.Is(err, errShare) {
			return nil, err
		}
		g.refused.Add(1)
	}
}

var errShare = errors.New("server: the address has its share of the connections")

// admit finds a slot for a connection, and takes one away from another if it must.
func (g *gate) admit(connection net.Conn) (*metered, error) {
	address := addressOf(connection)
	m := &metered{punctual: punctual{Conn: connection}, address: address, remote: address.String(), gate: g, origin: originOf(address)}
	m.allowance.Store(firstAllowance)
	g.mu.Lock()
	defer g.mu.Unlock()
	if s := g.sources[m.origin]; s != nil && s.open >= g.share && !g.many(address) && !g.evict(s.spare.first()) {
		return nil, errShare
	}
	for !g.closed && g.open >= g.most && !g.evict(g.spare.first()) {
		g.waiting.Add(1)
		g.room.Wait()
		g.waiting.Add(-1)
	}
	if g.closed {
		return nil, net.ErrClosed
	}
	if m.source = g.sources[m.origin]; m.source == nil {
		m.source = &source{}
		g.sources[m.origin] = m.source
	}
	g.open++
	m.source.open++
	m.stand(&g.spare.fresh, &m.source.spare.fresh)
	return m, nil
}

// connections returns how many are open.
func (g *gate) connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// shed closes one connection that has no request.
func (g *gate) shed() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.evict(g.spare.first())
}

// evict closes a connection for another one, if there is one to close. The caller has mu.
func (g *gate) evict(m *metered) bool {
	if m == nil {
		return false
	}
	g.forget(m)
	g.evicted.Add(1)
	_ = m.Conn.Close() // its reader finds out and cleans up
	return true
}

// forget gives the slot of a connection back, once. The caller has mu.
func (g *gate) forget(m *metered) {
	if m.gone {
		return
	}
	m.gone = true
	m.stand()
	g.open--
	if m.source.open--; m.source.open == 0 {
		delete(g.sources, m.origin)
	}
	g.room.Signal()
}

// track follows what net/http says about a connection. It calls a connection active from the moment that the header of
// a request is there, so that one whose header dribbles in counts as idle, or as new, all the time.
func (g *gate) track(m *metered, state http.ConnState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case m.gone:
	case state == http.StateActive:
		m.stand()
	case state == http.StateIdle:
		m.stand(&g.spare.idle, &m.source.spare.idle)
		g.room.Signal()
	}
}

// Close stops Accept.
func (g *gate) Close() error {
	g.mu.Lock()
	g.closed = true
	g.room.Broadcast()
	g.mu.Unlock()
	return g.Listener.Close()
}

// A queue is a ring of places, closed by one without a connection. Each request takes its connection out and puts it in again, so
// that neither allocates.
type queue struct{ end place }

// A place is where a connection stands in a queue.
type place struct {
	m             *metered
	before, after *place // nil: in no queue
}

func (q *queue) front() *metered {
	if q.end.after == nil {
		return nil // nobody has been in it yet
	}
	return q.end.after.m
}

func (q *queue) join(p *place) {
	if q.end.after == nil {
		q.end.before, q.end.after = &q.end, &q.end
	}
	p.before, p.after = q.end.before, &q.end
	p.before.after, p.after.before = p, p
}

func (p *place) leave() {
	if p.after == nil {
		return
	}
	p.before.after, p.after.before = p.after, p.before
	p.before, p.after = nil, nil
}

// stand moves a connection to the end of other queues. The caller has the gate's mu.
func (m *metered) stand(queues ...*queue) {
	for i := range m.places {
		m.places[i].leave()
	}
	for i, q := range queues {
		m.places[i].m = m
		q.join(&m.places[i])
	}
}

func addressOf(connection net.Conn) netip.Addr {
	if tcp, ok := connection.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

func originOf(address netip.Addr) netip.Prefix {
	bits := 64
	if address.Is4() {
		bits = 32
	}
	origin, _ := address.Prefix(bits) // the error is of no address at all: those share one source
	return origin
}
