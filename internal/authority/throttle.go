package authority

import (
	"net/netip"
	"strings"
	"sync"
	"time"
)

// A Throttle says how many failed authentications of one client from one address are borne: Burst at once, then one an
// Interval. Off bears all of them.
type Throttle struct {
	Burst    int
	Interval time.Duration
	Off      bool
}

// DefaultThrottle bears 20 failures at once and then one every 3 seconds.
var DefaultThrottle = Throttle{Burst: 20, Interval: 3 * time.Second}

// maxFailures bounds the memory that strangers can take: past it, the oldest half is forgotten.
const maxFailures = 1 << 16

// failures counts failed authentications, for each claimed client and address apart: whoever guesses from one address
// does not lock the client out of another (RFC 6749, 2.3.1, demands a defence; locking out would be an attack).
type failures struct {
	throttle Throttle
	now      func() time.Time

	mu sync.Mutex
	// when each caller will have worked off its failures (GCRA); under mu
	recent, older map[caller]time.Time
}

type caller struct {
	clientID string
	network  netip.Prefix
}

func newFailures(throttle Throttle, now func() time.Time) *failures {
	if throttle == (Throttle{}) {
		throttle = DefaultThrottle
	}
	return &failures{throttle: throttle, now: now, recent: map[caller]time.Time{}}
}

// check returns an Unavailable error for a caller who has failed too often.
func (f *failures) check(clientID, remote string) error {
	if f.throttle.Off {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	borne := f.now().Add(time.Duration(f.throttle.Burst-1) * f.throttle.Interval)
	until := f.until(callerOf(clientID, remote))
	if !until.After(borne) {
		return nil
	}
	return &Unavailable{RetryAfter: until.Sub(borne), Fault: FaultFailures}
}

// take counts something that is borne so often, and returns 0, or how long to wait when it is not borne.
func (f *failures) take(who, remote string) time.Duration {
	if f.throttle.Off {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	caller := callerOf(who, remote)
	wait := f.until(caller).Sub(f.now().Add(time.Duration(f.throttle.Burst-1) * f.throttle.Interval))
	if wait > 0 {
		return wait
	}
	f.count(caller)
	return 0
}

// add counts a failure.
func (f *failures) add(clientID, remote string) {
	if f.throttle.Off {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count(callerOf(clientID, remote))
}

func (f *failures) count(who caller) {
	who.clientID = strings.Clone(who.clientID) // which holds on to the whole request that it came in
	until := f.until(who)
	if now := f.now(); until.Before(now) {
		until = now
	}
	if len(f.recent) >= maxFailures/2 {
		f.older, f.recent = f.recent, map[caller]time.Time{}
	}
	f.recent[who] = until.Add(f.throttle.Interval)
}

func (f *failures) until(who caller) time.Time {
	if until, found := f.recent[who]; found {
		return until
	}
	return f.older[who]
}

// callerOf takes a whole IPv6 /64 as one address: it costs nothing to change within it. A client ID that is too long to
// be one is cut, so that strangers do not choose how much is kept.
func callerOf(clientID, remote string) caller {
	if len(clientID) > 128 {
		clientID = clientID[:128]
	}
	return caller{clientID, networkOf(remote)}
}

// networkOf returns what counts as one address; of what cannot be read, the zero Prefix.
func networkOf(remote string) netip.Prefix {
	address := parseAddress(remote)
	bits := 32
	if address.Is6() {
		bits = 64
	}
	network, _ := address.Prefix(bits) // the error is of no address at all
	return network
}

// parseAddress reads the address of a caller, with or without a port. An IPv4 address in the form of IPv6 is the IPv4 address;
// what cannot be read is the zero Addr.
func parseAddress(remote string) netip.Addr {
	address, err := netip.ParseAddr(remote)
	if err != nil {
		withPort, _ := netip.ParseAddrPort(remote)
		address = withPort.Addr()
	}
	return address.Unmap().WithZone("")
}
