package store

import (
	"cmp"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"
)

// A Client is a machine that asks for tokens. Times are UTC with microsecond precision; the zero time means "not".
type Client struct {
	ID         string // never reissued, so that nothing granted to a deleted client reaches its successor
	Name       string // unique; what operators call it
	AuthMethod string // the client authentication method that is accepted (RFC 7591, 2)
	// FormerMethod is accepted as well until FormerUntil: a client changes from a secret to a key with both in use.
	FormerMethod string
	FormerUntil  time.Time
	GrantTypes   []string
	Secrets      []Secret
	Keys         []ClientKey
	JWKSURI      string // where the client publishes its keys; then Keys is empty
	// SigningAlgorithm is the only one that the client's assertions may be signed with; "" leaves it to each key.
	SigningAlgorithm string
	// CertificateRule and CertificateValue say which certificate is the client's, for tls_client_auth (RFC 8705, 2.1.2).
	CertificateRule  string // "subject_dn", "san_dns", "san_uri", "san_ip" or "san_email"; "" without
	CertificateValue string
	CertificateBound bool // its tokens are bound to the certificate of the connection (RFC 8705, 3)
	DPoPBound        bool // it gets no token without a DPoP proof (RFC 9449, 5.2)
	Grants           []Grant
	Roles            []string // names
	// ResourceServerFor lists the resources whose APIs ask about tokens as this client (RFC 7662, 2.1).
	ResourceServerFor []string
	MultipleAudiences bool          // may one token name several resources
	TokenTTL          time.Duration // 0 leaves it to the resource
	TokenReuse        time.Duration // within it, asking for the same again gives the same token; 0: never
	Networks          []string      // prefixes, as netip.Prefix writes them, that it may ask for tokens from; nil: from anywhere
	Claims            string        // a JSON object that each of its tokens holds as well; "" for none
	RotatesSecrets    bool          // it may give itself a new secret in the place of the one that it presents
	Suspended         bool
	// NotBefore makes every token that was issued before it inactive.
	NotBefore    time.Time
	Registration Registration // zero unless the client registered itself (RFC 7591)
	Created      time.Time
	Updated      time.Time
}

// A Registration is what is known of a client because it registered itself (RFC 7591, 7592).
type Registration struct {
	InitialToken string        // ID of the initial access token that it came with
	Hash         string        // of its registration access token, as HashSecret writes it; "" when it has none any more
	Software     string        // the software statement's issuer and software_id, if there was a statement
	FirstUse     time.Duration // the client goes when it was not used for so long after it was made; 0: it stays
	Idle         time.Duration // and when its last use is so long ago; 0: it stays
	Described    string        // a JSON object: what it said of itself for people to read, and nothing decides by
}

// A Limit is a ceiling that a credential has of its own: what is got with it stays below, whatever the client may have. Zero
// values are no ceiling.
type Limit struct {
	TokenTTL time.Duration
	Scopes   []string // names
	Networks []string // prefixes, as netip.Prefix writes them
}

// Key returns the client's ID.
func (c Client) Key() string { return c.ID }

// SelfRegistered reports whether the client registered itself.
func (c Client) SelfRegistered() bool { return c.Registration != Registration{} }

// A Secret is one of the shared secrets of a client, as a hash. Hash names its function: "sha256:" and the base64url of
// the SHA-256 of a secret with 256 bits of entropy.
type Secret struct {
	ID        string
	Name      string // what operators call it; may be empty
	Hash      string
	Created   time.Time
	NotBefore time.Time
	Expires   time.Time
	Rotated   time.Time // when a rotation gave it its end
	Request   string    // names the request that it was made for, if that may be repeated; see registry
	Limit     Limit
}

// A ClientKey is one of the public keys of a client.
type ClientKey struct {
	ID        string // the "kid"; unique within the client
	Algorithm string // the one that it verifies
	Public    []byte // PKIX
	// Certificate is the DER of the self-signed certificate that came with the key in "x5c" (RFC 8705, 2.2.2), or empty.
	Certificate []byte
	Created     time.Time
	NotBefore   time.Time
	Expires     time.Time
	Limit       Limit
}

// A Use says when a credential of a client was last good for something, or when the client last got a scope. It is coarse and
// written behind.
type Use struct {
	ClientID   string
	Credential string // ID of a Secret or ClientKey; what else proved who the client is has a word of its own; or ScopeUse
	Last       time.Time
	Remote     string
	Agent      string // what the caller said that it is
}

// ScopeUse is the Credential of the Use of a scope of a resource.
func ScopeUse(resource, scope string) string { return "scope:" + scope + " " + resource }

// Scope returns which scope of which resource a use is of; found is false for the use of a credential.
func (u Use) Scope() (resource, scope string, found bool) {
	text, is := strings.CutPrefix(u.Credential, "scope:")
	if !is {
		return "", "", false
	}
	scope, resource, found = strings.Cut(text, " ") // no scope has a space (RFC 6749, 3.3)
	return resource, scope, found
}

// hashName stands before the hashes that HashSecret makes.
const hashName = "sha256:"

// sums are how they stand behind it.
var sums = base64.RawURLEncoding.Strict()

// HashSecret returns what is kept of a generated secret. One SHA-256 is all it needs: there is nothing to guess in 256
// bits (RFC 6819, 5.1.4.1.3).
func HashSecret(secret string) string {
	sum := SumSecret(secret)
	var text [len(hashName) + 43]byte
	copy(text[:], hashName)
	sums.Encode(text[len(hashName):], sum[:])
	return string(text[:])
}

// SumSecret returns what a hash of HashSecret says in a text.
func SumSecret(secret string) [sha256.Size]byte {
	var room [128]byte // on the stack: longer than any secret of ours
	return sha256.Sum256(append(room[:0], secret...))
}

// SumOf returns the SumSecret of a secret from its hash. Other hashes than HashSecret's have none.
func SumOf(hash string) (of [sha256.Size]byte, ours bool) {
	text, named := strings.CutPrefix(hash, hashName)
	sum, err := sums.DecodeString(text)
	if !named || err != nil || len(sum) != len(of) || sums.EncodeToString(sum) != text {
		return of, false
	}
	return [sha256.Size]byte(sum), true
}

// noHash is compared with where there is none, so that the work is the same.
var noHash = HashSecret("")

// SameSecret reports whether a secret is the one that a hash of HashSecret is of. How long it takes tells nothing of how much of
// it is right, nor whether there is a hash: "" is of no secret.
func SameSecret(hash, secret string) bool {
	same := subtle.ConstantTimeCompare([]byte(cmp.Or(hash, noHash)), []byte(HashSecret(secret)))
	return same == 1 && hash != ""
}

// A Grant says which scopes of a resource may be asked for, and which come when none are.
type Grant struct {
	Resource string
	Scopes   []string
	Defaults []string
	Claims   string // a JSON object that tokens for the resource hold as well; "" for none, and in roles
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
	// NotBefore makes every token for the resource that was issued before it inactive.
	NotBefore time.Time
	Created   time.Time
	Updated   time.Time
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
	Hash     string // given by the store: see Chain; "" in events from before there were hashes
}

// A Checkpoint is what the node of a journal signed last about the journal and the history of changes.
type Checkpoint struct {
	Journal string // names it
	Note    string // signed, as internal/audit writes it
	Written time.Time
}

// Key returns the name of the journal.
func (c Checkpoint) Key() string { return c.Journal }

// An InitialToken lets whoever holds it register clients (RFC 7591, 3), with no more than it has itself.
type InitialToken struct {
	ID          string
	Name        string        // what operators call it
	Hash        string        // as HashSecret writes it
	Grants      []Grant       // the most that a client may be granted
	AuthMethods []string      // that a client may choose from; nil: all that the server has
	TokenTTL    time.Duration // the most that a client's tokens live; 0: what the resource says
	Networks    []string      // where it may be used from; nil: anywhere
	FirstUse    time.Duration // see Registration
	Idle        time.Duration
	MaxUses     int64 // how many clients
	Used        int64
	Expires     time.Time
	Created     time.Time
}

// Key returns the token's ID.
func (t InitialToken) Key() string { return t.ID }
