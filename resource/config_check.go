package resource

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

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
	report("Algorithms", checkAlgorithms(c.Algorithms))
	report("DPoPAlgorithms", checkAlgorithms(c.DPoPAlgorithms))
	report("ExternalURL", checkExternalURL(c.ExternalURL))
	if c.RequireDPoP && c.ExternalURL == "" && originOf(c.Audience) == "" {
		report("RequireDPoP", errors.New("needs an ExternalURL, because the Audience is not an http or https URL"))
	}
	if c.NonceKey != "" && len(c.NonceKey) < minNonceKeyBytes {
		report("NonceKey", fmt.Errorf("is shorter than %d bytes", minNonceKeyBytes))
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

func checkAlgorithms(names []string) error {
	for _, name := range names {
		if !jose.Known(name) {
			return fmt.Errorf("%q is not one of %s", name, strings.Join(jose.Algorithms, ", "))
		}
	}
	return nil
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

// checkExternalURL takes what a path can follow.
func checkExternalURL(external string) error {
	if external == "" {
		return nil
	}
	u, err := parseURI(external)
	if err != nil {
		return err
	}
	if u.RawQuery != "" || u.ForceQuery {
		return errors.New("has a query")
	}
	return secure(u)
}

// originOf returns scheme and host of an http or https URL, and "" for any other URI.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.Scheme + "://" + u.Host
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
