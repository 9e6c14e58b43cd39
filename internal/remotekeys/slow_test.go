package remotekeys_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/internal/remotekeys"
)

// serve returns our end of a connection to a host that answers a request with f.
func serve(f func(conn net.Conn)) net.Conn {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		conn := tls.Server(theirs, with(ordinary()))
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			f(conn)
		}
	}()
	return ours
}

func TestSlow(t *testing.T) {
	ordinary() // made outside of the bubbles
	silent := func(conn net.Conn) { _, _ = conn.Read(make([]byte, 1)) }
	for name, dial := range map[string]func() net.Conn{
		"RG-20 one byte a second": func() net.Conn {
			return serve(func(conn net.Conn) {
				_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
				for err == nil {
					time.Sleep(time.Second)
					_, err = conn.Write([]byte{' '})
				}
			})
		},
		"RG-20 never-ending chunks": func() net.Conn {
			return serve(func(conn net.Conn) {
				_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
				for err == nil {
					time.Sleep(time.Millisecond)
					_, err = io.WriteString(conn, "1\r\n \r\n")
				}
			})
		},
		"RG-20 a header line a second": func() net.Conn {
			return serve(func(conn net.Conn) {
				_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
				for n := 0; err == nil; n++ {
					time.Sleep(time.Second)
					_, err = fmt.Fprintf(conn, "X-%d: a\r\n", n)
				}
			})
		},
		"RG-20 no answer": func() net.Conn { return serve(silent) },
		"RG-20 no handshake": func() net.Conn {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, theirs) }()
			return ours
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := remotekeys.New(remotekeys.Options{
					Roots: trusted().pool, DialForTests: func(context.Context, string, string) (net.Conn, error) { return dial(), nil },
				})
				start := time.Now()
				expectFailure(t, c, uri, "does not answer in time")
				if took := time.Since(start); took != 3*time.Second {
					t.Errorf("waited %v, want 3 s", took)
				}
				time.Sleep(time.Minute) // the host hears of it, too
			})
		})
	}
}

// slowest is a world of hosts on port 8443 that say nothing, while they are to be slow, and of others that answer.
type slowest struct {
	body          []byte
	running, most atomic.Int64
	over          atomic.Bool
}

func (s *slowest) dial(_ context.Context, _, address string) (net.Conn, error) {
	return serve(func(conn net.Conn) {
		s.most.Store(max(s.most.Load(), s.running.Add(1)))
		defer s.running.Add(-1)
		if strings.HasSuffix(address, ":8443") && !s.over.Load() {
			_, _ = conn.Read(make([]byte, 1))
			return
		}
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s.body), s.body)
	}), nil
}

func TestSlots(t *testing.T) {
	body := published("a")
	slowly := func(n int) string { return fmt.Sprintf("https://%s:8443/%d", public, n) }
	inBubble := func(f func(t *testing.T, s *slowest, c *remotekeys.Cache)) func(t *testing.T) {
		return func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slowest{body: body}
				f(t, s, remotekeys.New(remotekeys.Options{Roots: trusted().pool, DialForTests: s.dial}))
				time.Sleep(time.Minute) // all of it ends
			})
		}
	}
	ask := func(t *testing.T, c *remotekeys.Cache, from, to int) {
		for n := from; n < to; n++ {
			go func() { _, _ = c.Keys(t.Context(), slowly(n)) }()
		}
		synctest.Wait()
	}
	t.Run("RG-20 other clients are unaffected", inBubble(func(t *testing.T, _ *slowest, c *remotekeys.Cache) {
		ask(t, c, 0, 15)
		start := time.Now()
		expectKeys(t, c, uri, "a")
		if took := time.Since(start); took != 0 {
			t.Errorf("waited %v", took)
		}
	}))
	t.Run("RG-20 not more than 16 at once", inBubble(func(t *testing.T, s *slowest, c *remotekeys.Cache) {
		ask(t, c, 0, 100)
		expectFailure(t, c, slowly(100), "has to wait for too many others")
		if s.most.Load() != 16 {
			t.Errorf("%d fetches at once, want 16", s.most.Load())
		}
		s.over.Store(true)
		expectKeys(t, c, slowly(100), "a") // it was not its fault, and so it is not made to wait
	}))
}

// TestWaiting: with requests for keys that do not come nobody can take up the whole server.
func TestWaiting(t *testing.T) {
	silent := func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	for name, test := range map[string]struct{ sources, want int }{
		"RG-20 of one client": {1, 128}, "RG-20 of many": {8, 256},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := remotekeys.New(remotekeys.Options{DialForTests: silent})
				var waiting atomic.Int32
				for n := range 800 {
					go func() {
						waiting.Add(1)
						defer waiting.Add(-1)
						if _, err := c.Keys(t.Context(), fmt.Sprintf("https://%s/%d", public, n%test.sources)); err == nil {
							t.Error("got keys")
						}
					}()
				}
				synctest.Wait()
				if got := int(waiting.Load()); got != test.want {
					t.Errorf("%d requests wait, want %d", got, test.want)
				}
				time.Sleep(time.Minute)
				if left := waiting.Load(); left != 0 {
					t.Errorf("%d requests wait for ever", left)
				}
			})
		})
	}
}
