package resource_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

func TestConfig(t *testing.T) {
	good := resource.Config{Issuer: theIssuer, Audience: theAudience}
	for name, test := range map[string]struct {
		change func(*resource.Config)
		want   string // a part of the error; none when empty
	}{
		"issuer and audience":            {func(*resource.Config) {}, ""},
		"RS-14 no issuer":                {func(c *resource.Config) { c.Issuer = "" }, "Issuer: required"},
		"RS-14 no audience":              {func(c *resource.Config) { c.Audience = "" }, "Audience: required"},
		"issuer over http":               {func(c *resource.Config) { c.Issuer = "http://as.test" }, "Issuer: is not https"},
		"issuer on loopback":             {func(c *resource.Config) { c.Issuer = "http://127.0.0.1:8080" }, ""},
		"issuer on loopback, IPv6":       {func(c *resource.Config) { c.Issuer = "http://[::1]:8080" }, ""},
		"issuer on localhost":            {func(c *resource.Config) { c.Issuer = "http://localhost:8080" }, ""},
		"issuer on a host that pretends": {func(c *resource.Config) { c.Issuer = "http://localhost.evil.test" }, "Issuer: is not https"},
		"issuer on an address like it":   {func(c *resource.Config) { c.Issuer = "http://127.0.0.1.evil.test" }, "Issuer: is not https"},
		"issuer relative":                {func(c *resource.Config) { c.Issuer = "as.test" }, "Issuer: not an absolute URI"},
		"issuer without host":            {func(c *resource.Config) { c.Issuer = "https:///x" }, "Issuer: has no host"},
		"issuer with a query":            {func(c *resource.Config) { c.Issuer += "?a" }, "Issuer: has a query"},
		"issuer with a fragment":         {func(c *resource.Config) { c.Issuer += "#" }, "Issuer: has a fragment"},
		"issuer with a password":         {func(c *resource.Config) { c.Issuer = "https://a:b@as.test" }, "Issuer: has a user name"},
		"issuer with a quote":            {func(c *resource.Config) { c.Issuer += `/"` }, "Issuer: not an absolute URI"},
		"audience over http":             {func(c *resource.Config) { c.Audience = "http://a.test" }, "Audience: is not https"},
		"audience relative":              {func(c *resource.Config) { c.Audience = "orders" }, "Audience: not an absolute URI"},
		"audience with a fragment":       {func(c *resource.Config) { c.Audience += "#x" }, "Audience: has a fragment"},
		"audience with a query":          {func(c *resource.Config) { c.Audience += "?x=y" }, ""},
		"audience a URN":                 {func(c *resource.Config) { c.Audience = "urn:example:orders" }, ""},
		"algorithm none":                 {func(c *resource.Config) { c.Algorithms = []string{"none"} }, `Algorithms: "none"`},
		"algorithm HS256":                {func(c *resource.Config) { c.Algorithms = []string{"ES256", "HS256"} }, `Algorithms: "HS256"`},
		"leeway of a minute":             {func(c *resource.Config) { c.Leeway = time.Minute }, ""},
		"leeway of more":                 {func(c *resource.Config) { c.Leeway = time.Minute + 1 }, "Leeway"},
		"interval of a millisecond":      {func(c *resource.Config) { c.KeyInterval = time.Millisecond }, "KeyInterval"},
		"negative interval":              {func(c *resource.Config) { c.KeyInterval = -1 }, "KeyInterval"},
		"two scopes in one":              {func(c *resource.Config) { c.Scopes = []string{"a b"} }, "Scopes"},
		"origin with a path":             {func(c *resource.Config) { c.AllowedOrigins = []string{"https://app.test/"} }, "AllowedOrigins"},
		"every origin":                   {func(c *resource.Config) { c.AllowedOrigins = []string{"*"} }, ""},
		"external URL":                   {func(c *resource.Config) { c.ExternalURL = "https://api.test/v1/" }, ""},
		"external URL on loopback":       {func(c *resource.Config) { c.ExternalURL = "http://127.0.0.1:8080" }, ""},
		"external URL over http":         {func(c *resource.Config) { c.ExternalURL = "http://api.test" }, "ExternalURL: is not https"},
		"external URL with a query":      {func(c *resource.Config) { c.ExternalURL = "https://api.test?a" }, "ExternalURL: has a query"},
		"external URL with a fragment":   {func(c *resource.Config) { c.ExternalURL = "https://api.test#a" }, "ExternalURL: has a fragment"},
		"external URL without host":      {func(c *resource.Config) { c.ExternalURL = "https:///v1" }, "ExternalURL: has no host"},
		"external URL a path":            {func(c *resource.Config) { c.ExternalURL = "/v1" }, "ExternalURL: not an absolute URI"},
		"DPoP required and no URL":       {func(c *resource.Config) { c.Audience, c.RequireDPoP = "urn:orders", true }, "RequireDPoP: needs an ExternalURL"},
		"DPoP required with a URL": {func(c *resource.Config) {
			c.Audience, c.RequireDPoP, c.ExternalURL = "urn:orders", true, "https://api.test"
		}, ""},
		"DPoP algorithm none":                 {func(c *resource.Config) { c.DPoPAlgorithms = []string{"none"} }, `DPoPAlgorithms: "none"`},
		"nonce key of 31 bytes":               {func(c *resource.Config) { c.NonceKey = resource.Secret(strings.Repeat("k", 31)) }, "NonceKey: is shorter than 32 bytes"},
		"nonce key of 32 bytes":               {func(c *resource.Config) { c.NonceKey = resource.Secret(strings.Repeat("k", 32)) }, ""},
		"introspection without a secret":      {introspection(resource.Introspection{ClientID: "a"}), "Introspection: ClientID and ClientSecret"},
		"introspection by a secret and a key": {introspection(resource.Introspection{ClientID: "a", ClientSecret: "b", PrivateKey: "c"}), "ClientSecret and PrivateKey are two ways"},
		"introspection by a key that is none": {introspection(resource.Introspection{ClientID: "a", PrivateKey: "c"}), "PrivateKey: jose: neither PEM nor a JWK"},
		"introspection remembered for 2 m":    {introspection(resource.Introspection{ClientID: "a", ClientSecret: "b", CacheFor: 2 * time.Minute}), "CacheFor"},
		"introspection remembered for -1":     {introspection(resource.Introspection{ClientID: "a", ClientSecret: "b", CacheFor: -1}), "CacheFor"},
		"introspection behind a password":     {introspection(resource.Introspection{ClientID: "a", ClientSecret: "b", Endpoint: "https://a:b@as.test/i"}), "Endpoint: has a user name"},
		"introspection over http":             {introspection(resource.Introspection{ClientID: "a", ClientSecret: "b", Endpoint: "http://as.test/i"}), "Endpoint: is not https"},
		"introspection on loopback though the issuer is not": {
			introspection(resource.Introspection{ClientID: "a", ClientSecret: "b", Endpoint: "http://127.0.0.1/i"}), "Endpoint: is not https"},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			test.change(&config)
			v, err := resource.NewVerifier(config)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if (v == nil) != (err != nil) {
				t.Errorf("verifier %v with error %v", v, err)
			}
		})
	}
	t.Run("all problems at once", func(t *testing.T) {
		_, err := resource.NewVerifier(resource.Config{Leeway: time.Hour, Algorithms: []string{"none"}})
		for _, field := range []string{"Issuer", "Audience", "Leeway", "Algorithms"} {
			if err == nil || !strings.Contains(err.Error(), "resource: "+field+": ") {
				t.Errorf("%s is not in %v", field, err)
			}
		}
	})
}

func introspection(in resource.Introspection) func(*resource.Config) {
	return func(c *resource.Config) { c.Introspection = &in }
}

// TestW14 serves the description of an API where its refusals point.
func TestW14(t *testing.T) {
	for audience, want := range map[string]string{
		"https://a.test":           "/.well-known/oauth-protected-resource",
		"https://a.test/":          "/.well-known/oauth-protected-resource",
		"https://a.test/orders":    "/.well-known/oauth-protected-resource/orders",
		"https://a.test/a%2Fb":     "/.well-known/oauth-protected-resource/a%2Fb",
		"https://a.test/%C3%A9":    "/.well-known/oauth-protected-resource/%C3%A9",
		"https://a.test/orders/v1": "/.well-known/oauth-protected-resource/orders/v1",
	} {
		t.Run("W14 "+audience, func(t *testing.T) {
			i := newIssuer(t)
			v := i.verifier(func(c *resource.Config) { c.Audience, c.Scopes = audience, []string{"read", "write"} })
			if v.MetadataPath() != want {
				t.Fatalf("path %s, want %s", v.MetadataPath(), want)
			}
			mux := http.NewServeMux()
			mux.Handle(v.MetadataPath(), v.MetadataHandler())
			location := parseChallenge(t, get(v, "").Header.Get("WWW-Authenticate"))["resource_metadata"]
			got := httptest.NewRecorder()
			mux.ServeHTTP(got, httptest.NewRequest(http.MethodGet, location, nil))
			var metadata oauth.ResourceMetadata
			if err := json.Unmarshal(got.Body.Bytes(), &metadata); err != nil || got.Code != http.StatusOK {
				t.Fatalf("%d, error %v", got.Code, err)
			}
			if metadata.Resource != audience || len(metadata.AuthorizationServers) != 1 || metadata.AuthorizationServers[0] != theIssuer ||
				len(metadata.ScopesSupported) != 2 || len(metadata.BearerMethodsSupported) != 1 || metadata.BearerMethodsSupported[0] != "header" {
				t.Errorf("metadata %+v", metadata)
			}
			if got.Header().Get("Content-Type") != "application/json" || got.Header().Get("Cache-Control") == "" {
				t.Errorf("headers %v", got.Header())
			}
		})
	}
	t.Run("W14 only GET and HEAD", func(t *testing.T) {
		v := newIssuer(t).verifier(nil)
		for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 405, "DELETE": 405} {
			got := httptest.NewRecorder()
			v.MetadataHandler().ServeHTTP(got, httptest.NewRequest(method, "/", nil))
			if got.Code != want || want == 405 && got.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: %d %v", method, got.Code, got.Header())
			}
		}
	})
	t.Run("W14 empty lists are left out", func(t *testing.T) {
		got := httptest.NewRecorder()
		newIssuer(t).verifier(nil).MetadataHandler().ServeHTTP(got, httptest.NewRequest(http.MethodGet, "/", nil))
		if strings.Contains(got.Body.String(), "scopes_supported") {
			t.Errorf("body %s", got.Body)
		}
	})
	t.Run("W14 an audience that is not a URL has no place for it", func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier(func(c *resource.Config) { c.Audience = "urn:example:orders" })
		if v.MetadataPath() != "" {
			t.Errorf("path %s", v.MetadataPath())
		}
		if challenge := get(v, "").Header.Get("WWW-Authenticate"); strings.Contains(challenge, "resource_metadata") {
			t.Errorf("challenge %s", challenge)
		}
		expectOK(t, get(v, i.mint(changes{"aud": "urn:example:orders"})))
	})
}
