package authtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/authtest"
	"github.com/writ-auth/writ/resource"
)

const api = "https://api.example"

// TestFixtures gives every fixture to a verifier of ours, as a user's test would.
func TestFixtures(t *testing.T) {
	t.Parallel()
	server := authtest.New(t)
	server.Resource(api, "orders:read", "orders:write")
	cases := []struct {
		name  string
		token func() string
		good  bool
	}{
		{"good", func() string { return server.Token(api) }, true},
		{"good, one scope", func() string { return server.Token(api, "orders:read") }, true},
		{"expired", func() string { return server.Expired(api) }, false},
		{"wrong audience", func() string { return server.WrongAudience(api) }, false},
		{"foreign key", func() string { return server.ForeignKey(api) }, false},
		{"issuer's clock 5 s ahead", func() string { return server.IssuedAt(5*time.Second, api) }, true},
		{"issuer's clock 5 min ahead", func() string { return server.IssuedAt(5*time.Minute, api) }, false},
		{"revoked, seen without introspection", func() string { return server.Revoked(api) }, true},
		{"rotated key", func() string {
			token := server.Token(api)
			server.RotateKey()
			return token
		}, true},
	}
	verifier, err := resource.NewVerifier(resource.Config{Issuer: server.Issuer(), Audience: api})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := verifier.Verify(context.Background(), c.token()); (err == nil) != c.good {
				t.Errorf("accepted: %v, want %v (%v)", err == nil, c.good, err)
			}
		})
	}
}

// TestIntrospectionSees checks what only the server can tell: revoked, suspended, opaque.
func TestIntrospectionSees(t *testing.T) {
	t.Parallel()
	server := authtest.New(t)
	server.Resource(api, "read")
	server.OpaqueResource("https://opaque.example", "read")
	caller := server.ResourceServer(api)
	opaqueCaller := server.ResourceServer("https://opaque.example")
	client := server.Client(api, "read")
	token := server.TokenOf(client)
	if !active(t, server, caller, token) {
		t.Error("a good token is not active")
	}
	if active(t, server, caller, server.Revoked(api)) {
		t.Error("a revoked token is active")
	}
	if active(t, server, opaqueCaller, token) {
		t.Error("a token is active for the server of another resource")
	}
	server.Suspend(client)
	if active(t, server, caller, token) {
		t.Error("a suspended client's token is active")
	}
	if opaque := server.Token("https://opaque.example"); !active(t, server, opaqueCaller, opaque) || !strings.HasPrefix(opaque, "writ_at_") {
		t.Errorf("opaque token %q is not active", opaque)
	}
}

func active(t *testing.T, server *authtest.Server, caller authtest.Client, token string) bool {
	t.Helper()
	body := strings.NewReader(url.Values{"token": {token}}.Encode())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.Issuer()+"/introspect", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(caller.ID, caller.Secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Active bool }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("introspection answered %d (%v)", response.StatusCode, err)
	}
	return answer.Active
}

// TestMatrix gets a token of every format and algorithm.
func TestMatrix(t *testing.T) {
	t.Parallel()
	server := authtest.New(t)
	for _, algorithm := range []string{"ES256", "Ed25519", "EdDSA", "PS256", "RS256"} {
		uri := "https://" + strings.ToLower(algorithm) + ".example"
		server.SignedResource(uri, algorithm, "read")
		verifier, err := resource.NewVerifier(resource.Config{Issuer: server.Issuer(), Audience: uri})
		if err != nil {
			t.Fatal(err)
		}
		token, err := verifier.Verify(t.Context(), server.Token(uri))
		if err != nil || !token.Scope.Has("read") {
			t.Errorf("%s: %v, scope %v", algorithm, err, token)
		}
	}
}

// TestRoles checks that a role's name comes out in the token.
func TestRoles(t *testing.T) {
	t.Parallel()
	server := authtest.New(t)
	server.Resource(api, "read")
	verifier, err := resource.NewVerifier(resource.Config{Issuer: server.Issuer(), Audience: api})
	if err != nil {
		t.Fatal(err)
	}
	token, err := verifier.Verify(t.Context(), server.TokenOf(server.RoleClient("clerk", api, "read")))
	if err != nil || len(token.Roles) != 1 || token.Roles[0] != "clerk" {
		t.Errorf("roles are %v, want [clerk] (%v)", token, err)
	}
}

// TestJWKSDown checks that nothing is accepted while the keys are out of reach.
func TestJWKSDown(t *testing.T) {
	t.Parallel()
	server := authtest.New(t)
	server.Resource(api, "read")
	server.JWKSDown(true)
	verifier, err := resource.NewVerifier(resource.Config{Issuer: server.Issuer(), Audience: api})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verifier.Verify(t.Context(), server.Token(api)); err == nil {
		t.Error("a token was accepted without a key")
	}
}

func ExampleNew() {
	t := &testing.T{} // yours
	server := authtest.New(t)
	server.Resource("https://api.example", "orders:read")

	verifier, err := resource.NewVerifier(resource.Config{Issuer: server.Issuer(), Audience: "https://api.example"})
	if err != nil {
		panic(err)
	}
	_, err = verifier.Verify(context.Background(), server.Token("https://api.example", "orders:read"))
	fmt.Println("good:", err)
	_, err = verifier.Verify(context.Background(), server.Expired("https://api.example", "orders:read"))
	fmt.Println("expired:", err != nil)
	// Output:
	// good: <nil>
	// expired: true
}

// A stolen token is of no use to a thief who does not have the key that it is bound to.
func ExampleHolder() {
	t := &testing.T{} // yours
	server := authtest.New(t)
	server.Resource("https://api.example", "orders:read")
	verifier, err := resource.NewVerifier(resource.Config{Issuer: server.Issuer(), Audience: "https://api.example"})
	if err != nil {
		panic(err)
	}
	orders := verifier.Require("orders:read").Func(func(http.ResponseWriter, *http.Request) {})

	client, thief := authtest.NewHolder(t), authtest.NewHolder(t)
	token := server.DPoPToken(client, "https://api.example")
	for _, holder := range []*authtest.Holder{client, thief} {
		r := httptest.NewRequest("GET", "https://api.example/orders", nil)
		holder.Authorize(r, token)
		w := httptest.NewRecorder()
		orders.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 401
}
