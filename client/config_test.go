package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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
	garbage := filepath.Join(t.TempDir(), "garbage")
	write(t, garbage, "a.b .c")
	assertion := filepath.Join(t.TempDir(), "assertion")
	write(t, assertion, "a.b.c\n")
	p521 := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	for name, c := range map[string]struct {
		change func(*client.Config)
		want   string // empty: no error
	}{
		"good":                      {func(*client.Config) {}, ""},
		"issuer with path":          {func(c *client.Config) { c.Issuer = "https://as.example/tenant" }, ""},
		"issuer on loopback":        {func(c *client.Config) { c.Issuer = "http://[::1]:8085" }, ""},
		"issuer with query":         {func(c *client.Config) { c.Issuer = "https://as.example?x" }, "has a query"},
		"issuer with fragment":      {func(c *client.Config) { c.Issuer = "https://as.example#" }, "Issuer"},
		"issuer with user":          {func(c *client.Config) { c.Issuer = "https://u@as.example" }, "Issuer"},
		"issuer near loopback":      {func(c *client.Config) { c.Issuer = "http://127.0.0.1.example" }, "is not https"},
		"token endpoint with query": {func(c *client.Config) { c.TokenEndpoint = "https://as.example/t?x=y" }, ""},
		"resource that is a URN":    {func(c *client.Config) { c.Resource = "urn:example:api" }, ""},
		"resource with fragment":    {func(c *client.Config) { c.Resource = "https://api.example#" }, "Resource"},
		"post":                      {func(c *client.Config) { c.AuthMethod = oauth.ClientSecretPost }, ""},
		"method of another kind":    {func(c *client.Config) { c.AuthMethod = oauth.PrivateKeyJWT }, "AuthMethod"},
		"key":                       {func(c *client.Config) { c.Credential = client.PrivateKey(newKey()) }, ""},
		"key, by its method":        {func(c *client.Config) { c.Credential, c.AuthMethod = client.PrivateKey(newKey()), oauth.PrivateKeyJWT }, ""},
		"key with secret's method": {func(c *client.Config) {
			c.Credential, c.AuthMethod = client.PrivateKey(newKey()), oauth.ClientSecretPost
		}, "use private_key_jwt"},
		"key that is none":          {func(c *client.Config) { c.Credential = client.PrivateKey(nil) }, "Credential: is missing"},
		"key, nil":                  {func(c *client.Config) { c.Credential = (*client.Key)(nil) }, "Credential: is missing"},
		"key, zero":                 {func(c *client.Config) { c.Credential = &client.Key{} }, "Credential: is missing"},
		"key of a strange curve":    {func(c *client.Config) { c.Credential = client.PrivateKey(p521) }, "Credential: the key cannot sign with"},
		"key and algorithm":         {func(c *client.Config) { c.Credential = client.PrivateKey(newKey(), client.Algorithm("PS256")) }, `the key cannot sign with "PS256"`},
		"key and no such algorithm": {func(c *client.Config) { c.Credential = client.PrivateKey(newKey(), client.Algorithm("HS256")) }, `the key cannot sign with "HS256"`},
		"key with a strange ID":     {func(c *client.Config) { c.Credential = client.PrivateKey(newKey(), client.KeyID("a\"b")) }, "has a character that none has"},
		"key with a strange ID ":    {func(c *client.Config) { c.Credential = client.PrivateKey(newKey(), client.KeyID("a\nb")) }, "has a character that none has"},
		"key file that is not":      {func(c *client.Config) { c.Credential = client.PrivateKeyFile("/no/such/file") }, "private key file: open /no/such/file: no such file"},
		"key file without key":      {func(c *client.Config) { c.Credential = client.PrivateKeyFile(empty) }, "private key file " + empty + " is empty"},
		"key file with garbage":     {func(c *client.Config) { c.Credential = client.PrivateKeyFile(garbage) }, "private key file " + garbage + ": jose: neither PEM nor a JWK"},
		"key without issuer": {func(c *client.Config) {
			c.Credential, c.Issuer, c.TokenEndpoint = client.PrivateKey(newKey()), "", issuerURL+"/token"
		}, "Credential: needs Issuer: an assertion is for the issuer"},
		"assertion without issuer": {func(c *client.Config) {
			c.Credential, c.Issuer, c.TokenEndpoint = client.AssertionFile(assertion), "", issuerURL+"/token"
		}, ""},
		"assertion file":             {func(c *client.Config) { c.Credential = client.AssertionFile(assertion) }, ""},
		"assertion file that is not": {func(c *client.Config) { c.Credential = client.AssertionFile("/no/such/file") }, "assertion file: open /no/such/file: no such file"},
		"assertion file of garbage":  {func(c *client.Config) { c.Credential = client.AssertionFile(garbage) }, "assertion file " + garbage + " does not hold a signed JWT"},
		"DPoP key":                   {func(c *client.Config) { c.DPoPKey = client.PrivateKey(newKey()) }, ""},
		"DPoP key, nil key":          {func(c *client.Config) { c.DPoPKey = client.PrivateKey(nil) }, "DPoPKey: is missing"},
		"DPoP key file that is not":  {func(c *client.Config) { c.DPoPKey = client.PrivateKeyFile("/no/such/file") }, "DPoPKey: private key file"},
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
			"WRIT_PRIVATE_KEY_FILE", "WRIT_ASSERTION_FILE", "WRIT_CERTIFICATE_FILE", "WRIT_CERTIFICATE_KEY_FILE", "WRIT_DPOP",
		} {
			t.Setenv(name, variables[name])
		}
	}
	t.Run("every problem by the name of its variable", func(t *testing.T) {
		set(t, map[string]string{
			"WRIT_RESOURCE": "api", "WRIT_SCOPE": "\"", "WRIT_AUTH_METHOD": "none", "WRIT_DPOP": "maybe", "WRIT_CERTIFICATE_FILE": "/no/such",
		})
		_, err := client.FromEnvironment()
		wantError(t, err, "WRIT_ISSUER: is missing", "WRIT_CLIENT_ID: is missing", "WRIT_CLIENT_SECRET_FILE or WRIT_CLIENT_SECRET: is missing",
			"WRIT_RESOURCE: ", "WRIT_SCOPE: ", "WRIT_DPOP: is neither true nor false", "WRIT_CERTIFICATE_FILE and WRIT_CERTIFICATE_KEY_FILE: set both")
	})
	t.Run("both secrets", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "secret")
		write(t, file, theSecret)
		set(t, map[string]string{"WRIT_ISSUER": issuerURL, "WRIT_CLIENT_ID": clientID, "WRIT_CLIENT_SECRET": "x", "WRIT_CLIENT_SECRET_FILE": file})
		_, err := client.FromEnvironment()
		wantError(t, err, "WRIT_CLIENT_SECRET_FILE and WRIT_CLIENT_SECRET: set one, not both")
	})
	t.Run("every credential", func(t *testing.T) {
		set(t, map[string]string{
			"WRIT_ISSUER": issuerURL, "WRIT_CLIENT_ID": clientID, "WRIT_CLIENT_SECRET": "x", "WRIT_PRIVATE_KEY_FILE": "y", "WRIT_ASSERTION_FILE": "z",
		})
		_, err := client.FromEnvironment()
		wantError(t, err, "WRIT_PRIVATE_KEY_FILE and WRIT_ASSERTION_FILE and WRIT_CLIENT_SECRET: set one, not all")
	})
	t.Run("a key, a certificate and DPoP", func(t *testing.T) {
		certificate, certificateKey := writeCertificate(t, t.TempDir(), newCertificate("c", tomorrow()))
		key := newKey()
		file := writeKey(t, key)
		set(t, map[string]string{
			"WRIT_ISSUER": issuerURL, "WRIT_CLIENT_ID": clientID, "WRIT_PRIVATE_KEY_FILE": file,
			"WRIT_CERTIFICATE_FILE": certificate, "WRIT_CERTIFICATE_KEY_FILE": certificateKey, "WRIT_DPOP": "true",
		})
		c, err := client.ConfigFromEnvironment()
		if err != nil {
			t.Fatal(err)
		}
		_, isKey := c.Credential.(*client.Key)
		if !isKey || c.Certificate == nil || !c.DPoP {
			t.Errorf("config is %+v", c)
		}
		set(t, map[string]string{
			"WRIT_ISSUER": issuerURL, "WRIT_CLIENT_ID": clientID, "WRIT_AUTH_METHOD": oauth.SelfSignedTLSClientAuth,
			"WRIT_CERTIFICATE_FILE": certificate, "WRIT_CERTIFICATE_KEY_FILE": certificateKey, "WRIT_DPOP": "false",
		})
		if c, err = client.ConfigFromEnvironment(); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.Credential.(*client.Certificate); !ok || c.Certificate != nil || c.DPoP {
			t.Errorf("config is %+v", c)
		}
	})
	t.Run("an assertion", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "assertion")
		write(t, file, "a.b.c")
		set(t, map[string]string{"WRIT_ISSUER": issuerURL, "WRIT_CLIENT_ID": clientID, "WRIT_ASSERTION_FILE": file})
		c, err := client.ConfigFromEnvironment()
		if err != nil {
			t.Fatal(err)
		}
		i := newIssuer(issuerURL)
		c.HTTPClient = &http.Client{Transport: network{"as.example": i}}
		token(t, source(t, c))
		if got := i.forms[0].Get("client_assertion"); got != "a.b.c" {
			t.Errorf("assertion is %q", got)
		}
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
