package resource

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// Refusals of requests that say something, but not in the one way there is (RFC 6750, 3.1).
var (
	errTwoHeaders  = oauth.Errorf(oauth.InvalidRequest, "more than one Authorization header")
	errTwoTokens   = oauth.Errorf(oauth.InvalidRequest, "the Authorization header has more than one token")
	errEmptyToken  = oauth.Errorf(oauth.InvalidRequest, "the Authorization header has no token")
	errTokenInURL  = oauth.Errorf(oauth.InvalidRequest, "the token is sent in the query as well")
	errTokenInBody = oauth.Errorf(oauth.InvalidRequest, "the token is sent in the body as well")
)

const accessToken = "access_token" // the parameter of RFC 6750, 2.2 and 2.3, which are not supported

// credentials are what a request presents: an access token, and the scheme that it was sent with. The scheme may be known
// although there is no token that can be read.
type credentials struct{ scheme, token string }

// credentials returns the access token of a request: from the Authorization header, where it must stand once (RFC 6750,
// 2.1; RFC 9449, 7.1). A token in the query or the body alone counts as none, because URLs end in logs (OAuth 2.1;
// RFC 9700, 4.3.2); next to one in the header it makes the request ambiguous.
func (v *Verifier) credentials(r *http.Request) (credentials, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) > 1 {
		return credentials{}, errTwoHeaders
	}
	if len(headers) == 0 {
		return credentials{}, ErrNoToken
	}
	given, err := parseAuthorization(headers[0], v.schemes)
	if err != nil {
		return given, err
	}
	if r.URL.RawQuery != "" && r.URL.Query().Has(accessToken) {
		return given, errTokenInURL
	}
	return given, nil
}

// parseAuthorization takes one of the schemes, in any case, one space and a token68 (RFC 6750, 2.1). What two parsers
// could read in two ways is refused.
func parseAuthorization(value string, schemes []string) (credentials, error) {
	for _, scheme := range schemes {
		if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
			continue
		}
		rest := value[len(scheme):]
		first, _, list := strings.Cut(rest, ",")
		switch {
		case strings.Trim(rest, " \t") == "":
			return credentials{scheme: scheme}, errEmptyToken
		case list && isToken68(strings.Trim(first, " \t")):
			return credentials{scheme: scheme}, errTwoTokens
		case rest[0] != ' ' && rest[0] != '\t':
			return credentials{}, ErrNoToken // "BearerX"
		case rest[0] != ' ' || !isToken68(rest[1:]):
			return credentials{scheme: scheme}, errMalformed
		}
		return credentials{scheme, rest[1:]}, nil
	}
	return credentials{}, ErrNoToken // another scheme's
}

// isToken68 reports whether s is 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"=" (RFC 9110, 11.2).
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// maxFormBytes is how much of a form is searched for a second token.
const maxFormBytes = 64 << 10

// tokenInBody reports whether a form body carries a token too. It is asked only about requests whose own token was
// accepted, so that a stranger cannot make us hold forms. The handler finds the body as it was.
func tokenInBody(r *http.Request) bool {
	if r.PostForm != nil { // somebody in front has read it
		return r.PostForm.Has(accessToken)
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Body == nil || r.Body == http.NoBody || kind != "application/x-www-form-urlencoded" {
		return false
	}
	start, _ := io.ReadAll(io.LimitReader(r.Body, maxFormBytes)) // the handler will meet the error, if there is one, again
	r.Body = replayed{io.MultiReader(bytes.NewReader(start), r.Body), r.Body}
	form, _ := url.ParseQuery(string(start))
	return form.Has(accessToken)
}

// replayed is a body whose beginning was read already.
type replayed struct {
	io.Reader
	io.Closer
}
