package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
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
