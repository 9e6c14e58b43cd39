package adminapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// bearer adds a token to every request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// caller returns a caller of a bench's API over HTTP.
func (b *bench) caller(token string) *admin.API {
	b.t.Helper()
	server := httptest.NewServer(b.handler)
	b.t.Cleanup(server.Close)
	api, err := admin.New(admin.Config{URL: server.URL, HTTPClient: &http.Client{Transport: bearer{token, server.Client().Transport}}})
	if err != nil {
		b.t.Fatal(err)
	}
	return api
}

func TestCaller(t *testing.T) {
	b := newBench(t)
	c, ctx := b.caller(b.all()), t.Context()

	made, err := c.CreateResource(ctx, ResourceSettings{URI: "https://stock.example.com/v1", Scopes: []Scope{{Name: "read", Description: "Look"}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Resource(ctx, "https://stock.example.com/v1")
	if diff := cmp.Diff(made, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	grants := []oauth.Grant{{Resource: "https://stock.example.com/v1", Scopes: []string{"read"}}}
	role, err := c.CreateRole(ctx, RoleSettings{Name: "reader", Grants: grants})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Role(ctx, "reader"); err != nil || !cmp.Equal(got, role) {
		t.Errorf("got %+v, %v", got, err)
	}
	client, err := c.CreateClient(ctx, oauth.ClientMetadata{ClientName: "stock", Roles: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(client.Secret.Reveal(), "writ_cs_") || strings.Contains(fmt.Sprintf("%+v", client), client.Secret.Reveal()) {
		t.Errorf("got %+v", client)
	}
	if got, err := c.Client(ctx, "stock"); err != nil || !cmp.Equal(got, client.Client) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := c.SuspendClient(ctx, "stock"); err != nil || !got.Suspended {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := c.ResumeClient(ctx, client.ID); err != nil || got.Suspended {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := c.UpdateClient(ctx, "stock", ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "stock", Grants: grants}}); err != nil || len(got.Roles) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := c.DeleteClient(ctx, "stock"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteRole(ctx, "reader"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteResource(ctx, "https://stock.example.com/v1"); err != nil {
		t.Error(err)
	}

	key, err := c.RotateKey(ctx, admin.Rotation{Algorithm: "ES256"})
	if err != nil || key.Status != "announced" {
		t.Errorf("got %+v, %v", key, err)
	}
	if err := c.RevokeKey(ctx, key.ID); err != nil {
		t.Error(err)
	}
	keys, err := c.Keys(ctx)
	if err != nil || !slices.ContainsFunc(keys, func(k Key) bool { return k.ID == key.ID && k.Status == "revoked" }) {
		t.Errorf("got %+v, %v", keys, err)
	}
}

func TestCallerPages(t *testing.T) {
	b := newBench(t)
	for i := range registry.DefaultLimit + 5 {
		_, err := b.registry.CreateClient(t.Context(), registry.System("test"), oauth.ClientMetadata{ClientName: fmt.Sprintf("worker-%03d", i)})
		if err != nil {
			t.Fatal(err)
		}
		settings := registry.ResourceSettings{URI: fmt.Sprintf("urn:example:%03d", i)}
		if _, err := b.registry.CreateResource(t.Context(), registry.System("test"), settings); err != nil {
			t.Fatal(err)
		}
		if _, err := b.registry.CreateRole(t.Context(), registry.System("test"), registry.RoleSettings{Name: fmt.Sprintf("role-%03d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	c := b.caller(b.all())
	names := map[string]int{}
	for client, err := range c.Clients(t.Context(), admin.ClientFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		names[client.ClientName]++
	}
	for resource, err := range c.Resources(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names[resource.URI]++
	}
	for role, err := range c.Roles(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names[role.Name]++
	}
	if want := 3*(registry.DefaultLimit+5) + 3; len(names) != want {
		t.Errorf("%d names, want %d", len(names), want)
	}
	for name, times := range names {
		if times != 1 {
			t.Errorf("%s came %d times", name, times)
		}
	}
	for range c.Clients(t.Context(), admin.ClientFilter{}) {
		break // a caller may have seen enough
	}
}

func TestCallerErrors(t *testing.T) {
	b := newBench(t)
	c := b.caller(b.all())
	for _, test := range []struct {
		name   string
		call   func() error
		status int
		text   string
	}{
		{"not there", func() error { _, err := c.Client(t.Context(), "nobody"); return err }, 404, "there is no client nobody"},
		{"not a name", func() error { _, err := c.Client(t.Context(), "../roles"); return err }, 404, "there is no client -"},
		{"dots", func() error { return c.DeleteClient(t.Context(), "..") }, 404, "there is no client -"},
		{"nothing", func() error { return c.DeleteClient(t.Context(), "") }, 404, "there is no client -"},
		{"taken", func() error {
			_, err := c.CreateClient(t.Context(), oauth.ClientMetadata{ClientName: "operator"})
			return err
		}, 409, "a client named operator exists already"},
		{"not valid", func() error {
			_, err := c.CreateClient(t.Context(), oauth.ClientMetadata{ClientName: "x", Roles: []string{"a", "b"}})
			return err
		}, 400, "not valid: roles[0]: there is no role a; roles[1]: there is no role b"},
	} {
		err := test.call()
		p, ok := errors.AsType[*admin.Problem](err)
		if !ok || p.Status != test.status || p.Error() != test.text {
			t.Errorf("%s: got %v, want %d %s", test.name, err, test.status, test.text)
		}
	}
	for _, err := range b.caller("garbage").Clients(t.Context(), admin.ClientFilter{}) {
		p, ok := errors.AsType[*admin.Problem](err)
		if !ok || p.Status != 401 || !strings.HasPrefix(p.Error(), "invalid_token: ") {
			t.Errorf("got %v", err)
		}
	}
}

func TestCallerMeetsStrangers(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		text    string
	}{
		"a proxy's page": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<html>bad gateway")
		}, "502 Bad Gateway"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" {
				t.Error("the token was sent elsewhere")
			}
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "307 Temporary Redirect"},
		"no JSON":  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }, "not what was expected"},
		"an array": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[]") }, "not what was expected"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(test.handler)
			defer server.Close()
			c, err := admin.New(admin.Config{URL: server.URL, HTTPClient: server.Client()})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Client(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), test.text) {
				t.Errorf("got %v, want %s", err, test.text)
			}
		})
	}
}
