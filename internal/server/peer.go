package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// proxies says whom a listener lets speak plain HTTP, and whose forwarded headers it believes.
type proxies struct {
	trusted []netip.Prefix // X-Forwarded-For from these counts
	behind  []netip.Prefix // these may speak plain HTTP; empty when the listener speaks TLS or is on loopback
}

// proxies are those in front of the public listener; in front of the admin listener there are none.
func (c Config) proxies() proxies {
	return proxies{trusted: c.TrustedProxies, behind: c.PlainHTTPBehind}
}

func (p proxies) trusts(address netip.Addr) bool {
	within := func(prefix netip.Prefix) bool { return prefix.Contains(address) }
	return slices.ContainsFunc(p.trusted, within) || slices.ContainsFunc(p.behind, within)
}

// bringMany reports whether many callers may come from one address: then no share of the connections holds for it.
func (p proxies) bringMany(address netip.Addr) bool { return address.IsLoopback() || p.trusts(address) }

// admits reports whether the peer of a connection may speak to the listener at all, and whether what it passes on came
// to it over TLS: a proxy that also listens on port 80 would otherwise bring secrets that were sent in clear.
func (p proxies) admits(peer netip.Addr, r *http.Request) bool {
	if len(p.behind) == 0 || r.TLS != nil {
		return true
	}
	within := func(prefix netip.Prefix) bool { return prefix.Contains(peer) }
	if !peer.IsLoopback() && !slices.ContainsFunc(p.behind, within) {
		return false
	}
	for _, scheme := range r.Header.Values("X-Forwarded-Proto") {
		if !strings.EqualFold(strings.TrimSpace(scheme), "https") {
			return false
		}
	}
	return true
}

// peerOf returns the other end of the connection that a request came over. over is nil in tests without one: what the request says
// counts then, until identify has made it the client's address, which is nobody's here.
func peerOf(r *http.Request, over *metered) netip.Addr {
	if over != nil {
		return over.address
	}
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap().WithZone("")
}

// maxHops bounds the walk through a header that anyone may have made.
const maxHops = 32

// clientOf returns who the request of a peer came from: the last hop, read from the right, that is no proxy of ours. Only what a
// trusted proxy has added counts; what stands left of the first stranger is that stranger's own invention
// (GO-2026-5774). Headers other than X-Forwarded-For are not looked at, because a proxy that sets one passes the others on.
func (p proxies) clientOf(address netip.Addr, r *http.Request) netip.Addr {
	if !p.trusts(address) {
		return address
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := range min(len(hops), maxHops) {
		hop, err := parseHop(hops[len(hops)-1-i])
		if err != nil {
			return address
		}
		if address = hop; !p.trusts(address) {
			return address
		}
	}
	return address
}

func parseHop(text string) (netip.Addr, error) {
	text = strings.TrimSpace(text)
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return address.Unmap().WithZone(""), err
}
