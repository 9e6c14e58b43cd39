package resource

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
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

// assert puts an assertion into a form, if the client has a key (RFC 7523, 2.2 and 3). Each question has one of its own,
// good once.
func (a asker) assert(form url.Values) error {
	if a.signer == nil {
		return nil
	}
	assertion, err := pop.NewAssertion(a.signer, a.id, a.issuer, a.now())
	if err != nil {
		return fmt.Errorf("assertion: %w", err)
	}
	form.Set("client_assertion_type", oauth.AssertionTypeJWT)
	form.Set("client_assertion", assertion)
	return nil
}
