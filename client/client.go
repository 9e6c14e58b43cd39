// Package client obtains access tokens with the client credentials grant (RFC 6749, 4.4) and sends them.
//
// A Source belongs to one client at one authorization server. It finds the token endpoint, keeps a token until shortly
// before it expires, renews it in the background, and asks once however many goroutines want one:
//
//	source, err := client.New(client.Config{
//		Issuer:     "https://as.example",
//		ClientID:   "billing-4fk2p9qz7a",
//		Credential: client.SecretFile("/run/secrets/billing"),
//		Resource:   "https://api.example",
//		Scope:      "orders:read",
//	})
//	response, err := source.Client().Get("https://api.example/orders")
//
// It works with any authorization server that follows the RFCs. It never follows a redirect with a credential, sends no
// token outside the configured resource, and writes no secret and no token to a log.
package client

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// A Config says who the client is and what it wants. Only ClientID, Credential and either Issuer or TokenEndpoint are
// needed.
type Config struct {
	// Issuer is the authorization server's identifier, exactly as its metadata states it. The token endpoint is found
	// at its well-known address (RFC 8414).
	Issuer string

	// TokenEndpoint skips discovery. Set it only for a server that publishes no metadata.
	TokenEndpoint string

	// ClientID is the client's identifier at the issuer.
	ClientID string

	// Credential proves that the caller is the client: Secret or SecretFile.
	Credential Credential

	// AuthMethod is how the credential goes onto a request, as it is registered at the issuer:
	// oauth.ClientSecretBasic, the default, or oauth.ClientSecretPost.
	AuthMethod string

	// Resource is the URI of the API that the token is for (RFC 8707). Empty leaves the choice to the issuer; then
	// AllowHosts must name where the token may go.
	Resource string

	// Scope is what to ask for, separated by spaces. Empty asks for the client's default scope.
	Scope string

	// AllowHosts names further hosts, "host" or "host:port", that may see the token: for a Resource that is not the
	// address of its API. Transport sends a token to URLs under Resource and to these hosts, and nowhere else.
	AllowHosts []string

	// HTTPClient reaches the issuer; its Transport also carries what Source.Client sends. Its cookie jar and redirect
	// policy are not used. Nil means http.DefaultTransport.
	HTTPClient *http.Client

	// Logger hears about every token obtained, at debug level, and about failed renewals, as warnings. No record holds a
	// secret or a token. Nil means silence.
	Logger *slog.Logger
}

// New returns a Source for the client that config describes. It opens no connection: an issuer that is down is a matter
// of the first Token call, a mistake in config is one of this. The error names every problem at once.
func New(config Config) (*Source, error) {
	if err := config.validate(nil); err != nil {
		return nil, err
	}
	return newServer(config).source(target{resource: config.Resource, scope: normalScope(config.Scope)}), nil
}

// validate returns all problems of c, each with its field; names has other names for them.
func (c Config) validate(names map[string]string) error {
	var problems []error
	report := func(field string, err error) {
		if name, ok := names[field]; ok {
			field = name
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("client: %s: %w", field, err))
		}
	}
	if c.Issuer == "" && c.TokenEndpoint == "" {
		report("Issuer", errors.New("is missing"))
	}
	if c.Issuer != "" {
		report("Issuer", checkIssuer(c.Issuer))
	}
	if c.TokenEndpoint != "" {
		report("TokenEndpoint", checkEndpoint(c.TokenEndpoint, true))
	}
	if c.ClientID == "" {
		report("ClientID", errors.New("is missing"))
	}
	if c.Credential == nil {
		report("Credential", errors.New("is missing"))
	} else {
		report("Credential", c.Credential.check())
		report("AuthMethod", checkMethod(c.AuthMethod, c.Credential.methods()))
	}
	report("Resource", checkResource(c.Resource))
	report("Scope", checkScope(c.Scope))
	for _, host := range c.AllowHosts {
		report("AllowHosts", checkHost(host))
	}
	return errors.Join(problems...)
}

func (c Config) authMethod() string {
	if c.AuthMethod != "" {
		return c.AuthMethod
	}
	return c.Credential.methods()[0]
}

func checkMethod(method string, known []string) error {
	if method == "" || slices.Contains(known, method) {
		return nil
	}
	return fmt.Errorf("%q does not fit the credential; use %s", method, strings.Join(known, " or "))
}

// checkResource follows RFC 8707, 2: an absolute URI without fragment.
func checkResource(resource string) error {
	if resource == "" {
		return nil
	}
	u, err := url.Parse(resource)
	if err != nil || !u.IsAbs() || strings.Contains(resource, "#") || u.User != nil {
		return fmt.Errorf("%q is not an absolute URI without fragment", oauth.SafeText(resource))
	}
	return nil
}

func checkScope(scope string) error {
	_, err := oauth.ParseScope(scope)
	return err
}

// normalScope writes a valid scope in the one way that serves as a cache key: single spaces, nothing twice.
func normalScope(scope string) string {
	parsed, _ := oauth.ParseScope(scope)
	return parsed.String()
}
