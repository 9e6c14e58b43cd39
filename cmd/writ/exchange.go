package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/jose"
)

// A narrator shows HTTP exchanges to people: the request line, the headers that matter, the status, the body, and what a
// token says. Secrets are never shown, tokens only by their first letters.
type narrator struct {
	out   io.Writer
	paint palette
}

// told are the headers of a request and an answer that matter in this flow.
var (
	toldRequest  = []string{"Authorization", "Content-Type"}
	toldResponse = []string{"Content-Type", "Cache-Control", "Www-Authenticate", "Retry-After", "Allow"}
)

// RoundTrip sends a request and shows it and its answer. It is an http.RoundTripper for the programs of this package.
func (n narrator) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := n.request(r); err != nil {
		return nil, err
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		fmt.Fprintln(n.out, "  "+n.paint.red("no answer: "+err.Error()))
		return nil, err
	}
	return response, n.response(response)
}

func (n narrator) request(r *http.Request) error {
	fmt.Fprintf(n.out, "  → %s %s\n", n.paint.bold(r.Method+" "+r.URL.RequestURI()), n.paint.dim("at "+r.URL.Host))
	for _, name := range toldRequest {
		for _, value := range r.Header.Values(name) {
			fmt.Fprintf(n.out, "    %s %s\n", n.paint.dim(name+":"), maskAuthorization(value))
		}
	}
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
	fmt.Fprintln(n.out, indent(pretty(body)))
	return nil
}

func (n narrator) response(response *http.Response) error {
	paint := n.paint.green
	if response.StatusCode >= http.StatusBadRequest {
		paint = n.paint.yellow
	}
	fmt.Fprintf(n.out, "  ← %s\n", paint(response.Status))
	for _, name := range toldResponse {
		for _, value := range response.Header.Values(name) {
			fmt.Fprintf(n.out, "    %s %s\n", n.paint.dim(strings.ReplaceAll(name, "Www", "WWW")+":"), value)
		}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) > 0 {
		fmt.Fprintln(n.out, indent(pretty(body)))
	}
	return nil
}

// token shows what a JWT says. It verifies nothing.
func (n narrator) token(token string) {
	parsed, err := jose.Parse(token)
	if err != nil {
		return
	}
	fmt.Fprintln(n.out, "    "+n.paint.dim("the token says (typ "+parsed.Type+", "+parsed.Algorithm+", key "+parsed.KeyID+")"))
	fmt.Fprintln(n.out, n.paint.cyan(indent(withTimes(pretty(parsed.Payload)))))
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
	case strings.EqualFold(scheme, "Bearer"):
		return "Bearer " + shorten(rest)
	}
	return value
}

func shorten(token string) string {
	if len(token) <= 24 {
		return token
	}
	return fmt.Sprintf("%s… (%d characters)", token[:16], len(token))
}

// secretMembers are members of JSON answers that hold what must not be shown.
var secretMembers = []string{"client_secret", "access_token"}

// pretty indents JSON and hides secrets in it; anything else it returns as it is, form bodies without their secret.
func pretty(body []byte) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) == nil {
		for _, name := range secretMembers {
			var value string
			if json.Unmarshal(members[name], &value) == nil && value != "" {
				body = bytes.ReplaceAll(body, []byte(value), []byte(hide(name, value)))
			}
		}
	}
	var out bytes.Buffer
	if json.Indent(&out, body, "", "  ") != nil {
		return strings.TrimRight(string(body), "\n")
	}
	return innermost.ReplaceAllStringFunc(strings.TrimRight(out.String(), "\n"), func(value string) string {
		if line := space.ReplaceAllString(value, " "); len(line) <= 100 {
			return line
		}
		return value
	})
}

// Short lists and objects of plain values are written on one line.
var (
	innermost = regexp.MustCompile(`\[[^\[\]{}]*\]|{[^\[\]{}]*}`)
	space     = regexp.MustCompile(`\s+`)
)

func hide(name, value string) string {
	if name == "access_token" {
		return shorten(value)
	}
	return value[:min(8, len(value))] + "••••••"
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
