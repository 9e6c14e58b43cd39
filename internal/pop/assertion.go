package pop

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// assertionLifetime is how long an assertion is good: as long as a request may take to arrive.
const assertionLifetime = time.Minute

// NewAssertion returns what a client proves its own key with (private_key_jwt; RFC 7523, 2.2 and 3): good once, for a
// minute. The issuer is its only audience, as a string, and never an endpoint: an assertion that names one can be used at
// the server that the endpoint was learnt from (RFC 10070, 4; CVE-2025-27370).
func NewAssertion(signer *jose.Signer, clientID, issuer string, now time.Time) (string, error) {
	payload, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{clientID, clientID, issuer, rand.Text(), now.Unix(), now.Add(assertionLifetime).Unix()})
	if err != nil {
		return "", fmt.Errorf("pop: assertion: %w", err)
	}
	assertion, err := signer.Sign(oauth.TypeClientAuthentication, payload)
	if err != nil {
		return "", fmt.Errorf("pop: assertion: %w", err)
	}
	return assertion, nil
}
