package adminapi

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

func newPair(t *testing.T, algorithm string) crypto.Signer {
	t.Helper()
	pair, err := jose.GenerateKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func newJWK(t *testing.T, id string) []byte {
	t.Helper()
	data, err := jose.MarshalPublic(jose.Key{ID: id, Algorithm: "ES256", Public: newPair(t, "ES256").Public()})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestCallerMigratesAClient: from a secret to a key over HTTP, as the command line does it.
func TestCallerMigratesAClient(t *testing.T) {
	b := newBench(t)
	c, ctx := b.caller(b.all()), t.Context()
	if _, err := c.CreateClient(ctx, oauth.ClientMetadata{ClientName: "billing"}); err != nil {
		t.Fatal(err)
	}
	first, err := c.AddClientKey(ctx, "billing", admin.KeyOf(newJWK(t, "first")))
	if err != nil || first.ID != "first" || first.Algorithm != "ES256" || !first.Expires.IsZero() {
		t.Fatalf("got %+v, %v", first, err)
	}
	der, err := x509.MarshalPKIXPublicKey(newPair(t, "Ed25519").Public())
	if err != nil {
		t.Fatal(err)
	}
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	key := admin.KeyOf(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	key.Expires = expires
	second, err := c.AddClientKey(ctx, "billing", key)
	if err != nil || second.ID != second.Thumbprint || !second.Expires.Equal(expires) {
		t.Fatalf("got %+v, %v", second, err)
	}
	client, err := c.Client(ctx, "billing")
	if err != nil || !cmp.Equal(client.Keys, []ClientKey{first, second}) {
		t.Fatalf("got %+v, %v", client.Keys, err)
	}
	client.TokenEndpointAuthMethod, client.DPoPBoundAccessTokens = oauth.PrivateKeyJWT, true
	until := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	moved, err := c.UpdateClient(ctx, "billing", ClientUpdate{ClientMetadata: client.ClientMetadata, KeepFormerUntil: until})
	if err != nil || moved.FormerMethod != oauth.ClientSecretBasic || !moved.FormerUntil.Equal(until) || len(moved.Secrets) != 1 ||
		!cmp.Equal(moved.Keys, client.Keys) || !moved.DPoPBoundAccessTokens {
		t.Fatalf("got %+v, %v", moved, err)
	}
	if keys, err := jose.ParseJWKS(moved.JWKS); err != nil || len(keys) != 2 {
		t.Errorf("jwks is %s, %v", moved.JWKS, err)
	}
	if again, err := c.UpdateClient(ctx, "billing", ClientUpdate{ClientMetadata: moved.ClientMetadata}); err != nil || !cmp.Equal(again.Keys, moved.Keys) {
		t.Errorf("written as it was read: %+v, %v", again, err)
	}
	if err := c.RevokeClientKey(ctx, "billing", second.Thumbprint); err != nil {
		t.Error(err)
	}
	for key, status := range map[string]int{"first": 409, "second": 404, "..": 404, "a/b": 404} {
		err := c.RevokeClientKey(ctx, "billing", key)
		if p, ok := err.(*admin.Problem); !ok || p.Status != status {
			t.Errorf("revoke %s: got %v, want %d", key, err, status)
		}
	}
}

// TestNoSecretForAKey: a client that has a key is told of no secret, not even of an empty one.
func TestNoSecretForAKey(t *testing.T) {
	b := newBench(t)
	answer := b.call("POST", "/admin/v1/clients", b.all(), fmt.Sprintf(
		`{"client_name":"billing","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[%s]}}`, newJWK(t, "k")))
	if body := text(t, answer); answer.StatusCode != http.StatusCreated || strings.Contains(body, "secret") || !strings.Contains(body, `"kid": "k"`) {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
}

// TestWrongKeysAreRefused: the rows of registration over HTTP; registry's tests have all their cases.
func TestWrongKeysAreRefused(t *testing.T) {
	b := newBench(t)
	private, err := jose.MarshalPrivate(newPair(t, "ES256"), "ES256")
	if err != nil {
		t.Fatal(err)
	}
	_, d, _ := strings.Cut(string(private), `"d":"`)
	if d, _, _ = strings.Cut(d, `"`); len(d) != 43 {
		t.Fatal("this is no private key")
	}
	const weak = `{"kty":"RSA","e":"AQAB","n":"` // and 1024 bits
	key, other := newJWK(t, "k"), newJWK(t, "k")
	client := func(members string) string { return `{"client_name":"billing",` + members + `}` }
	keyed := func(keys string) string {
		return client(`"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + keys + `]}`)
	}
	uri := func(uri string) string {
		return client(`"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"` + uri + `"`)
	}
	rsa1024 := weak + "w" + strings.Repeat("B", 169) + "Q" + `"}`
	before := b.changes()
	for row, test := range map[string]struct{ body, location string }{
		"RG-06 private":           {keyed(string(private)), "body.jwks.keys[0]"},
		"RG-06 oct":               {keyed(`{"kty":"oct","k":"c2VjcmV0"}`), "body.jwks.keys[0]"},
		"RG-06 duplicate kids":    {keyed(string(key) + "," + string(other)), "body.jwks.keys[1]"},
		"RG-06, J42 RSA 1024":     {keyed(rsa1024), "body.jwks.keys[0]"},
		"RG-06 jwks and jwks_uri": {client(`"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://a.example/","jwks":{"keys":[` + string(key) + `]}`), "body.jwks_uri"},
		"RG-06 jwks is text":      {client(`"token_endpoint_auth_method":"private_key_jwt","jwks":"{}"`), "body.jwks"},
		"RG-13 http":              {uri("http://keys.example.com/"), "body.jwks_uri"},
		"RG-13 user info":         {uri("https://user:pw@keys.example.com/"), "body.jwks_uri"},
		"RG-13 port 22":           {uri("https://keys.example.com:22/"), "body.jwks_uri"},
		"RG-13 file":              {uri("file:///etc/passwd"), "body.jwks_uri"},
		"RG-14 metadata":          {uri("https://169.254.169.254/latest"), "body.jwks_uri"},
		"RG-16 2130706433":        {uri("https://2130706433/"), "body.jwks_uri"},
		"M13":                     {client(`"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=a","tls_client_auth_san_dns":"a.example"`), "body.tls_client_auth_san_dns"},
	} {
		t.Run(row, func(t *testing.T) {
			response := b.call("POST", "/admin/v1/clients", b.all(), test.body)
			p := wantProblem(t, response, 400)
			if got := locations(p); got != test.location {
				t.Errorf("problems with %s, want %s: %s", got, test.location, text(t, response))
			}
			if body := text(t, response); strings.Contains(body, d) || strings.Contains(b.log.String(), d) {
				t.Errorf("the private key is in the answer or in the log: %s", body)
			}
		})
	}
	der, err := x509.MarshalPKIXPublicKey(newPair(t, "ES256").Public())
	if err != nil {
		t.Fatal(err)
	}
	good, err := json.Marshal(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"RG-06 a private JWK": fmt.Sprintf(`{"jwk":%s}`, private),
		"neither":             `{}`,
		"both":                fmt.Sprintf(`{"jwk":%s,"pem":%s}`, key, good),
		"more":                fmt.Sprintf(`{"jwk":%s,"alg":"ES256"}`, key),
		"a time of no zone":   fmt.Sprintf(`{"jwk":%s,"expires":"2030-01-01"}`, key),
		"a member twice":      fmt.Sprintf(`{"jwk":{"kid":"z",%s}`, key[1:]),
	} {
		response := b.call("POST", "/admin/v1/clients/operator/keys", b.all(), body)
		if wantProblem(t, response, 400); strings.Contains(text(t, response), d) {
			t.Errorf("%s: %s", name, text(t, response))
		}
	}
	if after := b.changes(); after != before {
		t.Errorf("%d changes", after-before)
	}
}

// TestCO12Keys: who gives a client a key can be that client.
func TestCO12Keys(t *testing.T) {
	b := newBench(t)
	registrar, err := b.registry.CreateClient(t.Context(), registry.System("test"), oauth.ClientMetadata{
		ClientName: "registrar", Grants: []oauth.Grant{{Resource: registry.AdminResource(issuer), Scopes: []string{"clients:write"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.registry.AddClientKey(t.Context(), registry.System("test"), registry.Operator, newJWK(t, "k"), registry.KeySettings{}); err != nil {
		t.Fatal(err)
	}
	token := b.sign(b.ring, claims(registrar.ID, "clients:write"))
	before := b.changes()
	t.Run("CO-12 a key for the operator", func(t *testing.T) {
		wantProblem(t, b.call("POST", "/admin/v1/clients/operator/keys", token, `{"jwk":`+publicKey+`}`), 403)
	})
	t.Run("CO-12 the operator's key revoked", func(t *testing.T) {
		wantProblem(t, b.call("DELETE", "/admin/v1/clients/operator/keys/k", token, ""), 403)
	})
	t.Run("CO-12 another method for the operator", func(t *testing.T) {
		body := `{"client_name":"operator","token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[` + publicKey + `]}}`
		wantProblem(t, b.call("PUT", "/admin/v1/clients/operator", token, body), 403)
	})
	if after := b.changes(); after != before {
		t.Errorf("%d changes", after-before)
	}
}

// dpop sends requests with a token that is bound to a key, and repeats one that was answered with a nonce.
type dpop struct {
	token  string
	signer *jose.Signer
	origin string
	next   http.RoundTripper
	sent   int
}

func (d *dpop) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.try(r, "")
	if err != nil || response.StatusCode != http.StatusUnauthorized || response.Header.Get("DPoP-Nonce") == "" {
		return response, err
	}
	response.Body.Close()
	r = r.Clone(r.Context())
	if r.GetBody != nil {
		if r.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return d.try(r, response.Header.Get("DPoP-Nonce"))
}

func (d *dpop) try(r *http.Request, nonce string) (*http.Response, error) {
	proof, err := pop.NewProof(d.signer, pop.Request{Method: r.Method, URL: d.origin + r.URL.Path, AccessToken: d.token, Now: time.Now()}, nonce)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "DPoP "+d.token)
	r.Header.Set("DPoP", proof)
	d.sent++
	return d.next.RoundTrip(r)
}

// TestCallerWithDPoP: the Caller works over a transport that proves, and whose first try is refused for want of a nonce.
func TestCallerWithDPoP(t *testing.T) {
	b := newBench(t)
	verifier, err := resource.NewVerifier(resource.Config{
		Issuer: issuer, Audience: registry.AdminResource(issuer), Keys: b.ring, RequireSingleAudience: true, RequireDPoP: true, RequireNonce: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.handler = New(b.registry, verifier, Options{})
	server := httptest.NewServer(b.handler)
	defer server.Close()
	pair := newPair(t, "ES256")
	signer, err := jose.NewSigner(pair, "ES256", "")
	if err != nil {
		t.Fatal(err)
	}
	thumbprint, err := jose.Thumbprint(pair.Public())
	if err != nil {
		t.Fatal(err)
	}
	bound := claims(b.operator, registry.AdminScopes()...)
	bound.Confirmation = json.RawMessage(`{"jkt":"` + thumbprint + `"}`)
	transport := &dpop{token: b.sign(b.ring, bound), signer: signer, origin: issuer, next: server.Client().Transport}
	c, err := admin.New(admin.Config{URL: server.URL, HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}

	made, err := c.CreateClient(t.Context(), oauth.ClientMetadata{ClientName: "billing"})
	if err != nil || transport.sent != 2 {
		t.Fatalf("got %+v, %v after %d requests, want a second one with the nonce", made, err, transport.sent)
	}
	if _, err := c.Client(t.Context(), "billing"); err != nil {
		t.Error(err)
	}
	response := b.call("GET", "/admin/v1/clients", transport.token, "")
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("the token as a bearer token: %d", response.StatusCode)
	}

	// What the registry refuses is challenged in the scheme that was used.
	if _, err := b.registry.SuspendClient(t.Context(), registry.System("test"), b.operator); err != nil {
		t.Fatal(err)
	}
	_, err = c.Client(t.Context(), "billing")
	if p, ok := err.(*admin.Problem); !ok || p.Status != 401 {
		t.Errorf("got %v", err)
	}
	request, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+Prefix+"/clients", nil)
	if err != nil {
		t.Fatal(err)
	}
	dead, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Body.Close()
	if _, err := io.Copy(io.Discard, dead.Body); err != nil {
		t.Fatal(err)
	}
	if got := dead.Header.Values("WWW-Authenticate"); len(got) != 1 || !strings.HasPrefix(got[0], "DPoP ") || !strings.Contains(got[0], `error="invalid_token"`) {
		t.Errorf("challenges are %q", got)
	}
}

// TestOpenAPIOfKeys: the document has what this API can do with keys, and no private one.
func TestOpenAPIOfKeys(t *testing.T) {
	b := newBench(t)
	data := []byte(text(t, b.call("GET", openAPIPath, "", "")))
	if bytes.Contains(data, []byte(`"private_key"`)) || bytes.Contains(data, []byte(`"PrivateKey"`)) {
		t.Error("a private key is in the document")
	}
	var document struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any
				Required   []string
			}
		}
	}
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	for schema, members := range map[string]string{
		"ClientUpdate": "client_name keep_former_until jwks",
		"ClientKey":    "kid alg thumbprint certificate_subject created expires last_used last_used_from",
		"NewKey":       "jwk pem expires",
		"Client":       "former_method former_until keys uses",
		"SecretInfo":   "last_used last_used_from",
	} {
		for member := range strings.FieldsSeq(members) {
			if document.Components.Schemas[schema].Properties[member] == nil {
				t.Errorf("schema %s has no %s", schema, member)
			}
		}
	}
	if slices.Contains(document.Components.Schemas["Registered"].Required, "client_secret") {
		t.Error("client_secret is required of a registered client")
	}
}
