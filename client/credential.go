package client

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// A Credential proves to the issuer that a request comes from the client. Secret, SecretFile, RotatingSecretFile, PrivateKey, PrivateKeyFile,
// ParsePrivateKey, AssertionFile, CertificateFile and CertificateFunc make one.
type Credential interface {
	// methods names the client authentication methods that the credential can serve, its default first.
	methods() []string

	// check reports what is wrong with the credential before it is used for the first time, at an issuer that may be "".
	check(issuer string) error

	// attach puts the proof onto a token request by one of its methods. It is called for each request anew, so that a
	// credential may change between two of them.
	attach(request *tokenRequest) error
}

// A tokenRequest is a token request in the making.
type tokenRequest struct {
	clientID string
	issuer   string // "" where the configuration names none
	method   string // the client authentication method
	form     url.Values
	header   http.Header
}

// assert puts a client assertion onto the request (RFC 7523, 2.2). The client ID goes with it, because some servers
// look up the client by it (RFC 7521, 4.2).
func (r *tokenRequest) assert(assertion string) {
	r.form.Set("client_id", r.clientID)
	r.form.Set("client_assertion_type", oauth.AssertionTypeJWT)
	r.form.Set("client_assertion", assertion)
}

// maxFileBytes bounds what is read from the file of a credential.
const maxFileBytes = 64 << 10

// readFile returns what is in the file of a credential; what says in errors what the file is.
func readFile(what, path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", what, err)
	case len(data) > maxFileBytes:
		return nil, fmt.Errorf("%s %s is larger than 64 KiB", what, path)
	case strings.TrimRight(string(data), "\r\n") == "":
		return nil, fmt.Errorf("%s %s is empty", what, path)
	}
	return data, nil
}

var errMissing = errors.New("is missing")
