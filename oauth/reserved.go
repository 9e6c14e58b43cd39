package oauth

import "strings"

// reservedClaims are the claims that mean something to whoever checks a token, as foldClaim writes them. Some say who the token
// is from, for and about; some are rights, here or with other issuers; some are how people are known; some belong to other kinds
// of JWTs, which an access token must not pass for.
var reservedClaims = func() map[string]bool {
	reserved := map[string]bool{}
	for _, names := range []string{
		"iss sub aud exp nbf iat jti", // RFC 7519, 4.1
		"client_id scope roles groups entitlements auth_time acr amr act may_act cnf authorization_details", // RFC 9068, 8693, 7800, 9396
		"scp scopes role permissions authorities realm_access resource_access wids",                         // what others take for rights
		"azp appid cid sid nonce at_hash c_hash s_hash sub_jwk sub_id _claim_names _claim_sources",          // OpenID Connect
		"email email_verified phone_number phone_number_verified preferred_username upn unique_name",        // people
		"active token_type username token_introspection events toe txn status _sd _sd_alg vct",              // RFC 7662, 9701, 8417 and later
		"typ alg kid crit b64 enc zip cty jwk jku x5c x5u x5t x5t#s256",                                     // of the header (RFC 7515, 4.1)
	} {
		for name := range strings.FieldsSeq(names) {
			reserved[foldClaim(name)] = true
		}
	}
	return reserved
}()

// ReservedClaim reports whether a claim means something to whoever checks a token, so that an issuer's operators must not make
// one up. Names are compared as the most lenient decoders do: without regard to case, underscores and hyphens.
func ReservedClaim(name string) bool { return reservedClaims[foldClaim(name)] }

// SameClaim reports whether two names are one for the most lenient decoders.
func SameClaim(a, b string) bool { return foldClaim(a) == foldClaim(b) }

func foldClaim(name string) string {
	return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
}
