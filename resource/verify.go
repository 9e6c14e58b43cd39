package resource

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// verifyJWT judges a JWT access token (RFC 9068, 4), the cheap checks first: garbage, foreign and expired tokens cost
// neither a signature nor a request to the issuer.
func (v *Verifier) verifyJWT(ctx context.Context, sum [sha256.Size]byte, compact string) (*Token, error) {
	t, err := jose.Parse(compact)
	if err != nil {
		return nil, errMalformed.Because(err)
	}
	if t.Type != oauth.TypeAccessToken {
		return nil, errType
	}
	if !slices.Contains(v.algorithms, t.Algorithm) {
		return nil, errAlgorithm
	}
	if _, err := v.claims(t); err != nil {
		return nil, err
	}
	key, err := v.signedBy(ctx, t)
	if err != nil {
		return nil, err
	}
	return v.accept(sum, t, key)
}

// accept reads the claims again, now that their bytes are known to be the issuer's and the issuer may have taken a
// while, and remembers the verdict.
func (v *Verifier) accept(sum [sha256.Size]byte, t *jose.Token, key Key) (*Token, error) {
	claims, err := v.claims(t)
	if err != nil {
		return nil, err
	}
	token, err := newToken(claims, t.Payload)
	if err != nil {
		return nil, err
	}
	v.cache.put(sum, verdict{token: token, key: key, until: token.Expires.Add(v.leeway)})
	return token.clone(), nil
}

// claims reads the claims of a JWT access token and checks them. All that RFC 9068, 2.2 requires must be there.
func (v *Verifier) claims(t *jose.Token) (*oauth.Claims, error) {
	var c oauth.Claims
	if err := t.Decode(&c); err != nil {
		return nil, errMalformed.Because(err)
	}
	if err := v.check(&c); err != nil {
		return nil, err
	}
	if c.ID == "" || c.IssuedAt == 0 {
		return nil, errIncomplete
	}
	return &c, nil
}

// remembered returns the token if it was verified before, has not expired since, and its key is still published: a key
// that is withdrawn takes its tokens with it at once. It waits for nothing.
func (v *Verifier) remembered(sum [sha256.Size]byte) *Token {
	known, ok := v.cache.get(sum, v.now())
	if !ok || !slices.ContainsFunc(v.keys.ready(), func(k Key) bool { return same(k, known.key) }) {
		return nil
	}
	return known.token.clone()
}

func same(a, b Key) bool {
	public, ok := a.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && a.ID == b.ID && a.Algorithm == b.Algorithm && public.Equal(b.Public)
}

// signedBy returns the key of the issuer that signed t. A key that is not known yet may have been published since: the
// issuer is asked once more, as often as it may be asked.
func (v *Verifier) signedBy(ctx context.Context, t *jose.Token) (Key, error) {
	published, err := v.keys.current(ctx)
	if err != nil {
		return Key{}, err
	}
	key, err := verifyWith(published, t)
	if errors.Is(err, errUnknownKey) && v.keys.renew(ctx) {
		if published, err = v.keys.current(ctx); err != nil {
			return Key{}, err
		}
		key, err = verifyWith(published, t)
	}
	if err != nil {
		return Key{}, errSignature.Because(err)
	}
	return key, nil
}

var errUnknownKey = errors.New("resource: no published key fits the token")

// verifyWith tries the keys that the token names. Without a key ID these are all keys of its algorithm, of which there
// are few: a key set is bounded.
func verifyWith(published []Key, t *jose.Token) (Key, error) {
	verdict := errUnknownKey
	for _, key := range published {
		if t.KeyID != "" && key.ID != t.KeyID || key.Algorithm != "" && key.Algorithm != t.Algorithm && t.KeyID == "" {
			continue
		}
		err := t.Verify(key)
		if err == nil {
			return key, nil
		}
		if t.KeyID != "" {
			verdict = err
		}
	}
	return Key{}, verdict
}

// check says whether claims make an access token for us, now (RFC 9068, 2.2 and 4).
func (v *Verifier) check(c *oauth.Claims) error {
	switch {
	case c.Issuer != v.issuer:
		return errIssuer
	case !c.Audience.Has(v.audience):
		return errAudience
	case v.single && len(c.Audience) > 1:
		return errAudiences
	case c.Expires == 0 || c.Subject == "" || c.ClientID == "":
		return errIncomplete
	case unsafeName(c.Subject) || unsafeName(c.ClientID) || unsafeName(c.ID):
		return errUnsafeName
	case !v.enforceable(c.Confirmation):
		return errBound
	}
	return v.checkTime(c)
}

func (v *Verifier) checkTime(c *oauth.Claims) error {
	now := v.now()
	if !now.Before(date(c.Expires).Add(v.leeway)) {
		return errExpired
	}
	if latest := max(c.NotBefore, c.IssuedAt); latest != 0 && now.Add(v.leeway).Before(date(latest)) {
		return errNotYet
	}
	return nil
}

func date(n oauth.NumericDate) time.Time { return time.Unix(int64(n), 0) }

// maxNameBytes bounds the names that handlers will put into logs and headers.
const maxNameBytes = 1024

func unsafeName(s string) bool {
	return len(s) > maxNameBytes || strings.ContainsFunc(s, unicode.IsControl)
}

// newToken returns the token of claims, and of the JSON object that they stand in.
func newToken(c *oauth.Claims, raw []byte) (*Token, error) {
	scope, err := parseScope(c.Scope)
	if err != nil {
		return nil, errScope.Because(err)
	}
	bound, err := pop.ParseConfirmation(c.Confirmation)
	if err != nil {
		return nil, errBound.Because(err)
	}
	t := &Token{
		Issuer: c.Issuer, Subject: c.Subject, ClientID: c.ClientID, Audience: c.Audience, Scope: scope, Roles: c.Roles,
		ID: c.ID, Expires: date(c.Expires), bound: bound, raw: raw,
	}
	if c.IssuedAt != 0 {
		t.IssuedAt = date(c.IssuedAt)
	}
	return t, nil
}

// parseScope is stricter than oauth.ParseScope, which reads what people type: an issuer writes the grammar of
// RFC 6749, 3.3 or something that we do not understand.
func parseScope(s string) (oauth.Scope, error) {
	if s != "" && slices.Contains(strings.Split(s, " "), "") {
		return nil, errors.New("scope has spaces that separate nothing")
	}
	return oauth.ParseScope(s)
}
