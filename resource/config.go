package resource

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
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

func (c *Config) setDefaults() {
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
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.HTTPClient = quiet(c.HTTPClient)
}

// validate reports every problem at once, each with its field. An empty issuer or audience never means "any"
// (CVE-2026-114618).
func (c *Config) validate() error {
	var problems []error
	report := func(field string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("resource: %s: %w", field, err))
		}
	}
	report("Issuer", checkIssuer(c.Issuer))
	report("Audience", checkAudience(c.Audience))
	for _, name := range c.Algorithms {
		if !jose.Known(name) {
			report("Algorithms", fmt.Errorf("%q is not one of %s", name, strings.Join(jose.Algorithms, ", ")))
		}
	}
	if c.Leeway > maxLeeway {
		report("Leeway", errors.New("more than a minute"))
	}
	if c.KeyInterval != 0 && c.KeyInterval < time.Second {
		report("KeyInterval", errors.New("less than a second"))
	}
	for _, scope := range c.Scopes {
		if !oauth.ValidScopeToken(scope) {
			report("Scopes", fmt.Errorf("%q is not a scope", scope))
		}
	}
	for _, origin := range c.AllowedOrigins {
		report("AllowedOrigins", checkOrigin(origin))
	}
	if c.Introspection != nil {
		report("Introspection", c.Introspection.validate(c.Issuer))
	}
	return errors.Join(problems...)
}

func checkIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("required")
	}
	u, err := parseURI(issuer)
	if err != nil {
		return err
	}
	if u.RawQuery != "" || u.ForceQuery {
		return errors.New("has a query")
	}
	return secure(u)
}

func checkAudience(audience string) error {
	if audience == "" {
		return errors.New("required")
	}
	u, err := parseURI(audience)
	if err != nil {
		return err
	}
	if u.Scheme == "https" || u.Scheme == "http" {
		return secure(u)
	}
	return nil
}

func checkOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	u, err := parseURI(origin)
	if err != nil || u.Scheme+"://"+u.Host != origin {
		return fmt.Errorf("%q is not an origin like https://app.example", origin)
	}
	return nil
}

// parseURI takes an absolute URI of visible ASCII without quotes, so that it can stand in a challenge as it is.
func parseURI(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || !u.IsAbs() || !oauth.ValidScopeToken(s):
		return nil, errors.New("not an absolute URI")
	case strings.Contains(s, "#"):
		return nil, errors.New("has a fragment")
	case u.User != nil:
		return nil, errors.New("has a user name or password")
	}
	return u, nil
}

// secure reports whether keys and secrets may travel to u: over TLS, or without leaving the machine.
func secure(u *url.URL) error {
	switch {
	case u.Host == "":
		return errors.New("has no host")
	case u.Scheme == "https", u.Scheme == "http" && loopback(u.Hostname()):
		return nil
	}
	return errors.New("is not https (http is for loopback only)")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
