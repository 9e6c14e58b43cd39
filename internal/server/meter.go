package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
)

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
	punctual
	allowance atomic.Int64 // bytes
	receiving atomic.Bool  // a body is on its way that takes what is free for each connection (see intake)
	unwatched atomic.Bool  // see the function of this name

	address netip.Addr // of the other end
	remote  string     // the same in text

	gate   *gate
	origin netip.Prefix
	source *source  // under the gate's mu, like all below
	places [2]place // in the gate's queue and in the source's
	gone   bool     // the slot was given back
}

// Read fails when the allowance is used up.
func (m *metered) Read(p []byte) (int, error) {
	if len(p) == 1 && m.unwatched.Load() {
		return 0, nil
	}
	n, err := m.punctual.Read(p)
	if m.allowance.Add(-int64(n)) < 0 {
		return 0, errOverdrawn
	}
	return n, err
}

// Close gives the slot back.
func (m *metered) Close() error {
	defer func() {
		m.gate.mu.Lock()
		defer m.gate.mu.Unlock()
		m.gate.forget(m)
	}()
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
	return context.WithValue(ctx, meterKey{}, meteredBelow(connection))
}

// meteredBelow finds the metered connection that TLS may stand on.
func meteredBelow(connection net.Conn) *metered {
	if encrypted, ok := connection.(*tls.Conn); ok {
		connection = encrypted.NetConn()
	}
	m, _ := connection.(*metered)
	return m
}

// meterOf returns the connection that a request came over; nil where there is none, as in a test.
func meterOf(r *http.Request) *metered {
	m, _ := r.Context().Value(meterKey{}).(*metered)
	return m
}

// text returns an address in text. That of the other end is the same for all requests, and is there already.
func (m *metered) text(address netip.Addr) string {
	if m != nil && address == m.address {
		return m.remote
	}
	return address.String()
}

// crowded reports whether somebody waits for a slot while every connection has a request.
func (m *metered) crowded() bool { return m != nil && m.gate.waiting.Load() > 0 }

// meter lets a connection send more with each of its requests: a body of the given size in the worst of encodings.
func meter(body Size) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if m := meterOf(r); m != nil {
				m.credit(requestAllowance + 2*int64(body))
			}
			next.ServeHTTP(w, r)
		})
	}
}

// unwatched has nobody watch a connection while a request on it is answered. To notice a client that goes away, net/http reads a byte
// beside each handler: a goroutine, a system call and two deadlines, a twentieth of all that a token takes. What is answered here
// is answered within milliseconds, or refused; who went away meanwhile is noticed when the answer is written.
//
// Such a read is told by its size: nothing else reads a single byte while a handler runs. Beneath TLS, and of HTTP/2, every read is
// somebody else's, and there all is as it was.
func unwatched(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := meterOf(r); m != nil && r.ProtoMajor == 1 && r.TLS == nil {
			m.unwatched.Store(true)
			defer m.unwatched.Store(false)
		}
		next.ServeHTTP(w, r)
	})
}
