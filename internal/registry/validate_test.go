package registry

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

var registered = known{
	resources: map[string]store.Resource{
		orders:  {URI: orders, TokenTTL: defaultTokenTTL * time.Second, Scopes: []store.Scope{{Name: "orders:read"}, {Name: "orders:write"}}},
		"urn:b": {URI: "urn:b", Scopes: []store.Scope{{Name: "b"}}},
	},
	roles: map[string]store.Role{"reader": {Name: "reader"}},
}

func valid() oauth.ClientMetadata {
	return withDefaults(oauth.ClientMetadata{
		ClientName: "billing",
		Grants: []oauth.Grant{
			{Resource: orders, Scopes: []string{"orders:read", "orders:write"}, Defaults: []string{"orders:read"}},
			{Resource: "urn:b", Scopes: []string{"b"}},
		},
		Roles: []string{"reader"}, ResourceServerFor: []string{orders}, TokenTTLSeconds: 86400,
	})
}

func TestValidateClient(t *testing.T) {
	if p := validateClient(valid(), registered); len(p) > 0 {
		t.Fatalf("a good client: %+v", p)
	}
	many := func(n int) []string { return strings.Split(strings.Repeat("x ", n), " ")[:n] }
	for _, test := range []struct {
		name   string
		change func(*oauth.ClientMetadata)
		fields []string
	}{
		{"no name", func(m *oauth.ClientMetadata) { m.ClientName = "" }, []string{"client_name"}},
		{"name of 65", func(m *oauth.ClientMetadata) { m.ClientName = strings.Repeat("n", 65) }, []string{"client_name"}},
		{"name with a slash", func(m *oauth.ClientMetadata) { m.ClientName = "a/b" }, []string{"client_name"}},
		{"name of dots", func(m *oauth.ClientMetadata) { m.ClientName = ".." }, []string{"client_name"}},
		{"name like a flag", func(m *oauth.ClientMetadata) { m.ClientName = "--json" }, []string{"client_name"}},
		{"name not ASCII", func(m *oauth.ClientMetadata) { m.ClientName = "büro" }, []string{"client_name"}},
		{"unknown method", func(m *oauth.ClientMetadata) { m.TokenEndpointAuthMethod = "none" }, []string{"token_endpoint_auth_method"}},
		{"other grant type", func(m *oauth.ClientMetadata) { m.GrantTypes = []string{"implicit"} }, []string{"grant_types[0]"}},
		{"grant type twice", func(m *oauth.ClientMetadata) {
			m.GrantTypes = []string{"client_credentials", "client_credentials"}
		}, []string{"grant_types"}},
		{"unknown resource", func(m *oauth.ClientMetadata) { m.Grants[0].Resource = orders + "/" }, []string{"grants[0].resource"}},
		{"resource twice", func(m *oauth.ClientMetadata) { m.Grants = append(m.Grants, m.Grants[0]) }, []string{"grants[2].resource"}},
		{"unknown scope", func(m *oauth.ClientMetadata) { m.Grants[0].Scopes[1] = "orders:drop" }, []string{"grants[0].scopes[1]"}},
		{"scope of another resource", func(m *oauth.ClientMetadata) { m.Grants[1].Scopes = []string{"orders:read"} }, []string{"grants[1].scopes[0]"}},
		{"scope in other case", func(m *oauth.ClientMetadata) { m.Grants[1].Scopes = []string{"B"} }, []string{"grants[1].scopes[0]"}},
		{"no scope", func(m *oauth.ClientMetadata) { m.Grants[1].Scopes = nil }, []string{"grants[1].scopes"}},
		{"scope twice", func(m *oauth.ClientMetadata) { m.Grants[1].Scopes = []string{"b", "b"} }, []string{"grants[1].scopes[1]"}},
		{"default not granted", func(m *oauth.ClientMetadata) { m.Grants[1].Defaults = []string{"orders:read"} }, []string{"grants[1].default_scopes[0]"}},
		{"default twice", func(m *oauth.ClientMetadata) { m.Grants[1].Defaults = []string{"b", "b"} }, []string{"grants[1].default_scopes[1]"}},
		{"65 scopes", func(m *oauth.ClientMetadata) { m.Grants[1].Scopes = many(65) }, []string{"grants[1].scopes"}},
		{"65 grants", func(m *oauth.ClientMetadata) { m.Grants = make([]oauth.Grant, 65) }, []string{"grants"}},
		{"65 roles", func(m *oauth.ClientMetadata) { m.Roles = many(65) }, []string{"roles"}},
		{"unknown role", func(m *oauth.ClientMetadata) { m.Roles = []string{"reader", "writer"} }, []string{"roles[1]"}},
		{"role twice", func(m *oauth.ClientMetadata) { m.Roles = []string{"reader", "reader"} }, []string{"roles[1]"}},
		{"serves an unknown resource", func(m *oauth.ClientMetadata) { m.ResourceServerFor = []string{"urn:c"} }, []string{"resource_server_for[0]"}},
		{"serves one twice", func(m *oauth.ClientMetadata) { m.ResourceServerFor = []string{orders, orders} }, []string{"resource_server_for[1]"}},
		{"reuse of half the life", func(m *oauth.ClientMetadata) { m.TokenTTLSeconds, m.TokenReuseSeconds = 60, 30 }, nil},
		{"reuse of more than half the life", func(m *oauth.ClientMetadata) { m.TokenTTLSeconds, m.TokenReuseSeconds = 60, 31 }, []string{"token_reuse_seconds"}},
		{"reuse of more than half the resource's life", func(m *oauth.ClientMetadata) { m.TokenReuseSeconds = defaultTokenTTL/2 + 1 }, []string{"token_reuse_seconds"}},
		{"reuse for less than no time", func(m *oauth.ClientMetadata) { m.TokenReuseSeconds = -1 }, []string{"token_reuse_seconds"}},
		{"life of more than a day", func(m *oauth.ClientMetadata) { m.TokenTTLSeconds = 86401 }, []string{"token_ttl_seconds"}},
		{"negative life", func(m *oauth.ClientMetadata) { m.TokenTTLSeconds = -1 }, []string{"token_ttl_seconds"}},
		{"everything at once", func(m *oauth.ClientMetadata) {
			*m = oauth.ClientMetadata{
				TokenEndpointAuthMethod: "none", GrantTypes: []string{"password"},
				Grants: []oauth.Grant{{Resource: "x", Defaults: []string{"y"}}}, Roles: []string{"z"},
				ResourceServerFor: []string{"q"}, TokenTTLSeconds: -5,
			}
		}, []string{
			"client_name", "token_endpoint_auth_method", "grant_types[0]", "grants[0].resource", "grants[0].scopes",
			"grants[0].default_scopes[0]", "roles[0]", "resource_server_for[0]", "token_ttl_seconds",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := valid()
			test.change(&m)
			var got []string
			for _, problem := range validateClient(m, registered) {
				got = append(got, problem.Field)
			}
			if !slices.Equal(got, test.fields) {
				t.Errorf("problems with %v, want %v", got, test.fields)
			}
		})
	}
}

func TestValidateResource(t *testing.T) {
	r := New(Options{Issuer: issuer})
	good := resourceDefaults(ResourceSettings{URI: orders, Name: "Orders – EU", Scopes: []Scope{{Name: "orders:read", Description: "Bestellungen ansehen"}}})
	if p := r.validateResource(good); len(p) > 0 {
		t.Fatalf("a good resource: %+v", p)
	}
	for uri, want := range map[string]bool{
		"https://api.example.com/v1":                true,
		"https://api.example.com:8443":              true,
		"http://127.0.0.1:9002":                     true,
		"urn:example:stock":                         true,
		"https://" + strings.Repeat("a", 504):       true,
		"https://" + strings.Repeat("a", 505):       false,
		"":                                          false,
		"api":                                       false,
		"/api":                                      false,
		"//api.example.com":                         false,
		"https://":                                  false,
		"https:///api":                              false,
		"https://:443/":                             false,
		"https://api.example.com#x":                 false,
		"https://api.example.com#":                  false,
		"https://api.example.com?x=1":               false,
		"https://api.example.com?":                  false,
		"https://user@api.example.com":              false,
		"https://user:pw@api.example.com":           false,
		"HTTPS://api.example.com":                   false,
		"https://API.example.com":                   false,
		"https://api.example.com/a b":               false,
		"https://api.example.com/\n":                false,
		"https://api.example.com/\"":                false,
		"https://api.example.com/ü":                 false,
		"https://api.example.com/%zz":               false,
		issuer:                                      false,
		"https://api.example.com/\u2028":            false,
		"https://api.example.com/" + "\\..\\" + "x": false,
		"javascript:alert(1)":                       true, // only a name: nothing opens it
		"https://api.example.com/../x":              true, // compared byte by byte, never resolved
	} {
		settings := good
		settings.URI = uri
		if got := len(r.validateResource(settings)) == 0; got != want {
			t.Errorf("%q: valid is %v, want %v", uri, got, want)
		}
	}
	bad := ResourceSettings{
		URI: "x", Name: "a\nb", Format: "saml", Algorithm: "none", TokenTTLSeconds: 86401,
		Scopes: []Scope{
			{Name: "a b"},
			{Name: "ok", Description: "\x1b[31m"},
			{Name: "ok"},
			{Name: strings.Repeat("s", 129)},
			{Description: strings.Repeat("d", 257)},
		},
	}
	var got []string
	for _, problem := range r.validateResource(bad) {
		got = append(got, problem.Field)
	}
	want := []string{
		"uri", "name", "scopes[0].name", "scopes[1].description", "scopes[2].name", "scopes[3].name", "scopes[4].name",
		"scopes[4].description", "format", "algorithm", "token_ttl_seconds",
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems with %v, want %v", got, want)
	}
	if got := r.validateResource(ResourceSettings{URI: orders, Format: "jwt", Algorithm: "ES256", Scopes: make([]Scope, 257)}); len(got) != 1 {
		t.Errorf("257 scopes: %+v", got)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	m := valid()
	m.Grants = nil
	for range 64 {
		scopes := []string{}
		for j := range 64 {
			scopes = append(scopes, fmt.Sprint("no-", j))
		}
		m.Grants = append(m.Grants, oauth.Grant{Resource: orders, Scopes: scopes})
	}
	refusal := invalid(validateClient(m, registered)...).(*Error)
	if len(refusal.Problems) != maxProblems+1 || !strings.Contains(refusal.Error(), "more problems") {
		t.Errorf("%d problems", len(refusal.Problems))
	}
}

func TestErrorsAreForEveryone(t *testing.T) {
	err := invalid(Problem{"client_name", "is missing"})
	var code error = oauth.InvalidClientMetadata
	if !errors.Is(err, code) || !errors.Is(err, Invalid) || errors.Is(err, NotFound) || errors.Is(err, oauth.InvalidScope) {
		t.Errorf("%v has the wrong codes", err)
	}
	if errors.Is(notFound("client", "x"), code) {
		t.Error("not found is not invalid metadata")
	}
	if got, want := err.Error(), "not valid: client_name: is missing"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := notFound("client", "a\x1b[31m").Error(); strings.Contains(got, "\x1b") {
		t.Errorf("got %q", got)
	}
}

func TestSecretFormat(t *testing.T) {
	pattern := regexp.MustCompile(`^writ_cs_[A-Za-z0-9_-]{49}$`)
	seen := map[string]bool{}
	for range 100 {
		secret := newSecret().Reveal()
		if !pattern.MatchString(secret) || seen[secret] {
			t.Fatalf("secret %q", secret)
		}
		seen[secret] = true
		body, tail := secret[:51], secret[51:]
		sum, err := base64.RawURLEncoding.DecodeString(tail)
		if err != nil || binary.BigEndian.Uint32(sum) != crc32.ChecksumIEEE([]byte(body)) {
			t.Errorf("checksum of %q: %v", secret, err)
		}
	}
}

func TestIDs(t *testing.T) {
	pattern := regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}-[a-z2-7]{10}$`)
	for _, name := range []string{"billing", "Billing.EU_1", "a", strings.Repeat("x", 64), "a--", "a" + strings.Repeat("-", 63)} {
		id := newID(name)
		if !pattern.MatchString(id) || !validName(id) || !strings.HasPrefix(id, idPrefix(name)) {
			t.Errorf("ID of %q is %q", name, id)
		}
	}
	if first, second := newID("a"), newID("a"); first == second {
		t.Errorf("two IDs are %s", first)
	}
}

// FuzzClientMetadata: whatever JSON is sent, nothing panics, and what is found valid stays valid and findable.
func FuzzClientMetadata(f *testing.F) {
	f.Add([]byte(`{"client_name":"billing","grants":[{"resource":"https://orders.example.com","scopes":["orders:read"]}]}`))
	f.Add([]byte(`{"client_name":"x","roles":["reader"],"resource_server_for":["urn:b"],"token_ttl_seconds":9}`))
	f.Add([]byte(`{"client_name":"\u0000","grants":[null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m oauth.ClientMetadata
		if json.Unmarshal(data, &m, json.RejectUnknownMembers(true)) != nil {
			return
		}
		m = withDefaults(m)
		record := store.Client{AuthMethod: m.TokenEndpointAuthMethod}
		p := validateClient(m, registered)
		p.authentication(&record, m, noon)
		if len(p) > 0 {
			return
		}
		describe(&record, m)
		record.ID = newID(m.ClientName)
		if err := store.Check(record); err != nil {
			t.Errorf("%q is valid and cannot be stored: %v", data, err)
		}
		again := metadataOf(record)
		p = validateClient(again, registered)
		if p.authentication(&record, again, noon); len(p) > 0 {
			t.Errorf("%q is not valid once stored: %v", data, p)
		}
	})
}

// FuzzResourceURI: an identifier that is let in can stand in a header and parses as itself.
func FuzzResourceURI(f *testing.F) {
	for _, uri := range []string{orders, "urn:a:b", "https://a/%2f", "https://[::1]:80", "a:"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if badURI(uri) != "" {
			return
		}
		if len(uri) > maxURI || strings.ContainsAny(uri, " \"\\\r\n#?") || !strings.Contains(uri, ":") {
			t.Errorf("%q was let in", uri)
		}
	})
}
