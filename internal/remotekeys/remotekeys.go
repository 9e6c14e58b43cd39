// Package remotekeys reads the key sets that clients publish at a jwks_uri (RFC 7591, 2) and keeps them fresh. A client
// chooses the address and what answers there, so nothing of it is trusted: not where the name leads (package publicuri
// decides), not how much comes or how slowly, not what is in it (package jose reads it). Which client may authenticate
// with which key is decided elsewhere.
package remotekeys

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/writ-auth/writ/internal/jose"
)

// Options say how key sets are fetched. The zero value is what a server runs with.
type Options struct {
	Roots    *x509.CertPool   // who vouches for the hosts; nil means the system's
	Resolver *net.Resolver    // nil means Go's own, with the system's name servers
	Now      func() time.Time // nil means time.Now
	Logger   *slog.Logger     // hears of sets that cannot be fetched; nil means silence

	// AllowPrivateAddressesForTests takes away what keeps clients from reading our inner network through us.
	AllowPrivateAddressesForTests bool
	// DialForTests connects instead of a net.Dialer; address is a vetted IP address and port.
	DialForTests func(ctx context.Context, network, address string) (net.Conn, error)
}

// How much is remembered and fetched at once.
const (
	maxWeight  = 64 << 20 // bytes, about, of all key sets together
	maxFetches = 16       // at once; each ends within fetchTimeout, so that slow hosts cannot hold them

	// Requests that wait at once, for one set and for all of them. Anybody can name a client whose host does not answer: with
	// as many requests as the server answers at a time, nobody else would be heard for as long as a fetch takes.
	maxWaiting    = 256
	maxWaitingOne = 128
)

// A Cache holds the key sets of many clients, the least used of which are forgotten first. All who need a set share one
// fetch. It is safe for concurrent use.
type Cache struct {
	guard    guard
	roots    *x509.CertPool
	now      func() time.Time
	log      *slog.Logger
	sources  *otter.Cache[string, *source]
	slots    chan struct{} // one for each fetch that runs
	waiting  atomic.Int32  // requests
	lifetime context.Context
	end      context.CancelFunc
}

// New returns an empty Cache. Close it after use.
func New(options Options) *Cache {
	c := &Cache{
		guard: newGuard(options), roots: options.Roots, now: options.Now, log: options.Logger, slots: make(chan struct{}, maxFetches),
		sources: otter.Must(&otter.Options[string, *source]{
			MaximumWeight: maxWeight, Weigher: func(_ string, s *source) uint32 { return s.weight.Load() },
		}),
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.lifetime, c.end = context.WithCancel(context.Background())
	return c
}

// Close ends the fetches that run. Afterwards a set that is not remembered cannot be had.
func (c *Cache) Close() { c.end() }

// Keys returns the keys that a client publishes at uri. It fetches them if they are not remembered or too old, and waits
// for that no longer than fetchTimeout; while they cannot be fetched, the last good ones are returned, for a day. The
// caller must not change them. An error says what kind of thing went wrong and nothing that came from the host.
func (c *Cache) Keys(ctx context.Context, uri string) ([]jose.Key, error) {
	s, err := c.source(uri)
	if err != nil {
		return nil, err
	}
	good, flight := c.due(s)
	if good == nil {
		if err := c.await(ctx, s, flight); err != nil {
			return nil, err
		}
		if good, err = s.current(c.now()); err != nil {
			return nil, err
		}
	}
	if len(good.keys) == 0 {
		return nil, errNoKey // the client's way to say that none of its keys is to be used any more
	}
	return good.keys, nil
}

// Renew fetches the set again, because a key was not in it, at most once a minute: key IDs are free to invent, and each
// would have us send a request to a host of somebody's choice. It reports whether a newer set is there now.
func (c *Cache) Renew(ctx context.Context, uri string) bool {
	s, err := c.source(uri)
	if err != nil {
		return false
	}
	flight, just := c.renew(s)
	if flight == nil || c.await(ctx, s, flight) != nil {
		return just
	}
	return s.succeeded()
}

// source returns the memory of what is published at uri.
func (c *Cache) source(uri string) (*source, error) {
	if s, ok := c.sources.GetIfPresent(uri); ok {
		return s, nil
	}
	if err := c.guard.check(uri); err != nil {
		return nil, err
	}
	s, _ := c.sources.ComputeIfAbsent(uri, func() (*source, bool) { return newSource(uri), false })
	return s, nil
}
