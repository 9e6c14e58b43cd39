package pop

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// NewProof returns a proof for one request, made now and with an ID of its own: every request, and every repetition of
// one, needs another (RFC 9449, 4.2). nonce is what the server last asked for, or "".
func NewProof(signer *jose.Signer, r Request, nonce string) (string, error) {
	id := make([]byte, 16)
	rand.Read(id) // never fails (crypto/rand)
	issued := float64(r.Now.Unix())
	claims := proofClaims{
		ID: base64.RawURLEncoding.EncodeToString(id), Method: r.Method, URL: withoutQuery(r.URL), IssuedAt: &issued, Nonce: nonce,
	}
	if r.AccessToken != "" {
		claims.TokenHash = tokenHash(r.AccessToken)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("pop: proof: %w", err)
	}
	proof, err := signer.SignWithKey(oauth.TypeDPoP, payload)
	if err != nil {
		return "", fmt.Errorf("pop: proof: %w", err)
	}
	return proof, nil
}

// withoutQuery returns a URL as "htu" has it (RFC 9449, 4.2).
func withoutQuery(url string) string {
	if end := strings.IndexAny(url, "?#"); end >= 0 {
		return url[:end]
	}
	return url
}
