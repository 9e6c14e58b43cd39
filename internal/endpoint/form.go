package endpoint

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/oauth"
)

// Bounds of a form (SECURITY, section 5), checked before anything is parsed.
const (
	maxFormBytes      = 64 << 10
	maxFormParameters = 64
)

// parseForm reads the parameters of a POST body, and of nothing else: what stands in the URL ends up in logs, and what
// may stand in two places can be told apart by two parsers (RFC 6749, 2.3.1 and 3.2).
func parseForm(w http.ResponseWriter, r *http.Request) (authority.Form, error) {
	if err := checkContentType(r.Header.Values("Content-Type")); err != nil {
		return nil, err
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	form, err := decodeForm(string(body))
	if err != nil {
		return nil, err
	}
	return form, checkQuery(r.URL.RawQuery)
}

// readBody reads the body of a request, of at most 64 KiB.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := readAll(w, r)
	if err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			w.Header().Set("Connection", "close")
			return nil, &status{code: http.StatusRequestEntityTooLarge, err: oauth.Errorf(oauth.InvalidRequest, "the body is larger than 64 KiB")}
		}
		w.Header().Set("Connection", "close")
		unread := oauth.Errorf(oauth.InvalidRequest, "the body could not be read").Because(err)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, &status{code: http.StatusRequestTimeout, err: unread}
		}
		return nil, unread
	}
	return body, nil
}

// readAll reads a body into a buffer of its size, where that was announced: net/http reads no further than that.
func readAll(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 || r.ContentLength > maxFormBytes {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBytes))
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

const formType = "application/x-www-form-urlencoded"

func checkContentType(values []string) error {
	if isOf(values, formType) {
		return nil
	}
	return oauth.Errorf(oauth.InvalidRequest, "the Content-Type must be application/x-www-form-urlencoded, in UTF-8")
}

// isOf reports whether the values of a Content-Type header are one, of a media type, in UTF-8.
func isOf(values []string, wanted string) bool {
	if len(values) != 1 {
		return false
	}
	if values[0] == wanted {
		return true // as almost everybody writes it
	}
	mediaType, parameters, err := mime.ParseMediaType(values[0])
	charset := parameters["charset"]
	return err == nil && mediaType == wanted && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// decodeForm parses a form strictly. A parameter that stands twice is refused whatever it is (RFC 6749, 3.2), except for
// resource (RFC 8707, 2).
func decodeForm(body string) (authority.Form, error) {
	if strings.Count(body, "&") >= maxFormParameters {
		return nil, oauth.Errorf(oauth.InvalidRequest, "more than 64 parameters")
	}
	form, err := parameters(body)
	if err != nil {
		return nil, oauth.Errorf(oauth.InvalidRequest, "the body is not a well-formed form").Because(err)
	}
	for i, parameter := range form {
		if parameter.Name != "resource" && slices.ContainsFunc(form[:i], func(before authority.Parameter) bool { return before.Name == parameter.Name }) {
			return nil, oauth.Errorf(oauth.InvalidRequest, "parameter "+oauth.SafeText(parameter.Name)+" is repeated")
		}
		if !utf8.ValidString(parameter.Name) || !utf8.ValidString(parameter.Value) {
			return nil, oauth.Errorf(oauth.InvalidRequest, "the body is not UTF-8")
		}
	}
	return form, nil
}

var errSemicolon = errors.New("a semicolon separates nothing in a form")

// parameters splits a form as url.ParseQuery does, in the order in which its parameters stand.
func parameters(body string) (authority.Form, error) {
	form := make(authority.Form, 0, strings.Count(body, "&")+1)
	for piece := range strings.SplitSeq(body, "&") {
		if piece == "" {
			continue
		}
		if strings.Contains(piece, ";") {
			return nil, errSemicolon
		}
		name, value, _ := strings.Cut(piece, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, err
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, err
		}
		form = append(form, authority.Parameter{Name: name, Value: value})
	}
	return form, nil
}

// checkQuery refuses credentials in the URL, even beside right ones in the body: they are in the logs of every proxy on
// the way by now, and a client that gets away with it goes on (RFC 6749, 2.3.1; RFC 9700, 4.3). Other parameters there
// are ignored; a query that cannot be parsed is refused, for credentials may be in it (a;client_secret=...).
func checkQuery(query string) error {
	if query == "" {
		return nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return oauth.Errorf(oauth.InvalidRequest, "the query of the URL is not well-formed, and there should be none").Because(err)
	}
	for _, name := range []string{"client_id", "client_secret", "client_assertion", "access_token", "token"} {
		if values.Has(name) {
			return oauth.Errorf(oauth.InvalidRequest, "parameter "+name+" may not be in the URL")
		}
	}
	return nil
}
