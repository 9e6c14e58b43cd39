package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Many honest requests, as large as they may be, over one connection.
func TestMeterBearsHonestConnections(t *testing.T) {
	f, _ := newFront(Default().Limits)
	n := 0
	address := listen(t, f.public(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) != 64<<10 {
			t.Errorf("read %d bytes, %v", len(body), err)
		}
		n++
	})), nil, Default().Limits)
	connection := dial(t, address)
	reader := bufio.NewReader(connection)
	for range 300 {
		fmt.Fprintf(connection, "POST /x HTTP/1.1\r\nHost: x\r\nX-Pad: %s\r\nContent-Length: 65536\r\n\r\n%s", strings.Repeat("h", 15<<10), strings.Repeat("b", 64<<10))
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("after %d requests: %v", n, err)
		}
		response.Body.Close()
	}
}

// A watchful listener counts the reads of a single byte.
type watchful struct {
	net.Listener
	seen *atomic.Int64
}

func (l watchful) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return watchfulConn{c, l.seen}, err
}

type watchfulConn struct {
	net.Conn
	seen *atomic.Int64
}

func (c watchfulConn) Read(p []byte) (int, error) {
	if len(p) == 1 {
		c.seen.Add(1)
	}
	return c.Conn.Read(p)
}

// While a request is answered, its connection is not read; between two, all of it is: whatever it comes in.
func TestUnwatched(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int64
	g := newGate(watchful{inner, &seen}, 10, proxies{}.bringMany)
	handler := chain(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Millisecond) // for the watcher to come to the connection
		if body, err := io.ReadAll(r.Body); err != nil || len(body) != int(r.ContentLength) {
			t.Errorf("read %d bytes, %v", len(body), err)
		}
		time.Sleep(time.Millisecond)
		if err := r.Context().Err(); err != nil {
			t.Error(err)
		}
		fmt.Fprint(w, r.URL.Path)
	}), unwatched)
	s := &http.Server{Handler: handler, ConnContext: withMeter, ConnState: func(c net.Conn, state http.ConnState) { g.track(meteredBelow(c), state) }, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(g) }()
	defer s.Close()
	connection := dial(t, inner.Addr().String())
	reader := bufio.NewReader(connection)
	expect := func(path string) {
		t.Helper()
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != path {
			t.Fatalf("%s: %q, %v", path, body, err)
		}
	}
	for range 3 {
		fmt.Fprint(connection, "GET /get HTTP/1.1\r\nHost: x\r\n\r\n")
		expect("/get")
		seen.Store(0) // it may have begun before the handler did
		fmt.Fprint(connection, "POST /post HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
		time.Sleep(5 * time.Millisecond)
		fmt.Fprint(connection, "b")
		expect("/post")
		if n := seen.Load(); n != 0 {
			t.Errorf("%d reads of a byte", n)
		}
	}
	fmt.Fprint(connection, "GET /one HTTP/1.1\r\nHost: x\r\n\r\nPOST /two HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nbbGET /three HTTP/1.1\r\nHost: x\r\n\r\n")
	for _, path := range []string{"/one", "/two", "/three"} {
		expect(path)
	}
	// What has come fills the buffer of 4096 bytes but for one: the next read is of a single byte, and is meant.
	path := "/" + strings.Repeat("p", 5000)
	request := "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"
	fmt.Fprint(connection, request[:4095])
	time.Sleep(20 * time.Millisecond)
	fmt.Fprint(connection, request[4095:])
	expect(path)
	if seen.Load() == 0 {
		t.Error("it came in other pieces, and nothing was tested")
	}
}
