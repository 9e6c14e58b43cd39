package server

import (
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// maxPaced bounds the memory that strangers can take: past it, the older half of the addresses is forgotten, and may begin anew.
const maxPaced = 1 << 16

// A pace is how often requests may come from one address: so many at once, and then one an interval (GCRA). What counts as one
// address is what a host has to itself: an IPv4 address, or an IPv6 /64, within which changing costs nothing (CVE-2025-24806).
type pace struct {
	interval time.Duration
	burst    int

	mu sync.Mutex
	// when each address will have worked off its requests; under mu
	recent, older map[netip.Prefix]time.Time
}

// newPace returns nil for a rate of 0, which bears everything.
func newPace(rate, burst int) *pace {
	if rate <= 0 {
		return nil
	}
	return &pace{interval: time.Second / time.Duration(rate), burst: max(1, burst), recent: map[netip.Prefix]time.Time{}}
}

// take counts a request, and returns how long its address has to wait if it is one too many. That one is not counted: who keeps
// asking while it must wait, does not wait longer for it.
func (p *pace) take(from netip.Prefix, now time.Time) (wait time.Duration) {
	borne := now.Add(time.Duration(p.burst-1) * p.interval)
	p.mu.Lock()
	defer p.mu.Unlock()
	until, found := p.recent[from]
	if !found {
		until = p.older[from]
	}
	if until.After(borne) {
		return until.Sub(borne)
	}
	if until.Before(now) {
		until = now
	}
	if !found && len(p.recent) >= maxPaced/2 {
		p.older, p.recent = p.recent, map[netip.Prefix]time.Time{}
	}
	p.recent[from] = until.Add(p.interval)
	return 0
}

// limitAddresses answers 429 to an address that asks too often, before anything of the request is looked at. Where the address
// stands for many callers, as this machine's and that of a proxy which names none, it has no limit: it would be one for all of
// them. Headers that name an address count from a trusted proxy alone (GO-2026-5774); identify has seen to that.
func limitAddresses(p proxies, bears *pace, refused func()) middleware {
	return func(next http.Handler) http.Handler {
		if bears == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			client, err := netip.ParseAddr(r.RemoteAddr)
			if err != nil || p.bringMany(client) { // what identify found no address in
				next.ServeHTTP(w, r)
				return
			}
			if wait := bears.take(originOf(client), time.Now()); wait > 0 {
				refused()
				w.Header().Set("Retry-After", strconv.Itoa(max(1, int((wait+time.Second-1)/time.Second))))
				refuse(w, http.StatusTooManyRequests, "temporarily_unavailable", "too many requests from this address; try again later")
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
