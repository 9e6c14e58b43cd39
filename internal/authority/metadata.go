package authority

import (
	"slices"
	"strings"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// Paths of the endpoints, behind the issuer's own path.
const (
	PathToken      = "/token"
	PathIntrospect = "/introspect"
	PathRevoke     = "/revoke"
	PathJWKS       = "/jwks"
	PathSecret     = "/client/secret"
)

// Metadata describes the server (RFC 8414). It is computed from the tables that decide, so that what is listed is what
// works.
func (a *Authority) Metadata() *oauth.Metadata {
	methods, base := a.methods(), strings.TrimSuffix(a.issuer, "/")
	document := &oauth.Metadata{
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
		DPoPSigningAlgValuesSupported:             a.proofAlgorithms(),
	}
	if slices.Contains(methods, oauth.PrivateKeyJWT) {
		algorithms := a.proofAlgorithms()
		document.TokenEndpointAuthSigningAlgValuesSupported = algorithms
		document.IntrospectionEndpointAuthSigningAlgValuesSupported = algorithms
		document.RevocationEndpointAuthSigningAlgValuesSupported = algorithms
	}
	if a.mtls != "" {
		base := strings.TrimSuffix(a.mtls, "/")
		document.TLSClientCertificateBoundAccessTokens = true
		document.MTLSEndpointAliases = &oauth.EndpointAliases{
			TokenEndpoint:         base + PathToken,
			IntrospectionEndpoint: base + PathIntrospect,
			RevocationEndpoint:    base + PathRevoke,
		}
	}
	return document
}

// methods returns the client authentication methods that work here. Certificates are asked for at endpoints of their own,
// and count for nothing where no authority is trusted.
func (a *Authority) methods() []string {
	return slices.DeleteFunc(names(clientAuths), func(method string) bool {
		switch method {
		case oauth.TLSClientAuth:
			return !a.permits(method) || a.mtls == "" || a.trust == nil
		case oauth.SelfSignedTLSClientAuth:
			return !a.permits(method) || a.mtls == ""
		}
		return !a.permits(method)
	})
}

// proofAlgorithms returns the algorithms that a proof, or an assertion, may be signed with, the preferred ones first.
func (a *Authority) proofAlgorithms() []string {
	return slices.DeleteFunc(slices.Clone(jose.Algorithms), func(algorithm string) bool {
		return a.profile.Algorithms != nil && !slices.Contains(a.profile.Algorithms, algorithm)
	})
}
