package resource

import (
	"crypto/x509"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// Config says which tokens a Verifier accepts. Issuer and Audience are required; every other field has a good zero value.
type Config struct {
	// Issuer is the authorization server, exactly as its metadata and its tokens spell it: "https://as.example" and
	// "https://as.example/" are two issuers. An https URL; http only on loopback.
	Issuer string

	// Audience is the identifier of this API, exactly as tokens name it in "aud". An absolute URI without fragment; an
	// http one only on loopback.
	Audience string

	// Algorithms are the signature algorithms that are accepted; all that this package knows when empty: ES256, Ed25519,
	// EdDSA, PS256, RS256 and ES384. There is no symmetric one and no "none".
	Algorithms []string

	// Leeway is how far the clocks of issuer and API may be apart when exp, nbf and iat are compared. 10 seconds when
	// zero, none when negative, at most a minute.
	Leeway time.Duration

	// RequireSingleAudience refuses a token that is meant for other APIs as well: whoever of them receives it could
	// replay it here.
	RequireSingleAudience bool

	// Realm is the realm of the challenges; the audience when empty.
	Realm string

	// Scopes are all the scopes of this API, for the metadata document (RFC 9728). They restrict nothing.
	Scopes []string

	// AllowedOrigins lets scripts of these web origins call the API ("https://app.example", or "*" for all): preflight
	// requests are answered without a token and without reaching the handler. None when empty; then CORS is not touched.
	AllowedOrigins []string

	// Keys gives the issuer's keys where they need not be fetched. The issuer's metadata and key set are fetched, and
	// kept fresh, when nil.
	Keys KeySource

	// KeyInterval is the shortest time between two fetches of the key set that an unknown key ID causes. 30 seconds
	// when zero, at least a second.
	KeyInterval time.Duration

	// ExternalURL is where callers reach the root of what the Verifier protects: they sign the URL that they call into
	// their DPoP proofs, and it is compared with ExternalURL followed by the path of the request. When empty it is scheme
	// and host of an Audience that is an http or https URL; without either, tokens bound to a DPoP key are refused.
	//
	// Set it when callers use another host than the Audience's (http://127.0.0.1:8080 in development), or when a proxy
	// takes away a part of the path: with https://api.example.com/orders, a request that arrives here for /v1/7 must
	// have been one for https://api.example.com/orders/v1/7. The headers Host, Forwarded and X-Forwarded-* are never
	// consulted: who sends a stolen proof can write them. https; http only on loopback.
	ExternalURL string

	// RequireBound refuses tokens that are not bound to a key of their client, a DPoP key or a certificate: whoever
	// steals one could use it (FAPI 2.0, 5.3.4). Tokens that are bound are never accepted without the key, whatever stands here.
	RequireBound bool

	// RequireDPoP refuses tokens that are not bound to a DPoP key, and tells clients so in the metadata.
	RequireDPoP bool

	// DPoPAlgorithms are the signature algorithms that proofs may have: ES256, Ed25519, EdDSA, PS256 and ES384 when
	// empty. RS256 must be named to be accepted.
	DPoPAlgorithms []string

	// RequireNonce makes clients put a nonce of this API into their proofs, so that no proof can be made in advance or by a
	// clock that is wrong on purpose (RFC 9449, 9). It costs a client one more request every few minutes.
	RequireNonce bool

	// NonceKey makes the nonces, and implies RequireNonce: at least 32 random bytes, the same in all instances of the
	// API, or a client whose requests go to several of them is sent back and forth. Random, for this Verifier, when empty.
	NonceKey Secret

	// Replays remembers the proofs that were used. In the memory of this Verifier when nil: then a proof that was
	// overheard can be used once more at each other instance of the API, for a minute; and when a million were used within
	// about a minute, further ones are refused with 503 instead of forgetting one. See ReplayStore.
	Replays ReplayStore

	// ClientCertificate returns the certificate of the client that makes a request, or nil if it showed none, for tokens that
	// are bound to one (RFC 8705, 3). It must be sure that the client has the private key; an error refuses the request.
	// When nil it is the certificate of the request's own TLS connection, whose server must ask for it: tls.RequestClientCert
	// is enough. ClientCertHeader is for an API behind a proxy. The metadata document tells clients about certificates
	// if it is not nil: TLSCertificate says what nil does.
	ClientCertificate func(*http.Request) (*x509.Certificate, error)

	// Introspection asks the issuer about tokens that cannot be judged here. Opaque tokens are refused when nil.
	Introspection *Introspection

	// CacheSize is how many verified tokens are remembered, so that the next request with the same token costs no
	// signature check. 8192 when zero, none when negative.
	CacheSize int

	// HTTPClient fetches metadata and keys and introspects; one with short timeouts when nil. Redirects and cookies are
	// always off: the Verifier uses a copy.
	HTTPClient *http.Client

	// Logger hears what happens in the background: keys renewed, issuer unreachable. Never a token or a secret.
	// Nothing is logged when nil.
	Logger *slog.Logger

	// OnRefusal, if not nil, is called for every request that is refused, before the answer is written, with the reason:
	// ErrNoToken, an *oauth.Error or an *UnavailableError. It must be safe for concurrent use.
	OnRefusal func(*http.Request, error)

	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Bounds and defaults of Config.
const (
	maxLeeway          = time.Minute
	defaultKeyInterval = 30 * time.Second
	defaultCacheSize   = 8192
)

// defaultDPoPAlgorithms are all but RS256, which FAPI 2.0, 5.4 leaves behind and no client that makes proofs depends on.
var defaultDPoPAlgorithms = []string{jose.ES256, jose.Ed25519, jose.EdDSA, jose.PS256, jose.ES384}

func (c *Config) setDefaults() {
	if c.Now == nil {
		c.Now = time.Now
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = jose.Algorithms
	}
	if c.Leeway == 0 {
		c.Leeway = oauth.Leeway
	}
	c.Leeway = max(c.Leeway, 0)
	if c.Realm == "" {
		c.Realm = c.Audience
	}
	if c.KeyInterval == 0 {
		c.KeyInterval = defaultKeyInterval
	}
	if c.CacheSize == 0 {
		c.CacheSize = defaultCacheSize
	}
	if len(c.DPoPAlgorithms) == 0 {
		c.DPoPAlgorithms = defaultDPoPAlgorithms
	}
	if c.ExternalURL == "" {
		c.ExternalURL = originOf(c.Audience)
	}
	c.ExternalURL = strings.TrimSuffix(c.ExternalURL, "/")
	if c.Replays == nil {
		c.Replays = newReplays(maxReplays, c.Now)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.HTTPClient = quiet(c.HTTPClient)
}
