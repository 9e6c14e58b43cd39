// Package resource protects an API: it accepts the access tokens of one issuer for one audience and refuses everything
// else, with the challenge that RFC 6750 asks for.
//
//	verifier, err := resource.NewVerifier(resource.Config{
//		Issuer:   "https://auth.example.com",
//		Audience: "https://orders.example.com",
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	http.Handle("GET /orders", verifier.Require("orders:read").Func(orders))
//
// Behind Require, [FromContext] tells the handler who calls. Everything that is checked is checked before the handler
// runs, and whatever cannot be checked is refused.
//
// A token that is bound to a key (its "cnf" claim) is accepted from nobody but the holder of that key: the client proves
// it with a DPoP proof for each request (RFC 9449) or with its certificate (RFC 8705), or with both if the token names
// both. This needs no configuration where clients reach the API under its Audience and TLS ends in this process; see
// Config.ExternalURL and ClientCertHeader for an API behind a proxy, Config.RequireBound to refuse bearer tokens, and
// Config.Replays and Config.NonceKey for an API of several instances.
//
// The package leaves to others: obtaining tokens (package client), deciding which client may have which scope (the
// authorization server), rules about a handler's own objects (the handler), TLS, and rate limits.
//
// A Verifier fetches the issuer's metadata and keys when the first token needs them, so that it starts while the issuer
// is down. It runs a goroutine only while it fetches, none when it is idle, and needs no Close.
package resource

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// A Verifier accepts the access tokens of one issuer for one audience. It is safe for concurrent use, and shares
// nothing with other Verifiers.
type Verifier struct {
	issuer, audience string
	algorithms       []string
	leeway           time.Duration
	single           bool
	now              func() time.Time

	keys          keys
	cache         *cache
	introspection *introspector // nil without introspection

	external       string   // where callers reach "/", without a slash behind; "" when DPoP cannot be checked
	schemes        []string // that a token may be sent with
	requireBound   bool
	requireDPoP    bool
	dpopAlgorithms []string
	nonces         *pop.Nonces // nil when none are demanded
	replays        ReplayStore
	certificate    func(*http.Request) (*x509.Certificate, error)

	onRefusal   func(*http.Request, error)
	challenge   string // "realm=…[, resource_metadata=…]", the same in every refusal
	origins     []string
	metadata    oauth.ResourceMetadata
	metadataURL *url.URL // nil when the audience has no place for metadata
}

// NewVerifier returns a Verifier, or all that is wrong with the configuration. It opens no connection.
func NewVerifier(config Config) (*Verifier, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config.setDefaults()
	v := &Verifier{
		issuer: config.Issuer, audience: config.Audience, algorithms: slices.Clone(config.Algorithms),
		leeway: config.Leeway, single: config.RequireSingleAudience, now: config.Now,
		cache: newCache(config.CacheSize), onRefusal: config.OnRefusal, origins: slices.Clone(config.AllowedOrigins),
	}
	if err := v.configureBinding(config); err != nil {
		return nil, err
	}
	v.describe(config)
	issuer := newRemote(config) // which asks for nothing until a token needs it
	v.keys = issuer
	if config.Keys != nil {
		v.keys = fixed{config.Keys}
	}
	v.introspection = newIntrospector(config, issuer)
	return v, nil
}

// describe computes what every challenge and the metadata document say.
func (v *Verifier) describe(config Config) {
	v.metadata = oauth.ResourceMetadata{
		Resource: config.Audience, AuthorizationServers: []string{config.Issuer},
		ScopesSupported: slices.Clone(config.Scopes), BearerMethodsSupported: []string{"header"},
		TLSClientCertificateBoundAccessTokens: config.ClientCertificate != nil,
		DPoPBoundAccessTokensRequired:         config.RequireDPoP,
	}
	if v.external != "" {
		v.metadata.DPoPSigningAlgValuesSupported = v.dpopAlgorithms
	}
	v.challenge = `realm="` + oauth.SafeText(config.Realm) + `"`
	if location, err := oauth.ResourceMetadataURL(config.Audience); err == nil {
		v.metadataURL, _ = url.Parse(location)
		v.challenge += `, resource_metadata="` + location + `"`
	}
}

// Verify judges a token and returns what it says. The error is an *oauth.Error of code oauth.InvalidToken for a token
// that must not be believed, whatever the reason, and an *UnavailableError while it cannot be judged. It checks no
// scope: see oauth.Scope.Has and Require.
//
// It knows nothing of who sent the token. One that is bound to a key is refused, and if nothing else is wrong with it the
// error wraps ErrBound.
//
// It may wait for the issuer, for 2 seconds at most and no longer than ctx allows.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	t, err := v.judge(ctx, token)
	switch {
	case err != nil:
		return nil, err
	case t.bound != nil:
		return nil, errUnproved.Because(ErrBound)
	case v.requireBound:
		return nil, errUnbound
	}
	return t, nil
}

// judge is Verify for a token whose binding the caller checks.
func (v *Verifier) judge(ctx context.Context, token string) (*Token, error) {
	if len(token) > jose.MaxTokenBytes {
		return nil, errTooLarge
	}
	// The hash of the whole token: with a part of it, two tokens could share a verdict (CVE-2026-35030).
	sum := sha256.Sum256([]byte(token))
	always := v.introspection != nil && v.introspection.always
	t := v.remembered(sum)
	if t != nil && !always {
		return t, nil
	}
	// One limit for all that follows: metadata, keys and introspection may each be slow.
	ctx, cancel := context.WithTimeoutCause(ctx, waitTimeout, errSlow)
	defer cancel()
	if t == nil && (strings.HasPrefix(token, opaquePrefix) || always && strings.Count(token, ".") != 2) {
		return v.introspect(ctx, sum, token)
	}
	if t == nil {
		var err error
		if t, err = v.verifyJWT(ctx, sum, token); err != nil {
			return nil, err
		}
	}
	if always {
		return v.stillActive(ctx, sum, token, t)
	}
	return t, nil
}
