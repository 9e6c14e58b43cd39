package authority

import (
	"context"
	"encoding/base64"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// TestEveryReasonHasASentence walks over the source: the constants of type reason, the words of pop.Fault, and the codes of
// errors that have no reason below them. A new one without a sentence fails here.
func TestEveryReasonHasASentence(t *testing.T) {
	t.Parallel()
	words := []string{reasonTooMany, reasonOften, reasonUnavailable, reasonError}
	words = append(words, inSource(t, "*.go", reasonConstants)...)
	words = append(words, inSource(t, "../pop/*.go", faultWords)...)
	for _, name := range inSource(t, "*.go", codesOfErrors) {
		words = append(words, codes[name])
	}
	if len(words) < 50 {
		t.Fatalf("found only %d: %q", len(words), words)
	}
	for _, word := range words {
		if word == "" || rules[word].text == "" {
			t.Errorf("%q has no sentence in rules", word)
		}
	}
	for word, means := range rules {
		if !slices.Contains(words, word) {
			t.Errorf("%q is no reason", word)
		}
		if means.remedy == "" && word != reasonError {
			t.Errorf("%q: what would have worked is not said", word)
		}
	}
}

// codes are the OAuth errors of this package, by the names that they have in the source.
var codes = map[string]string{
	"InvalidRequest": string(oauth.InvalidRequest), "InvalidScope": string(oauth.InvalidScope), "InvalidTarget": string(oauth.InvalidTarget),
	"InvalidGrant": string(oauth.InvalidGrant), "UnsupportedGrantType": string(oauth.UnsupportedGrantType), "UnauthorizedClient": string(oauth.UnauthorizedClient),
}

func inSource(t *testing.T, pattern string, find func(ast.Node) string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if word := find(n); word != "" {
				found = append(found, word)
			}
			return true
		})
	}
	return found
}

func text(e ast.Expr) string {
	if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
		value, _ := strconv.Unquote(literal.Value) // the parser has checked it
		return value
	}
	return ""
}

func reasonConstants(n ast.Node) string {
	spec, ok := n.(*ast.ValueSpec)
	if !ok || len(spec.Values) != 1 {
		return ""
	}
	if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "reason" {
		return ""
	}
	return text(spec.Values[0])
}

func faultWords(n ast.Node) string {
	literal, ok := n.(*ast.CompositeLit)
	if !ok || len(literal.Elts) == 0 {
		return ""
	}
	if kind, ok := literal.Type.(*ast.Ident); !ok || kind.Name != "Fault" {
		return ""
	}
	return text(literal.Elts[0])
}

// codesOfErrors finds oauth.Errorf(oauth.CODE, …). Those of invalid_client, of proofs and of nonces have a reason below.
func codesOfErrors(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) < 2 {
		return ""
	}
	callee, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || callee.Sel.Name != "Errorf" {
		return ""
	}
	code, ok := call.Args[0].(*ast.SelectorExpr)
	if !ok || slices.Contains([]string{"InvalidClient", "InvalidDPoPProof", "UseDPoPNonce"}, code.Sel.Name) {
		return ""
	}
	if _, listed := codes[code.Sel.Name]; !listed {
		return "?" + code.Sel.Name
	}
	return code.Sel.Name
}

// TestExplain tells of refusals as an operator asks about them.
func TestExplain(t *testing.T) {
	t.Parallel()
	basic := func(id, secret string) []string {
		return []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}
	}
	for _, test := range []struct {
		name       string
		request    Request
		reason     string
		client     string
		registered string // "name: value" of one, by pattern
		remedy     string // a pattern
		command    string
	}{
		{"a stranger", Request{Authorization: basic("stranger", "x")}, "unknown_client", "", "client: there is none.*", "client_id of a registered client", "writ client list"},
		{"a wrong secret", Request{Authorization: basic("known", "hunter22")}, "wrong_secret", "known", "secrets: .*", "a secret that is listed", "writ client secret list known"},
		{"an expired one", Request{Authorization: basic("expired", "right")}, "secret_expired", "expired", `secrets: .*\(expired .*\)`, "another|other secrets", "writ client secret rotate expired"},
		{"a suspended client", Request{Authorization: basic("suspended", "right")}, "client_disabled", "suspended", "suspended: yes", "resumed", "writ client resume suspended"},
		{"another method", Request{Authorization: basic("post", "right")}, "wrong_method", "post", "method: client_secret_post", "in the body instead", "writ client update post --auth-method client_secret_basic"},
		{"a scope", Request{Authorization: basic("known", "right"), Form: formOf(url.Values{"scope": {"read drop"}})}, "invalid_scope", "known", "https://api: may have read.*", "has no scope drop; the client may have read", "writ resource show https://api"},
		{"a resource", Request{Authorization: basic("known", "right"), Form: formOf(url.Values{"resource": {"https://api/"}})}, "invalid_target", "known", "https://api: may have read.*", "resource=https://api, letter by letter", "writ client show known"},
		{"another resource", Request{Authorization: basic("known", "right"), Form: formOf(url.Values{"resource": {"https://other"}})}, "invalid_target", "known", "https://api: .*", "it may ask for https://api", "writ client show known"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := explaining(t)
			request := test.request
			request.Form.set("grant_type", oauth.ClientCredentials)
			request.ID, request.Remote = "request", "192.0.2.7"
			_, err := a.Token(t.Context(), &request)
			e := explained(t, a, err)
			if e.Reason != test.reason || e.Client != test.client || e.Rule == "" || e.Endpoint != "token" || e.Remote != "192.0.2.7" || e.RequestID != "request" {
				t.Errorf("got %+v", e)
			}
			name, pattern, _ := strings.Cut(test.registered, ": ")
			if strings.HasPrefix(test.registered, "https://") {
				name, pattern = "https://api", strings.TrimPrefix(test.registered, "https://api: ")
			}
			if !regexp.MustCompile("^" + pattern + "$").MatchString(e.Registered[name]) {
				t.Errorf("registered: got %q, want %s", e.Registered, test.registered)
			}
			if !regexp.MustCompile(test.remedy).MatchString(e.Remedy) || !slices.Contains(e.Commands, test.command) {
				t.Errorf("got %q and %q, want %q and %q", e.Remedy, e.Commands, test.remedy, test.command)
			}
			all := strings.Join(append(append([]string{e.Rule, e.Remedy, e.Answer}, e.Commands...), values(e.Presented, e.Registered)...), "\n")
			if strings.Contains(all, "hunter22") || strings.Contains(all, "sha256:") {
				t.Errorf("OP-14: an explanation has a secret: %s", all)
			}
		})
	}
}

func values(all ...map[string]string) []string {
	var found []string
	for _, one := range all {
		for name, value := range one {
			found = append(found, name, value)
		}
	}
	return found
}

func explained(t *testing.T, a *Authority, err error) *Explanation {
	t.Helper()
	refusal, is := err.(*Refusal)
	if !is {
		t.Fatalf("got %v, which is no refusal", err)
	}
	e, _, err := a.Explain(t.Context(), refusal.ID)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// explaining returns an authority with clients to refuse: those of the store of TestCA26SameWork, with a resource.
func explaining(t *testing.T) *Authority {
	t.Helper()
	a, s := traced(t)
	ctx := context.Background()
	if err := s.Resources().Insert(ctx, store.Resource{URI: "https://api", Name: "api", Scopes: []store.Scope{{Name: "read"}}, Format: store.FormatJWT, Algorithm: "ES256"}); err != nil {
		t.Fatal(err)
	}
	known, err := s.Clients().Get(ctx, "known")
	if err != nil {
		t.Fatal(err)
	}
	known.GrantTypes = []string{oauth.ClientCredentials}
	known.Grants = []store.Grant{{Resource: "https://api", Scopes: []string{"read"}, Defaults: []string{"read"}}}
	if err := s.Clients().Put(ctx, known); err != nil {
		t.Fatal(err)
	}
	if err := a.Poll(ctx); err != nil {
		t.Fatal(err)
	}
	return a
}

// TestExplainUnknown says what the journal only counted.
func TestExplainUnknown(t *testing.T) {
	t.Parallel()
	a := explaining(t)
	at := time.Now()
	for range 2 {
		a.journal.Refuse(audit.Event{Time: at, Kind: eventRefused, Reason: "wrong_secret", Count: 20})
	}
	e, counted, err := a.Explain(t.Context(), "0000000000")
	if e != nil || err != ErrNoRefusal || len(counted) != 1 || counted[0].Count != 40 || counted[0].Endpoint != "token" {
		t.Errorf("got %v, %+v, %v", e, counted, err)
	}
	event := audit.Event{Time: at.Add(-time.Second), Kind: eventRefused, Reason: "wrong_secret"}
	if n := standsFor(event, []audit.Event{{Time: at, Kind: eventRefused, Reason: "replay", Count: 3}, {Time: at, Kind: eventRefused, Reason: "wrong_secret", Count: 20}}); n != 20 {
		t.Errorf("a refusal without a line of its own stands in one that counts %d, want 20", n)
	}
}

// TestExplainCommands: a client_id is whatever its sender wrote, and an operator copies commands.
func TestExplainCommands(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"x;rm -rf ~", "$(id)", "--operator=x", "a b", "`id`", "'", ""} {
		e := ExplainEvent(audit.Event{Kind: eventRefused, Reason: string(reasonWrongSecret), ClientID: id})
		if want := "writ client secret list NAME"; e.Commands[0] != want {
			t.Errorf("%q: got %q, want %q", id, e.Commands[0], want)
		}
	}
}
