package resource

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// signer returns what PrivateKey signs with, or nil if there is none.
func (i *Introspection) signer() (*jose.Signer, error) {
	if i.PrivateKey == "" {
		return nil, nil
	}
	signer, err := jose.ParseSigner([]byte(i.PrivateKey), "")
	if err == nil && signer.KeyID != oauth.SafeText(signer.KeyID) {
		err = errors.New("the key's ID has a character that none has")
	}
	return signer, err
}

// An asker is the client as which an API asks its issuer.
type asker struct {
	issuer, id string
	secret     Secret
	signer     *jose.Signer // nil with a secret
	now        func() time.Time
}

// basic form-encodes both halves before they are joined, or a colon in the ID would move the border (RFC 6749, 2.3.1).
func (a asker) basic() string {
	credentials := url.QueryEscape(a.id) + ":" + url.QueryEscape(string(a.secret))
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

// assertionLifetime is how long an assertion is good: as long as a slow question takes, and no longer.
const assertionLifetime = time.Minute

// assert puts an assertion into a form, if the client has a key (RFC 7523, 2.2 and 3). Each question has one of its own,
// good once. Its audience is the issuer and never the endpoint: an assertion for an endpoint can be used at the server
// that the endpoint was learnt from (RFC 10070, 4; CVE-2025-27370).
func (a asker) assert(form url.Values) error {
	if a.signer == nil {
		return nil
	}
	now := a.now()
	payload, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{a.id, a.id, a.issuer, rand.Text(), now.Unix(), now.Add(assertionLifetime).Unix()})
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	assertion, err := a.signer.Sign(oauth.TypeClientAuthentication, payload)
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	form.Set("client_assertion_type", oauth.AssertionTypeJWT)
	form.Set("client_assertion", assertion)
	return nil
}
