package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/oauth"
)

// calls are the methods of the API by the operation that each is.
var calls = map[string]struct {
	method string
	call   func(context.Context, *admin.API)
}{
	"listClients": {"Clients", func(ctx context.Context, a *admin.API) {
		for range a.Clients(ctx, admin.ClientFilter{Search: "x"}) {
			return
		}
	}},
	"createClient":       {"CreateClient", func(ctx context.Context, a *admin.API) { _, _ = a.CreateClient(ctx, oauth.ClientMetadata{}) }},
	"getClient":          {"Client", func(ctx context.Context, a *admin.API) { _, _ = a.Client(ctx, "x") }},
	"updateClient":       {"UpdateClient", func(ctx context.Context, a *admin.API) { _, _ = a.UpdateClient(ctx, "x", admin.ClientUpdate{}) }},
	"deleteClient":       {"DeleteClient", func(ctx context.Context, a *admin.API) { _ = a.DeleteClient(ctx, "x") }},
	"suspendClient":      {"SuspendClient", func(ctx context.Context, a *admin.API) { _, _ = a.SuspendClient(ctx, "x") }},
	"resumeClient":       {"ResumeClient", func(ctx context.Context, a *admin.API) { _, _ = a.ResumeClient(ctx, "x") }},
	"revokeClientTokens": {"RevokeClientTokens", func(ctx context.Context, a *admin.API) { _ = a.RevokeClientTokens(ctx, "x", time.Time{}) }},
	"addClientKey":       {"AddClientKey", func(ctx context.Context, a *admin.API) { _, _ = a.AddClientKey(ctx, "x", admin.KeyOf([]byte("{}"))) }},
	"revokeClientKey":    {"RevokeClientKey", func(ctx context.Context, a *admin.API) { _ = a.RevokeClientKey(ctx, "x", "y") }},
	"addClientSecret":    {"AddSecret", func(ctx context.Context, a *admin.API) { _, _ = a.AddSecret(ctx, "x", admin.SecretSettings{}) }},
	"rotateClientSecret": {"RotateSecret", func(ctx context.Context, a *admin.API) { _, _ = a.RotateSecret(ctx, "x", admin.SecretRotation{}) }},
	"revokeClientSecret": {"RevokeSecret", func(ctx context.Context, a *admin.API) { _ = a.RevokeSecret(ctx, "x", "y", true) }},
	"planDeclared":       {"PlanDeclared", func(ctx context.Context, a *admin.API) { _, _ = a.PlanDeclared(ctx, admin.Declaration{}) }},
	"applyDeclared":      {"ApplyDeclared", func(ctx context.Context, a *admin.API) { _, _ = a.ApplyDeclared(ctx, admin.Declaration{}) }},
	"import":             {"Import", func(ctx context.Context, a *admin.API) { _, _ = a.Import(ctx, admin.Import{}) }},
	"listResources": {"Resources", func(ctx context.Context, a *admin.API) {
		for range a.Resources(ctx) {
			return
		}
	}},
	"createResource": {"CreateResource", func(ctx context.Context, a *admin.API) { _, _ = a.CreateResource(ctx, admin.ResourceSettings{}) }},
	"getResource":    {"Resource", func(ctx context.Context, a *admin.API) { _, _ = a.Resource(ctx, "urn:x:y") }},
	"updateResource": {"UpdateResource", func(ctx context.Context, a *admin.API) {
		_, _ = a.UpdateResource(ctx, admin.ResourceSettings{URI: "urn:x:y"})
	}},
	"deleteResource":       {"DeleteResource", func(ctx context.Context, a *admin.API) { _ = a.DeleteResource(ctx, "urn:x:y") }},
	"revokeResourceTokens": {"RevokeResourceTokens", func(ctx context.Context, a *admin.API) { _ = a.RevokeResourceTokens(ctx, "urn:x:y", time.Time{}) }},
	"revokeAllTokens":      {"RevokeAllTokens", func(ctx context.Context, a *admin.API) { _ = a.RevokeAllTokens(ctx, time.Time{}) }},
	"listRoles": {"Roles", func(ctx context.Context, a *admin.API) {
		for range a.Roles(ctx) {
			return
		}
	}},
	"createRole": {"CreateRole", func(ctx context.Context, a *admin.API) { _, _ = a.CreateRole(ctx, admin.RoleSettings{}) }},
	"getRole":    {"Role", func(ctx context.Context, a *admin.API) { _, _ = a.Role(ctx, "x") }},
	"updateRole": {"UpdateRole", func(ctx context.Context, a *admin.API) { _, _ = a.UpdateRole(ctx, admin.RoleSettings{Name: "x"}) }},
	"deleteRole": {"DeleteRole", func(ctx context.Context, a *admin.API) { _ = a.DeleteRole(ctx, "x") }},
	"listKeys":   {"Keys", func(ctx context.Context, a *admin.API) { _, _ = a.Keys(ctx) }},
	"rotateKey":  {"RotateKey", func(ctx context.Context, a *admin.API) { _, _ = a.RotateKey(ctx, admin.Rotation{}) }},
	"revokeKey":  {"RevokeKey", func(ctx context.Context, a *admin.API) { _ = a.RevokeKey(ctx, "x") }},
	"listAudit": {"AuditPage", func(ctx context.Context, a *admin.API) {
		_, _ = a.AuditPage(ctx, admin.AuditFilter{Since: time.Now()}, "x", 7)
	}},
	"verifyAudit":    {"VerifyAudit", func(ctx context.Context, a *admin.API) { _, _ = a.VerifyAudit(ctx) }},
	"explainRefusal": {"Explain", func(ctx context.Context, a *admin.API) { _, _ = a.Explain(ctx, "x") }},
	"listInitialTokens": {"InitialTokens", func(ctx context.Context, a *admin.API) {
		for range a.InitialTokens(ctx) {
			return
		}
	}},
	"createInitialToken": {"CreateInitialToken", func(ctx context.Context, a *admin.API) {
		_, _ = a.CreateInitialToken(ctx, admin.InitialTokenSettings{})
	}},
	"getInitialToken":    {"InitialToken", func(ctx context.Context, a *admin.API) { _, _ = a.InitialToken(ctx, "x") }},
	"revokeInitialToken": {"RevokeInitialToken", func(ctx context.Context, a *admin.API) { _ = a.RevokeInitialToken(ctx, "x") }},
}

// further are methods that are made of others.
var further = []string{"Audit", "Export"}

// TestEveryOperation: each operation of the OpenAPI document is a method, which sends what the document says.
func TestEveryOperation(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "docs", "openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]struct {
			ID         string `json:"operationId"`
			Parameters []struct{ Name, In string }
			Body       *struct{} `json:"requestBody"`
		}
	}
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	var sent *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent = r }))
	defer server.Close()
	api, err := admin.New(admin.Config{URL: server.URL, HTTPClient: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string]bool{}
	for path, operations := range document.Paths {
		pattern := regexp.MustCompile("^" + admin.Path + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, `[^/]+`) + "$")
		for method, operation := range operations {
			known, ok := calls[operation.ID]
			if !ok {
				t.Errorf("%s %s has no method: write one, and name it in the table of this test", method, path)
				continue
			}
			methods[known.method] = true
			sent = nil
			known.call(t.Context(), api)
			if sent == nil || !strings.EqualFold(sent.Method, method) || !pattern.MatchString(sent.URL.Path) {
				t.Errorf("%s sends %v, want %s %s", known.method, sent, method, path)
				continue
			}
			if (sent.ContentLength != 0) != (operation.Body != nil) {
				t.Errorf("%s sends %d bytes, and there is a body is %v", known.method, sent.ContentLength, operation.Body != nil)
			}
			for name := range sent.URL.Query() {
				if !strings.Contains(string(data), `"name": "`+name+`"`) {
					t.Errorf("%s sends the parameter %s", known.method, name)
				}
			}
		}
	}
	for _, name := range further {
		methods[name] = true
	}
	for i := range reflect.TypeFor[*admin.API]().NumMethod() {
		if name := reflect.TypeFor[*admin.API]().Method(i).Name; !methods[name] {
			t.Errorf("%s is no operation", name)
		}
	}
	if len(calls)+len(further) != len(methods) {
		t.Errorf("%d methods in the table, want %d", len(calls), len(methods))
	}
}

func TestNewRefuses(t *testing.T) {
	for _, config := range []admin.Config{
		{URL: "", HTTPClient: http.DefaultClient}, {URL: "auth.example.com", HTTPClient: http.DefaultClient}, {URL: "ftp://a", HTTPClient: http.DefaultClient},
		{URL: "https://a?b=c", HTTPClient: http.DefaultClient}, {URL: "https://a#b", HTTPClient: http.DefaultClient}, {URL: "https://user:hunter2@a:b", HTTPClient: http.DefaultClient},
		{URL: "https://a"},
	} {
		if _, err := admin.New(config); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", config.URL, err)
		}
	}
}

func TestOptions(t *testing.T) {
	var sent http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header
		w.Header().Set("ETag", `"2"`)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte(`{"client_id":"billing-1","new_in_a_later_version":[1]}`))
	}))
	defer server.Close()
	api, err := admin.New(admin.Config{URL: server.URL + "/", HTTPClient: server.Client()})
	if err != nil {
		t.Fatal(err)
	}
	client, err := api.SuspendClient(t.Context(), "billing", admin.IfMatch(`"1"`), admin.IdempotencyKey("key"))
	if err != nil || client.ETag != `"2"` || client.ID != "billing-1" || sent.Get("If-Match") != `"1"` || sent.Get("Idempotency-Key") != "key" {
		t.Errorf("got %+v, %v after %v", client, err, sent)
	}
	if _, err := api.Client(t.Context(), "billing", admin.IfNoneMatch(`"2"`)); !errors.Is(err, admin.ErrNotModified) {
		t.Errorf("got %v", err)
	}
	if _, err := api.Client(t.Context(), "billing", admin.IfMatch(""), admin.IdempotencyKey("")); err != nil || sent["If-Match"] != nil || sent["Idempotency-Key"] != nil {
		t.Errorf("got %v after %v", err, sent)
	}
}
