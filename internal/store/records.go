package store

import (
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// A Client is a machine that asks for tokens. Times are UTC with microsecond precision; the zero time means "not".
type Client struct {
	ID         string // never reissued, so that nothing granted to a deleted client reaches its successor
	Name       string // unique; what operators call it
	AuthMethod string // the one client authentication method that is accepted (RFC 7591, 2)
	GrantTypes []string
	Secrets    []Secret
	Grants     []Grant
	Roles      []string // names
	// ResourceServerFor lists the resources whose APIs ask about tokens as this client (RFC 7662, 2.1).
	ResourceServerFor []string
	MultipleAudiences bool          // may one token name several resources
	TokenTTL          time.Duration // 0 leaves it to the resource
	Suspended         bool
	// NotBefore makes every token that was issued before it inactive.
	NotBefore time.Time
	Created   time.Time
	Updated   time.Time
}

// Key returns the client's ID.
func (c Client) Key() string { return c.ID }

// A Secret is one of the shared secrets of a client, as a hash. Hash names its function: "sha256:" and the base64url of
// the SHA-256 of a secret with 256 bits of entropy.
type Secret struct {
	ID      string
	Hash    string
	Created time.Time
	Expires time.Time
}

// HashSecret returns what is kept of a generated secret. One SHA-256 is all it needs: there is nothing to guess in 256
// bits (RFC 6819, 5.1.4.1.3).
func HashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// A Grant says which scopes of a resource may be asked for, and which come when none are.
type Grant struct {
	Resource string
	Scopes   []string
	Defaults []string
}

// Token formats of a Resource.
const (
	FormatJWT    = "jwt"
	FormatOpaque = "opaque"
)

// A Resource is a protected API.
type Resource struct {
	URI       string // absolute, without a fragment; compared byte by byte (RFC 8707, 2)
	Name      string
	Scopes    []Scope
	Format    string // FormatJWT or FormatOpaque
	Algorithm string // signs its JWTs
	TokenTTL  time.Duration
	// MultipleAudiences says whether the resource may share a token with other resources.
	MultipleAudiences bool
	Created           time.Time
	Updated           time.Time
}

// Key returns the resource's URI.
func (r Resource) Key() string { return r.URI }

// A Scope is a right that a resource knows.
type Scope struct {
	Name        string
	Description string
}

// A Role is a named bundle of scopes on resources.
type Role struct {
	Name        string
	Description string
	Grants      []Grant
	Created     time.Time
	Updated     time.Time
}

// Key returns the role's name.
func (r Role) Key() string { return r.Name }

// A SigningKey is a key of the ring: a pair that signs tokens, or the symmetric key that seals opaque ones. Its life is
// a schedule written down when it is made: announced from Created, signs from SignFrom until SignUntil, published (or,
// sealed tokens, opened) until DropAt.
type SigningKey struct {
	ID        string
	Algorithm string
	Public    []byte // PKIX; empty for a sealing key
	Sealed    []byte // the private half, encrypted under the root key
	Created   time.Time
	SignFrom  time.Time
	SignUntil time.Time
	DropAt    time.Time
	Revoked   time.Time
}

// Key returns the key's ID.
func (k SigningKey) Key() string { return k.ID }

// A Revocation remembers that a token was revoked, until the token would have expired.
type Revocation struct {
	TokenID string
	Expires time.Time
}

// Key returns the token's ID.
func (r Revocation) Key() string { return r.TokenID }

// An Event is one change to what is remembered: who did what to which object.
type Event struct {
	Sequence int64 // given by the store, growing, never reused
	Time     time.Time
	Actor    string
	Action   string // object.verb, such as client.created
	Object   string
	Detail   string // JSON, never with a secret
}
