package client

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
)

// maxSources bounds what With remembers.
const maxSources = 1024

// A server is the authorization server as one client sees it. All Sources of the client share it.
type server struct {
	config    Config
	http      *http.Client
	log       *slog.Logger
	discovery discovery

	mu      sync.Mutex
	sources map[target]*Source // guarded by mu
}

func newServer(config Config) *server {
	s := &server{config: config, http: issuerClient(config.HTTPClient), log: config.Logger, sources: map[target]*Source{}}
	s.discovery.turn = make(chan struct{}, 1)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// issuerClient returns a client that follows no redirect: a credential must not travel on to an address that the
// configuration does not know. It keeps no cookies.
func issuerClient(base *http.Client) *http.Client {
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if base != nil {
		c.Transport, c.Timeout = base.Transport, base.Timeout
	}
	return c
}

// source returns the one Source for target.
func (s *server) source(t target) *Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	if source, ok := s.sources[t]; ok {
		return source
	}
	source := &Source{server: s, target: t, places: placesFor(t.resource, s.config.AllowHosts)}
	source.cache.fetch = source.fetch
	source.cache.failed = source.failed
	if len(s.sources) < maxSources {
		s.sources[t] = source
	}
	return source
}

// fetch obtains a token from the issuer and logs that it did.
func (s *Source) fetch(ctx context.Context, renewal bool) (*Token, error) {
	attempts := maxAttempts
	if renewal {
		attempts = 1
	}
	token, err := s.server.obtain(ctx, s.target, attempts)
	if err == nil {
		s.server.log.DebugContext(ctx, "client: token obtained", s.attributes(slog.Time("expires", token.Expires))...)
	}
	return token, err
}

// failed logs a failure that no caller sees; the others are the callers' to log.
func (s *Source) failed(err error, kept bool) {
	if kept {
		s.server.log.Warn("client: token not renewed, the old one is still valid", s.attributes(slog.Any("error", err))...)
	}
}

func (s *Source) attributes(last slog.Attr) []any {
	c := s.server.config
	return []any{
		slog.String("issuer", c.Issuer), slog.String("client_id", c.ClientID), slog.String("resource", s.target.resource),
		slog.String("scope", s.target.scope), last,
	}
}

// obtain asks for a token up to attempts times, as long as the failure is one that may pass.
func (s *server) obtain(ctx context.Context, t target, attempts int) (*Token, error) {
	for n := 1; ; n++ {
		token, err := s.ask(ctx, t)
		transient, again := errors.AsType[*transientError](err)
		if !again || n >= attempts || !pause(ctx, transient.wait(n)) {
			return token, err
		}
	}
}

func (s *server) ask(ctx context.Context, t target) (*Token, error) {
	endpoint, err := s.tokenEndpoint(ctx)
	if err != nil {
		return nil, err
	}
	return s.requestToken(ctx, endpoint, t)
}

func (s *server) tokenEndpoint(ctx context.Context) (string, error) {
	if s.config.TokenEndpoint != "" {
		return s.config.TokenEndpoint, nil
	}
	metadata, err := s.discovery.metadata(ctx, s.fetchMetadata)
	if err != nil {
		return "", err
	}
	return metadata.TokenEndpoint, nil
}
