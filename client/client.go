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
// Better than a secret is a key (PrivateKeyFile), an assertion of the platform (AssertionFile) or a certificate
// (CertificateFile); with Config.DPoP, or a certificate, a token that is stolen is of no use to the thief.
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
	// at its well-known address (RFC 8414), and it is who client assertions are made for.
	Issuer string

	// TokenEndpoint skips discovery. Set it only for a server that publishes no metadata.
	TokenEndpoint string

	// ClientID is the client's identifier at the issuer.
	ClientID string

	// Credential proves that the caller is the client: a private key, an assertion or a certificate, or a secret. See
	// PrivateKeyFile, AssertionFile, CertificateFile and SecretFile.
	Credential Credential

	// AuthMethod is how the credential goes onto a request, as it is registered at the issuer: for a secret
	// oauth.ClientSecretBasic, the default, or oauth.ClientSecretPost; for a certificate oauth.TLSClientAuth, the default,
	// or oauth.SelfSignedTLSClientAuth, which are the same on the wire. Others know one way only.
	AuthMethod string

	// Certificate accompanies a Credential that is not one itself, for an issuer that binds tokens to the certificate that
	// it sees (RFC 8705, 3). Transport presents it to the API too.
	Certificate *Certificate

	// DPoP asks for tokens that are bound to a key, which Transport proves to have with each request (RFC 9449): a token
	// that is stolen is of no use without the key. An issuer that gives a bearer token instead is an error.
	DPoP bool

	// DPoPKey is the key to bind tokens to, and means DPoP. Nil means a fresh ES256 key that never leaves the process,
	// which is what to use unless the issuer takes other algorithms only.
	DPoPKey *Key

	// Resource is the URI of the API that the token is for (RFC 8707). Empty leaves the choice to the issuer; then
	// AllowHosts must name where the token may go.
	Resource string

	// Scope is what to ask for, separated by spaces. Empty asks for the client's default scope.
	Scope string

	// AllowHosts names further hosts, "host" or "host:port", that may see the token: for a Resource that is not the
	// address of its API. Transport sends a token to URLs under Resource and to these hosts, and nowhere else.
	AllowHosts []string

	// HTTPClient reaches the issuer; its Transport also carries what Source.Client sends. Its cookie jar and redirect
	// policy are not used. Nil means http.DefaultTransport. To present a certificate the Transport must be an
	// *http.Transport, of which copies are made, or nil.
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
	s, err := newServer(config)
	if err != nil {
		return nil, err
	}
	return s.source(target{resource: config.Resource, scope: normalScope(config.Scope)}), nil
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
		report("Issuer", errMissing)
	}
	if c.Issuer != "" {
		report("Issuer", checkIssuer(c.Issuer))
	}
	if c.TokenEndpoint != "" {
		report("TokenEndpoint", checkEndpoint(c.TokenEndpoint, true))
	}
	if c.ClientID == "" {
		report("ClientID", errMissing)
	}
	if c.Credential == nil {
		report("Credential", errMissing)
	} else {
		report("Credential", c.Credential.check(c.Issuer))
		report("AuthMethod", checkMethod(c.AuthMethod, c.Credential.methods()))
	}
	c.validateBinding(report)
	report("Resource", checkResource(c.Resource))
	report("Scope", checkScope(c.Scope))
	for _, host := range c.AllowHosts {
		report("AllowHosts", checkHost(host))
	}
	return errors.Join(problems...)
}

// validateBinding reports the problems of what tokens are to be bound to.
func (c Config) validateBinding(report func(field string, err error)) {
	if c.Certificate != nil {
		report("Certificate", c.Certificate.check(c.Issuer))
		if other, ok := c.Credential.(*Certificate); ok && other != c.Certificate {
			report("Certificate", errors.New("is another one than the Credential: one connection presents one certificate"))
		}
	}
	if c.DPoPKey != nil {
		_, err := c.DPoPKey.signer()
		report("DPoPKey", err)
	}
	if c.certificate() != nil {
		report("HTTPClient", plainConnection(c.HTTPClient).checkTransport())
	}
}

// certificate returns the certificate that connections present, or nil.
func (c Config) certificate() *Certificate {
	if certificate, ok := c.Credential.(*Certificate); ok {
		return certificate
	}
	return c.Certificate
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
