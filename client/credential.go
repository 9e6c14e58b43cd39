package client

import (
	"net/http"
	"net/url"
)

// A Credential proves to the issuer that a request comes from the client. Secret and SecretFile make one.
type Credential interface {
	// methods names the client authentication methods that the credential can serve, its default first.
	methods() []string

	// check reports what is wrong with the credential before it is used for the first time.
	check() error

	// attach puts the proof onto a token request by one of its methods. It is called for each request anew, so that a
	// credential may change between two of them.
	attach(request *tokenRequest) error
}

// A tokenRequest is a token request in the making.
type tokenRequest struct {
	clientID string
	method   string // the client authentication method
	form     url.Values
	header   http.Header
}
