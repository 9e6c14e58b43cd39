package authority

import "github.com/writ-auth/writ/oauth"

// About what a rule is, so that the operator is shown what is registered about it.
type about int

const (
	aboutRequest      about = iota // nothing that is registered
	aboutCredentials               // how the client proves who it is
	aboutBinding                   // what its tokens are bound to
	aboutRights                    // what it may ask for
	aboutRegistration              // how it came to be
)

// A rule is what a reason means to an operator: which rule refused, what would have worked, and the commands that mend it,
// with CLIENT for the client's name. Where more is known of a case, diagnose says more.
type rule struct {
	about    about
	text     string
	remedy   string
	commands []string
}

const (
	showClient  = "writ client show CLIENT"
	listKeys    = "writ client key list CLIENT"
	listSecrets = "writ client secret list CLIENT"
	addKey      = "writ client key add CLIENT --public-key FILE"
	doctor      = "writ doctor"

	listInitial   = "writ registration token list"
	createInitial = "writ registration token create NAME"
)

// rules has every reason: a test holds that a new one does not go without.
var rules = map[string]rule{
	// Who it is.
	string(reasonUnknownClient): {
		aboutCredentials, "no client has this client_id", "the client_id of a registered client: not its name, and none of a client that was deleted",
		[]string{"writ client list", "writ client create NAME"},
	},
	string(reasonClientSuspended): {
		aboutCredentials, "the client is suspended; its credentials were good", "the same request, once the client is resumed", []string{"writ client resume CLIENT"},
	},
	string(reasonWrongMethod): {
		aboutCredentials, "the client authenticated by another method than the one that it is registered with, or than the profile of the server allows",
		"the registered method; or register the one that the client uses", []string{showClient, "writ client update CLIENT --auth-method METHOD"},
	},
	string(reasonNoCredentials): {
		aboutCredentials, "the request has no credentials, or none that can be read", "credentials by the registered method, in one place of the request", []string{showClient},
	},
	string(reasonOtherClient): {
		aboutCredentials, "client_id and the assertion name two clients", "client_id left out, or with the value of the assertion's sub", nil,
	},
	string(reasonWrongSecret): {
		aboutCredentials, "none of the client's secrets is the one that was sent", "a secret that is listed, whole: where it was copied a line break or a part may be missing. A lost one cannot be shown again; a new one can be made",
		[]string{"writ client secret list CLIENT", "writ client secret rotate CLIENT"},
	},
	string(reasonSecretExpired): {
		aboutCredentials, "the secret is the client's, and has expired", "one of its other secrets; or a new one",
		[]string{"writ client secret list CLIENT", "writ client secret rotate CLIENT"},
	},
	string(reasonSecretEarly): {
		aboutCredentials, "the secret is the client's, and does not count yet", "the secret from its beginning on; until then the one before",
		[]string{"writ client secret list CLIENT"},
	},
	string(reasonNetwork): {
		aboutCredentials, "the credentials are right, and the request came from an address that the client, or this credential of it, may not be used from",
		"the same request from one of the networks; or more networks. Where all callers have the address of a proxy, it belongs into trusted_proxies",
		[]string{showClient, "writ client update CLIENT --network NETWORK", "writ config check"},
	},

	string(reasonMayNotRotate): {
		aboutCredentials, "the client asked for its next secret, and was not allowed to rotate its secrets itself", "the same request, once that is allowed; or a rotation by an operator",
		[]string{"writ client update CLIENT --may-rotate-secret", "writ client secret rotate CLIENT"},
	},
	string(reasonNoSecret): {
		aboutCredentials, "the client asked for its next secret, and authenticated with something else", "the same request with the secret that is to be replaced", []string{showClient},
	},
	string(reasonNotRotated): {
		aboutCredentials, "the client asked for a second successor of a secret, or has too many secrets: the answer says which. Of a secret that was rotated, and whose successor is in use, two parties may have a copy",
		"the current secret. If you do not know who has the other copy, rotate by hand and revoke what the client does not use",
		[]string{listSecrets, "writ audit list --client CLIENT", "writ client secret rotate CLIENT"},
	},

	// Assertions (RFC 7523).
	string(reasonAssertionMalformed): {
		aboutCredentials, "client_assertion is not a signed JWT by the rules of this server: three parts, a known algorithm, no member twice, no crit", "an assertion made by a current library", nil,
	},
	string(reasonAssertionType): {
		aboutCredentials, "the assertion is a JWT of another kind (typ)", "typ client-authentication+jwt, JWT, or none", nil,
	},
	string(reasonAssertionIssuer): {
		aboutCredentials, "iss and sub of the assertion are not both the client_id", "iss and sub with the client_id", []string{showClient},
	},
	string(reasonAssertionAudience): {
		aboutCredentials, "aud of the assertion is not the issuer and nothing else", "aud with the issuer identifier, letter by letter: not the URL of an endpoint, and under profile fapi2 not a list", nil,
	},
	string(reasonAssertionExpired): {
		aboutCredentials, "the assertion had expired, or has no exp", "a new assertion for each request; where exp is ahead of what the client's clock says, one of the clocks is wrong", []string{doctor},
	},
	string(reasonAssertionLife): {
		aboutCredentials, "the assertion is good for more than five minutes", "exp at most five minutes ahead: one is enough", nil,
	},
	string(reasonAssertionEarly): {
		aboutCredentials, "the assertion is from the future (iat or nbf), by more than ten seconds", "the right time on both machines", []string{doctor},
	},
	string(reasonAssertionOld): {
		aboutCredentials, "the assertion was made more than five minutes ago (iat)", "a new assertion for each request, and the right time on both machines", []string{doctor},
	},
	string(reasonAssertionID): {
		aboutCredentials, "the assertion has no jti, or one of more than 256 bytes", "a random jti, another one for each request", nil,
	},
	string(reasonAssertionAlgorithm): {
		aboutCredentials, "the assertion is signed with an algorithm that the profile of the server does not allow", "PS256, ES256 or EdDSA", []string{listKeys},
	},
	string(reasonUnknownKey): {
		aboutCredentials, "the assertion names a key (kid) that the client does not have, or not any more", "one of the registered keys; or register this one", []string{listKeys, addKey},
	},
	string(reasonWrongSignature): {
		aboutCredentials, "the signature of the assertion does not verify with the client's key, or the key is for another algorithm", "the private half of a registered key, and its algorithm", []string{listKeys, addKey},
	},
	string(reasonNoKeys): {
		aboutCredentials, "the key set that the client publishes at its jwks_uri could not be had", "a key set that this server can reach: the log of the server says what went wrong with it", []string{showClient},
	},
	string(reasonReplay): {
		aboutCredentials, "the assertion was used before", "a new assertion, with another jti, for each request, also for one that is tried again", nil,
	},

	// Certificates (RFC 8705).
	string(reasonUncertain): {
		aboutRequest, "the request names two client certificates", "one header of the proxy with the certificate of the connection, and what callers send under its name removed", []string{"writ config check"},
	},
	string(reasonOtherCertificate): {
		aboutCredentials, "the certificate is not the client's: another name than the registered one, or another certificate", "the registered certificate; or register this one",
		[]string{showClient, "writ client update CLIENT --certificate FILE"},
	},
	string(reasonNoTrust): {
		aboutCredentials, "no authority is configured that vouches for certificates of clients", "mtls.client_ca with the authority that issued the certificate", []string{"writ config check"},
	},
	string(reasonCertificateUntrusted): {
		aboutCredentials, "no configured authority vouches for the certificate", "a certificate of an authority in mtls.client_ca, with the intermediate ones beside it", []string{"writ config check"},
	},
	string(reasonCertificateExpired): {
		aboutCredentials, "the certificate, or one above it, has expired or does not count yet", "a current certificate", nil,
	},
	string(reasonCertificateUsage): {
		aboutCredentials, "the certificate is not for clients", "a certificate with the extended key usage clientAuth", nil,
	},
	string(reasonCertificateAuthority): {
		aboutCredentials, "the certificate is one of an authority", "a certificate that is not an authority's (CA:FALSE)", nil,
	},
	string(reasonCertificateRevoked): {
		aboutCredentials, "the certificate, or one above it, was revoked", "a new certificate", nil,
	},
	string(reasonRevocationsOld): {
		aboutCredentials, "a revocation list is out of date: its next update is over", "a current list in mtls.client_crl", []string{"writ config check"},
	},

	// What tokens are bound to.
	string(reasonNoCertificate): {
		aboutBinding, "the client's tokens are bound to its certificate, and it showed none", "the token endpoint of mtls_endpoint_aliases, and the certificate", []string{showClient},
	},
	string(reasonNoProof): {
		aboutBinding, "the client's tokens are bound to a key, and it sent no DPoP proof", "a DPoP proof in the header DPoP; or take the binding away", []string{"writ client update CLIENT --dpop=false"},
	},
	string(reasonManyProofs): {aboutBinding, "the request has more than one DPoP header", "one proof", nil},
	string(reasonNotBound): {
		aboutBinding, "the profile of the server allows no bearer tokens, and nothing binds this one", "a DPoP proof; or certificate-bound tokens",
		[]string{"writ client update CLIENT --dpop", "writ client update CLIENT --bind-certificate"},
	},
	string(reasonNoNonce):       {aboutRequest, "the DPoP proof has no nonce", "the same request with the nonce of the DPoP-Nonce header in a new proof: libraries do that by themselves", nil},
	string(reasonWrongNonce):    {aboutRequest, "the nonce of the DPoP proof is not, or no longer, one of this server", "the same request with the nonce of the DPoP-Nonce header in a new proof: libraries do that by themselves", nil},
	string(reasonReplayedProof): {aboutRequest, "the DPoP proof was used before", "a new proof for each request, also for one that is tried again", nil},
	"malformed_proof":           {aboutRequest, "the DPoP proof is not a signed JWT with jwk, jti, htm, htu and iat", "a proof made by a current library", nil},
	"wrong_proof_type":          {aboutRequest, "the DPoP proof is a JWT of another kind", "typ dpop+jwt", nil},
	"wrong_proof_signature":     {aboutRequest, "the signature of the DPoP proof does not verify with the key in it", "a proof signed with the private half of its jwk", nil},
	"wrong_proof_algorithm":     {aboutRequest, "the DPoP proof is signed with an algorithm that is not accepted here", "PS256, ES256 or EdDSA", nil},
	"wrong_proof_method":        {aboutRequest, "the DPoP proof is for another method", "htm POST", nil},
	"wrong_proof_url":           {aboutRequest, "the DPoP proof is for another URL", "htu with the URL of the endpoint as the metadata has it; behind a proxy, issuer and mtls.url must be what callers use", []string{"writ config check"}},
	"stale_proof":               {aboutRequest, "the DPoP proof was made more than a minute ago", "a new proof for each request, and the right time on both machines", []string{doctor}},
	"early_proof":               {aboutRequest, "the DPoP proof is from the future, by more than ten seconds", "the right time on both machines", []string{doctor}},
	"wrong_proof_token":         {aboutRequest, "the DPoP proof is for another access token", "ath left out at this endpoint", nil},

	// What it asked for: the answer says more.
	string(oauth.InvalidRequest):       {aboutRequest, "the request is not one by RFC 6749; the answer says what is wrong with it", "a POST with a form in its body, every parameter once, one client authentication", nil},
	string(oauth.InvalidScope):         {aboutRights, "the client may not have what it asked for", "scopes that were granted to it", []string{showClient}},
	string(oauth.InvalidTarget):        {aboutRights, "the client may not have a token for what it named", "one resource that was granted to it, letter by letter", []string{showClient}},
	string(oauth.UnsupportedGrantType): {aboutRequest, "this server has no such grant type", "grant_type=client_credentials", nil},
	string(oauth.UnauthorizedClient):   {aboutRights, "the client is not registered for this grant type", "a client that is registered for client_credentials", []string{showClient}},
	string(oauth.InvalidGrant):         {aboutRequest, "the token was issued to another client", "revocation by the client that has the token", nil},

	// Registration by the client itself (RFC 7591, 7592).
	string(reasonNoRegistrationToken): {
		aboutRequest, "nobody registers without an initial access token, or reads and changes a registration without its registration access token",
		"the token as Authorization: Bearer TOKEN", []string{createInitial},
	},
	string(reasonUnknownInitialToken): {
		aboutRequest, "no initial access token is the one that was sent: it was mistyped, or was revoked, or is of another server",
		"an initial access token that is listed, whole", []string{listInitial, createInitial},
	},
	string(reasonInitialTokenExpired): {
		aboutRequest, "the initial access token has expired", "a new one", []string{listInitial, createInitial},
	},
	string(reasonInitialTokenUsedUp): {
		aboutRequest, "as many clients have registered with the initial access token as may", "a new one, with as many uses as there are clients", []string{listInitial, createInitial},
	},
	string(reasonInitialTokenNetwork): {
		aboutRequest, "the initial access token may not be used from this address", "an address in its networks; or another token", []string{listInitial, createInitial},
	},
	string(reasonWrongRegistrationToken): {
		aboutRegistration, "the registration access token is not that of this client, or the client did not register itself",
		"the registration_access_token and the registration_client_uri of one and the same registration", []string{showClient},
	},
	string(reasonRegistrationSuspended): {
		aboutRegistration, "the client is suspended; its registration access token was good", "the same request, once the client is resumed", []string{"writ client resume CLIENT"},
	},
	string(reasonTooManyRegistrations): {
		aboutRequest, "more registrations a minute came from the address, or with the initial access token, than registration.per_minute allows", "a pause as long as Retry-After says", nil,
	},
	string(reasonMetadata): {
		aboutRegistration, "what the client says of itself cannot be registered; the answer says what is wrong with it",
		"what the initial access token, or for a change the client itself, has; and nothing that an operator decides", []string{listInitial},
	},
	string(reasonRedirectURI): {
		aboutRequest, "the client wants to be redirected to, and there are no redirections here", "redirect_uris left out", nil,
	},
	string(reasonStatement): {
		aboutRegistration, "the software statement is not a JWT that its issuer has signed and that counts now, or one is missing",
		"a current statement of an issuer in registration.software_statements", []string{"writ config check"},
	},
	string(reasonUnapproved): {
		aboutRequest, "the issuer of the software statement is none that is trusted", "a statement of an issuer in registration.software_statements", []string{"writ config check"},
	},

	// What is nobody's fault, or ours.
	reasonTooMany: {
		aboutCredentials, "the client has failed to authenticate from this address too often; nothing was looked at", "a pause as long as Retry-After says; the refusals before this one say why it failed", []string{showClient},
	},
	reasonOften: {
		aboutRequest, "the client asked for more tokens a second than limits.client_rate allows", "a token that is kept until it expires, and asked for again after that; or a higher limit", []string{showClient},
	},
	reasonUnavailable: {aboutRequest, "the store or the journal could not answer, and without them nothing is issued", "the same request a moment later; the log has the cause under the request ID", []string{doctor}},
	reasonError:       {aboutRequest, "something went wrong in the server; the log has it under the request ID", "", nil},
}
