//go:build drills

package drills

import (
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A wire passes connections on to a database: late, if it is told to, and to who listens.
type wire struct {
	net.Listener
	target string
	delay  atomic.Int64 // of each piece from the database, in nanoseconds; half of it less or more
	heard  atomic.Pointer[func()]

	mu    sync.Mutex
	conns []net.Conn // under mu
}

// newWire returns a wire and the DSN that goes through it. A nil listener is one on loopback.
func newWire(t *testing.T, dsn string, l net.Listener) (*wire, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if l == nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	w := &wire{Listener: l, target: u.Host}
	t.Cleanup(w.cut)
	go w.run()
	u.Host = l.Addr().String()
	return w, u.String()
}

func (w *wire) run() {
	for {
		near, err := w.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		w.mu.Lock()
		w.conns = append(w.conns, near, far)
		w.mu.Unlock()
		go pass(near, far, w.late)
		go pass(far, near, func() {
			if heard := w.heard.Load(); heard != nil {
				(*heard)()
			}
		})
	}
}

// late waits for the delay and up to a half of it more or less.
func (w *wire) late() {
	if delay := w.delay.Load(); delay > 0 {
		time.Sleep(time.Duration(delay/2 + rand.Int64N(delay)))
	}
}

// pass copies, piece by piece.
func pass(to, from net.Conn, before func()) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			before()
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err == io.EOF || err != nil {
			return
		}
	}
}

// cut ends all of it.
func (w *wire) cut() {
	_ = w.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		_ = c.Close()
	}
}
