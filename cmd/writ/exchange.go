package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/writ-auth/writ/internal/jose"
)

// A narrator shows HTTP exchanges to people: the request line, the headers that matter, the status, the body, and what a
// token says. Secrets are never shown, tokens only by their first and last letters.
type narrator struct {
	out   io.Writer
	paint palette
	brief bool     // leaves out headers that every exchange has
	only  []string // members of JSON answers that are shown, and no lists; everything when empty

	base http.RoundTripper // carries the requests; nil means http.DefaultTransport
}

// Headers that matter in this flow.
var (
	telling = []string{"Authorization", "Dpop", "Www-Authenticate", "Dpop-Nonce", "Retry-After", "Allow"}
	usual   = []string{"Content-Type", "Cache-Control"}
)

// RoundTrip sends a request and shows it and its answer. It is an http.RoundTripper for the programs of this package.
func (n narrator) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := n.request(r); err != nil {
		return nil, err
	}
	base := n.base
	if base == nil {
		base = http.DefaultTransport
	}
	response, err := base.RoundTrip(r)
	if err != nil {
		fmt.Fprintln(n.out, "  "+n.paint.red("no answer: "+err.Error()))
		return nil, err
	}
	return response, n.response(response)
}

func (n narrator) request(r *http.Request) error {
	fmt.Fprintf(n.out, "  → %s %s\n", n.paint.bold(r.Method+" "+r.URL.RequestURI()), n.paint.dim("at "+r.URL.Host))
	n.headers(r.Header)
	if r.Body == nil {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		r.Body = http.NoBody
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fmt.Fprintln(n.out, indent(prettyForm(r.Header, body)))
	return nil
}

func (n narrator) response(response *http.Response) error {
	paint := n.paint.green
	if response.StatusCode >= http.StatusBadRequest {
		paint = n.paint.yellow
	}
	fmt.Fprintf(n.out, "  ← %s\n", paint(response.Status))
	n.headers(response.Header)
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if text := pretty(body, n.only...); text != "" && text != "{}" {
		fmt.Fprintln(n.out, indent(text))
	}
	return nil
}

func (n narrator) headers(header http.Header) {
	names := telling
	if !n.brief {
		names = append(names[:len(names):len(names)], usual...)
	}
	for _, name := range names {
		for _, value := range header.Values(name) {
			switch name {
			case "Authorization":
				value = maskAuthorization(value)
			case "Www-Authenticate": // long: one parameter a line
				name = "WWW-Authenticate"
				value = strings.ReplaceAll(value, `", `, "\",\n  ")
			case "Dpop":
				name, value = "DPoP", n.proof(value)
			case "Dpop-Nonce":
				name = "DPoP-Nonce"
			}
			fmt.Fprintln(n.out, indent(n.paint.dim(name+":")+" "+value))
		}
	}
}

// proof shows a DPoP proof: for which request it is, and by which key. It verifies nothing.
func (n narrator) proof(compact string) string {
	var claims struct {
		Method string `json:"htm"`
		URL    string `json:"htu"`
	}
	parsed, key, err := jose.ParseWithKey(compact)
	if err != nil || parsed.Decode(&claims) != nil {
		return shorten(compact)
	}
	return shorten(compact) + "\n  " + n.paint.dim("a proof for "+claims.Method+" "+claims.URL+", by the key "+key.ID[:8]+"…")
}

// token shows what a JWT says. It verifies nothing.
func (n narrator) token(token string) {
	parsed, err := jose.Parse(token)
	if err != nil {
		return
	}
	fmt.Fprintln(n.out, "    "+n.paint.dim("the token says (typ "+parsed.Type+", alg "+parsed.Algorithm+", kid "+parsed.KeyID+")"))
	if !n.brief || len(n.only) == 0 {
		fmt.Fprintln(n.out, n.paint.cyan(indent(withTimes(pretty(parsed.Payload)))))
	}
}

// maskAuthorization shows who a header speaks for and hides what proves it.
func maskAuthorization(value string) string {
	scheme, rest, _ := strings.Cut(value, " ")
	switch {
	case strings.EqualFold(scheme, "Basic"):
		decoded, err := base64.StdEncoding.DecodeString(rest)
		if user, _, found := strings.Cut(string(decoded), ":"); err == nil && found {
			return "Basic base64(" + user + ":••••••)"
		}
		return "Basic ••••••"
	case strings.EqualFold(scheme, "Bearer"), strings.EqualFold(scheme, "DPoP"):
		return scheme + " " + shorten(rest)
	}
	return value
}

func shorten(token string) string {
	if len(token) <= 24 {
		return token
	}
	return fmt.Sprintf("%s…%s (%d characters)", token[:10], token[len(token)-6:], len(token))
}

// secretMembers are members of JSON answers that hold what must not be shown.
var secretMembers = []string{"client_secret", "access_token"}

// width is how wide a line of JSON may be, so that with what stands before it a terminal of 100 columns has room.
const width = 90

// prettyForm lays out a form with a client assertion, one parameter a line and the assertion shortened, and anything else as
// pretty does.
func prettyForm(header http.Header, body []byte) string {
	form, err := url.ParseQuery(string(body))
	if header.Get("Content-Type") != "application/x-www-form-urlencoded" || err != nil || !form.Has("client_assertion") {
		return pretty(body)
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(form)) {
		value := form.Get(name)
		if name == "client_assertion" {
			value = shorten(value) + says(value)
		}
		lines = append(lines, name+"="+value)
	}
	return strings.Join(lines, "\n")
}

// says is what a client assertion says, behind it.
func says(assertion string) string {
	var claims struct {
		Issuer   string          `json:"iss"`
		Audience json.RawMessage `json:"aud"`
	}
	parsed, err := jose.Parse(assertion)
	if err != nil || parsed.Decode(&claims) != nil {
		return ""
	}
	return "\n  signed by " + claims.Issuer + ", for " + strings.Trim(string(claims.Audience), `"`) + " alone, with the key " + parsed.KeyID[:min(8, len(parsed.KeyID))] + "…"
}

// pretty lays out JSON, of an object only the named members if there are any names, and hides secrets in it. Anything
// else it returns as it is.
func pretty(body []byte, only ...string) string {
	text := strings.TrimRight(string(body), "\n")
	switch {
	case !json.Valid(body):
		return text
	case strings.HasPrefix(text, "[") && len(only) > 0:
		return ""
	}
	return layout(json.RawMessage(text), 0, only)
}

// layout writes a JSON value on one line where it fits behind indent columns, else one member a line.
func layout(value json.RawMessage, indent int, only []string) string {
	decoder := json.NewDecoder(bytes.NewReader(value))
	opening, err := decoder.Token()
	delim, nested := opening.(json.Delim)
	if err != nil || !nested {
		return string(value)
	}
	var parts []string
	for decoder.More() {
		prefix, name := "", ""
		if delim == '{' {
			token, _ := decoder.Token() // valid, as the caller knows
			name = token.(string)
			prefix = `"` + name + `": `
		}
		var member json.RawMessage
		_ = decoder.Decode(&member) // valid, too
		if len(only) > 0 && name != "" && !slices.Contains(only, name) {
			continue
		}
		parts = append(parts, prefix+layout(hide(name, member), indent+2+len(prefix), nil))
	}
	return join(delim, parts, indent, len(only) > 0)
}

// join puts the members of an object or an array together; an object that is shown in part ends in dots.
func join(delim json.Delim, parts []string, indent int, partly bool) string {
	closing := map[json.Delim]string{'{': "}", '[': "]"}[delim]
	if len(parts) == 0 {
		return delim.String() + closing
	}
	if partly {
		parts = append(parts, "…")
	}
	line := strings.Join(parts, ", ")
	if delim == '{' {
		line = " " + line + " "
	}
	line = delim.String() + line + closing
	if !strings.Contains(line, "\n") && indent+utf8.RuneCountInString(line) <= width {
		return line
	}
	for i := range parts {
		parts[i] = strings.ReplaceAll(parts[i], "\n", "\n  ")
	}
	return delim.String() + "\n  " + strings.Join(parts, ",\n  ") + "\n" + closing
}

// hide returns a member as it may be shown: of a secret only what kind it is, of a token its ends.
func hide(name string, member json.RawMessage) json.RawMessage {
	var text string
	if !slices.Contains(secretMembers, name) || json.Unmarshal(member, &text) != nil {
		return member
	}
	if name == "access_token" {
		return json.RawMessage(`"` + shorten(text) + `"`)
	}
	return json.RawMessage(`"` + text[:min(8, len(text))] + `••••••"`)
}

// withTimes writes behind the dates of a token what they mean.
func withTimes(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if !slices.Contains([]string{`"exp"`, `"iat"`, `"nbf"`}, name) {
			continue
		}
		var seconds int64
		if _, err := fmt.Sscan(strings.TrimSuffix(value, ","), &seconds); err == nil {
			lines[i] += "   ← " + time.Unix(seconds, 0).Local().Format("15:04:05")
		}
	}
	return strings.Join(lines, "\n")
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(text, "\n", "\n    ")
}
