package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

func nobody(netip.Addr) bool { return false }

func TestGate(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(inner, 1, proxies{}.bringMany)
	accepted := make(chan *metered)
	ended := make(chan error, 1)
	go func() {
		for {
			connection, err := g.Accept()
			if err != nil {
				ended <- err
				return
			}
			m := connection.(*metered)
			g.track(m, http.StateActive)
			accepted <- m
		}
	}()
	dial(t, inner.Addr().String())
	dial(t, inner.Addr().String())
	first := <-accepted
	select {
	case <-accepted:
		t.Error("a second connection was accepted beside the first, which has a request")
	case <-time.After(50 * time.Millisecond):
	}
	if !first.crowded() {
		t.Error("nobody tells the first that another one waits")
	}
	first.Close()
	first.Close() // gives one slot back, not two
	second := <-accepted
	if g.mu.Lock(); g.open != 1 || len(g.sources) != 1 {
		t.Errorf("%d slots of %d sources are taken, want 1 of 1", g.open, len(g.sources))
	}
	g.mu.Unlock()
	if second.crowded() {
		t.Error("nobody waits any more")
	}
	dial(t, inner.Addr().String())
	g.track(second, http.StateIdle)
	third := <-accepted // from the one that became idle while it waited
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the idle one reads %v", err)
	}
	dial(t, inner.Addr().String())
	until(t, "one waits", third.crowded)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept ended with %v", err)
	}
	third.Close()
	if g.open != 0 || len(g.sources) != 0 || g.spare.first() != nil {
		t.Errorf("in the end %d slots are taken, %d sources kept", g.open, len(g.sources))
	}
}

// An exhausted listener stands where the process has no file descriptors left.
type exhausted struct{ net.Listener }

func (exhausted) Accept() (net.Conn, error) {
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
}

func TestR28FileDescriptors(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	g := newGate(inner, 10, nobody)
	dial(t, inner.Addr().String())
	idle, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	g.Listener = exhausted{inner}
	for range 2 { // there is nothing left to close the second time
		if _, err := g.Accept(); !errors.Is(err, syscall.EMFILE) {
			t.Errorf("R28 Accept ended with %v; net/http waits and goes on after EMFILE only", err)
		}
	}
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("R28 the idle connection keeps its file descriptor: %v", err)
	}
}

// Connections come and go in any order; the one that has stood for longest is in front.
func TestQueues(t *testing.T) {
	t.Parallel()
	var queues [2]queue
	var all [5]metered
	var want [2][]*metered
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		m, to := &all[random.IntN(len(all))], random.IntN(3) // the last is none
		for i := range want {
			want[i] = slices.DeleteFunc(want[i], func(other *metered) bool { return other == m })
		}
		if to == 2 {
			m.stand()
		} else {
			m.stand(&queues[to])
			want[to] = append(want[to], m)
		}
		for i := range queues {
			var got []*metered
			for p := queues[i].end.after; p != nil && p.m != nil; p = p.after {
				got = append(got, p.m)
			}
			if !slices.Equal(got, want[i]) || len(got) > 0 && got[0] != queues[i].front() || len(got) == 0 && queues[i].front() != nil {
				t.Fatalf("queue %d has %p, want %p", i, got, want[i])
			}
		}
	}
}

// TestTrackAllocatesNothing: it is done twice for each request.
func TestTrackAllocatesNothing(t *testing.T) {
	m, err := newGate(nil, 1, nobody).admit(distant{from: &net.TCPAddr{}})
	if err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(100, func() {
		m.gate.track(m, http.StateActive)
		m.gate.track(m, http.StateIdle)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestOriginOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "::1": "::/64",
	} {
		if got := originOf(netip.MustParseAddr(address)); got.String() != want {
			t.Errorf("%s is of %s, want %s", address, got, want)
		}
	}
}

// A crowd is a listener with few slots. Its handler answers /slow when it is let go, anything else at once.
type crowd struct {
	address  string
	entered  chan struct{}
	release  chan struct{}
	listener *listener
}

const crowdSlots = 32

func newCrowd(t *testing.T, pair *certificate, many func(netip.Addr) bool) *crowd {
	t.Helper()
	limits := Default().Limits
	limits.Connections = crowdSlots
	f, _ := newFront(limits)
	c := &crowd{entered: make(chan struct{}), release: make(chan struct{})}
	l, err := bind(t.Context(), "127.0.0.1:0", pair, proxies{}, limits, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if many != nil {
		l.many = many
	}
	c.listener, c.address = l, l.Addr().String()
	l.http.Handler = f.public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			c.entered <- struct{}{}
			<-c.release
		}
		_, _ = io.WriteString(w, "ok")
	}))
	done := make(chan error, 1)
	go func() { done <- l.serve() }()
	t.Cleanup(func() {
		l.http.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return c
}

// A visitor is a connection that is kept.
type visitor struct {
	net.Conn
	reader *bufio.Reader
	told   bool // that the connection ends with the last answer
}

func (c *crowd) visit(t *testing.T, from string) *visitor {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	connection, err := dialer.DialContext(t.Context(), "tcp", c.address)
	if err != nil {
		t.Skipf("this system has no second address of loopback: %v", err)
	}
	t.Cleanup(func() { connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	return &visitor{Conn: connection, reader: bufio.NewReader(connection)}
}

func (v *visitor) ask(path string) { fmt.Fprintf(v, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path) }

// answer reads an answer, and fails when there is none.
func (v *visitor) answer() error {
	response, err := http.ReadResponse(v.reader, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	v.told = response.Close
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || string(body) != "ok") {
		err = fmt.Errorf("answered %s %q", response.Status, body)
	}
	return err
}

// served asks once and expects the answer at once.
func (v *visitor) served(t *testing.T, who string) {
	t.Helper()
	v.ask("/")
	if err := v.answer(); err != nil {
		t.Fatalf("R26 %s: %v", who, err)
	}
}

// settle waits until a connection is the last of the idle ones.
func (c *crowd) settle(t *testing.T, v *visitor) {
	t.Helper()
	until(t, "the connection is idle", func() bool {
		c.listener.mu.Lock()
		defer c.listener.mu.Unlock()
		last := c.listener.spare.idle.end.before
		return last != nil && last.m != nil && last.m.RemoteAddr().String() == v.LocalAddr().String()
	})
}

// closed reports whether the server has closed a connection by now, or a moment later.
func (v *visitor) closed() bool {
	_ = v.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := v.reader.ReadByte()
	timeout, ok := err.(net.Error)
	return !ok || !timeout.Timeout()
}

const here, there, elsewhere = "127.0.0.1", "127.0.0.2", "127.0.0.3"

func TestR26IdleConnections(t *testing.T) {
	t.Parallel()
	t.Run("R26 idle keep-alives make room, the oldest first", func(t *testing.T) {
		c := newCrowd(t, nil, nil)
		busy := c.visit(t, here)
		busy.ask("/slow")
		<-c.entered
		var idle []*visitor
		for range crowdSlots - 1 {
			v := c.visit(t, here)
			v.served(t, "while there is room")
			idle = append(idle, v)
			c.settle(t, v) // the answer comes before the connection counts as idle
		}
		idle[0].served(t, "a request over a connection that is kept") // the second is now the one idle for longest
		c.settle(t, idle[0])
		for range 4 {
			c.visit(t, here).served(t, "a new caller")
		}
		if idle[0].closed() {
			t.Error("R26 the one that asked last was closed before those idle for longer")
		}
		for i, v := range idle[1:5] {
			if !v.closed() {
				t.Errorf("R26 idle connection %d is still open", i+1)
			}
		}
		for range 2 * crowdSlots { // none of the old ones stays, except for the one with a request
			c.visit(t, here).served(t, "a new caller")
		}
		close(c.release)
		if err := busy.answer(); err != nil {
			t.Errorf("R26 a request was cut off for others: %v", err)
		}
	})
	t.Run("R26 connections without a request make room", func(t *testing.T) {
		c := newCrowd(t, nil, nil)
		for i := range 2 * crowdSlots {
			v := c.visit(t, here)
			if i%2 == 0 {
				_, _ = io.WriteString(v, "GET / HTTP/1.1\r\nX: dribble")
			}
		}
		c.visit(t, here).served(t, "a new caller")
	})
	t.Run("R26 the idle make room before those that have not asked yet", func(t *testing.T) {
		c := newCrowd(t, nil, nil)
		slow := c.visit(t, here)
		_, _ = io.WriteString(slow, "GET / HTTP/1.1\r\n")
		for range 2 * crowdSlots {
			c.visit(t, here).served(t, "a new caller")
		}
		_, _ = io.WriteString(slow, "Host: x\r\n\r\n")
		if err := slow.answer(); err != nil {
			t.Errorf("R26 a caller with a slow line: %v", err)
		}
	})
	t.Run("R26 requests in every slot are answered before others are let in", func(t *testing.T) {
		c := newCrowd(t, nil, nil)
		var busy []*visitor
		for range crowdSlots {
			v := c.visit(t, here)
			v.ask("/slow")
			<-c.entered
			busy = append(busy, v)
		}
		late := c.visit(t, here)
		late.ask("/")
		until(t, "one waits", func() bool { return c.listener.waiting.Load() == 1 })
		close(c.release)
		told := 0
		for _, v := range busy {
			if err := v.answer(); err != nil {
				t.Errorf("R26 a request was cut off for others: %v", err)
			}
			if v.told {
				told++
			}
		}
		if told == 0 {
			t.Error("R26 no answer said that its connection is wanted, so its caller may send into one that is closed")
		}
		if err := late.answer(); err != nil {
			t.Errorf("R26 the one that waited: %v", err)
		}
	})
}

func TestR26IdleHTTP2(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	var files TLSFiles
	files.Certificate, files.Key = authority.files(t, "localhost")
	pair, err := newCertificate(files, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	c := newCrowd(t, pair, nil)
	for i := range 2 * crowdSlots {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.pool, ServerName: "localhost"}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("https://" + c.address + "/")
		if err != nil {
			t.Fatalf("R26 caller %d behind idle HTTP/2 connections: %v", i, err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
}

func TestR26Share(t *testing.T) {
	t.Parallel()
	t.Run("R26 one address takes no more than its share, whatever it does", func(t *testing.T) {
		c := newCrowd(t, nil, nobody)
		share := crowdSlots / 4
		var busy []*visitor
		for range share {
			v := c.visit(t, there)
			v.ask("/slow")
			<-c.entered
			busy = append(busy, v)
		}
		for range 2 * crowdSlots {
			if v := c.visit(t, there); !v.closed() {
				t.Fatal("R26 the address has more than its share")
			}
		}
		until(t, "all of them are counted", func() bool { return c.listener.refused.Load() == 2*crowdSlots })
		for range crowdSlots {
			c.visit(t, elsewhere).served(t, "a caller from elsewhere")
		}
		close(c.release)
		for _, v := range busy {
			if err := v.answer(); err != nil {
				t.Errorf("R26 a request was cut off for others: %v", err)
			}
		}
	})
	t.Run("R26 an address with its share in idle connections goes on with new ones", func(t *testing.T) {
		c := newCrowd(t, nil, nobody)
		kept := c.visit(t, elsewhere)
		kept.served(t, "a caller from elsewhere")
		for range 3 * crowdSlots {
			c.visit(t, there).served(t, "a new caller")
		}
		kept.served(t, "the idle connection of another address")
	})
	t.Run("R26 loopback and trusted proxies have no share", func(t *testing.T) {
		p := proxies{trusted: prefixes("10.0.0.0/24"), behind: prefixes("10.9.0.1/32")}
		for address, want := range map[string]bool{"127.0.0.1": true, "::1": true, "10.0.0.7": true, "10.9.0.1": true, "192.0.2.1": false, "2001:db8::1": false} {
			if got := p.bringMany(netip.MustParseAddr(address)); got != want {
				t.Errorf("%s brings many: %t, want %t", address, got, want)
			}
		}
	})
}
