package adminapi

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

// Two public keys.
const (
	publicKey      = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	sparePublicKey = `{"kid":"spare","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
)

// samples are a request that goes well for every route, by the route's ID: what stands for the wildcard, and the body.
var samples = map[string]struct{ value, body string }{
	"listClients":          {},
	"planDeclared":         {body: `{"state":{"clients":[{"client_name":"billing","token_ttl_seconds":60}]}}`},
	"applyDeclared":        {body: `{"state":{"clients":[{"client_name":"billing","token_ttl_seconds":60}]}}`},
	"createClient":         {body: `{"client_name":"new"}`},
	"getClient":            {value: "billing"},
	"updateClient":         {value: "billing", body: `{"client_name":"billing"}`},
	"deleteClient":         {value: "billing"},
	"suspendClient":        {value: "billing"},
	"resumeClient":         {value: "billing"},
	"addClientKey":         {value: "billing", body: `{"jwk":` + publicKey + `}`},
	"revokeClientKey":      {value: "billing"},
	"addClientSecret":      {value: "billing", body: `{"name":"new"}`},
	"rotateClientSecret":   {value: "billing", body: `{}`},
	"revokeClientSecret":   {value: "billing"},
	"listResources":        {},
	"createResource":       {body: `{"uri":"urn:example:new","scopes":[]}`},
	"getResource":          {value: wire.ResourceID(orders)},
	"updateResource":       {value: wire.ResourceID(orders), body: `{"uri":"https://orders.example.com","scopes":[{"name":"orders:read"}]}`},
	"deleteResource":       {value: wire.ResourceID(orders)},
	"listRoles":            {},
	"createRole":           {body: `{"name":"new","grants":[]}`},
	"getRole":              {value: "reader"},
	"updateRole":           {value: "reader", body: `{"name":"reader","grants":[]}`},
	"deleteRole":           {value: "reader"},
	"listInitialTokens":    {},
	"createInitialToken":   {body: `{"name":"new","grants":[{"resource":"https://orders.example.com","scopes":["orders:read"]}]}`},
	"getInitialToken":      {value: "partners"},
	"revokeInitialToken":   {value: "partners"},
	"import":               {body: `{"clients":[{"client_id":"b7","client_name":"imported"}]}`},
	"explainRefusal":       {value: "7k3m9x2qpt"},
	"listKeys":             {},
	"rotateKey":            {body: `{"algorithm":"ES256"}`},
	"revokeKey":            {value: "KEY"},
	"revokeClientTokens":   {value: "billing", body: `{}`},
	"revokeResourceTokens": {value: wire.ResourceID(orders), body: `{}`},
	"revokeAllTokens":      {body: `{}`},
	"listAudit":            {},
	"verifyAudit":          {},
}

// request returns the method, path and body of a route's sample.
func (b *bench) request(r route) (method, path, body string) {
	sample := samples[r.id]
	if sample.value == "KEY" {
		sample.value = b.ring.List()[0].ID
	}
	path = Prefix + r.path
	path = strings.Replace(path, "{key}", "spare", 1)
	path = strings.Replace(path, "{secret}", b.secretID("billing"), 1)
	if from := strings.IndexByte(path, '{'); from >= 0 {
		path = path[:from] + sample.value + path[strings.IndexByte(path, '}')+1:]
	}
	return r.method, path, sample.body
}

// secretID returns the ID of a client's last secret.
func (b *bench) secretID(client string) string {
	b.t.Helper()
	found, err := b.registry.Client(b.t.Context(), registry.System("test"), client)
	if err != nil {
		return "none" // of a store that is closed
	}
	return found.Secrets[len(found.Secrets)-1].ID
}

func stocked(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	ctx, system := t.Context(), registry.System("test")
	if _, err := b.registry.CreateClient(ctx, system, oauth.ClientMetadata{ClientName: "billing"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.registry.AddClientKey(ctx, system, "billing", []byte(sparePublicKey), registry.KeySettings{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.registry.AddSecret(ctx, system, "billing", registry.SecretSettings{}, ""); err != nil {
		t.Fatal(err)
	}
	grants := []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}
	if _, err := b.registry.CreateInitialToken(ctx, system, registry.InitialTokenSettings{Name: "partners", Grants: grants}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.registry.CreateRole(ctx, system, registry.RoleSettings{Name: "reader"}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) changes() int {
	b.t.Helper()
	events, err := b.store.Events(b.t.Context(), 0, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(events)
}

func TestEveryRouteHasAScope(t *testing.T) {
	seen := map[string]bool{}
	for _, route := range routes {
		if !registry.AdminScopes().Has(route.scope) {
			t.Errorf("%s needs the scope %q, which the admin API does not have", route.pattern(), route.scope)
		}
		reads := route.method == http.MethodGet || route.id == "planDeclared"
		if reads != strings.HasSuffix(route.scope, ":read") {
			t.Errorf("%s needs the scope %s", route.pattern(), route.scope)
		}
		if _, ok := samples[route.id]; !ok {
			t.Errorf("%s is not in the matrix", route.pattern())
		}
		if seen[route.id] || seen[route.pattern()] {
			t.Errorf("%s is there twice", route.pattern())
		}
		seen[route.id], seen[route.pattern()] = true, true
	}
	defer func() {
		if recover() == nil {
			t.Error("a route that is not in the table was added")
		}
	}()
	b := newBench(t)
	guard{newAPI(b.registry, b.verifier(), Options{})}.HandleFunc("GET "+Prefix+"/backdoor", nil)
}

// TestCO10 is the authorization matrix, made of the table of routes: each route with each kind of token.
func TestCO10(t *testing.T) {
	strangers := openRingWithKey(t)
	for _, route := range routes {
		t.Run("CO-10 "+route.pattern(), func(t *testing.T) {
			b := stocked(t)
			other := slices.DeleteFunc(registry.AdminScopes(), func(s string) bool { return s == route.scope })
			edit := func(change func(*oauth.Claims)) string {
				c := claims(b.operator, registry.AdminScopes()...)
				change(&c)
				return b.sign(b.ring, c)
			}
			revoked := claims(b.operator, registry.AdminScopes()...)
			revoked.ID = "revoked"
			if err := b.store.Revocations().Insert(t.Context(), store.Revocation{TokenID: "revoked", Expires: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			dead := b.deadTokens()
			before := b.changes()
			method, path, body := b.request(route)
			type cell struct {
				token  string
				status int
			}
			cells := map[string]cell{
				"no token":                   {"", 401},
				"garbage":                    {"garbage", 401},
				"not a token":                {"a.b.c", 401},
				"a secret for a token":       {"writ_cs_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 401},
				"of another audience":        {edit(func(c *oauth.Claims) { c.Audience = oauth.Audience{orders} }), 401},
				"of two audiences":           {edit(func(c *oauth.Claims) { c.Audience = append(c.Audience, orders) }), 401},
				"of another issuer":          {edit(func(c *oauth.Claims) { c.Issuer = "https://evil.test" }), 401},
				"expired":                    {edit(func(c *oauth.Claims) { c.Expires = oauth.NumericDate(time.Now().Add(-time.Hour).Unix()) }), 401},
				"signed by a stranger":       {b.sign(strangers.ring, claims(b.operator, registry.AdminScopes()...)), 401},
				"revoked":                    {b.sign(b.ring, revoked), 401},
				"of a client that is gone":   {b.sign(b.ring, claims("ghost-aaaaaaaaaa", registry.AdminScopes()...)), 401},
				"without a scope":            {b.token(), 403},
				"without the scope":          {b.token(other...), 403},
				"with the scope in capitals": {b.token(strings.ToUpper(route.scope)), 403},
				"of an ordinary client":      {b.token("orders:read"), 403},
			}
			for name, token := range dead {
				cells[name] = cell{token, 401}
			}
			for name, cell := range cells {
				response := b.call(method, path, cell.token, body)
				if response.StatusCode != cell.status {
					t.Errorf("%s: %d, want %d: %s", name, response.StatusCode, cell.status, text(t, response))
				}
				if response.Header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s: no challenge", name)
				}
				if p := decode[Problem](t, response); response.Header.Get("Content-Type") != "application/problem+json" || p.Status != cell.status || p.Detail == "" {
					t.Errorf("%s: not a problem document: %s", name, text(t, response))
				}
			}
			if after := b.changes(); after != before {
				t.Errorf("%d changes by requests that were refused", after-before)
			}
			// The registry asks for the scope once more. Without a store it cannot, so this is the route's own check.
			if err := b.store.Close(); err != nil {
				t.Fatal(err)
			}
			if response := b.call(method, path, b.token(other...), body); response.StatusCode != http.StatusForbidden {
				t.Errorf("at the door, without the scope: %d, want 403: %s", response.StatusCode, text(t, response))
			}
			b = stocked(t)
			method, path, body = b.request(route)
			response := b.call(method, path, b.token(route.scope), body)
			if response.StatusCode != route.status {
				t.Errorf("with the scope: %d, want %d: %s", response.StatusCode, route.status, text(t, response))
			}
		})
	}
}

// openRingWithKey returns a bench of another server.
func openRingWithKey(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, store: memstore.New()}
	b.ring = openRing(t, b.store)
	if err := b.ring.Ensure(t.Context(), "ES256"); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCO12(t *testing.T) {
	b := newBench(t)
	registrar, err := b.registry.CreateClient(t.Context(), registry.System("test"), oauth.ClientMetadata{
		ClientName: "registrar", Grants: []oauth.Grant{{Resource: registry.AdminResource(issuer), Scopes: []string{"clients:write"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"CO-12 grants":              `{"client_name":"x","grants":[{"resource":"https://auth.example.com/admin/v1","scopes":["clients:write","keys:rotate"]}]}`,
		"CO-12 resource_server_for": `{"client_name":"x","resource_server_for":["https://auth.example.com/admin/v1"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			// The token claims more than the client has: the ceiling is what is registered.
			token := b.sign(b.ring, claims(registrar.ID, registry.AdminScopes()...))
			p := wantProblem(t, b.call("POST", "/admin/v1/clients", token, body), 403)
			if !strings.Contains(p.Detail, "keys:rotate") {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func TestCO13(t *testing.T) {
	b := stocked(t)
	for _, target := range []string{
		"/admin/v1/clients/", "/admin/v1/", "/admin/v1", "//admin/v1/clients", "/admin//v1/clients", "/admin/v1//clients",
		"/admin/v1/clients//billing", "/admin/v1/./clients", "/admin/v1/roles/../clients", "/admin/v1/roles/..%2fclients",
		"/admin/v1/clients%2fbilling", "/admin/v1/clients/%2e%2e/keys", "/admin%2fv1/clients", "/admin/v1/clients/billing%2f",
		"/admin/v1/clients/..%2fkeys", "/admin/v1/cl%69ents", "/admin/v1/clients/%62illing", "/Admin/v1/clients", "/admin/v1/CLIENTS", "/admin/v1/clients;x=1", "/admin/v1/clients%00",
		"/admin/v1/clients/billing/suspend/", "/", "/admin/v2/clients", "/admin/v1/openapi.json/", "/admin/v1/docs", "/docs",
		"/admin/v1/schemas/Client.json", "/admin/v1/openapi.yaml", "/openapi.json",
	} {
		for _, token := range []string{"", b.all()} {
			t.Run("CO-13 "+target, func(t *testing.T) {
				response := b.call("GET", target, token, "")
				if strings.Contains(target, "%00") || strings.Contains(target, ";") {
					if response.StatusCode == http.StatusOK {
						t.Errorf("got %s", text(t, response))
					}
					return
				}
				wantProblem(t, response, 404)
				if response.Header.Get("Location") != "" {
					t.Error("redirected")
				}
			})
		}
	}
	t.Run("CO-13 method override", func(t *testing.T) {
		token := b.token("clients:read")
		for _, header := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
			if got := b.call("GET", "/admin/v1/clients/billing", token, "", header, "DELETE"); got.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", header, got.StatusCode)
			}
			wantProblem(t, b.call("GET", "/admin/v1/clients?_method=DELETE", token, ""), 400)
		}
		if got := b.call("GET", "/admin/v1/clients/billing", token, ""); got.StatusCode != http.StatusOK {
			t.Errorf("the client is gone: %d", got.StatusCode)
		}
	})
	t.Run("CO-13 a name that is also a path", func(t *testing.T) {
		response := b.call("OPTIONS", "/admin/v1/clients/billing/secrets/rotate", b.all(), "")
		if wantProblem(t, response, 405); response.Header.Get("Allow") != "POST" {
			t.Errorf("Allow is %q", response.Header.Get("Allow"))
		}
	})
	t.Run("CO-13 other methods", func(t *testing.T) {
		for _, method := range []string{"PATCH", "OPTIONS", "TRACE", "CONNECT", "get"} {
			response := b.call(method, "/admin/v1/clients", b.all(), "")
			wantProblem(t, response, 405)
			if got := response.Header.Get("Allow"); got != "GET, HEAD, POST" {
				t.Errorf("%s: Allow is %q", method, got)
			}
		}
	})
}

func TestCO14(t *testing.T) {
	b := newBench(t)
	deep := strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33)
	for name, body := range map[string]string{
		"unknown member":                `{"client_name":"x","admin":true}`,
		"unknown member inside":         `{"client_name":"x","grants":[{"resource":"https://orders.example.com","scopes":["orders:read"],"x":1}]}`,
		"member in other case":          `{"CLIENT_NAME":"x"}`,
		"trailing data":                 `{"client_name":"x"}{}`,
		"trailing text":                 `{"client_name":"x"} x`,
		"member twice":                  `{"client_name":"x","client_name":"y"}`,
		"member twice, escaped":         `{"client_name":"x","client\u005fname":"y"}`,
		"depth 33":                      deep,
		"depth 33 in a member":          `{"client_name":"x","grants":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`,
		"number 1e999":                  `{"client_name":"x","token_ttl_seconds":1e999}`,
		"number 1.5":                    `{"client_name":"x","token_ttl_seconds":1.5}`,
		"number in quotes":              `{"client_name":"x","token_ttl_seconds":"1"}`,
		"not UTF-8":                     "{\"client_name\":\"x\xff\"}",
		"a lone surrogate":              `{"client_name":"\ud800"}`,
		"not JSON":                      `client_name=x`,
		"a byte order mark":             "\ufeff" + `{"client_name":"x"}`,
		"an array":                      `[{"client_name":"x"}]`,
		"null":                          `null`,
		"null for a text":               `{"client_name":null}`,
		"null for what may be left out": `{"client_name":"x","token_ttl_seconds":null}`,
		"null within":                   `{"client_name":"x","grants":[{"resource":"https://orders.example.com","scopes":["orders:read"],"default_scopes":[null]}]}`,
		"a comment":                     `{"client_name":"x"/**/}`,
		"a comma more":                  `{"client_name":"x",}`,
		"nothing but a space":           ` `,
	} {
		t.Run("CO-14 "+name, func(t *testing.T) {
			p := wantProblem(t, b.call("POST", "/admin/v1/clients", b.all(), body), 400)
			if len(p.Errors) == 0 {
				t.Errorf("no field is named: %+v", p)
			}
		})
	}
	t.Run("CO-14 no body", func(t *testing.T) {
		wantProblem(t, b.call("POST", "/admin/v1/clients", b.all(), ""), 400)
	})
	t.Run("CO-14 1 MiB + 1", func(t *testing.T) {
		body := `{"client_name":"x"}`
		wantProblem(t, b.call("POST", "/admin/v1/clients", b.all(), body+strings.Repeat(" ", 1<<20+1-len(body))), 413)
		if got := b.call("POST", "/admin/v1/clients", b.all(), body+strings.Repeat(" ", 1<<20-len(body))); got.StatusCode != http.StatusCreated {
			t.Errorf("1 MiB: %d %s", got.StatusCode, text(t, got))
		}
	})
	t.Run("CO-14 what was sent is not sent back", func(t *testing.T) {
		response := b.call("POST", "/admin/v1/clients", b.all(), `{"client_name":"y","client_secret":"hunter2hunter2"}`)
		if wantProblem(t, response, 400); strings.Contains(text(t, response), "hunter2") {
			t.Errorf("got %s", text(t, response))
		}
	})
}

func TestDepth(t *testing.T) {
	for depth, want := range map[int]bool{32: true, 33: false} {
		var value any
		err := strictJSON.Unmarshal([]byte(strings.Repeat(`{"a":`, depth)+`"[["`+strings.Repeat("}", depth)), &value)
		if got := err == nil; got != want {
			t.Errorf("depth %d: taken is %v: %v", depth, got, err)
		}
	}
}

func TestCO15(t *testing.T) {
	b := newBench(t)
	before := b.changes()
	for _, contentType := range []string{
		"text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp",
		"text/plain; a=application/json", "application/json; charset=utf-16", "application/vnd.api+json", "application/cbor",
		"application/json, text/plain", "json",
	} {
		t.Run("CO-15 "+contentType, func(t *testing.T) {
			response := b.call("POST", "/admin/v1/clients", b.all(), `{"client_name":"x"}`, "Content-Type", contentType)
			wantProblem(t, response, 415)
		})
	}
	t.Run("CO-15 two content types", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodPost, "/admin/v1/clients", strings.NewReader(`{"client_name":"x"}`))
		r.Header["Content-Type"] = []string{"application/json", "text/plain"}
		r.Header.Set("Authorization", "Bearer "+b.all())
		wantProblem(t, b.serve(r), 415)
	})
	t.Run("CO-15 a cookie is no token", func(t *testing.T) {
		response := b.call("POST", "/admin/v1/clients", "", `{"client_name":"x"}`, "Cookie", "access_token="+b.all())
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %d", response.StatusCode)
		}
	})
	t.Run("CO-15 a token in the query is none", func(t *testing.T) {
		response := b.call("POST", "/admin/v1/clients?access_token="+b.all(), "", `{"client_name":"x"}`)
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("got %d", response.StatusCode)
		}
	})
	if after := b.changes(); after != before {
		t.Errorf("%d changes", after-before)
	}
	if got := b.call("POST", "/admin/v1/clients", b.all(), `{"client_name":"x"}`, "Content-Type", "application/json; charset=UTF-8"); got.StatusCode != http.StatusCreated {
		t.Errorf("with charset: %d", got.StatusCode)
	}
}

// TestCO16: no page of any origin is let read an answer.
func TestCO16(t *testing.T) {
	b := stocked(t)
	for _, route := range routes {
		t.Run("CO-16 "+route.pattern(), func(t *testing.T) {
			method, path, body := b.request(route)
			for _, origin := range []string{"https://evil.test", "null", issuer} {
				for _, m := range []string{method, http.MethodOptions} {
					response := b.call(m, path, "", body, "Origin", origin, "Access-Control-Request-Method", method)
					for header := range response.Header {
						if strings.HasPrefix(header, "Access-Control-") {
							t.Errorf("%s from %s has %s: %s", m, origin, header, response.Header.Get(header))
						}
					}
				}
			}
		})
	}
}

// many registers objects for several pages.
func (b *bench) many() {
	b.t.Helper()
	ctx, system := b.t.Context(), registry.System("test")
	for i := range 5 {
		if _, err := b.registry.CreateClient(ctx, system, oauth.ClientMetadata{ClientName: fmt.Sprintf("worker-%d", i)}); err != nil {
			b.t.Fatal(err)
		}
		if _, err := b.registry.CreateRole(ctx, system, registry.RoleSettings{Name: fmt.Sprintf("role-%d", i)}); err != nil {
			b.t.Fatal(err)
		}
		if _, err := b.registry.CreateResource(ctx, system, registry.ResourceSettings{URI: fmt.Sprintf("urn:example:%d", i)}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// cursor returns what a page of a list says that the next is.
func (b *bench) cursor(path string) string {
	b.t.Helper()
	response := b.call("GET", path, b.all(), "")
	next := decode[Page[any]](b.t, response).Next
	if response.StatusCode != http.StatusOK || next == "" {
		b.t.Fatalf("%s: %d %s", path, response.StatusCode, text(b.t, response))
	}
	return next
}

func TestCO17(t *testing.T) {
	b := stocked(t)
	b.many()
	for path, elsewhere := range map[string]string{
		"/admin/v1/clients?limit=2": "/admin/v1/clients?limit=2&sort=name", "/admin/v1/clients?limit=2&sort=-created": "/admin/v1/clients?limit=2&sort=created",
		"/admin/v1/clients?limit=2&search=worker": "/admin/v1/clients?limit=2", "/admin/v1/clients?limit=2&suspended=false": "/admin/v1/clients?limit=2&self_registered=false",
		"/admin/v1/roles?limit=2": "/admin/v1/resources?limit=2", "/admin/v1/resources?limit=2": "/admin/v1/roles?limit=2",
	} {
		good := b.cursor(path)
		if got := b.call("GET", path+"&cursor="+good, b.all(), ""); got.StatusCode != http.StatusOK {
			t.Errorf("%s: its own cursor: %d %s", path, got.StatusCode, text(t, got))
		}
		place, err := base64.RawURLEncoding.DecodeString(good)
		if err != nil {
			t.Fatal(err)
		}
		longer := base64.RawURLEncoding.EncodeToString(append(slices.Clone(place), 'a'))
		unsigned := base64.RawURLEncoding.EncodeToString(place[macSize:])
		zeros := base64.RawURLEncoding.EncodeToString(append(make([]byte, macSize), place[macSize:]...))
		place[len(place)-1] ^= 1
		for name, cursor := range map[string]string{
			"of another query": b.cursor(elsewhere), "of another server": list{[]byte("another root key"), "clients", ""}.seal("a"), "of the wrong place": base64.RawURLEncoding.EncodeToString(place),
			"truncated": good[:len(good)-4], "cut to the MAC": good[:21], "longer": longer, "unsigned": unsigned, "signed with zeros": zeros,
			"padded": good + "%3D%3D", "SQL": "%27%3B%20drop%20table%20clients%3B--", "10 KiB": strings.Repeat("a", 10<<10), "a NUL": "%00",
			"not UTF-8": "%ff", "a path": "..%2f..%2fetc", "a wildcard": "%25", "an ID": "billing", "one letter": "a",
		} {
			t.Run("CO-17 "+path+" "+name, func(t *testing.T) {
				wantProblem(t, b.call("GET", path+"&cursor="+cursor, b.all(), ""), 400)
			})
		}
	}
	t.Run("CO-17 audit", func(t *testing.T) {
		response := b.call("GET", "/admin/v1/audit?kind=token", b.all(), "")
		position := decode[AuditPage](t, response).Position
		if got := b.call("GET", "/admin/v1/audit?kind=token&cursor="+position, b.all(), ""); got.StatusCode != http.StatusOK || b.asked[len(b.asked)-1].after != "1.2.3" {
			t.Errorf("its own cursor: %d, asked for %+v", got.StatusCode, b.asked)
		}
		for _, query := range []string{"cursor=" + position, "kind=client&cursor=" + position, "kind=token&cursor=1.2.3"} {
			wantProblem(t, b.call("GET", "/admin/v1/audit?"+query, b.all(), ""), 400)
		}
	})
}

// TestCO18: sort, filter and limit are words of a list, and nothing of them is a query.
func TestCO18(t *testing.T) {
	b := stocked(t)
	for _, query := range []string{
		"limit=-1", "limit=0", "limit=501", "limit=1e9", "limit=1000000000", "limit=99999999999999999999", "limit=a", "limit=%00",
		"limit=1&limit=2", "cursor=a&cursor=b", "sort=name%3Bdrop%20table", "filter=name%20eq%20%27x%27", "page_token=x",
		"limit=1;after=b", "limit=%zz", "Limit=1", "limit[]=1", "after=a",
		"sort=secret", "sort=-", "sort=--name", "sort=name,id", "sort=Name", "sort=name%00", "sort=1", "search[]=a", "search=%00", "search=%ff",
		"suspended=yes", "suspended=1", "suspended=true%20or%201%3D1", "self_registered=maybe", "auth_method=none", "auth_method=%27%20or%201%3D1",
		"search=", "cursor=&limit=3", "sort=", "role=%00", "role=" + strings.Repeat("a", 65), "resource=%ff", "resource=" + strings.Repeat("a", 513), "search=a&search=b",
	} {
		t.Run("CO-18 "+query, func(t *testing.T) {
			wantProblem(t, b.call("GET", "/admin/v1/clients?"+query, b.all(), ""), 400)
		})
	}
	for _, query := range []string{"", "limit=1", "limit=500", "sort=-updated&suspended=false&self_registered=false&role=reader&auth_method=private_key_jwt&resource=urn:a:b&search=b"} {
		if got := b.call("GET", "/admin/v1/clients?"+query, b.all(), ""); got.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", query, got.StatusCode, text(t, got))
		}
	}
}

func TestCO19(t *testing.T) {
	b := stocked(t)
	for _, name := range []string{"%25", "_", "bill_ng", "billing*", "(a%2b)%2b$", strings.Repeat("a", 4<<10), "BILLING"} {
		t.Run("CO-19 a name "+name[:min(len(name), 20)], func(t *testing.T) {
			began := time.Now()
			for _, kind := range []string{"clients", "roles"} {
				wantProblem(t, b.call("GET", "/admin/v1/"+kind+"/"+name, b.all(), ""), 404)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	for search, want := range map[string]int{
		"%25": 0, "_": 0, "bill_ng": 0, "b*": 0, "(a%2b)%2b$": 0, ".": 0, "BILL": 1, "illi": 1, "%5c": 0, "%27": 0,
		strings.Repeat("a", 128): 0,
	} {
		t.Run("CO-19 a search for "+search[:min(len(search), 20)], func(t *testing.T) {
			response := b.call("GET", "/admin/v1/clients?search="+search, b.all(), "")
			if got := len(decode[Page[Client]](t, response).Items); response.StatusCode != http.StatusOK || got != want {
				t.Errorf("%d clients, want %d: %d %s", got, want, response.StatusCode, text(t, response))
			}
		})
	}
	for _, long := range []string{strings.Repeat("a", 129), strings.Repeat("a", 4<<10), strings.Repeat("%25", 4<<10), strings.Repeat("ä", 128)} {
		t.Run("CO-19 a long search", func(t *testing.T) {
			wantProblem(t, b.call("GET", "/admin/v1/clients?search="+url.QueryEscape(long), b.all(), ""), 400)
		})
	}
}

// TestCO23 looks for every secret that was ever made, and for its hash, in all that can be read afterwards.
func TestCO23(t *testing.T) {
	b := stocked(t)
	secrets := []string{decode[Registered](t, b.call("POST", "/admin/v1/clients", b.all(), `{"client_name":"canary"}`)).Secret.Reveal()}
	for _, path := range []string{"/admin/v1/clients/canary/secrets", "/admin/v1/clients/canary/secrets/rotate"} {
		made := b.call("POST", path, b.all(), `{}`, "Idempotency-Key", "canary-"+path)
		if made.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s", made.StatusCode, text(t, made))
		}
		secrets = append(secrets, decode[NewSecret](t, made).Secret.Reveal())
	}
	declared := "JgCqdI0TU95c+GrDpGNS8mCN4BXEXC0nPyw6yPyDa04="
	if got := b.call("POST", "/admin/v1/declared/apply", b.all(), `{"state":{"clients":[{"client_name":"canary","secret":"`+declared+`"}]}}`); got.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", got.StatusCode, text(t, got))
	}
	secrets = append(secrets, declared)
	seen := map[string]string{}
	for _, route := range routes {
		if route.method == http.MethodGet || route.id == "planDeclared" {
			method, path, body := b.request(route)
			response := b.call(method, strings.Replace(path, "/billing", "/canary", 1), b.all(), body)
			seen["CO-23 "+route.pattern()] = text(t, response) + fmt.Sprint(response.Header)
		}
	}
	events, err := b.store.Events(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	seen["CO-23 the history of changes"], seen["CO-23 the log"] = fmt.Sprint(events), b.log.String()
	for place, shown := range seen {
		t.Run(place, func(t *testing.T) {
			for _, secret := range secrets {
				if secret == "" || strings.Contains(shown, secret) || strings.Contains(shown, store.HashSecret(secret)) {
					t.Errorf("shows %.12s… or its hash: %s", secret, shown)
				}
			}
		})
	}
}

// TestCO11: there are no tenants; what an operator may not touch is a client with more power than theirs. Looking for it by any
// way, they may know that it is there, and change nothing about it.
func TestCO11(t *testing.T) {
	b := stocked(t)
	registrar, err := b.registry.CreateClient(t.Context(), registry.System("test"), oauth.ClientMetadata{
		ClientName: "registrar", Grants: []oauth.Grant{{Resource: registry.AdminResource(issuer), Scopes: []string{"clients:read", "clients:write"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	token := b.sign(b.ring, claims(registrar.ID, registry.AdminScopes()...))
	before := b.changes()
	for _, target := range []string{"operator", b.operator} {
		for request, body := range map[string]string{
			"PUT /admin/v1/clients/ID": `{"client_name":"operator"}`, "DELETE /admin/v1/clients/ID": "", "POST /admin/v1/clients/ID/suspend": "",
			"POST /admin/v1/clients/ID/revoke-tokens": `{}`, "POST /admin/v1/clients/ID/keys": `{"jwk":` + publicKey + `}`,
			"POST /admin/v1/clients/ID/secrets": `{}`, "POST /admin/v1/clients/ID/secrets/rotate": `{}`,
			"POST /admin/v1/declared/apply": `{"state":{"clients":[{"client_name":"operator","token_ttl_seconds":60}]}}`,
		} {
			t.Run("CO-11 "+request, func(t *testing.T) {
				method, path, _ := strings.Cut(strings.Replace(request, "ID", target, 1), " ")
				wantProblem(t, b.call(method, path, token, body), 403)
				wantProblem(t, b.call(method, path, token, body, "If-Match", "*"), 403)
			})
		}
	}
	for _, path := range []string{"/admin/v1/resources", "/admin/v1/roles/reader", "/admin/v1/keys", "/admin/v1/audit"} {
		t.Run("CO-11 "+path, func(t *testing.T) { wantProblem(t, b.call("GET", path, token, ""), 403) })
	}
	if b.changes() != before {
		t.Error("something was changed")
	}
}
