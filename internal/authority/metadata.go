package authority

import (
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// Paths of the endpoints, behind the issuer's own path.
const (
	PathToken      = "/token"
	PathIntrospect = "/introspect"
	PathRevoke     = "/revoke"
	PathJWKS       = "/jwks"
)

// Metadata describes the server (RFC 8414). It is computed from the tables that decide, so that what is listed is what
// works.
func (a *Authority) Metadata() *oauth.Metadata {
	methods, base := names(clientAuths), strings.TrimSuffix(a.issuer, "/")
	return &oauth.Metadata{
		Issuer:                            a.issuer,
		TokenEndpoint:                     base + PathToken,
		JWKSURI:                           base + PathJWKS,
		IntrospectionEndpoint:             base + PathIntrospect,
		RevocationEndpoint:                base + PathRevoke,
		ResponseTypesSupported:            []string{},
		GrantTypesSupported:               names(grants),
		TokenEndpointAuthMethodsSupported: methods,
		IntrospectionEndpointAuthMethodsSupported: methods,
		RevocationEndpointAuthMethodsSupported:    methods,
		IntrospectionSigningAlgValuesSupported:    []string{introspectionAlgorithm},
	}
}
