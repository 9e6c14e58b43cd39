//go:build drills

package drills

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// An answer is what came of a request.
type answer struct {
	status     int // 0 without an answer
	failure    string
	retryAfter bool
	body       []byte
	sent       time.Time
	took       time.Duration // since the request was due, not since it was sent: who waits for a slow server is not left out
}

// class is what an answer is counted as.
func (a answer) class() string {
	if a.status == 0 {
		return a.failure
	}
	return strconv.Itoa(a.status)
}

// A load sends requests at times that were fixed before, however long the answers take.
type load struct {
	rate float64 // a second
	send func(n int) answer

	mu      sync.Mutex
	answers []answer
	dropped atomic.Int64 // there were too many on their way
	stop    chan struct{}
	done    sync.WaitGroup
}

// mostOnTheirWay bounds what waits for an answer.
const mostOnTheirWay = 4096

// start begins to send; end stops it.
func start(rate float64, send func(n int) answer) *load {
	l := &load{rate: rate, send: send, stop: make(chan struct{})}
	l.done.Go(l.run)
	return l
}

func (l *load) run() {
	began := time.Now()
	slots := make(chan struct{}, mostOnTheirWay)
	for n := 0; ; n++ {
		due := began.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
		if wait := time.Until(due); wait > 0 {
			select {
			case <-l.stop:
				return
			case <-time.After(wait):
			}
		}
		select {
		case <-l.stop:
			return
		case slots <- struct{}{}:
		default:
			l.dropped.Add(1)
			continue
		}
		l.done.Go(func() {
			a := l.send(n)
			a.sent, a.took = due, time.Since(due)
			<-slots
			l.mu.Lock()
			defer l.mu.Unlock()
			l.answers = append(l.answers, a)
		})
	}
}

// end stops the load, waits for the answers on their way, and returns all.
func (l *load) end() answers {
	close(l.stop)
	l.done.Wait()
	return l.answers
}

// during runs a load while something happens.
func during(rate float64, send func(n int) answer, happens func()) answers {
	l := start(rate, send)
	happens()
	return l.end()
}

type answers []answer

// classes counts them.
func (all answers) classes() map[string]int {
	counts := map[string]int{}
	for _, a := range all {
		counts[a.class()]++
	}
	return counts
}

// of returns those of a class.
func (all answers) of(class string) (some answers) {
	for _, a := range all {
		if a.class() == class {
			some = append(some, a)
		}
	}
	return some
}

// bad returns how many are none of the classes.
func (all answers) bad(good ...string) int {
	bad := 0
	for _, a := range all {
		if !slices.Contains(good, a.class()) {
			bad++
		}
	}
	return bad
}

// percentile returns how long the given share took at most.
func (all answers) percentile(share float64) time.Duration {
	if len(all) == 0 {
		return 0
	}
	took := make([]time.Duration, len(all))
	for i, a := range all {
		took[i] = a.took
	}
	slices.Sort(took)
	return took[min(len(took)-1, int(math.Ceil(share*float64(len(took))))-1)]
}

// keepAlive returns a client that keeps connections open, to whatever address is dialled.
func keepAlive(connections int, dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	}
	return &http.Client{
		Timeout: 15 * time.Second,
		Transport: &http.Transport{
			DialContext: dial, MaxIdleConns: connections, MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send sends a request once.
func send(client *http.Client, request *http.Request) answer {
	begin := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return answer{failure: failureOf(err), took: time.Since(begin), sent: begin}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{failure: failureOf(err), took: time.Since(begin), sent: begin}
	}
	return answer{status: response.StatusCode, retryAfter: response.Header.Get("Retry-After") != "", body: body, took: time.Since(begin), sent: begin}
}

// failureOf says in a word why there was no answer.
func failureOf(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "failed: " + err.Error()
}

// post makes a request with a form and Basic credentials; id may be empty.
func post(address string, form url.Values, id, secret string) *http.Request {
	request, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		panic(err) // the drill's own address
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		request.SetBasicAuth(id, secret)
	}
	return request
}
