package wire

import (
	"encoding/json"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// A Client is what an operator sees of one. No secret can be read back: only hashes are kept, and they stay inside. What has
// expired is not shown.
type Client struct {
	ID string `json:"client_id" doc:"Never reissued" example:"billing-4fk2p9qz7a"`
	oauth.ClientMetadata
	FormerMethod string       `json:"former_method,omitempty" doc:"The authentication method that is accepted as well until former_until" example:"client_secret_basic"`
	FormerUntil  time.Time    `json:"former_until,omitzero"`
	Suspended    bool         `json:"suspended" doc:"Whether the client gets no tokens and its tokens are inactive"`
	LastUse                   // of any of its credentials
	ScopeUses    []ScopeUse   `json:"scope_uses,omitempty" doc:"Each scope that the client may have, by its own grants and by its roles, and when it last got it in a token; left out of lists"`
	Secrets      []SecretInfo `json:"secrets,omitempty" doc:"The secrets that count, without the secrets themselves"`
	Keys         []ClientKey  `json:"keys,omitempty" doc:"The keys that were registered by value"`
	Uses         []KeyUse     `json:"uses,omitempty" doc:"When a key from jwks_uri, or the certificate of a tls_client_auth client, was last used"`
	// Registration is nil unless the client registered itself.
	Registration *Registration `json:"registration,omitempty" doc:"Of a client that registered itself (RFC 7591); left out for the others"`
	Created      time.Time     `json:"created"`
	Updated      time.Time     `json:"updated"`
	// ETag stands for what is registered, last uses left aside: see If-Match. The answer has it as a header.
	ETag string `json:"-"`
}

// A ScopeUse says when a client last got a scope that it may have.
type ScopeUse struct {
	Resource     string    `json:"resource" doc:"URI of the resource" example:"https://api.example.com"`
	Scope        string    `json:"scope" example:"orders:read"`
	Default      bool      `json:"default,omitempty" doc:"Whether it comes when no scope is asked for"`
	Roles        []string  `json:"roles,omitempty" doc:"The roles that it comes by; none for one that is only granted to the client itself"`
	LastUsed     time.Time `json:"last_used,omitzero" doc:"When a token with it was last issued, to about an hour; left out when none was, or not in the last 400 days"`
	LastUsedFrom string    `json:"last_used_from,omitempty" doc:"The address that asked then" example:"192.0.2.7"`
}

// A LastUse says when a credential was last good for something, to about a minute, and who presented it.
type LastUse struct {
	LastUsed     time.Time `json:"last_used,omitzero" doc:"When it was last used, to about a minute; left out when it never was, or not in the last 400 days"`
	LastUsedFrom string    `json:"last_used_from,omitempty" doc:"The address that used it then" example:"192.0.2.7"`
	LastUsedBy   string    `json:"last_used_by,omitempty" doc:"What the caller said then that it is: its User-Agent" example:"billing/2.1"`
}

// A ClientKey is one of the public keys of a client.
type ClientKey struct {
	ID                 string    `json:"kid" doc:"The key's ID; its thumbprint when it came without one"`
	Algorithm          string    `json:"alg" doc:"The only algorithm that it is accepted with" example:"ES256"`
	Thumbprint         string    `json:"thumbprint" doc:"SHA-256 of the key (RFC 7638); names the key in paths as well"`
	CertificateSubject string    `json:"certificate_subject,omitempty" doc:"Subject of the certificate that came with the key, if one did (RFC 4514)"`
	CertificateExpires time.Time `json:"certificate_expires,omitzero"`
	Created            time.Time `json:"created"`
	NotBefore          time.Time `json:"not_before,omitzero" doc:"When it begins to count; left out when it always has"`
	Expires            time.Time `json:"expires,omitzero" doc:"Left out when it does not expire"`
	Limit              Limit     `json:"limit,omitzero" doc:"What it is good for at most; left out: what the client may have"`
	LastUse
}

// A Limit is a ceiling that a credential has of its own: what is obtained with it stays below, whatever the client may have.
type Limit struct {
	TokenTTLSeconds int64    `json:"token_ttl_seconds,omitempty" doc:"Longest life in seconds of a token that is obtained with it; left out: as long as the client's" example:"120"`
	Scopes          []string `json:"scopes,omitempty" doc:"The scopes that can be had with it, of those that the client may have; left out: all of them" example:"orders:read"`
	Networks        []string `json:"networks,omitempty" doc:"Where it may be used from, as CIDR; left out: where the client may ask from" example:"192.0.2.0/24"`
}

// A KeyUse is the last use of something that the client, and not the registry, has.
type KeyUse struct {
	Credential string `json:"credential" doc:"\"kid:\" and the ID of a key, or \"certificate\"" example:"kid:2026-11"`
	LastUse
}

// Registered is a new client with its secret, which is shown this once.
type Registered struct {
	Client
	Secret Secret `json:"client_secret,omitzero" doc:"Shown this once; only a hash is kept. Left out for a client that authenticates with a key or a certificate" example:"writ_cs_..."`
}

// A ClientUpdate is everything that is registered about a client, anew.
type ClientUpdate struct {
	oauth.ClientMetadata
	// KeepFormerUntil lets the method that the client had before be accepted until then as well, with its secrets or keys;
	// zero ends it at once. Of a client whose method is not changed, it moves the end of the one before, and a time that is
	// over ends it.
	KeepFormerUntil time.Time `json:"keep_former_until,omitzero" doc:"When the authentication method changes: until when the former one is accepted as well, at most 366 days ahead; left out, it ends at once. When the method stays: moves that end, and a time in the past ends it"`
}

// NewKey is a public key for a client. Exactly one of JWK and PEM is there.
type NewKey struct {
	JWK       json.RawMessage `json:"jwk,omitempty" doc:"The public key as a JWK (RFC 7517); excludes pem"`
	PEM       string          `json:"pem,omitempty" doc:"The public key, or a certificate, in PEM; excludes jwk"`
	NotBefore time.Time       `json:"not_before,omitzero" doc:"When it begins to count; left out: at once"`
	Expires   time.Time       `json:"expires,omitzero" doc:"When it stops counting; left out: never"`
	Limit     Limit           `json:"limit,omitzero" doc:"What it is good for at most; left out: what the client may have"`
}
