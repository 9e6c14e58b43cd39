package pop

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// The window around now that a proof may be made in (RFC 9449, 11.1): a minute for its way here, and ten seconds for the
// clock of the client, which FAPI 2.0, 5.3.2.1 asks for.
const (
	MaxAge = 60 * time.Second
	Leeway = oauth.Leeway
)

// maxIDBytes bounds a "jti", which is remembered (as a hash; a longer one is no better).
const maxIDBytes = 256

// A Fault is why a proof is refused: a word for the journal, and a sentence for whoever sent it that repeats nothing of
// what was sent. Faults are compared with errors.Is.
type Fault struct {
	Word        string
	Description string
}

func (f *Fault) Error() string { return "pop: " + f.Description }

// The faults of a proof.
var (
	ErrMalformed = &Fault{"malformed_proof", "the DPoP proof is not a signed JWT with jwk, jti, htm, htu and iat"}
	ErrType      = &Fault{"wrong_proof_type", "the DPoP proof is of another type than dpop+jwt"}
	ErrSignature = &Fault{"wrong_proof_signature", "the signature of the DPoP proof does not verify with the key in it"}
	ErrAlgorithm = &Fault{"wrong_proof_algorithm", "the DPoP proof is signed with an algorithm that is not accepted here"}
	ErrMethod    = &Fault{"wrong_proof_method", "the DPoP proof is for another method (htm)"}
	ErrURL       = &Fault{"wrong_proof_url", "the DPoP proof is for another URL (htu)"}
	ErrStale     = &Fault{"stale_proof", "the DPoP proof is too old (iat); make one for each request"}
	ErrEarly     = &Fault{"early_proof", "the DPoP proof is from the future (iat); look at the clock"}
	ErrTokenHash = &Fault{"wrong_proof_token", "the DPoP proof is for another access token (ath)"}
)

// A Proof is a DPoP proof whose signature verifies with the key that it brings (RFC 9449, 4.2). That says nothing about
// whose key it is, nor what the proof is for: Check does, and whoever calls it uses ReplayID once and compares Nonce.
type Proof struct {
	Thumbprint string // of the key that it is signed with (RFC 7638): "jkt"
	Algorithm  string
	ID         string // "jti"
	Method     string // "htm"
	URL        string // "htu", as it was sent
	Nonce      string
	TokenHash  string // "ath"
	IssuedAt   time.Time

	notBefore, expires time.Time // zero if it does not say
}

// proofClaims are the members of a proof's payload (RFC 9449, 4.2). Others are ignored.
type proofClaims struct {
	ID        string   `json:"jti"`
	Method    string   `json:"htm"`
	URL       string   `json:"htu"`
	IssuedAt  *float64 `json:"iat"`
	TokenHash string   `json:"ath,omitempty"`
	Nonce     string   `json:"nonce,omitempty"`
	NotBefore *float64 `json:"nbf,omitempty"`
	Expires   *float64 `json:"exp,omitempty"`
}

// ParseProof reads a DPoP proof and verifies its signature (RFC 9449, 4.3, steps 2 to 7). Every error is a *Fault.
func ParseProof(compact string) (*Proof, error) {
	token, key, err := jose.ParseWithKey(compact)
	if errors.Is(err, jose.ErrSignature) {
		return nil, ErrSignature
	}
	if err != nil {
		return nil, ErrMalformed
	}
	if token.Type != oauth.TypeDPoP {
		return nil, ErrType // a JWT made for something else proves nothing here (RFC 8725, 3.11)
	}
	var c proofClaims
	if err := token.Decode(&c); err != nil || c.ID == "" || len(c.ID) > maxIDBytes || c.Method == "" || c.URL == "" {
		return nil, ErrMalformed
	}
	p := &Proof{
		Thumbprint: key.ID, Algorithm: key.Algorithm,
		ID: c.ID, Method: c.Method, URL: c.URL, Nonce: c.Nonce, TokenHash: c.TokenHash,
	}
	var good [3]bool
	p.IssuedAt, good[0] = numericDate(c.IssuedAt)
	p.notBefore, good[1] = numericDate(c.NotBefore)
	p.expires, good[2] = numericDate(c.Expires)
	if c.IssuedAt == nil || slices.Contains(good[:], false) {
		return nil, ErrMalformed
	}
	return p, nil
}

// numericDate returns the time that a NumericDate says (RFC 7519, 2), and whether it is one that a clock could show: an
// overflow would turn the far future into the past.
func numericDate(seconds *float64) (time.Time, bool) {
	if seconds == nil {
		return time.Time{}, true
	}
	if *seconds < 0 || *seconds > 1<<40 {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(*seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// A Request is what a proof must be about.
type Request struct {
	Method      string
	URL         string // as the client knows it; query and fragment do not count
	AccessToken string // what "ath" must be the hash of; "" where there is none, and then "ath" is ignored
	Now         time.Time
	Algorithms  []string // that are accepted; nil means all that jose knows
}

// Check returns nil if the proof is for this request and made at this time (RFC 9449, 4.3, steps 5 and 8 to 12), else a
// *Fault. It decides by its arguments alone: whether the proof was used before, holds the right nonce and is of the key
// that a token is bound to is for the caller to know.
func (p *Proof) Check(r Request) error {
	switch {
	case r.Algorithms != nil && !slices.Contains(r.Algorithms, p.Algorithm):
		return ErrAlgorithm
	case p.Method != r.Method:
		return ErrMethod
	case !sameURL(p.URL, r.URL):
		return ErrURL
	case r.Now.Sub(p.IssuedAt) > MaxAge, !p.expires.IsZero() && r.Now.Sub(p.expires) > Leeway:
		return ErrStale
	case p.IssuedAt.Sub(r.Now) > Leeway, p.notBefore.Sub(r.Now) > Leeway:
		return ErrEarly
	case r.AccessToken != "" && p.TokenHash != tokenHash(r.AccessToken):
		return ErrTokenHash
	}
	return nil
}

// Until returns until when the ReplayID must be remembered: from then on Check refuses the proof, even by a clock that is
// a leeway behind ours.
func (p *Proof) Until() time.Time { return p.IssuedAt.Add(MaxAge + Leeway) }

// ReplayID returns what is used once: the same for each copy of a proof, another for every other key or jti, and of
// bounded length.
func (p *Proof) ReplayID() string {
	sum := sha256.Sum256([]byte(p.Thumbprint + " " + p.ID)) // a thumbprint has no space
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// tokenHash returns the "ath" of an access token (RFC 9449, 4.2).
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
