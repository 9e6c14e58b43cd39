// Package oauth has the words of the specifications: error codes, scopes, and the documents that travel between client,
// authorization server and resource server. It decides nothing and opens no connection.
//
// Everything else in this module, the public libraries and the server alike, speaks in these types.
package oauth

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"
)

// Client authentication methods (RFC 7591, 2; RFC 8705, 2).
const (
	ClientSecretBasic       = "client_secret_basic"
	ClientSecretPost        = "client_secret_post"
	PrivateKeyJWT           = "private_key_jwt"
	TLSClientAuth           = "tls_client_auth"
	SelfSignedTLSClientAuth = "self_signed_tls_client_auth"
)

// AssertionTypeJWT is the client_assertion_type of private_key_jwt (RFC 7523, 2.2).
const AssertionTypeJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// ClientCredentials is the grant type of RFC 6749, 4.4.
const ClientCredentials = "client_credentials"

// TypeAccessToken is the JOSE type of a JWT access token (RFC 9068, 2.1).
const TypeAccessToken = "at+jwt"

// TypeClientAuthentication is the JOSE type of a client assertion (RFC 10070, 5).
const TypeClientAuthentication = "client-authentication+jwt"

// TypeDPoP is the JOSE type of a DPoP proof (RFC 9449, 4.2).
const TypeDPoP = "dpop+jwt"

// Token types (RFC 6750; RFC 9449, 5), which are also the authentication schemes of a request to an API.
const (
	Bearer = "Bearer"
	DPoP   = "DPoP"
)

// TypeIntrospection is the JOSE type and, behind "application/", the media type of a signed introspection response
// (RFC 9701, 5).
const TypeIntrospection = "token-introspection+jwt"

// A TokenResponse is what the token endpoint answers (RFC 6749, 5.1). There is never a refresh token (RFC 6749, 4.4.3).
type TokenResponse struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope,omitempty"`
}

// An Introspection is the answer about a token (RFC 7662, 2.2). The zero value is the answer about every token that is
// not active for this caller, whatever the reason.
type Introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"` // seconds since the epoch
	IssuedAt  int64    `json:"iat,omitempty"` // seconds since the epoch
	Subject   string   `json:"sub,omitempty"`
	Audience  Audience `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
	Roles     []string `json:"roles,omitempty"`

	// Confirmation names the key that the token is bound to (RFC 8705, 3.2; RFC 9449, 6.2).
	Confirmation json.RawMessage `json:"cnf,omitempty"`

	// Extra are the static claims of the client that the token holds. They are written as members of their own, and not read.
	Extra map[string]json.RawMessage `json:"-"`
}

// MarshalJSON writes the answer with its extra members. One that is called as a member that there is anyway is left out.
func (i Introspection) MarshalJSON() ([]byte, error) {
	type plain Introspection // without this method
	data, err := json.Marshal(plain(i))
	if err != nil || len(i.Extra) == 0 {
		return data, err
	}
	extra := maps.Clone(i.Extra)
	maps.DeleteFunc(extra, func(name string, _ json.RawMessage) bool { return ReservedClaim(name) })
	more, err := json.Marshal(extra)
	if err != nil || len(extra) == 0 {
		return data, err
	}
	return append(append(data[:len(data)-1], ','), more[1:]...), nil
}

// Metadata describes an authorization server (RFC 8414, 2).
type Metadata struct {
	Issuer                string `json:"issuer"`
	TokenEndpoint         string `json:"token_endpoint"`
	JWKSURI               string `json:"jwks_uri"`
	IntrospectionEndpoint string `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint    string `json:"revocation_endpoint,omitempty"`
	RegistrationEndpoint  string `json:"registration_endpoint,omitempty"`
	// ResponseTypesSupported is required by RFC 8414, 2, and has nothing to say here: it is sent as [].
	ResponseTypesSupported                    []string `json:"response_types_supported"`
	GrantTypesSupported                       []string `json:"grant_types_supported"`
	ScopesSupported                           []string `json:"scopes_supported,omitempty"`
	TokenEndpointAuthMethodsSupported         []string `json:"token_endpoint_auth_methods_supported"`
	IntrospectionEndpointAuthMethodsSupported []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	RevocationEndpointAuthMethodsSupported    []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	IntrospectionSigningAlgValuesSupported    []string `json:"introspection_signing_alg_values_supported,omitempty"`
	ServiceDocumentation                      string   `json:"service_documentation,omitempty"`
	// ClientSecretRotationEndpoint is where a client gets its next secret: a member of Writ's own.
	ClientSecretRotationEndpoint string `json:"client_secret_rotation_endpoint,omitempty"`

	// The algorithms of client assertions (RFC 8414, 2), at the three endpoints.
	TokenEndpointAuthSigningAlgValuesSupported         []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntrospectionEndpointAuthSigningAlgValuesSupported []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationEndpointAuthSigningAlgValuesSupported    []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`

	DPoPSigningAlgValuesSupported         []string `json:"dpop_signing_alg_values_supported,omitempty"`          // RFC 9449, 5.1
	TLSClientCertificateBoundAccessTokens bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"` // RFC 8705, 3.3
	// MTLSEndpointAliases is where a client that presents a certificate goes instead (RFC 8705, 5).
	MTLSEndpointAliases *EndpointAliases `json:"mtls_endpoint_aliases,omitempty"`
}

// EndpointAliases are the endpoints on the host that asks for client certificates (RFC 8705, 5).
type EndpointAliases struct {
	TokenEndpoint         string `json:"token_endpoint,omitempty"`
	IntrospectionEndpoint string `json:"introspection_endpoint,omitempty"`
	RevocationEndpoint    string `json:"revocation_endpoint,omitempty"`
}

// ResourceMetadata describes a protected resource (RFC 9728, 2).
type ResourceMetadata struct {
	Resource               string   `json:"resource"`
	AuthorizationServers   []string `json:"authorization_servers,omitempty"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported,omitempty"`
	ResourceName           string   `json:"resource_name,omitempty"`

	TLSClientCertificateBoundAccessTokens bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DPoPSigningAlgValuesSupported         []string `json:"dpop_signing_alg_values_supported,omitempty"`
	DPoPBoundAccessTokensRequired         bool     `json:"dpop_bound_access_tokens_required,omitempty"`
}

// MetadataURL returns where the metadata of issuer is found: the well-known path stands between host and issuer path
// (RFC 8414, 3.1).
func MetadataURL(issuer string) (string, error) {
	return wellKnown(issuer, "/.well-known/oauth-authorization-server")
}

// ResourceMetadataURL returns where the metadata of a protected resource is found (RFC 9728, 3.1).
func ResourceMetadataURL(resource string) (string, error) {
	return wellKnown(resource, "/.well-known/oauth-protected-resource")
}

func wellKnown(identifier, path string) (string, error) {
	u, err := url.Parse(identifier)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("oauth: %q is not an absolute URL", identifier)
	}
	escaped := u.EscapedPath() // a%2Fb and a/b are two paths
	u.Path = path + strings.TrimSuffix(u.Path, "/")
	u.RawPath = path + strings.TrimSuffix(escaped, "/")
	return u.String(), nil
}

// ClientMetadata is what a client says, or an operator says for it, when it is registered (RFC 7591, 2), with Writ's
// own members for what RFC 7591 has no word for: grants, roles and the resources that the client serves.
type ClientMetadata struct {
	ClientName              string   `json:"client_name" doc:"Unique name, 1 to 64 characters of [A-Za-z0-9._-]" example:"billing"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty" doc:"How the client authenticates; client_secret_basic when left out" example:"client_secret_basic"`
	GrantTypes              []string `json:"grant_types,omitempty" doc:"Grant types the client may use; client_credentials when left out"`
	Grants                  []Grant  `json:"grants,omitempty" doc:"What the client may ask for"`
	Roles                   []string `json:"roles,omitempty" doc:"Names of roles the client has"`
	ResourceServerFor       []string `json:"resource_server_for,omitempty" doc:"URIs of the resources whose APIs introspect tokens as this client"`
	MultipleAudiences       bool     `json:"multiple_audiences,omitempty" doc:"Whether one token may name several resources"`
	TokenTTLSeconds         int64    `json:"token_ttl_seconds,omitempty" doc:"Longest life of the client's tokens in seconds; 0 leaves it to the resource"`
	TokenReuseSeconds       int64    `json:"token_reuse_seconds,omitempty" doc:"For how long asking for the same again gives the same token, at most half of a token's life; 0: never"`
	Networks                []string `json:"networks,omitempty" doc:"Where the client may ask from, as CIDR, at most 64; when left out, from anywhere" example:"192.0.2.0/24"`

	RotatesSecrets bool            `json:"rotates_secrets,omitzero" doc:"Whether the client may give itself a new secret in the place of the one that it presents; of no effect for one that authenticates otherwise"`
	Claims         json.RawMessage `json:"claims,omitempty" doc:"A JSON object with claims that each token of the client holds as well: at most 2048 bytes, 32 members and 4 levels; no name that means something to who checks a token, such as roles"`

	JWKS                        json.RawMessage `json:"jwks,omitempty" doc:"The client's public keys (RFC 7517), for private_key_jwt, or with x5c for self_signed_tls_client_auth; excludes jwks_uri"`
	JWKSURI                     string          `json:"jwks_uri,omitempty" doc:"Where the client publishes its keys; excludes jwks" example:"https://client.example/jwks.json"`
	TokenEndpointAuthSigningAlg string          `json:"token_endpoint_auth_signing_alg,omitempty" doc:"The only algorithm of the client's assertions; when left out each key's own"`

	TLSClientAuthSubjectDN string `json:"tls_client_auth_subject_dn,omitempty" doc:"Subject of the client's certificate (RFC 4514), for tls_client_auth; exactly one of these five"`
	TLSClientAuthSANDNS    string `json:"tls_client_auth_san_dns,omitempty" doc:"DNS name in the client's certificate" example:"billing.example.com"`
	TLSClientAuthSANURI    string `json:"tls_client_auth_san_uri,omitempty" doc:"URI in the client's certificate" example:"spiffe://example.com/billing"`
	TLSClientAuthSANIP     string `json:"tls_client_auth_san_ip,omitempty" doc:"IP address in the client's certificate"`
	TLSClientAuthSANEmail  string `json:"tls_client_auth_san_email,omitempty" doc:"Mail address in the client's certificate"`

	TLSClientCertificateBoundAccessTokens bool `json:"tls_client_certificate_bound_access_tokens,omitempty" doc:"Whether the client's tokens are bound to its certificate (RFC 8705, 3)"`
	DPoPBoundAccessTokens                 bool `json:"dpop_bound_access_tokens,omitempty" doc:"Whether every token of the client is bound to its DPoP key (RFC 9449, 5.2)"`
}

// A Grant says which scopes of one resource a client may ask for, and which it gets when it asks for none.
type Grant struct {
	Resource string   `json:"resource" doc:"URI of the resource" example:"https://api.example.com"`
	Scopes   []string `json:"scopes" doc:"Scopes the client may ask for"`
	Defaults []string `json:"default_scopes,omitempty" doc:"Scopes it gets when it asks for none; none declared means invalid_scope"`

	Claims json.RawMessage `json:"claims,omitempty" doc:"A JSON object with claims that tokens for the resource hold as well; they win over those of the client. Not in roles"`
}

// Leeway is how far the clocks of issuer and validator may be apart by default (STANDARDS, section 5: at most 10 s).
const Leeway = 10 * time.Second
