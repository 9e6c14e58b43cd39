package authority

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// throttled returns a throttle of 3 failures at once and then one in 10 seconds, and its clock.
func throttled() (*failures, *time.Time) {
	now := start
	return newFailures(Throttle{Burst: 3, Interval: 10 * time.Second}, func() time.Time { return now }), &now
}

func fail(f *failures, times int, clientID, remote string) {
	for range times {
		f.add(clientID, remote)
	}
}

func TestT50ThrottleTable(t *testing.T) {
	for _, test := range []struct {
		name     string
		failures int
		after    time.Duration
		id, from string // who asks; c from 192.0.2.1 has failed
		want     time.Duration
	}{
		{"nobody failed", 0, 0, "c", "192.0.2.1:1", 0},
		{"one less than is borne", 2, 0, "c", "192.0.2.1:1", 0},
		{"as many as are borne", 3, 0, "c", "192.0.2.1:1", 10 * time.Second},
		{"not yet worked off", 3, 9 * time.Second, "c", "192.0.2.1:1", time.Second},
		{"one worked off", 3, 10 * time.Second, "c", "192.0.2.1:1", 0},
		{"many at once wait for all", 30, 0, "c", "192.0.2.1:1", 280 * time.Second},
		{"all worked off", 30, 300 * time.Second, "c", "192.0.2.1:1", 0},
		{"from another port", 3, 0, "c", "192.0.2.1:65535", 10 * time.Second},
		{"from the address without a port", 3, 0, "c", "192.0.2.1", 10 * time.Second},
		{"from the address written as IPv6", 3, 0, "c", "[::ffff:192.0.2.1]:1", 10 * time.Second},
		{"from its neighbour", 3, 0, "c", "192.0.2.2:1", 0},
		{"another client", 3, 0, "d", "192.0.2.1:1", 0},
		{"from no address", 3, 0, "c", "@", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, now := throttled()
			fail(f, test.failures, "c", "192.0.2.1:1")
			*now = now.Add(test.after)
			err := f.check(test.id, test.from)
			var busy *Unavailable
			switch {
			case test.want == 0 && err != nil:
				t.Errorf("got %v, want it borne", err)
			case test.want > 0 && (!errors.As(err, &busy) || busy.Fault != FaultFailures || busy.RetryAfter != test.want):
				t.Errorf("got %+v, want to wait %v", err, test.want)
			}
		})
	}
}

func TestThrottleTakesA64AsOneAddress(t *testing.T) {
	f, _ := throttled()
	for i := range 3 {
		f.add("c", fmt.Sprintf("[2001:db8:1:2::%d]:1", i+1))
	}
	if f.check("c", "[2001:db8:1:2:ffff::1%eth0]:1") == nil {
		t.Error("a guesser gets around it within his /64")
	}
	if err := f.check("c", "[2001:db8:1:3::1]:1"); err != nil {
		t.Errorf("his neighbour pays for it: %v", err)
	}
}

func TestThrottleOffAndDefault(t *testing.T) {
	f := newFailures(Throttle{Off: true}, func() time.Time { return start })
	fail(f, 1000, "c", "192.0.2.1:1")
	if err := f.check("c", "192.0.2.1:1"); err != nil {
		t.Errorf("off: got %v", err)
	}
	f = newFailures(Throttle{}, func() time.Time { return start })
	fail(f, 19, "c", "192.0.2.1:1")
	if err := f.check("c", "192.0.2.1:1"); err != nil {
		t.Errorf("the default bears 20: got %v after 19", err)
	}
	fail(f, 1, "c", "192.0.2.1:1")
	if f.check("c", "192.0.2.1:1") == nil {
		t.Error("the default bears more than 20")
	}
}

// TestThrottleIsBounded: neither the number of callers nor what they send decides how much is remembered of them.
func TestThrottleIsBounded(t *testing.T) {
	f, _ := throttled()
	fail(f, 3, "c", "192.0.2.1:1")
	for i := range maxFailures / 4 {
		f.add(fmt.Sprint("stranger ", i), "192.0.2.2:1")
	}
	if f.check("c", "192.0.2.1:1") == nil {
		t.Error("a flood of strangers lets a guesser off")
	}
	for i := range 2 * maxFailures {
		f.add(fmt.Sprint("more ", i), "192.0.2.2:1")
	}
	if got := len(f.recent) + len(f.older); got > maxFailures {
		t.Errorf("%d callers are remembered, want at most %d", got, maxFailures)
	}

	f, _ = throttled()
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	for i := range 1000 {
		body := fmt.Sprintf("%05d", i) + strings.Repeat("x", 64<<10) // the ID is a part of the body that it came in
		f.add(body[:5], "192.0.2.2:1")
		f.add(body, "192.0.2.3:1")
	}
	if after := heap(); after > before+4<<20 {
		t.Errorf("2000 failures keep %d KiB", (after-before)>>10)
	}
	runtime.KeepAlive(f)
}
