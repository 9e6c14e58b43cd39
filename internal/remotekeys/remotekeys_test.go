package remotekeys_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/remotekeys"
)

// timed returns a Cache with a clock of the test's.
func timed(t *testing.T, h *host) (*remotekeys.Cache, *clock) {
	t.Helper()
	clock := newClock()
	return h.cache(t, func(o *remotekeys.Options) { o.Now = clock.Now }), clock
}

func (h *host) expectRequests(t *testing.T, want int64) {
	t.Helper()
	if got := h.requests.Load(); got != want {
		t.Errorf("%d requests to the host, want %d", got, want)
	}
}

func TestJ43(t *testing.T) {
	h := newHost(t, answer(published("old")))
	c, clock := timed(t, h)
	expectKeys(t, c, uri, "old")
	h.serves(published("old", "new"))
	t.Run("J43 a new key is there when it is asked for", func(t *testing.T) {
		expectKeys(t, c, uri, "old")
		if !c.Renew(t.Context(), uri) {
			t.Error("not renewed")
		}
		expectKeys(t, c, uri, "old", "new")
	})
	t.Run("J43 a withdrawn key is gone within the bound", func(t *testing.T) {
		h.serves(published("new"), "Cache-Control", "max-age=86400")
		clock.advance(5 * time.Minute)
		expectKeys(t, c, uri, "new")
		h.serves(published("newer"))
		clock.advance(15 * time.Minute)
		expectKeys(t, c, uri, "newer")
	})
	t.Run("J43 a client that withdrew all", func(t *testing.T) {
		h.serves(published())
		clock.advance(15 * time.Minute)
		expectFailure(t, c, uri, "has no key that can verify a signature")
	})
}

func TestJ44(t *testing.T) {
	t.Run("J44 down, and remembered", func(t *testing.T) {
		h := newHost(t, answer(published("a")))
		c, clock := timed(t, h)
		expectKeys(t, c, uri, "a")
		h.goDown(true)
		for range 23 {
			clock.advance(time.Hour)
			expectKeys(t, c, uri, "a")
		}
		clock.advance(time.Hour)
		expectFailure(t, c, uri, "has a host that cannot be connected to") // a day is over
	})
	t.Run("J44 down, and not remembered", func(t *testing.T) {
		h := newHost(t, answer(published("a")))
		h.goDown(true)
		c, clock := timed(t, h)
		expectFailure(t, c, uri, "has a host that cannot be connected to")
		h.goDown(false)
		clock.advance(34 * time.Second)
		expectKeys(t, c, uri, "a")
	})
	t.Run("J44 an error of the host withdraws nothing", func(t *testing.T) {
		h := newHost(t, answer(published("a")))
		c, clock := timed(t, h)
		expectKeys(t, c, uri, "a")
		h.serves([]byte("<html>"))
		clock.advance(6 * time.Minute)
		expectKeys(t, c, uri, "a")
	})
}

func TestFreshness(t *testing.T) {
	for header, minutes := range map[string]int{
		"": 5, "max-age=0": 5, "no-store": 5, "max-age=1200, no-cache": 5, "max-age=600": 10, `public, max-age="720"`: 12, "MAX-AGE=3600": 15,
		"max-age=99999999999999999999": 5, "max-age=-1": 5, "s-maxage=900": 5, "max-age=2000000000": 15,
	} {
		t.Run(header, func(t *testing.T) {
			h := newHost(t, answer(published("a"), "Cache-Control", header))
			c, clock := timed(t, h)
			expectKeys(t, c, uri, "a")
			clock.advance(time.Duration(minutes) * time.Minute * 4 / 5)
			clock.advance(-time.Second)
			expectKeys(t, c, uri, "a")
			h.expectRequests(t, 1)
			clock.advance(time.Duration(minutes)*time.Minute/5 + time.Second)
			expectKeys(t, c, uri, "a")
			h.expectRequests(t, 2)
		})
	}
	t.Run("renewed before it is too old, and nobody waits", func(t *testing.T) {
		h := newHost(t, answer(published("a")))
		c, clock := timed(t, h)
		expectKeys(t, c, uri, "a")
		came, release := make(chan struct{}), make(chan struct{})
		next := published("b")
		slow := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(came)
			<-release
			_, _ = w.Write(next)
		})
		h.handler.Store(&slow)
		clock.advance(5*time.Minute - time.Second)
		expectKeys(t, c, uri, "a") // though the host does not answer yet
		<-came
		close(release)
		if !c.Renew(t.Context(), uri) { // joins the fetch that runs
			t.Error("not renewed")
		}
		expectKeys(t, c, uri, "b")
	})
}

func TestNegative(t *testing.T) {
	h := newHost(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	c, clock := timed(t, h)
	for range 100 {
		expectFailure(t, c, uri, "is answered with status 4xx")
		if c.Renew(t.Context(), uri) {
			t.Error("renewed")
		}
	}
	h.expectRequests(t, 1)
	clock.advance(29 * time.Second)
	expectFailure(t, c, uri, "is answered with status 4xx")
	h.expectRequests(t, 1)
	clock.advance(5 * time.Second)
	expectFailure(t, c, uri, "is answered with status 4xx")
	h.expectRequests(t, 2)
}

// TestRG22: every unknown key ID asks for newer keys.
func TestRG22(t *testing.T) {
	h := newHost(t, answer(published("a")))
	c, clock := timed(t, h)
	first, err := c.Keys(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	flood := func() {
		var wait sync.WaitGroup
		for range 10 {
			wait.Go(func() {
				for range 100 {
					c.Renew(t.Context(), uri)
				}
			})
		}
		wait.Wait()
	}
	t.Run("RG-22 1 000 unknown keys, one more fetch", func(t *testing.T) {
		flood()
		h.expectRequests(t, 2)
		clock.advance(59 * time.Second)
		flood()
		h.expectRequests(t, 2)
		clock.advance(time.Second)
		flood()
		h.expectRequests(t, 3)
	})
	t.Run("RG-22 nothing is parsed again", func(t *testing.T) {
		before, err := c.Keys(t.Context(), uri)
		if err != nil || &before[0] == &first[0] {
			t.Fatalf("got the first set (%v), want a newer", err)
		}
		for range 1000 {
			if keys, err := c.Keys(t.Context(), uri); err != nil || &keys[0] != &before[0] {
				t.Fatalf("got other keys (%v)", err)
			}
		}
	})
	t.Run("who asked while it was renewed hears of it", func(t *testing.T) {
		clock.advance(time.Minute)
		for range 2 {
			if !c.Renew(t.Context(), uri) {
				t.Error("there is a newer set now, and nobody says so")
			}
		}
		h.expectRequests(t, 4)
		clock.advance(time.Second)
		if c.Renew(t.Context(), uri) {
			t.Error("renewed")
		}
	})
}

func TestSingleFlight(t *testing.T) {
	release := make(chan struct{})
	body := published("a")
	h := newHost(t, func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(body)
	})
	c := h.cache(t, nil)
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() { expectKeys(t, c, uri, "a") })
	}
	t.Run("who goes away takes nobody along", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Keys(ctx, uri); err == nil {
			t.Error("got keys")
		}
	})
	close(release)
	wait.Wait()
	h.expectRequests(t, 1)
}

// TestBounds: what strangers have us remember is bounded.
func TestBounds(t *testing.T) {
	c := remotekeys.New(remotekeys.Options{DialForTests: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("down") }})
	defer c.Close()
	for n := range 20_000 {
		if _, err := c.Keys(t.Context(), fmt.Sprintf("https://%s/%d", public, n)); err == nil {
			t.Fatal("got keys")
		}
	}
	if got := c.Remembered(); got > 16<<10 || got < 8<<10 {
		t.Errorf("%d key sets are remembered, want 16384 at most, and not much less", got)
	}
}

func TestClose(t *testing.T) {
	came := make(chan struct{})
	h := newHost(t, func(_ http.ResponseWriter, r *http.Request) { close(came); <-r.Context().Done() })
	c := h.cache(t, nil)
	ended := make(chan error, 1)
	go func() { _, err := c.Keys(t.Context(), uri); ended <- err }()
	<-came
	c.Close()
	if err := <-ended; err == nil {
		t.Error("got keys")
	}
}
