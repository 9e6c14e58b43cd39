package server

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// A punctual connection keeps its deadlines to the moment, and seldom has the system keep one. net/http moves six for each
// request, each a timer of the runtime behind a lock, and nearly all are moved on before they come. So the system keeps one
// that never comes later than what was asked for. When it comes too early, nobody hears of it: the system is given
// what was asked for last, and the read or write goes on.
//
// A deadline has a monotonic reading, or is in the past: those of net/http and crypto/tls do, or are.
type punctual struct {
	net.Conn
	reading, writing deadline

	whole sync.Mutex // one Write at a time, as a connection has it: what another one writes does not come in between
}

// Read fails at the deadline for reading, as that is by then.
func (c *punctual) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if n > 0 || !c.reading.early(err, c.Conn.SetReadDeadline) {
			return n, err
		}
	}
}

// Write fails at the deadline for writing, as that is by then.
func (c *punctual) Write(p []byte) (int, error) {
	c.whole.Lock()
	defer c.whole.Unlock()
	for written := 0; ; {
		n, err := c.Conn.Write(p[written:])
		written += n
		if !c.writing.early(err, c.Conn.SetWriteDeadline) {
			return written, err
		}
	}
}

// SetReadDeadline also ends a Read that waits; zero is none.
func (c *punctual) SetReadDeadline(t time.Time) error {
	return c.reading.move(t, c.Conn.SetReadDeadline)
}

// SetWriteDeadline also ends a Write that waits; zero is none.
func (c *punctual) SetWriteDeadline(t time.Time) error {
	return c.writing.move(t, c.Conn.SetWriteDeadline)
}

// SetDeadline sets both.
func (c *punctual) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// A deadline is one of the two of a connection.
type deadline struct {
	// mu is held while the system is told: net/http ends a Read by a deadline in the past, and a Read that goes on at that
	// moment must not put its own in that one's place.
	mu     sync.Mutex
	wanted time.Time // under mu, like all below; zero: none
	kept   time.Time // by the system; zero: none, and then none is wanted
}

// move has the system keep a deadline if it would not hear of it in time.
func (d *deadline) move(t time.Time, keep func(time.Time) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if t.IsZero() || !d.kept.IsZero() && !t.Before(d.kept) {
		return nil
	}
	d.kept = t
	return keep(t)
}

// early reports whether something failed at a deadline that nobody wants any more, and may go on.
func (d *deadline) early(err error, keep func(time.Time) error) bool {
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.wanted.IsZero() && !time.Now().Before(d.wanted) {
		return false
	}
	d.kept = d.wanted
	return keep(d.wanted) == nil
}
