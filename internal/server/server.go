package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/remotekeys"
	"github.com/writ-auth/writ/internal/store"
)

// Options are what is not configuration. The zero value works.
type Options struct {
	Logger *slog.Logger     // nil means what Config.Log says, on standard error
	Now    func() time.Time // nil means time.Now
	// Version is what the metrics call the program; "" means what the build says.
	Version string

	remoteKeys func(*remotekeys.Options) // for tests: where clients' hosts are
}

// A Server is one node: everything is open and its addresses are taken, from New until Run or Close returns.
type Server struct {
	config Config
	logger *slog.Logger
	now    func() time.Time

	store     store.Store
	ring      *keyring.Ring
	journal   *audit.Journal
	authority *authority.Authority
	registry  *registry.Registry
	remote    *remotekeys.Cache // what clients, and those who vouch for them, publish

	issuer        string
	adminURL      string
	mtlsURL       string // "" without a listener for client certificates
	public, admin *listener
	mtls          *listener // for client certificates; nil without
	trust         *trust    // nil without authorities of client certificates
	uses          *uses
	tracing       *tracing // nil without a collector
	pace          *pace    // of addresses, at all public listeners together
	anchor        *anchor
	told          told      // which expiries; the loop's alone
	toldAt        time.Time // when told was last brought up to date; the loop's alone
	loops         []loop
	metrics       *metrics

	panics   atomic.Int64
	draining atomic.Bool
	polled   atomic.Int64 // when the store last answered, in Unix nanoseconds

	remoteKeys   func(*remotekeys.Options) // nil but in tests
	madeOperator *registry.NewOperator     // by this start; nil if there was one already

	closing sync.Once
	opened  []io.Closer // closed in reverse
}

// New opens what the configuration names and takes the addresses; nothing is served until Run. On the very first start it
// makes the data directory, the root key, the first signing key, and the first operator, whose credential it writes to
// operator.json in the data directory.
//
// It refuses a configuration with a problem, a database that another process has or that is of another version, and a
// root key that is missing or not the one that sealed the keys in the database.
func New(ctx context.Context, config Config, options Options) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	s := &Server{config: config, logger: options.Logger, now: options.Now, remoteKeys: options.remoteKeys, metrics: newMetrics(), pace: newPace(config.Limits.AddressRate, config.Limits.AddressBurst)}
	if s.logger == nil {
		s.logger = NewLogger(os.Stderr, config.Log)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.startTracing(ctx, options.Version); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		s.Close()
		return nil, err
	}
	s.registerMetrics(options.Version)
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	if err := makeDataDirectory(s.config.Data); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.bind, s.openStore, s.openRing, s.openJournal, s.openAuthority, s.openRegistry, s.warnProfile, s.handle} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.metrics.expiring = &expiring{registry: s.registry, store: s.store, now: s.now}
	s.loops = s.background()
	return s.shareCores(runtime.GOMAXPROCS(0), os.Getenv("GOMAXPROCS"))
}

// IssuerURL returns the issuer identifier.
func (s *Server) IssuerURL() string { return s.issuer }

// AdminURL returns the base URL of the admin listener, without a path.
func (s *Server) AdminURL() string { return s.adminURL }

// MTLSURL returns what the URLs of the endpoints that ask for a client certificate begin with; "" without such a listener.
func (s *Server) MTLSURL() string { return s.mtlsURL }

// listeners returns those that there are, in the order in which they stop.
func (s *Server) listeners() []*listener {
	if s.mtls == nil {
		return []*listener{s.public, s.admin}
	}
	return []*listener{s.public, s.mtls, s.admin}
}

// Addresses returns the addresses that were bound: HOST:PORT, with the port that a configured 0 became.
func (s *Server) Addresses() (public, admin string) {
	return s.public.Addr().String(), s.admin.Addr().String()
}

// Run serves until ctx ends, then stops in order: it says that it is not ready, waits for Shutdown.Delay, takes no further
// request, lets those that have begun end within Shutdown.Drain, and closes everything. It returns nil then, and an error
// if a listener failed. It can be called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	var work sync.WaitGroup
	for _, l := range s.loops {
		work.Go(func() { l.run(working, s.logger) })
	}
	work.Go(func() { s.hear(working) })
	failed := make(chan error, len(s.listeners()))
	for _, l := range s.listeners() {
		work.Go(func() {
			if err := l.serve(); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("server: %s: %w", l.Addr(), err)
			}
		})
	}
	public, admin := s.Addresses()
	s.logger.Info("listening", "issuer", s.issuer, "public", public, "admin", admin, "mtls", s.mtlsURL)
	var err error
	select {
	case <-ctx.Done():
		s.stop(working)
	case err = <-failed:
		for _, l := range s.listeners() {
			_ = l.http.Close() // there is nothing left to serve with
		}
	}
	stopWork()
	work.Wait()
	s.keepLast(context.WithoutCancel(ctx))
	s.logger.Info("stopped")
	return err
}

// stop is the order of a graceful end (SECURITY, R23). The admin listener goes last: it says whether the server is ready.
func (s *Server) stop(ctx context.Context) {
	s.logger.Info("stopping", "delay", s.config.Shutdown.Delay.String(), "drain", s.config.Shutdown.Drain.String())
	s.draining.Store(true)
	time.Sleep(s.config.Shutdown.Delay.std())
	ctx, cancel := context.WithTimeout(ctx, s.config.Shutdown.Drain.std())
	defer cancel()
	for _, l := range s.listeners() {
		if err := l.http.Shutdown(ctx); err != nil {
			s.logger.Warn("requests were cut off", "address", l.Addr().String(), "error", err)
			_ = l.http.Close() // the error is of sockets that are gone
		}
	}
}

// keepLast writes down what the loops did not come to: the uses of credentials, and how far the journal went.
func (s *Server) keepLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.anchor.step(ctx); err != nil {
		s.logger.Warn("the journal's last checkpoint was not kept", "error", err)
	}
	if err := s.uses.flushAtOnce(ctx); err != nil {
		s.logger.Warn("the last uses of credentials were not kept", "error", err)
	}
}

// Close gives up everything at once. Run does it by itself; it is for a Server that never ran.
func (s *Server) Close() {
	s.closing.Do(func() {
		for _, closer := range slices.Backward(s.opened) {
			if err := closer.Close(); err != nil {
				s.logger.Error("closing", "error", err)
			}
		}
	})
}

// sweepLag is for nodes whose clocks are behind: a proof or a revocation that has passed here still counts there.
const sweepLag = time.Minute

// wholeRegistry is how long work may take that goes through all clients of which something ends, or all that has expired, at its ease (store.EachDueAtEase).
const wholeRegistry = 30 * time.Minute

// background is the work that goes on beside requests.
func (s *Server) background() []loop {
	loops := []loop{
		// Three times a second, so that a change through another node counts within one even if nobody tells of it and a poll is lost.
		{name: "poll", every: 300 * time.Millisecond, timeout: 5 * time.Second, step: s.poll, soon: make(chan struct{}, 1)},
		{name: "keys", every: time.Second, timeout: 10 * time.Second, step: s.ring.Tick, soon: make(chan struct{}, 1)},
		{name: "last uses", every: 10 * time.Second, timeout: 5 * time.Second, step: s.uses.flush},
		{name: "hashes of imported secrets", every: 5 * time.Second, timeout: 10 * time.Second, step: func(ctx context.Context) error {
			return s.authority.UpgradeSecrets(ctx, s.registry.ReplaceHashes)
		}},
		{name: "count of imported secrets", every: 5 * time.Minute, timeout: wholeRegistry, step: s.authority.Census},
		{name: "checkpoint", every: time.Minute, timeout: 30 * time.Second, step: s.anchor.step},
		{name: "sweep", every: time.Minute, timeout: wholeRegistry, step: func(ctx context.Context) error {
			_, err := s.store.Sweep(ctx, s.now().Add(-sweepLag))
			return err
		}},
		{name: "expired credentials", every: time.Hour, timeout: wholeRegistry, step: func(ctx context.Context) error {
			_, err := s.registry.Sweep(ctx)
			return err
		}},
		{name: "clients that nobody uses", every: time.Hour, timeout: wholeRegistry, step: func(ctx context.Context) error {
			_, err := s.registry.SweepRegistrations(ctx)
			return err
		}},
		{name: "coming expiries", every: time.Minute, timeout: wholeRegistry, step: s.tellExpiring},
	}
	loops = append(loops, loop{name: "expiring credentials", every: 30 * time.Second, timeout: wholeRegistry, step: s.metrics.expiring.refresh})
	for _, l := range s.listeners() {
		if l.certificate != nil {
			loops = append(loops, loop{name: "certificate of " + l.Addr().String(), every: 2 * time.Second, timeout: time.Second, step: l.certificate.reload})
		}
	}
	if s.trust != nil {
		loops = append(loops, loop{name: "authorities of client certificates", every: 2 * time.Second, timeout: time.Second, step: s.trust.reload})
	}
	return loops
}

func (s *Server) poll(ctx context.Context) error {
	if err := s.authority.Poll(ctx); err != nil {
		return err
	}
	s.polled.Store(s.now().UnixNano())
	return nil
}
