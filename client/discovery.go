package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// How long metadata is believed: it is fetched again when it is older than metadataAge, and kept up to metadataMaxAge as
// long as that fails for a passing reason.
const (
	metadataAge    = time.Hour
	metadataMaxAge = 24 * time.Hour
)

// A discovery remembers the metadata of one issuer.
type discovery struct {
	turn chan struct{} // holds one value while somebody works on the fields below; unlike a mutex it can be waited for with a deadline

	known   *oauth.Metadata
	fetched time.Time
}

// metadata returns the issuer's metadata, from memory or by fetch.
func (d *discovery) metadata(ctx context.Context, fetch func(context.Context) (*oauth.Metadata, error)) (*oauth.Metadata, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d.known != nil && !reached(d.fetched.Add(metadataAge)) {
		return d.known, nil
	}
	metadata, err := fetch(ctx)
	if err == nil {
		d.known, d.fetched = metadata, time.Now()
		return metadata, nil
	}
	if _, passing := errors.AsType[*transientError](err); passing && d.known != nil && !reached(d.fetched.Add(metadataMaxAge)) {
		return d.known, nil
	}
	return nil, err
}

// forget makes the next token request discover again, because the endpoint that was found is gone.
func (d *discovery) forget() {
	d.turn <- struct{}{} // never held for longer than a fetch
	d.known = nil
	<-d.turn
}

func (s *server) fetchMetadata(ctx context.Context) (*oauth.Metadata, error) {
	address, err := oauth.MetadataURL(s.config.Issuer)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	answer, err := s.exchange(request)
	if err != nil {
		return nil, fmt.Errorf("metadata: %w", err)
	}
	if answer.status != http.StatusOK {
		return nil, fmt.Errorf("metadata: %w", answer.unexpected("check the issuer, or set TokenEndpoint if the server publishes no metadata"))
	}
	metadata, err := parseMetadata(answer, s.config.Issuer)
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", s.config.Issuer, err)
	}
	return metadata, nil
}

// parseMetadata reads a metadata document and refuses it as a whole if it is not the issuer's, or names an endpoint that
// is not safe to use.
func parseMetadata(a *answer, issuer string) (*oauth.Metadata, error) {
	var m oauth.Metadata
	if err := a.decode(&m); err != nil {
		return nil, err
	}
	// Simple string comparison (RFC 8414, 3.3). Without it a document of one server can direct the credential of another
	// to itself (mix-up).
	if m.Issuer != issuer {
		return nil, fmt.Errorf("the document is for issuer %q; both must be the same, to the last slash", oauth.SafeText(m.Issuer))
	}
	if m.TokenEndpoint == "" {
		return nil, errors.New("the document names no token_endpoint")
	}
	local := strings.HasPrefix(issuer, "http:") // then the issuer is on loopback, and so may be its endpoints
	endpoints := map[string]string{
		"token_endpoint": m.TokenEndpoint, "jwks_uri": m.JWKSURI,
		"introspection_endpoint": m.IntrospectionEndpoint, "revocation_endpoint": m.RevocationEndpoint,
		"client_secret_rotation_endpoint": m.ClientSecretRotationEndpoint,
	}
	if m.MTLSEndpointAliases != nil {
		endpoints["the token_endpoint of mtls_endpoint_aliases"] = m.MTLSEndpointAliases.TokenEndpoint
	}
	for name, endpoint := range endpoints {
		if endpoint == "" {
			continue
		}
		if err := checkEndpoint(endpoint, local); err != nil {
			return nil, fmt.Errorf("%s %w", name, err)
		}
	}
	return &m, nil
}

// decode reads the answer as a JSON document.
func (a *answer) decode(into any) error {
	if a.mediaType != "application/json" {
		return fmt.Errorf("the answer is %q, not application/json", oauth.SafeText(a.mediaType))
	}
	if err := jose.DecodeObject(a.body, into); err != nil {
		return fmt.Errorf("the answer is not usable JSON: %w", err)
	}
	return nil
}
