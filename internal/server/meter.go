package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// A gate bounds how many connections of a listener are open at once, and meters each of them. Further connections wait in
// the system's queue.
type gate struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newGate(l net.Listener, connections int) *gate {
	return &gate{Listener: l, slots: make(chan struct{}, connections), closed: make(chan struct{})}
}

// Accept waits for a slot and for a connection.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case g.slots <- struct{}{}:
	case <-g.closed:
		return nil, net.ErrClosed
	}
	connection, err := g.Listener.Accept()
	if err != nil {
		<-g.slots
		return nil, err
	}
	m := &metered{Conn: connection, release: sync.OnceFunc(func() { <-g.slots })}
	m.allowance.Store(firstAllowance)
	return m, nil
}

// Close stops Accept.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Listener.Close()
}

// What a connection may send: so much before its first request, so much more with each, and never more than so much ahead.
// An honest request needs at most its header, its body and what TLS and HTTP add; a hundred streams at once fit.
const (
	firstAllowance   = 256 << 10
	requestAllowance = 512 << 10
	mostAllowance    = 16 << 20
)

var errOverdrawn = errors.New("server: the connection sent too much that is no request")

// A metered connection ends when it sends much and asks little. That is what floods of SETTINGS, PING, CONTINUATION and empty
// frames have in common (CVE-2023-45288, CVE-2019-9512, -9515): each is cheap to send, is worked on, and is no request that any
// other limit would count.
type metered struct {
	net.Conn
	allowance atomic.Int64 // bytes
	release   func()
}

// Read fails when the allowance is used up.
func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if m.allowance.Add(-int64(n)) < 0 {
		return 0, errOverdrawn
	}
	return n, err
}

// Close gives the slot back.
func (m *metered) Close() error {
	defer m.release()
	return m.Conn.Close()
}

// CloseWrite lets an answer arrive that was written before all of the request was read: net/http looks for this method, and
// resets the connection without it.
func (m *metered) CloseWrite() error {
	if c, ok := m.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (m *metered) credit(n int64) {
	if m.allowance.Add(n) > mostAllowance {
		m.allowance.Store(mostAllowance)
	}
}

type meterKey struct{}

// withMeter remembers the meter of a connection for its requests.
func withMeter(ctx context.Context, connection net.Conn) context.Context {
	if encrypted, ok := connection.(*tls.Conn); ok {
		connection = encrypted.NetConn()
	}
	if m, ok := connection.(*metered); ok {
		return context.WithValue(ctx, meterKey{}, m)
	}
	return ctx
}

// meter lets a connection send more with each of its requests: a body of the given size in the worst of encodings.
func meter(body Size) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if m, ok := r.Context().Value(meterKey{}).(*metered); ok {
				m.credit(requestAllowance + 2*int64(body))
			}
			next.ServeHTTP(w, r)
		})
	}
}
