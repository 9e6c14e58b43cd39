package authority

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// An assertion is a client assertion that was read and not verified: nothing in it may be believed (RFC 7523, 2.2).
type assertion struct {
	token     *jose.Token
	claims    assertionClaims
	signature []byte
}

type assertionClaims struct {
	Issuer    string            `json:"iss"`
	Subject   string            `json:"sub"`
	Audience  json.RawMessage   `json:"aud"`
	Expires   oauth.NumericDate `json:"exp"`
	NotBefore oauth.NumericDate `json:"nbf"`
	IssuedAt  oauth.NumericDate `json:"iat"`
	ID        string            `json:"jti"`
}

// Bounds of an assertion (STANDARDS, section 5).
const (
	maxAssertionLife    = 5 * time.Minute
	maxAssertionIDBytes = 256
)

// parseAssertion reads an assertion by the rules of jose.Parse. What it cannot read is the assertion of nobody.
func parseAssertion(compact string) (*assertion, error) {
	token, err := jose.Parse(compact)
	if err != nil {
		return nil, err
	}
	given := &assertion{token: token}
	if err := token.Decode(&given.claims); err != nil {
		return nil, err
	}
	given.signature, err = base64.RawURLEncoding.DecodeString(compact[strings.LastIndexByte(compact, '.')+1:])
	return given, err
}

// The reasons for which an assertion is refused before anybody looks for a key.
const (
	reasonAssertionMalformed reason = "assertion_malformed"
	reasonAssertionType      reason = "assertion_type"
	reasonAssertionIssuer    reason = "assertion_issuer"
	reasonAssertionAudience  reason = "assertion_audience"
	reasonAssertionExpired   reason = "assertion_expired"
	reasonAssertionLife      reason = "assertion_lifetime"
	reasonAssertionEarly     reason = "assertion_early"
	reasonAssertionOld       reason = "assertion_old"
	reasonAssertionID        reason = "assertion_id"
	reasonAssertionAlgorithm reason = "assertion_algorithm"
)

// check returns why an assertion cannot be good for an issuer now, whoever has signed it, or "" (RFC 7523, 3; RFC 10070,
// 4 and 5). It costs less than a signature and tells nothing that its sender does not know.
func (given *assertion) check(issuer string, stringAudience bool, now time.Time) reason {
	switch given.token.Type {
	case "", "jwt", oauth.TypeClientAuthentication:
	default:
		return reasonAssertionType // tokens of another kind are signed with the same keys (RFC 8725, 3.11)
	}
	claims := given.claims
	if claims.Issuer == "" || claims.Issuer != claims.Subject {
		return reasonAssertionIssuer
	}
	if !isSoleAudience(claims.Audience, issuer, stringAudience) {
		return reasonAssertionAudience
	}
	if claims.ID == "" || len(claims.ID) > maxAssertionIDBytes {
		return reasonAssertionID
	}
	return claims.checkTimes(now)
}

// checkTimes allows for clocks that are 10 seconds apart either way. The life of an assertion is counted from now, or from
// when its sender says that it was made, if that is later.
func (claims *assertionClaims) checkTimes(now time.Time) reason {
	at := func(date oauth.NumericDate) time.Time { return time.Unix(int64(date), 0) }
	latest := now.Add(oauth.Leeway)
	made := now
	if claims.IssuedAt != 0 && at(claims.IssuedAt).After(now) {
		made = at(claims.IssuedAt)
	}
	switch {
	case claims.Expires == 0 || !now.Before(at(claims.Expires).Add(oauth.Leeway)):
		return reasonAssertionExpired
	case at(claims.IssuedAt).After(latest) || at(claims.NotBefore).After(latest):
		return reasonAssertionEarly
	case claims.IssuedAt != 0 && now.Sub(at(claims.IssuedAt)) > maxAssertionLife:
		return reasonAssertionOld
	case at(claims.Expires).Sub(made) > maxAssertionLife:
		return reasonAssertionLife
	}
	return ""
}

// isSoleAudience reports whether an audience is the issuer and nothing else, by simple string comparison. An endpoint's URL
// is none: another server can make a client send assertions for that (RFC 10070, 4; CVE-2025-27370).
func isSoleAudience(audience json.RawMessage, issuer string, asString bool) bool {
	if asString && !bytes.HasPrefix(audience, []byte{'"'}) { // FAPI 2.0, 5.3.2.1
		return false
	}
	var values oauth.Audience
	return json.Unmarshal(audience, &values) == nil && len(values) == 1 && values[0] == issuer
}

// family returns the algorithm as it is compared: Ed25519 and EdDSA are one under two names (RFC 9864, 2.2).
func family(algorithm string) string {
	if algorithm == jose.EdDSA {
		return jose.Ed25519
	}
	return algorithm
}

// mayBeSignedWith reports whether it is worth to verify the signature with a key, by what the signature looks like.
func (given *assertion) mayBeSignedWith(key jose.Key) bool {
	if family(key.Algorithm) != family(given.token.Algorithm) || !jose.Fits(given.token.Algorithm, key.Public) {
		return false
	}
	public, isRSA := key.Public.(*rsa.PublicKey)
	if !isRSA {
		return true
	}
	// Of another length, or above the modulus, it is refused at once, and that could be told from one with a decoy.
	return len(given.signature) == public.Size() && bytes.Compare(given.signature, public.N.FillBytes(make([]byte, public.Size()))) < 0
}
