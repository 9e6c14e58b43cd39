// Package pop is proof of possession: DPoP proofs (RFC 9449), certificates (RFC 8705), client assertions, and the Confirmation
// that binds a token to a key. It is pure: whoever calls it remembers what was used once.
package pop

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// A Confirmation is the key, or the two keys, that a token is bound to (RFC 7800, 3.1): the "cnf" claim. A nil
// Confirmation is a bearer token.
type Confirmation struct {
	Key         string `json:"jkt,omitempty"`      // thumbprint of the DPoP key (RFC 9449, 6.1)
	Certificate string `json:"x5t#S256,omitempty"` // thumbprint of the client certificate (RFC 8705, 3.1)
}

// TokenType returns what the token endpoint and introspection call a token that is bound so: DPoP if to a DPoP key, else
// Bearer (RFC 8705, 3; RFC 9449, 5).
func (c *Confirmation) TokenType() string {
	if c != nil && c.Key != "" {
		return oauth.DPoP
	}
	return oauth.Bearer
}

// Claim returns the value of "cnf", or nil for a bearer token.
func (c *Confirmation) Claim() json.RawMessage {
	if c == nil {
		return nil
	}
	claim, err := json.Marshal(c)
	if err != nil {
		panic(err) // two strings
	}
	return claim
}

// ErrConfirmation is the error for a "cnf" that cannot be enforced here, in whole or in part: its token must be refused.
var ErrConfirmation = errors.New("pop: the token is bound in a way that cannot be checked here")

// ParseConfirmation reads a "cnf" claim. It returns nil for an absent one, and an error for one that is empty, or names
// anything else than it can enforce: half of a binding is none.
func ParseConfirmation(claim json.RawMessage) (*Confirmation, error) {
	if claim == nil {
		return nil, nil
	}
	var members map[string]json.RawMessage
	if err := jose.DecodeObject(claim, &members); err != nil || len(members) == 0 {
		return nil, ErrConfirmation
	}
	var c Confirmation
	for name, value := range members {
		var text string
		if err := json.Unmarshal(value, &text); err != nil || !isThumbprint(text) {
			return nil, ErrConfirmation
		}
		switch name {
		case "jkt":
			c.Key = text
		case "x5t#S256":
			c.Certificate = text
		default:
			return nil, ErrConfirmation
		}
	}
	return &c, nil
}

// isThumbprint reports whether text is a SHA-256 in base64url, as both thumbprints are.
func isThumbprint(text string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(sum) == sha256.Size
}

// CertificateThumbprint returns the "x5t#S256" of a certificate (RFC 8705, 3.1).
func CertificateThumbprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
