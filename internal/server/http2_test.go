package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An http2Attacker speaks HTTP/2 frame by frame.
type http2Attacker struct {
	*http2.Framer
	connection net.Conn
	headers    []byte        // an encoded GET
	goAway     atomic.Uint32 // the code that the server ended with
}

func newHTTP2Attacker(t *testing.T, authority *testAuthority, address string) *http2Attacker {
	t.Helper()
	connection := tls.Client(dial(t, address), &tls.Config{RootCAs: authority.pool, ServerName: "localhost", NextProtos: []string{"h2"}})
	if err := connection.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	a := &http2Attacker{Framer: http2.NewFramer(connection, connection), connection: connection}
	if err := a.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/slow"}} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
			t.Fatal(err)
		}
	}
	a.headers = block.Bytes()
	return a
}

// frames reads what the server sends until it closes, and sends on how many streams it refused.
func (a *http2Attacker) frames() (refused <-chan int, gone <-chan struct{}) {
	counts, closed := make(chan int, 1), make(chan struct{})
	go func() {
		n := 0
		for {
			frame, err := a.ReadFrame()
			if err != nil {
				break
			}
			if end, ok := frame.(*http2.GoAwayFrame); ok {
				a.goAway.Store(uint32(end.ErrCode))
			}
			if reset, ok := frame.(*http2.RSTStreamFrame); ok && reset.ErrCode == http2.ErrCodeRefusedStream {
				n++
			}
		}
		counts <- n
		close(closed)
	}()
	return counts, closed
}

func TestOP03(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	var files TLSFiles
	files.Certificate, files.Key = authority.files(t, "localhost")
	limits := Default().Limits
	limits.WriteTimeout = Duration(2 * time.Second)
	f, _ := newFront(limits)
	pair, err := newCertificate(files, f.logger, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	var running, most atomic.Int64
	var hold sync.RWMutex
	address := listen(t, f.public(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/slow" {
			return
		}
		n := running.Add(1)
		defer running.Add(-1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		<-r.Context().Done()
		hold.RLock() // work that is not given up at once
		defer hold.RUnlock()
	})), pair, limits)
	others := func(t *testing.T) {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.pool, ServerName: "localhost"}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("https://" + address + "/")
		if err != nil {
			t.Errorf("others are not served: %v", err)
			return
		}
		response.Body.Close()
	}

	// bounded looks at how many handlers ran at once, and waits for the last to end.
	bounded := func(t *testing.T) {
		t.Helper()
		if n := most.Swap(0); n > 32 || n == 0 {
			t.Errorf("%d handlers ran at once, want 1 to 32", n)
		}
		until(t, "the handlers end", func() bool { return running.Load() == 0 })
	}

	t.Run("OP-03 rapid reset", func(t *testing.T) { // CVE-2023-44487
		a := newHTTP2Attacker(t, authority, address)
		_, gone := a.frames()
		hold.Lock()
		const streams = 100_000
		for sent := range streams {
			id := uint32(2*sent + 1)
			if a.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: a.headers, EndStream: true, EndHeaders: true}) != nil || a.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
				break
			}
		}
		wait(t, gone)
		hold.Unlock()
		if a.goAway.Load() != uint32(http2.ErrCodeEnhanceYourCalm) {
			t.Errorf("the connection ended with code %d, want ENHANCE_YOUR_CALM", a.goAway.Load())
		}
		bounded(t)
		others(t)
	})
	t.Run("OP-03 1000 concurrent streams", func(t *testing.T) {
		a := newHTTP2Attacker(t, authority, address)
		refused, _ := a.frames()
		for i := range uint32(1000) {
			if a.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: a.headers, EndStream: true, EndHeaders: true}) != nil {
				break
			}
		}
		others(t)
		_ = a.connection.SetReadDeadline(time.Now().Add(time.Second))
		n := <-refused
		a.connection.Close()
		if n < 900 {
			t.Errorf("%d of 1000 streams were refused, want nearly all but 32", n)
		}
		bounded(t)
	})
	t.Run("OP-03 CONTINUATION flood", func(t *testing.T) { // CVE-2023-45288
		a := newHTTP2Attacker(t, authority, address)
		_, gone := a.frames()
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		if err := a.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: a.headers}); err != nil {
			t.Fatal(err)
		}
		const megabytes = 100
		sent := 0
		for ; sent < megabytes<<20; sent += block.Len() {
			block.Reset()
			_ = encoder.WriteField(hpack.HeaderField{Name: "x-junk", Value: string(bytes.Repeat([]byte("a"), 15<<10)), Sensitive: true})
			if a.WriteContinuation(1, false, block.Bytes()) != nil {
				break
			}
		}
		if sent >= megabytes<<20 {
			t.Errorf("%d MB of headers were taken", megabytes)
		}
		wait(t, gone)
		t.Logf("dropped after %d KiB", sent>>10)
		others(t)
	})
	floods := map[string]func(a *http2Attacker, i int) error{
		"SETTINGS": func(a *http2Attacker, i int) error { // CVE-2019-9515
			return a.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i % 1000)})
		},
		"PING":          func(a *http2Attacker, i int) error { return a.WritePing(false, [8]byte{byte(i)}) }, // CVE-2019-9512
		"WINDOW_UPDATE": func(a *http2Attacker, _ int) error { return a.WriteWindowUpdate(0, 1) },
		"PRIORITY": func(a *http2Attacker, i int) error {
			return a.WritePriority(uint32(2*i+1), http2.PriorityParam{StreamDep: 0, Weight: byte(i)})
		},
	}
	for name, frame := range floods {
		t.Run("OP-03 "+name+" flood", func(t *testing.T) {
			a := newHTTP2Attacker(t, authority, address)
			const frames = 1_000_000
			sent := 0
			var err error
			for ; sent < frames && err == nil; sent++ { // and read no acknowledgement
				err = frame(a, sent)
				if sent == 1000 {
					others(t)
				}
			}
			if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d were taken, %v", sent, err)
			}
			_, gone := a.frames()
			wait(t, gone)
			t.Logf("dropped after %d frames", sent)
			others(t)
		})
	}
}

func wait(t *testing.T, gone <-chan struct{}) {
	t.Helper()
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("the connection stays open")
	}
}
