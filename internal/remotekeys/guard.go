package remotekeys

import (
	"context"
	"net"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/writ-auth/writ/internal/publicuri"
)

// A host may have many addresses; a few are tried, each for a while, so that one that is silent leaves time for the next.
const (
	maxAttempts    = 3
	attemptTimeout = time.Second
)

// A guard connects to public addresses only. It is safe for concurrent use.
type guard struct {
	resolver *net.Resolver
	connect  func(ctx context.Context, network, address string) (net.Conn, error)
	anywhere bool // for tests
}

func newGuard(options Options) guard {
	g := guard{resolver: options.Resolver, connect: options.DialForTests, anywhere: options.AllowPrivateAddressesForTests}
	if g.resolver == nil {
		// The system's own would take 0x7f.1 for an address.
		g.resolver = &net.Resolver{PreferGo: true}
	}
	if g.connect == nil {
		// Looked at once more when the socket connects: what was vetted is what is connected to.
		g.connect = (&net.Dialer{Timeout: attemptTimeout, KeepAlive: -1, Control: g.control}).DialContext
	}
	return g
}

// check refuses URIs that may not be fetched. Registration asks the same, but may have been told so by an older version.
func (g guard) check(uri string) error {
	if g.anywhere {
		if u, err := url.Parse(uri); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return failure("is not an https URL")
		}
		return nil
	}
	if _, err := publicuri.Parse(uri); err != nil {
		return failure(err.Error())
	}
	return nil
}

// dial resolves a name once, refuses it if any of its addresses is not public, and connects to one of them: the name
// is not asked for again, so a second answer (DNS rebinding) has no effect.
func (g guard) dial(ctx context.Context, host, port string) (net.Conn, error) {
	addresses, err := g.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, address := range addresses[:min(len(addresses), maxAttempts)] {
		conn, err := g.connect(ctx, "tcp", net.JoinHostPort(address.Unmap().String(), port))
		if err == nil {
			return conn, nil
		}
	}
	if ctx.Err() != nil {
		return nil, errSlow
	}
	return nil, errConnection
}

// addresses returns where a host is. One address inside among public ones is enough to refuse all: which is taken is up
// to chance.
func (g guard) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	addresses := []netip.Addr{}
	if address, err := netip.ParseAddr(host); err == nil {
		addresses = append(addresses, address)
	} else if addresses, err = g.resolver.LookupNetIP(ctx, "ip", host+"."); err != nil || len(addresses) == 0 {
		// The dot at the end keeps the system's search list, which has our own domains, out of it.
		if ctx.Err() != nil {
			return nil, errSlow
		}
		return nil, errNotFound
	}
	for _, address := range addresses {
		if !g.allows(address) {
			return nil, errNotPublic
		}
	}
	return addresses, nil
}

func (g guard) allows(address netip.Addr) bool { return g.anywhere || publicuri.Address(address) }

// control refuses a socket to an address that is not public, however it came to that.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !g.allows(to.Addr()) {
		return errNotPublic
	}
	return nil
}
