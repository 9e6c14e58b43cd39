package wire

import (
	"encoding/base64"
	"time"
)

// ResourceSettings are what an operator says about a resource.
type ResourceSettings struct {
	URI               string  `json:"uri" doc:"Identifies the resource, as tokens name it in aud: an absolute URI without query and fragment" example:"https://api.example.com"`
	Name              string  `json:"name,omitempty" doc:"For people" example:"Orders"`
	Scopes            []Scope `json:"scopes" doc:"What clients can be allowed to do"`
	Format            string  `json:"format,omitempty" enum:"jwt,opaque" doc:"Format of its tokens; jwt when left out"`
	Algorithm         string  `json:"algorithm,omitempty" doc:"Signs its tokens; ES256 when left out" example:"ES256"`
	TokenTTLSeconds   int64   `json:"token_ttl_seconds,omitempty" doc:"Life of its tokens in seconds; 300 when left out"`
	MultipleAudiences bool    `json:"multiple_audiences,omitempty" doc:"Whether it may share a token with other resources"`
}

// A Scope is something that a client can be allowed to do at a resource.
type Scope struct {
	Name        string `json:"name" example:"orders:read"`
	Description string `json:"description,omitempty" example:"Look at orders"`
}

// A Resource is a protected API.
type Resource struct {
	ID string `json:"id" doc:"Names the resource in paths: the base64url of its URI" example:"aHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20"`
	ResourceSettings
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// ETag stands for what is registered: see If-Match. The answer has it as a header.
	ETag string `json:"-"`
}

// ResourceID returns what a resource is called in a path: a URI has slashes, and an encoded slash means something else to
// every proxy.
func ResourceID(uri string) string { return base64.RawURLEncoding.EncodeToString([]byte(uri)) }

// ResourceURI returns the URI that an ID stands for, and whether it is one.
func ResourceURI(id string) (string, bool) {
	uri, err := base64.RawURLEncoding.Strict().DecodeString(id)
	return string(uri), err == nil
}
