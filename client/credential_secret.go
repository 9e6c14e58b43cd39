package client

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// secret is a client secret. The value stands behind a function, because fmt prints unexported fields without asking
// their methods: a user's struct that holds a Credential must not give it away.
type secret struct{ reveal func() (string, error) }

// Secret returns a credential with a client secret that the caller already holds. It prints and marshals as REDACTED.
func Secret(value string) Credential {
	return secret{reveal: func() (string, error) {
		if value == "" {
			return "", errors.New("the secret is empty")
		}
		return value, nil
	}}
}

// SecretFile returns a credential with the client secret in a file, which is read again for each token request: whoever
// rotates the secret replaces the file, and the client follows. Line ends behind the secret are dropped. New fails when
// the file cannot be read; later a token request does.
func SecretFile(path string) Credential {
	return secret{reveal: func() (string, error) { return readSecret(path) }}
}

func readSecret(path string) (string, error) {
	data, err := readFile("secret file", path)
	return strings.TrimRight(string(data), "\r\n"), err
}

func (s secret) methods() []string { return []string{oauth.ClientSecretBasic, oauth.ClientSecretPost} }

func (s secret) check(string) error {
	_, err := s.reveal()
	return err
}

func (s secret) attach(request *tokenRequest) error {
	value, err := s.reveal()
	if err != nil {
		return err
	}
	request.attachSecret(value)
	return nil
}

// attachSecret puts a secret onto the request.
func (r *tokenRequest) attachSecret(value string) {
	if r.method == oauth.ClientSecretPost {
		r.form.Set("client_id", r.clientID)
		r.form.Set("client_secret", value)
		return
	}
	// Both parts are form-encoded before they are joined (RFC 6749, 2.3.1): a colon in a client ID, or any byte outside
	// ASCII, would otherwise reach the server as something else.
	pair := url.QueryEscape(r.clientID) + ":" + url.QueryEscape(value)
	r.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
}

// Format prints REDACTED for every verb.
func (s secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs REDACTED.
func (s secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText writes REDACTED into JSON and every other encoding.
func (s secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const redacted = "REDACTED"
