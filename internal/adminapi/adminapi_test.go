package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer = "https://auth.example.com"
	orders = "https://orders.example.com"
)

// A bench is the API of a server on an empty store.
type bench struct {
	t        *testing.T
	store    store.Store
	ring     *keyring.Ring
	registry *registry.Registry
	handler  http.Handler
	operator string // the first operator's ID
	log      *bytes.Buffer
	asked    []asked // for pages of the audit trail
}

type asked struct {
	filter AuditFilter
	after  string
	limit  int
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, store: memstore.New(), log: &bytes.Buffer{}}
	b.ring = openRing(t, b.store)
	b.registry = registry.New(registry.Options{Issuer: issuer, Store: b.store, Ring: b.ring})
	operator, err := b.registry.Bootstrap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.operator = operator.ID
	_, err = b.registry.CreateResource(t.Context(), registry.System("test"), registry.ResourceSettings{
		URI: orders, Scopes: []registry.Scope{{Name: "orders:read"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.handler = New(b.registry, b.verifier(), Options{Logger: slog.New(slog.NewTextHandler(b.log, nil)), Audit: Audit{
		Page: func(_ context.Context, filter AuditFilter, after string, limit int) (AuditPage, error) {
			b.asked = append(b.asked, asked{filter, after, limit})
			return AuditPage{Items: []AuditRecord{{Kind: "token.issued", Source: "journal"}}, Position: "1.2.3"}, nil
		},
		Verify: func(context.Context) (AuditReport, error) {
			return AuditReport{Good: true, Findings: []AuditFinding{}}, nil
		},
	}, Explain: explainOne})
	return b
}

func openRing(t *testing.T, s store.Store) *keyring.Ring {
	t.Helper()
	ring, err := keyring.Open(t.Context(), s, keyring.Options{Root: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func (b *bench) verifier() *resource.Verifier {
	b.t.Helper()
	verifier, err := resource.NewVerifier(resource.Config{
		Issuer: issuer, Audience: registry.AdminResource(issuer), Keys: b.ring, RequireSingleAudience: true,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return verifier
}

// claims returns the claims of an operator's token.
func claims(clientID string, scopes ...string) oauth.Claims {
	now := time.Now()
	return oauth.Claims{
		Issuer: issuer, Subject: clientID, ClientID: clientID, Audience: oauth.Audience{registry.AdminResource(issuer)},
		IssuedAt: oauth.NumericDate(now.Unix()), Expires: oauth.NumericDate(now.Add(5 * time.Minute).Unix()),
		ID: "token-of-" + clientID, Scope: strings.Join(scopes, " "),
	}
}

func (b *bench) sign(ring *keyring.Ring, c oauth.Claims) string {
	b.t.Helper()
	signer, err := ring.Signer("ES256")
	if err != nil {
		b.t.Fatal(err)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		b.t.Fatal(err)
	}
	token, err := signer.Sign(oauth.TypeAccessToken, payload)
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

// token returns a token of the first operator.
func (b *bench) token(scopes ...string) string { return b.sign(b.ring, claims(b.operator, scopes...)) }

// all returns a token of the first operator with all scopes.
func (b *bench) all() string { return b.token(registry.AdminScopes()...) }

// call makes a request; an empty body is none.
func (b *bench) call(method, target, token, body string, header ...string) *http.Response {
	b.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return b.serve(r)
}

func (b *bench) serve(r *http.Request) *http.Response {
	w := timed{httptest.NewRecorder(), b.t}
	b.handler.ServeHTTP(w, r)
	return w.Result()
}

// text returns the body of an answer, which can be read again.
func text(t *testing.T, response *http.Response) string {
	t.Helper()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	response.Body = io.NopCloser(bytes.NewReader(data))
	return string(data)
}

func decode[T any](t *testing.T, response *http.Response) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text(t, response)), &v); err != nil {
		t.Fatalf("%s: %v", text(t, response), err)
	}
	return v
}

// wantProblem fails unless the answer is a problem document with the status, and returns it.
func wantProblem(t *testing.T, response *http.Response, status int) Problem {
	t.Helper()
	if response.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", response.StatusCode, status, text(t, response))
	}
	if got := response.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type is %q", got)
	}
	p := decode[Problem](t, response)
	if p.Status != status || p.Title != http.StatusText(status) {
		t.Errorf("got %+v", p)
	}
	return p
}

func locations(p Problem) string {
	var all []string
	for _, field := range p.Errors {
		all = append(all, field.Location)
	}
	return strings.Join(all, " ")
}

func TestClientFromCradleToGrave(t *testing.T) {
	b := newBench(t)
	made := b.call("POST", "/admin/v1/clients", b.all(),
		`{"client_name":"billing","grants":[{"resource":"https://orders.example.com","scopes":["orders:read"]}]}`)
	if made.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", made.StatusCode, text(t, made))
	}
	var answer struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
		Method string `json:"token_endpoint_auth_method"`
	}
	if err := json.Unmarshal([]byte(text(t, made)), &answer); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(answer.Secret, "writ_cs_") || answer.Method != "client_secret_basic" {
		t.Errorf("got %s", text(t, made))
	}
	path := "/admin/v1/clients/" + answer.ID
	for _, step := range []struct {
		method, path string
		status       int
		contains     string
	}{
		{"GET", path, 200, `"client_name": "billing"`},
		{"GET", "/admin/v1/clients/billing", 200, answer.ID},
		{"POST", path + "/suspend", 200, `"suspended": true`},
		{"POST", path + "/resume", 200, `"suspended": false`},
		{"GET", "/admin/v1/clients", 200, answer.ID},
		{"DELETE", path, 204, ""},
		{"GET", path, 404, "there is no client"},
		{"DELETE", path, 404, "there is no client"},
	} {
		got := b.call(step.method, step.path, b.all(), "")
		body := text(t, got)
		if got.StatusCode != step.status || !strings.Contains(body, step.contains) {
			t.Errorf("%s %s: %d %s, want %d and %s", step.method, step.path, got.StatusCode, body, step.status, step.contains)
		}
		if strings.Contains(body, answer.Secret) || strings.Contains(body, store.HashSecret(answer.Secret)) {
			t.Errorf("%s %s shows the secret again", step.method, step.path)
		}
	}
	if strings.Contains(b.log.String(), answer.Secret) {
		t.Error("the secret is in the log")
	}
}

func TestEveryWrongFieldIsNamed(t *testing.T) {
	b := newBench(t)
	for body, want := range map[string]string{
		`{"client_name":"a/b","grants":[{"resource":"urn:none","scopes":[]},{"resource":"https://orders.example.com","scopes":["orders:read","x"]}],"token_ttl_seconds":-1}`: "body.client_name body.grants[0].resource body.grants[0].scopes body.grants[1].scopes[1] body.token_ttl_seconds",
		`{"client_name":5,"grants":"none","surprise":1}`: "body.client_name body.grants body.surprise",
		`{}`: "body",
	} {
		p := wantProblem(t, b.call("POST", "/admin/v1/clients", b.all(), body), 400)
		got := strings.Fields(locations(p))
		for location := range strings.FieldsSeq(want) {
			if !strings.Contains(" "+strings.Join(got, " ")+" ", " "+location+" ") {
				t.Errorf("%s: problems with %v, want %s", body, got, want)
				break
			}
		}
		if len(got) != len(strings.Fields(want)) {
			t.Errorf("%s: problems with %v, want %s", body, got, want)
		}
	}
	if len(wantProblem(t, b.call("POST", "/admin/v1/clients", b.all(), `{"client_name":"operator"}`), 409).Detail) == 0 {
		t.Error("a conflict without a word")
	}
}

func TestStoreDown(t *testing.T) {
	b := newBench(t)
	token := b.all()
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	response := b.call("GET", "/admin/v1/clients", token, "")
	p := wantProblem(t, response, 503)
	if response.Header.Get("Retry-After") == "" || strings.Contains(p.Detail, "memstore") {
		t.Errorf("got %+v, %v", p, response.Header)
	}
	if !strings.Contains(b.log.String(), "memstore: closed") {
		t.Errorf("the log does not say why: %s", b.log)
	}
}

func TestHeaders(t *testing.T) {
	b := newBench(t)
	for name, response := range map[string]*http.Response{
		"an answer":        b.call("GET", "/admin/v1/clients", b.all(), ""),
		"without a token":  b.call("GET", "/admin/v1/clients", "", ""),
		"an unknown path":  b.call("GET", "/admin/v1/users", "", ""),
		"a wrong method":   b.call("PATCH", "/admin/v1/clients", b.all(), ""),
		"a wrong body":     b.call("POST", "/admin/v1/clients", b.all(), "{"),
		"the description":  b.call("GET", openAPIPath, "", ""),
		"nothing to say":   b.call("POST", "/admin/v1/keys/none/revoke", b.all(), ""),
		"a secret, shown":  b.call("POST", "/admin/v1/clients", b.all(), `{"client_name":"x"}`),
		"a foreign origin": b.call("GET", "/admin/v1/clients", b.all(), "", "Origin", "https://evil.test"),
	} {
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Set-Cookie": "",
		} {
			if got := response.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
	}
}

func TestRefusalsChallenge(t *testing.T) {
	b := newBench(t)
	forbidden := b.call("PUT", "/admin/v1/clients/operator", b.token("clients:write"), `{"client_name":"operator"}`)
	wantProblem(t, forbidden, 403)
	if got := forbidden.Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="insufficient_scope"`) || !strings.Contains(got, "keys:rotate") {
		t.Errorf("challenge is %q", got)
	}
	if p := wantProblem(t, b.call("GET", "/admin/v1/audit", b.token("clients:read"), ""), 403); !strings.HasSuffix(p.Detail, "needs: audit:read") {
		t.Errorf("which scope it takes is not said: %q", p.Detail)
	}
	if _, err := b.registry.SuspendClient(t.Context(), registry.System("test"), b.operator); err != nil {
		t.Fatal(err)
	}
	dead := b.call("GET", "/admin/v1/clients", b.all(), "")
	wantProblem(t, dead, 401)
	if got := dead.Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) || !strings.HasPrefix(got, `Bearer realm="https://auth.example.com/admin/v1", resource_metadata="`) {
		t.Errorf("challenge is %q", got)
	}
}

// timed is a connection on which nobody sets a deadline for reading: it would call off a request that takes longer, and all that follow.
type timed struct {
	*httptest.ResponseRecorder
	t *testing.T
}

func (w timed) SetReadDeadline(at time.Time) error {
	if !at.IsZero() {
		w.t.Errorf("a request may take %v", time.Until(at))
	}
	return nil
}
