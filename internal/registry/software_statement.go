package registry

import (
	"cmp"
	"context"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// A Voucher is somebody whose software statements count (RFC 7591, 2.3).
type Voucher struct {
	Issuer string // the value of "iss"
	// Keys returns the keys that it signs with. kid is the one that is looked for, which may be newer than what is known.
	Keys func(ctx context.Context, kid string) ([]jose.Key, error)
}

// notMetadata are the claims of a statement that are about the statement, and the members that no statement can give.
var notMetadata = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "software_statement", "client_id", "client_secret", "client_secret_expires_at",
	"client_id_issued_at", "registration_access_token", "registration_client_uri",
}

// vouched returns what a software statement says about a client, which counts more than what the client says itself, and who
// says it of which software.
func (r *Registry) vouched(ctx context.Context, statement string) (claims map[string]jsontext.Value, software string, err error) {
	wrong := func(text string) (map[string]jsontext.Value, string, error) {
		return nil, "", refused(oauth.InvalidSoftwareStatement, "the software_statement "+text)
	}
	token, err := jose.Parse(statement)
	if err != nil || token.Type != "" && token.Type != "jwt" {
		// A token of another kind, such as an access token, is no statement, whoever signed it (RFC 8725, 3.11).
		return wrong("is not a signed JWT by our rules")
	}
	var about struct {
		Issuer     string         `json:"iss"`
		Audience   oauth.Audience `json:"aud"`
		Expires    float64        `json:"exp"`
		NotBefore  float64        `json:"nbf"`
		IssuedAt   float64        `json:"iat"`
		SoftwareID string         `json:"software_id"`
	}
	claims = map[string]jsontext.Value{}
	if token.Decode(&about) != nil || token.Decode(&claims) != nil {
		return wrong("has claims that cannot be read")
	}
	at := slices.IndexFunc(r.vouchers, func(v Voucher) bool { return v.Issuer == about.Issuer })
	if at < 0 {
		return nil, "", refused(oauth.UnapprovedSoftwareStatement, "nobody who is trusted here has issued the software_statement")
	}
	if why := r.verified(ctx, token, r.vouchers[at]); why != "" {
		return wrong(why)
	}
	soon := float64(r.moment().Add(oauth.Leeway).Unix())
	switch now := float64(r.moment().Unix()); {
	case about.Expires == 0:
		return wrong("has no exp")
	case about.Expires <= now:
		return wrong("has expired")
	case about.NotBefore > soon || about.IssuedAt > soon:
		return wrong("is from the future")
	case len(about.Audience) > 0 && !slices.Contains(about.Audience, r.issuer):
		return wrong("is for another server")
	}
	for _, name := range notMetadata {
		delete(claims, name)
	}
	for name, value := range claims {
		if value.Kind() == 'n' {
			delete(claims, name)
		}
	}
	return claims, oauth.SafeText(about.Issuer) + " " + cmp.Or(oauth.SafeText(about.SoftwareID), "-"), nil
}

// verified returns what is wrong with the signature of a statement, or "".
func (r *Registry) verified(ctx context.Context, token *jose.Token, voucher Voucher) string {
	if !slices.Contains(r.algorithms, token.Algorithm) {
		return "is signed with an algorithm that is not accepted here"
	}
	keys, err := voucher.Keys(ctx, token.KeyID)
	if err != nil {
		return "cannot be verified now: the keys of its issuer cannot be had"
	}
	for _, key := range keys {
		if (token.KeyID == "" || key.ID == token.KeyID) && token.Verify(key) == nil {
			return ""
		}
	}
	return "is not signed with a key of its issuer"
}
