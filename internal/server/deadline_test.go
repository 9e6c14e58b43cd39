package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// longAgo is how net/http ends a Read.
var longAgo = time.Unix(1, 0)

// A deed is what a test does to a connection at a moment. Deeds are at whole milliseconds and deadlines between them, so that no two things
// happen at once.
type deed struct {
	after   time.Duration
	kind    int           // which of the deeds below
	moment  time.Duration // the deadline, from then
	reading bool          // of reading, else of writing
}

const (
	deedMove   = iota // to a later or an earlier moment
	deedRemove        // no deadline
	deedAbort         // a deadline in the past
	deedSend          // the other end sends a byte, or takes two
	deeds
)

func deedsOf(seed uint64) []deed {
	random, all := rand.New(rand.NewPCG(seed, 0)), make([]deed, 60)
	for i := range all {
		all[i] = deed{
			time.Duration(random.IntN(5)) * time.Millisecond, random.IntN(deeds),
			time.Duration(random.IntN(12))*time.Millisecond + 500*time.Microsecond, random.IntN(2) == 0,
		}
	}
	return all
}

// history is all that one reader and one writer see of a connection while the deeds are done, with the moment of each.
func history(t *testing.T, connection, other net.Conn, all []deed) (seen []string) {
	t.Helper()
	began, stop := time.Now(), make(chan struct{})
	var mu sync.Mutex
	var group sync.WaitGroup
	endless := func(what string, do func([]byte) (int, error)) {
		group.Go(func() {
			for {
				n, err := do(make([]byte, 3))
				mu.Lock()
				seen = append(seen, fmt.Sprintf("%9s %s %d %v", time.Since(began), what, n, err))
				mu.Unlock()
				select {
				case <-stop:
					return
				default:
				}
				if err != nil { // not before the next deadline can have come
					time.Sleep(time.Since(began).Truncate(time.Millisecond) + 1700*time.Microsecond - time.Since(began))
				}
			}
		})
	}
	endless("read", connection.Read)
	endless("write", connection.Write)
	for _, d := range all {
		time.Sleep(d.after)
		set := connection.SetWriteDeadline
		if d.reading {
			set = connection.SetReadDeadline
		}
		switch d.kind {
		case deedMove:
			_ = set(time.Now().Add(d.moment))
		case deedRemove:
			_ = set(time.Time{})
		case deedAbort:
			_ = set(longAgo)
		case deedSend:
			_ = other.SetDeadline(time.Now().Add(100 * time.Microsecond))
			if d.reading {
				_, _ = other.Write([]byte("a"))
			} else {
				_, _ = io.ReadFull(other, make([]byte, 2))
			}
			time.Sleep(time.Since(began).Truncate(time.Millisecond) + time.Millisecond - time.Since(began))
		}
		synctest.Wait()
	}
	close(stop)
	connection.Close()
	group.Wait()
	slices.Sort(seen) // of one moment: who was first
	return seen
}

// A connection with its deadlines kept by us is, to the moment and to the byte, like one with its deadlines kept by the system.
func TestDeadlinesAreKept(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		var got, want []string
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			want = history(t, here, there, deedsOf(seed))
		})
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			got = history(t, &punctual{Conn: here}, there, deedsOf(seed))
		})
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d:\n%s\nwant\n%s", seed, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A Read that goes on behind an early deadline does not miss that it is to end at that moment.
func TestDeadlineInThePastEndsARead(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	dial(t, inner.Addr().String())
	accepted, err := inner.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	c, ended := &punctual{Conn: accepted}, make(chan error)
	for i := range 2000 {
		wait := time.Duration(i%50) * time.Microsecond
		_ = c.SetReadDeadline(time.Now().Add(wait))
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		go func() {
			_, err := c.Read(make([]byte, 1))
			ended <- err
		}()
		for began := time.Now(); time.Since(began) < wait; {
			continue // the Read finds the early deadline about now
		}
		_ = c.SetReadDeadline(longAgo)
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the read ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the read goes on")
		}
		_ = c.SetReadDeadline(time.Time{})
	}
}

// A hesitant connection is slow to take a deadline that is far away.
type hesitant struct {
	net.Conn
	begun, resume chan struct{}
}

func (c *hesitant) SetReadDeadline(t time.Time) error {
	if time.Until(t) > time.Minute {
		close(c.begun)
		<-c.resume
	}
	return c.Conn.SetReadDeadline(t)
}

// A deadline in the past also stands when another one was on its way to the system.
func TestDeadlineInThePastStands(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]time.Duration{"from a read that goes on": time.Millisecond, "from whoever set one": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := net.Pipe()
			defer there.Close()
			defer here.Close()
			system := &hesitant{Conn: here, begun: make(chan struct{}), resume: make(chan struct{})}
			c, ended, aborted := &punctual{Conn: system}, make(chan error), make(chan struct{})
			if early > 0 {
				_ = c.SetReadDeadline(time.Now().Add(early))
			}
			go func() {
				_ = c.SetReadDeadline(time.Now().Add(time.Hour))
				_, err := c.Read(make([]byte, 1))
				ended <- err
			}()
			<-system.begun
			go func() {
				defer close(aborted)
				_ = c.SetReadDeadline(longAgo)
			}()
			select {
			case <-aborted:
			case <-time.After(50 * time.Millisecond):
			}
			close(system.resume)
			select {
			case err := <-ended:
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the read ended with %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("the read goes on")
			}
			<-aborted
		})
	}
}

// An interrupted connection has its deadline come when half of the first Write is out, and somebody has seen it.
type interrupted struct {
	net.Conn
	written       []byte
	begun, resume chan struct{}
}

func (c *interrupted) SetWriteDeadline(time.Time) error { return nil }

func (c *interrupted) Write(p []byte) (int, error) {
	if len(c.written) > 0 {
		c.written = append(c.written, p...)
		return len(p), nil
	}
	c.written = append(c.written, p[:len(p)/2]...)
	close(c.begun)
	<-c.resume
	return len(p) / 2, os.ErrDeadlineExceeded
}

// What two write at once arrives as two, also when an early deadline comes while the first is on its way.
func TestDeadlineLeavesAWriteWhole(t *testing.T) {
	t.Parallel()
	system := &interrupted{begun: make(chan struct{}), resume: make(chan struct{})}
	c := &punctual{Conn: system}
	write := func(text string) chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			if n, err := io.WriteString(c, text); n != len(text) || err != nil {
				t.Errorf("%s: wrote %d, %v", text, n, err)
			}
		}()
		return done
	}
	first := write("aaaa")
	<-system.begun
	second := write("bbbb")
	select {
	case <-second:
	case <-time.After(50 * time.Millisecond):
	}
	close(system.resume)
	<-first
	<-second
	if string(system.written) != "aaaabbbb" {
		t.Errorf("%s arrives", system.written)
	}
}

// An overseen connection counts how often the system is given a deadline, and knows when it was closed.
type overseen struct {
	net.Conn
	given  atomic.Int64
	closed chan struct{}
	once   sync.Once
}

func (c *overseen) SetReadDeadline(t time.Time) error {
	c.given.Add(1)
	return c.Conn.SetReadDeadline(t)
}

func (c *overseen) SetWriteDeadline(t time.Time) error {
	c.given.Add(1)
	return c.Conn.SetWriteDeadline(t)
}

func (c *overseen) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// An only listener has one connection.
type only struct{ connections chan net.Conn }

func (l only) Accept() (net.Conn, error) {
	if c, ok := <-l.connections; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l only) Close() error {
	close(l.connections)
	return nil
}

func (only) Addr() net.Addr { return &net.TCPAddr{} }

// visitPipe has net/http serve one connection, through a gate or without one.
func visitPipe(t *testing.T, limits Limits, handler http.Handler, gated bool, visit func(t *testing.T, client net.Conn, system *overseen)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		client, other := net.Pipe()
		system, l := &overseen{Conn: other, closed: make(chan struct{})}, only{make(chan net.Conn, 1)}
		l.connections <- system
		s := newHTTPServer(limits, slog.New(slog.DiscardHandler))
		s.Handler = handler
		var served net.Listener = l
		if gated {
			served = newGate(l, 1, nobody)
		}
		done := make(chan error)
		go func() { done <- s.Serve(served) }()
		visit(t, client, system)
		client.Close()
		s.Close()
		<-done
	})
}

// patient reads all of a body before it answers.
var patient = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err == nil {
		fmt.Fprint(w, strings.Repeat("a", 1<<14))
	}
})

// askPipe has one request answered.
func askPipe(t *testing.T, client net.Conn) {
	t.Helper()
	_, _ = io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
	response, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// Whoever is slow is cut off in time, also on a connection with other deadlines behind it: at the very moment when it would be if the
// system kept them all.
func TestSlowCallersEndInTime(t *testing.T) {
	t.Parallel()
	limits := Default().Limits
	limits.HeaderTimeout, limits.BodyTimeout = Duration(5*time.Second), Duration(10*time.Second)
	limits.WriteTimeout, limits.IdleTimeout = Duration(8*time.Second), Duration(time.Minute)
	for name, test := range map[string]struct {
		first, then string // sent at once, and every 700 ms
		deaf        bool   // reads nothing
		want        time.Duration
	}{
		"a header a byte at a time":   {first: "POST / HTTP/1.1\r\nX: ", then: "a", want: 5 * time.Second},
		"a body a byte at a time":     {first: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", then: "a", want: 10 * time.Second},
		"a second header behind one":  {first: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\naPOST / HTTP/1.1\r\nX: ", then: "a", want: 5 * time.Second},
		"no request":                  {want: time.Minute},
		"an answer that nobody reads": {first: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", deaf: true, want: 8 * time.Second},
	} {
		for _, before := range []time.Duration{0, 300 * time.Millisecond, 3 * time.Second, 40 * time.Second} {
			t.Run(fmt.Sprint(name, ", after requests every ", before), func(t *testing.T) {
				t.Parallel()
				lasted := func(handler http.Handler, gated bool) (took time.Duration) {
					visitPipe(t, limits, handler, gated, func(t *testing.T, client net.Conn, system *overseen) {
						for range 20 {
							askPipe(t, client)
							time.Sleep(before)
						}
						began := time.Now()
						var group sync.WaitGroup
						if !test.deaf {
							group.Go(func() { _, _ = io.Copy(io.Discard, client) })
						}
						group.Go(func() {
							_, err := io.WriteString(client, test.first)
							for err == nil && test.then != "" {
								time.Sleep(700 * time.Millisecond)
								_, err = io.WriteString(client, test.then)
							}
						})
						<-system.closed
						took = time.Since(began)
						group.Wait()
					})
					return took
				}
				got, watched, alone := lasted(unwatched(patient), true), lasted(patient, true), lasted(patient, false)
				wait := test.want
				if test.first == "" {
					wait -= before // since the last answer
				}
				if got != alone || watched != alone || got < wait || got > wait+time.Second {
					t.Errorf("it lasted %s, and %s when net/http watches it, want %s, which is %s", got, watched, alone, wait)
				}
			})
		}
	}
}

// A request moves its deadlines as net/http does, and the system hears of next to none.
func TestDeadlinesAreSeldomGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, other := net.Pipe()
		defer client.Close()
		system, limits := &overseen{Conn: other}, Default().Limits
		c := &punctual{Conn: system}
		for range 1000 {
			_ = c.SetReadDeadline(time.Now().Add(limits.IdleTimeout.std()))
			go func() {
				time.Sleep(10 * time.Millisecond)
				_, _ = client.Write([]byte("a"))
			}()
			if _, err := c.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(limits.HeaderTimeout.std()))
			_ = c.SetReadDeadline(time.Now().Add(limits.BodyTimeout.std()))
			_ = c.SetWriteDeadline(time.Now().Add(limits.WriteTimeout.std()))
			_ = c.SetReadDeadline(time.Time{})
			_ = c.SetWriteDeadline(time.Time{})
		}
		if given := system.given.Load(); given > 10 {
			t.Errorf("the system was given %d deadlines for 1000 requests within ten seconds", given)
		}
	})
}
