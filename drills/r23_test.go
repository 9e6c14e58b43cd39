//go:build drills

package drills

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestDrillR23 ends a server in order while requests are on their way: quick ones, ones that take a second to arrive, and
// connections that have none.
func TestDrillR23(t *testing.T) {
	d := begin(t, "R23", "SIGTERM at 300 rps with requests that take 1 s and idle connections: not ready first, 2 s for the load balancer, Connection: close, drained <= 10 s, 0 resets; a second SIGTERM ends it at once")
	n := newNode(t, "writ", "WRIT_SHUTDOWN_DELAY=2s")
	n.start()
	o := operate(t, n, n)
	o.resource(api, "ES256")
	client := o.client("billing", api, nil)
	callers := keepAlive(64, nil)
	var idle []net.Conn
	for range 20 {
		idle = append(idle, n.connect())
	}
	l := start(300, func(int) answer { return send(callers, n.tokenOf(client)) })
	time.Sleep(500 * time.Millisecond)

	var slow sync.WaitGroup
	var mu sync.Mutex
	answered, closing := map[string]int{}, 0
	began := time.Now()
	n.signal(syscall.SIGTERM)
	for i := range 20 {
		slow.Go(func() {
			time.Sleep(time.Duration(i) * 90 * time.Millisecond) // the last ones begin just before the delay ends
			status, closed := n.slowly(client, time.Second)
			mu.Lock()
			defer mu.Unlock()
			answered[status]++
			if closed {
				closing++
			}
		})
	}
	unready := n.until("not ready", time.Second, func() bool { status, _ := n.get("/readyz"); return status == http.StatusServiceUnavailable })
	d.want("unready_after", unready, unready < 200*time.Millisecond)
	time.Sleep(time.Until(began.Add(1900 * time.Millisecond))) // a load balancer has noticed by now
	quick := l.end()
	slow.Wait()
	select {
	case <-n.ended:
	case <-time.After(15 * time.Second):
	}
	took := time.Since(began)
	d.want("quick_failed", quick.bad("200"), quick.bad("200") == 0)
	d.want("slow_answers", answered, answered["200"] == 20)
	d.want("slow_told_to_close", closing, closing == 20)
	d.want("ended_after", took, took >= 2*time.Second && took < 12*time.Second)
	resets := 0
	for _, c := range idle {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); err != nil && strings.Contains(err.Error(), "reset") {
			resets++
		}
	}
	d.want("idle_reset", resets, resets == 0)

	n.start()
	n.signal(syscall.SIGTERM)
	time.Sleep(200 * time.Millisecond)
	again := time.Now()
	n.signal(syscall.SIGTERM)
	<-n.ended
	d.want("second_signal_ends_within", time.Since(again), time.Since(again) < time.Second)
	n.process = nil
	_ = os.Remove(n.log)
}

// connect opens a connection to the public listener.
func (n *node) connect() net.Conn {
	c, err := net.Dial("tcp", n.public)
	if err != nil {
		n.t.Error(err)
		return nil
	}
	n.t.Cleanup(func() { _ = c.Close() })
	return c
}

// slowly asks for a token with a body that takes a time to arrive, and returns the status and whether the connection is to be
// closed.
func (n *node) slowly(client party, takes time.Duration) (status string, closing bool) {
	c, err := net.Dial("tcp", n.public)
	if err != nil {
		return failureOf(err), false
	}
	defer c.Close()
	body := "grant_type=client_credentials"
	basic := base64.StdEncoding.EncodeToString([]byte(client.ID + ":" + client.Secret))
	fmt.Fprintf(c, "POST /token HTTP/1.1\r\nHost: %s\r\nAuthorization: Basic %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n", n.public, basic, len(body))
	for i := range len(body) {
		time.Sleep(takes / time.Duration(len(body)))
		if _, err := c.Write([]byte{body[i]}); err != nil {
			return failureOf(err), false
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return failureOf(err), false
	}
	defer response.Body.Close()
	return fmt.Sprint(response.StatusCode), response.Close
}
