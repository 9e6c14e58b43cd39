package resource_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/writ-auth/writ/resource"
)

// An API with one route that needs a scope, and the document that tells clients how to get in.
func ExampleVerifier_Require() {
	issuer := startIssuer() // https://auth.example.com, say
	defer issuer.Close()

	verifier, err := resource.NewVerifier(resource.Config{
		Issuer:   issuer.URL,
		Audience: "https://orders.example.com",
		Scopes:   []string{"orders:read"},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /orders", verifier.Require("orders:read").Func(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "orders for", resource.FromContext(r.Context()).ClientID)
	}))
	mux.Handle("GET "+verifier.MetadataPath(), verifier.MetadataHandler())

	// What callers see:
	call(mux, issuer.token("https://orders.example.com", "orders:read"))
	call(mux, issuer.token("https://orders.example.com", "orders:write"))
	call(mux, issuer.token("https://invoices.example.com", "orders:read"))
	call(mux, "")
	// Output:
	// 200 orders for billing
	// 403 {"error":"insufficient_scope","error_description":"the token lacks a scope that this request needs"}
	// 401 {"error":"invalid_token","error_description":"the token is for another audience"}
	// 401 {}
}

// A middleware is an ordinary func(http.Handler) http.Handler, for routers that have their own way of using one.
func ExampleVerifier_RequireRole() {
	issuer := startIssuer()
	defer issuer.Close()
	verifier, err := resource.NewVerifier(resource.Config{Issuer: issuer.URL, Audience: "https://orders.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	var middleware func(http.Handler) http.Handler = verifier.RequireRole("treasurer")
	mux := http.NewServeMux()
	mux.Handle("GET /orders", middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "the books")
	})))
	call(mux, issuer.token("https://orders.example.com", "orders:read"))
	// Output:
	// 403 {"error":"insufficient_scope","error_description":"the token lacks a role that this request needs"}
}

// Verify judges a token that did not come by HTTP.
func ExampleVerifier_Verify() {
	issuer := startIssuer()
	defer issuer.Close()
	verifier, err := resource.NewVerifier(resource.Config{Issuer: issuer.URL, Audience: "https://orders.example.com"})
	if err != nil {
		log.Fatal(err)
	}
	token, err := verifier.Verify(background, issuer.token("https://orders.example.com", "orders:read"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.ClientID, "may", token.Scope)
	_, err = verifier.Verify(background, "garbage")
	fmt.Println(err)
	// Output:
	// billing may orders:read
	// invalid_token: the token is malformed (jose: malformed token: not three parts)
}

// call sends a request and prints the answer.
func call(handler http.Handler, token string) {
	r := httptest.NewRequest(http.MethodGet, "/orders", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Print(w.Code, " ", w.Body)
}

// An exampleIssuer is a tiny authorization server on loopback. Package authtest has a real one for your tests.
type exampleIssuer struct {
	*httptest.Server
	issuer *issuer
}

func startIssuer() exampleIssuer {
	i := newIssuer(nil)
	server := httptest.NewServer(i)
	i.url, i.clock.now = server.URL, time.Now()
	return exampleIssuer{server, i}
}

func (e exampleIssuer) token(audience, scope string) string {
	return e.issuer.mint(changes{"aud": audience, "scope": scope, "sub": "billing", "client_id": "billing"})
}
