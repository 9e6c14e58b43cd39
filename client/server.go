package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/writ-auth/writ/oauth"
)

// maxSources bounds what With remembers.
const maxSources = 1024

// A server is the authorization server as one client sees it. All Sources of the client share it.
type server struct {
	config      Config
	http        *http.Client
	log         *slog.Logger
	discovery   discovery
	plain       *connection  // without a certificate
	certificate *Certificate // to be presented, or nil
	prover      *prover      // of DPoP proofs, or nil

	mu         sync.Mutex
	sources    map[target]*Source // guarded by mu
	connection *connection        // over the certificate that was presented last; guarded by mu
}

func newServer(config Config) (*server, error) {
	s := &server{
		config: config, log: config.Logger, plain: plainConnection(config.HTTPClient), certificate: config.certificate(),
		sources: map[target]*Source{},
	}
	s.http = s.issuerClient()
	s.discovery.turn = make(chan struct{}, 1)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if !config.DPoP && config.DPoPKey == nil {
		return s, nil
	}
	var err error
	if s.prover, err = newProver(config.DPoPKey); err != nil {
		return nil, fmt.Errorf("client: DPoPKey: %w", err)
	}
	return s, nil
}

// issuerClient returns a client that follows no redirect: a credential must not travel on to an address that the
// configuration does not know. It keeps no cookies.
func (s *server) issuerClient() *http.Client {
	c := &http.Client{
		Transport:     carrier{s},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if s.config.HTTPClient != nil {
		c.Timeout = s.config.HTTPClient.Timeout
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
	if _, rotates := s.config.Credential.(*rotatingSecret); rotates {
		source.cache.landed = s.rotateIfDue
	}
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
		token.places = s.places
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
	connection, err := s.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if connection.certificate != nil {
		ctx = context.WithValue(ctx, connectionKey{}, connection)
	}
	endpoint, err := s.tokenEndpoint(ctx)
	if err != nil {
		return nil, err
	}
	token, err := s.requestToken(ctx, endpoint, t)
	if err != nil {
		return nil, err
	}
	token.prover, token.connection, token.Expires = s.prover, connection, connection.until(token.Expires)
	return token, nil
}

// tokenType returns what tokens must be.
func (s *server) tokenType() string {
	if s.prover != nil {
		return oauth.DPoP
	}
	return oauth.Bearer
}

func (s *server) tokenEndpoint(ctx context.Context) (string, error) {
	if s.config.TokenEndpoint != "" {
		return s.config.TokenEndpoint, nil
	}
	metadata, err := s.discovery.metadata(ctx, s.fetchMetadata)
	if err != nil {
		return "", err
	}
	// A client that presents a certificate must use the alias where there is one (RFC 8705, 5).
	if aliases := metadata.MTLSEndpointAliases; s.certificate != nil && aliases != nil && aliases.TokenEndpoint != "" {
		return aliases.TokenEndpoint, nil
	}
	return metadata.TokenEndpoint, nil
}
