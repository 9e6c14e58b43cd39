package client

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// An assertionFile is a file with an assertion that somebody else signs.
type assertionFile struct{ path string }

// AssertionFile returns a credential with the client assertion in a file: a token of the platform that the client runs on,
// such as the projected token of a Kubernetes service account. The file is read again for each token request and sent as
// it is, without the white space around it, so that the platform may replace it at any time. New fails when the file
// cannot be read; later a token request does.
func AssertionFile(path string) Credential { return assertionFile{path} }

func (assertionFile) methods() []string { return []string{oauth.PrivateKeyJWT} }

func (f assertionFile) check(string) error {
	_, err := f.read()
	return err
}

func (f assertionFile) attach(request *tokenRequest) error {
	assertion, err := f.read()
	if err != nil {
		return err
	}
	request.assert(assertion)
	return nil
}

func (f assertionFile) read() (string, error) {
	data, err := readFile("assertion file", f.path)
	if err != nil {
		return "", err
	}
	assertion := strings.TrimSpace(string(data))
	if strings.Count(assertion, ".") != 2 || !isBearerToken(assertion) {
		return "", fmt.Errorf("assertion file %s does not hold a signed JWT", f.path)
	}
	return assertion, nil
}

// Format prints the path of the file, which is no secret.
func (f assertionFile) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, f.path) }

// LogValue logs the path.
func (f assertionFile) LogValue() slog.Value { return slog.StringValue(f.path) }

// MarshalText writes the path.
func (f assertionFile) MarshalText() ([]byte, error) { return []byte(f.path), nil }
