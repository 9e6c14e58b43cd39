package client_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/oauth"
)

// TestNewNamesEveryProblem checks that one look at the error is enough.
func TestNewNamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := client.New(client.Config{
		Issuer: "http://as.example", TokenEndpoint: "as.example/token", Credential: client.Secret(""), AuthMethod: "none",
		Resource: "api", Scope: "a\"", AllowHosts: []string{"https://api.example"},
	})
	wantError(t, err,
		`client: Issuer: "http://as.example" is not https`, "client: TokenEndpoint: ", "client: ClientID: is missing",
		"client: Credential: the secret is empty", `client: AuthMethod: "none" does not fit the credential; use client_secret_basic or client_secret_post`,
		`client: Resource: "api"`, "client: Scope: ", `client: AllowHosts: "https://api.example"`)
	_, err = client.New(client.Config{})
	wantError(t, err, "Issuer: is missing", "ClientID: is missing", "Credential: is missing")
}

// TestConfig checks single fields.
func TestConfig(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large")
	write(t, large, strings.Repeat("a", 64<<10+1))
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, "\n")
	for name, c := range map[string]struct {
		change func(*client.Config)
		want   string // empty: no error
	}{
		"good":                       {func(*client.Config) {}, ""},
		"issuer with path":           {func(c *client.Config) { c.Issuer = "https://as.example/tenant" }, ""},
		"issuer on loopback":         {func(c *client.Config) { c.Issuer = "http://[::1]:8085" }, ""},
		"issuer with query":          {func(c *client.Config) { c.Issuer = "https://as.example?x" }, "has a query"},
		"issuer with fragment":       {func(c *client.Config) { c.Issuer = "https://as.example#" }, "Issuer"},
		"issuer with user":           {func(c *client.Config) { c.Issuer = "https://u@as.example" }, "Issuer"},
		"issuer near loopback":       {func(c *client.Config) { c.Issuer = "http://127.0.0.1.example" }, "is not https"},
		"token endpoint with query":  {func(c *client.Config) { c.TokenEndpoint = "https://as.example/t?x=y" }, ""},
		"resource that is a URN":     {func(c *client.Config) { c.Resource = "urn:example:api" }, ""},
		"resource with fragment":     {func(c *client.Config) { c.Resource = "https://api.example#" }, "Resource"},
		"post":                       {func(c *client.Config) { c.AuthMethod = oauth.ClientSecretPost }, ""},
		"method of another kind":     {func(c *client.Config) { c.AuthMethod = oauth.PrivateKeyJWT }, "AuthMethod"},
		"secret file that is not":    {func(c *client.Config) { c.Credential = client.SecretFile("/no/such/file") }, "/no/such/file: no such file"},
		"secret file without secret": {func(c *client.Config) { c.Credential = client.SecretFile(empty) }, "is empty"},
		"secret file without end":    {func(c *client.Config) { c.Credential = client.SecretFile(large) }, "larger than 64 KiB"},
		"host with port":             {func(c *client.Config) { c.AllowHosts = []string{"api.example:8443", "[::1]:80"} }, ""},
		"host with path":             {func(c *client.Config) { c.AllowHosts = []string{"api.example/v1"} }, "AllowHosts"},
		"empty host":                 {func(c *client.Config) { c.AllowHosts = []string{""} }, "AllowHosts"},
		"host with user":             {func(c *client.Config) { c.AllowHosts = []string{"a@b"} }, "AllowHosts"},
	} {
		t.Run(name, func(t *testing.T) {
			config := config(nil)
			c.change(&config)
			_, err := client.New(config)
			if c.want == "" && err != nil {
				t.Errorf("error %v, want none", err)
			}
			if c.want != "" {
				wantError(t, err, c.want)
			}
		})
	}
}

// TestSecretFileGone checks that a file that goes away is an error of the token request, and not the end.
func TestSecretFileGone(t *testing.T) {
	t.Parallel()
	i := newIssuer(issuerURL)
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, "one")
	c := config(network{"as.example": i})
	c.Credential = client.SecretFile(file)
	s := source(t, c)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err := s.Token(t.Context())
	wantError(t, err, "credential: secret file", file)
	wantAsked(t, i, 0)
}

// TestFromEnvironment checks the variables. It sets them for the process, so it does not run in parallel.
func TestFromEnvironment(t *testing.T) {
	set := func(t *testing.T, variables map[string]string) {
		for _, name := range []string{
			"WRIT_ISSUER", "WRIT_CLIENT_ID", "WRIT_CLIENT_SECRET", "WRIT_CLIENT_SECRET_FILE", "WRIT_RESOURCE", "WRIT_SCOPE", "WRIT_AUTH_METHOD",
		} {
			t.Setenv(name, variables[name])
		}
	}
	t.Run("every problem by the name of its variable", func(t *testing.T) {
		set(t, map[string]string{"WRIT_RESOURCE": "api", "WRIT_SCOPE": "\"", "WRIT_AUTH_METHOD": "none"})
		_, err := client.FromEnvironment()
		wantError(t, err, "WRIT_ISSUER: is missing", "WRIT_CLIENT_ID: is missing", "WRIT_CLIENT_SECRET_FILE or WRIT_CLIENT_SECRET: is missing",
			"WRIT_RESOURCE: ", "WRIT_SCOPE: ")
	})
	t.Run("both secrets", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "secret")
		write(t, file, theSecret)
		set(t, map[string]string{"WRIT_ISSUER": issuerURL, "WRIT_CLIENT_ID": clientID, "WRIT_CLIENT_SECRET": "x", "WRIT_CLIENT_SECRET_FILE": file})
		_, err := client.FromEnvironment()
		wantError(t, err, "set one, not both")
	})
	t.Run("everything", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "secret")
		write(t, file, theSecret+"\n")
		set(t, map[string]string{
			"WRIT_ISSUER": issuerURL, "WRIT_CLIENT_ID": clientID, "WRIT_CLIENT_SECRET_FILE": file, "WRIT_RESOURCE": api,
			"WRIT_SCOPE": "orders:read", "WRIT_AUTH_METHOD": oauth.ClientSecretPost,
		})
		c, err := client.ConfigFromEnvironment()
		if err != nil {
			t.Fatal(err)
		}
		i := newIssuer(issuerURL)
		c.HTTPClient = &http.Client{Transport: network{"as.example": i}}
		wantToken(t, source(t, c), "token-1")
		want := "client_id=billing&client_secret=" + theSecret + "&grant_type=client_credentials&resource=https%3A%2F%2Fapi.example&scope=orders%3Aread"
		if got := i.forms[0].Encode(); got != want {
			t.Errorf("form is %s, want %s", got, want)
		}
	})
	t.Run("the secret itself", func(t *testing.T) {
		set(t, map[string]string{"WRIT_ISSUER": issuerURL, "WRIT_CLIENT_ID": clientID, "WRIT_CLIENT_SECRET": theSecret})
		if _, err := client.FromEnvironment(); err != nil {
			t.Error(err)
		}
	})
}
