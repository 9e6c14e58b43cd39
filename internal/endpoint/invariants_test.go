package endpoint_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/audit"
)

// refusalKinds are what the journal calls a refusal at each endpoint.
var refusalKinds = map[string]string{
	"/token": "token.refused", "/introspect": "introspection.refused", "/revoke": "revocation.refused",
}

// invariants checks what must hold for every answer (SECURITY, section 2: I1, I4 to I8, I10).
func (c *conversation) invariants(t *testing.T, s step, got answer, events []audit.Event) {
	t.Helper()
	if got.took > 5*time.Second { // the target is one; a busy machine is no failure of ours, and a request that hangs is
		t.Errorf("I5: it took %v", got.took)
	}
	c.headers(t, s, got)
	if got.StatusCode >= 400 && s.method != http.MethodHead {
		c.refusal(t, s, got)
	}
	if path, _, _ := strings.Cut(s.target, "?"); path == "/token" && got.StatusCode == http.StatusOK {
		c.issued(t, s, got)
	}
	c.journaled(t, s, got, events)
	c.canaries(t, got)
}

func (c *conversation) headers(t *testing.T, s step, got answer) {
	t.Helper()
	want := map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
	public := s.method != http.MethodPost && got.StatusCode < 400
	if !public {
		want["Cache-Control"], want["Pragma"] = "no-store", "no-cache"
	}
	for name, value := range want {
		if values := got.Header.Values(name); len(values) != 1 || values[0] != value {
			t.Errorf("I8, I10: header %s: got %q, want %q", name, values, value)
		}
	}
	for _, name := range []string{"Set-Cookie", "Access-Control-Allow-Credentials", "Location", "X-Powered-By"} {
		if got.Header.Get(name) != "" {
			t.Errorf("header %s: got %q, want none", name, got.Header.Get(name))
		}
	}
	if !public && got.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("T43: another origin may read this answer")
	}
	kinds := []string{"application/json", "application/jwk-set+json", "application/token-introspection+jwt"}
	if kind := got.Header.Get("Content-Type"); got.body != "" && !slices.Contains(kinds, kind) {
		t.Errorf("I10: Content-Type %q", kind)
	}
	if challenges := got.Header.Values("WWW-Authenticate"); got.StatusCode == http.StatusUnauthorized {
		if want := fmt.Sprintf(`Basic realm=%q`, c.server.issuer); len(challenges) != 1 || challenges[0] != want {
			t.Errorf("challenge: got %q, want %q", challenges, want)
		}
	} else if len(challenges) > 0 {
		t.Errorf("challenge %q beside a status %d", challenges, got.StatusCode)
	}
}

// allowedText is what an error may consist of (RFC 6749, 5.2).
var allowedText = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]*$`)

// refusal checks the shape of an OAuth error (RFC 6749, 5.2).
func (c *conversation) refusal(t *testing.T, s step, got answer) {
	t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Errorf("I7: %q is not an OAuth error", shorten(got.body))
		return
	}
	for name, text := range body {
		if name != "error" && name != "error_description" || text == "" || !allowedText.MatchString(text) || len(text) > 512 {
			t.Errorf("I7: member %s: %q", name, text)
		}
	}
	if (body["error"] == "invalid_client") != (got.StatusCode == http.StatusUnauthorized) {
		t.Errorf("%s with status %d", body["error"], got.StatusCode)
	}
	if !slices.ContainsFunc(s.want, func(want string) bool { return want == "error "+body["error"] }) {
		t.Errorf("error: got %q, and the case does not say so", body["error"])
	}
}

// issued checks what a token response has and has not (RFC 6749, 5.1 and 4.4.3). Where a proof was sent, no token leaves
// that is not bound to it.
func (c *conversation) issued(t *testing.T, s step, got answer) {
	t.Helper()
	tokenType := "Bearer"
	if slices.ContainsFunc(s.headers, func(header string) bool { return strings.HasPrefix(strings.ToLower(header), "dpop:") }) {
		tokenType = "DPoP"
	}
	matches(t, got.body, `{"access_token":"<any>","token_type":"`+tokenType+`","expires_in":300,"scope":"<any>"}`, true)
	var response struct {
		AccessToken string `json:"access_token"`
	}
	must(t, json.Unmarshal([]byte(got.body), &response))
	c.tokens["response "+response.AccessToken] = response.AccessToken
}

// journaled checks that the journal has exactly the one event that this answer calls for (I6).
func (c *conversation) journaled(t *testing.T, s step, got answer, events []audit.Event) {
	t.Helper()
	var have []string
	for _, e := range events {
		if e.Remote == "" || e.Time.IsZero() {
			t.Errorf("I6: event %+v has no time or no address", e)
		}
		if e.Remote != "192.0.2.1:1" { // a token that the case made for itself
			have = append(have, strings.TrimSpace(e.Kind+" "+e.Reason+" "+e.ClientID))
		}
	}
	for _, e := range events {
		if kind, ok := strings.CutSuffix(e.Kind, ".refused"); ok && e.Remote != "192.0.2.1:1" {
			namesRefusal(t, kind, e, got)
		}
	}
	want := c.event(s, got)
	for i := range have { // as much of it as the case states
		if len(want) > i && strings.HasPrefix(have[i]+" ", want[i]+" ") {
			have[i] = want[i]
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("I6: journal: got %q, want %q", have, want)
	}
}

// event returns what the case states, or what follows from the answer.
func (c *conversation) event(s step, got answer) []string {
	for _, want := range s.want {
		if event, found := strings.CutPrefix(want, "event "); found {
			if event == "none" {
				return nil
			}
			return []string{event}
		}
	}
	path, _, _ := strings.Cut(s.target, "?")
	kind, watched := refusalKinds[path]
	switch {
	case !watched || s.method != http.MethodPost:
		return nil
	case path == "/introspect" && got.StatusCode == http.StatusOK:
		return nil
	case path == "/token" && got.StatusCode == http.StatusOK:
		return []string{"token.issued"}
	case got.StatusCode == http.StatusUnauthorized, got.StatusCode == http.StatusOK:
		return []string{"the case must state it"}
	}
	for _, want := range s.want {
		if code, found := strings.CutPrefix(want, "error "); found {
			return []string{kind + " " + code}
		}
	}
	return []string{kind}
}

// canaries looks for secrets and tokens where none may be (I4): the answer, the log, the journal.
func (c *conversation) canaries(t *testing.T, got answer) {
	t.Helper()
	var headers strings.Builder
	must(t, got.Header.Write(&headers))
	events, err := json.Marshal(c.server.journal.Events())
	must(t, err)
	body := got.body
	for name, token := range c.tokens {
		if strings.HasPrefix(name, "response ") {
			body = strings.ReplaceAll(body, token, "")
		}
	}
	for place, text := range map[string]string{
		"body": body, "headers": headers.String(), "log": c.server.log.String(), "journal": string(events),
	} {
		for name, canary := range c.secrets() {
			if strings.Contains(text, canary) {
				t.Errorf("I4: the %s has %s", place, name)
			}
		}
	}
}

func (c *conversation) secrets() map[string]string {
	all := map[string]string{"a canary": "canary", "the secret of a:b": secrets["a:b"]}
	for _, client := range clients() {
		_, encoded, _ := strings.Cut(basic(client.ID, secretOf(client.ID)), " ")
		all["the Basic credentials of "+client.ID] = encoded
	}
	for name, token := range c.tokens {
		all["the token "+name] = token
	}
	return all
}

// control shows that the server still works, so that what was refused was refused for its own sake (I9).
func (c *conversation) control(t *testing.T) {
	t.Helper()
	path := strings.TrimPrefix(c.server.issuer, "https://as.example")
	s := step{method: http.MethodPost, target: path + "/token", status: http.StatusOK, body: "grant_type=client_credentials&scope=read"}
	s.headers = []string{"Authorization: " + basic("c-basic", secretOf("c-basic")), "Content-Type: application/x-www-form-urlencoded"}
	if got := c.send(t, s); got.StatusCode != http.StatusOK {
		t.Errorf("I9: a good request is answered with %d %s", got.StatusCode, got.body)
	}
}
