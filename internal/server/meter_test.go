package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
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

func TestGate(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := newGate(inner, 1)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			connection, err := g.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- connection
		}
	}()
	dial(t, inner.Addr().String())
	dial(t, inner.Addr().String())
	first := <-accepted
	select {
	case <-accepted:
		t.Error("a second connection was accepted beside the first")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // gives one slot back, not two
	second := <-accepted
	if len(g.slots) != 1 {
		t.Errorf("%d slots are taken, want 1", len(g.slots))
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept ended with %v", err)
	}
	second.Close()
}
