package resource_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
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

// Tokens that are bound to a key need no configuration: a client that proves to hold the key gets in, whoever has stolen
// its token does not, and neither does whoever has overheard its request. RequireBound leaves bearer tokens outside.
func Example_senderConstrained() {
	issuer := startIssuer()
	defer issuer.Close()
	verifier, err := resource.NewVerifier(resource.Config{
		Issuer: issuer.URL, Audience: "https://orders.example.com",
		RequireBound: true,
		// Where the API has several instances, they share what they have seen:
		// Replays: replays{valkey}, NonceKey: nonceKey,
	})
	if err != nil {
		log.Fatal(err)
	}
	orders := verifier.Require("orders:read").Func(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "orders for", resource.FromContext(r.Context()).ClientID)
	})

	client, thief := issuer.newClient(), issuer.newClient()
	request := client.request("https://orders.example.com/orders") // with "Authorization: DPoP …" and a proof
	send(orders, request)
	send(orders, request) // overheard
	send(orders, thief.steal(request))
	send(orders, downgrade(request))
	call(orders, issuer.token("https://orders.example.com", "orders:read"))
	// Output:
	// 200 orders for billing
	// 401 {"error":"invalid_dpop_proof","error_description":"the DPoP proof was used before; make one for each request"}
	// 401 {"error":"invalid_token","error_description":"the token is bound to another key than the DPoP proof's"}
	// 401 {"error":"invalid_token","error_description":"the token is bound to a DPoP key: send it with the scheme DPoP and a proof"}
	// 401 {"error":"invalid_token","error_description":"the token is not bound to a key of its client, and this API takes no others"}
}

// An API behind a proxy that ends TLS and takes the prefix /v1 away. Clients sign the URL that they know, so the API must
// know it too; and it believes the proxy, and nobody else, which certificate a client has shown.
func Example_behindProxy() {
	issuer := startIssuer()
	defer issuer.Close()
	verifier, err := resource.NewVerifier(resource.Config{
		Issuer: issuer.URL, Audience: "https://orders.example.com",
		ExternalURL:       "https://api.example.com/v1",
		ClientCertificate: resource.ClientCertHeader(netip.MustParsePrefix("10.0.0.0/24")),
	})
	if err != nil {
		log.Fatal(err)
	}
	orders := verifier.Require("orders:read").Func(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "orders for", resource.FromContext(r.Context()).ClientID)
	})

	client := issuer.newClient()
	request := client.request("https://api.example.com/v1/orders") // as the client sends it,
	request.RequestURI, request.URL.Path = "/orders", "/orders"    // and as the proxy hands it on
	request.Host = "10.0.0.7:8080"
	send(orders, request)
	// Output:
	// 200 orders for billing
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
	send(handler, r)
}

func send(handler http.Handler, r *http.Request) {
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

// An exampleClient has a DPoP key. Package client is a real one.
type exampleClient struct{ holder }

func (e exampleIssuer) newClient() exampleClient { return exampleClient{e.issuer.holder()} }

func (c exampleClient) request(url string) *http.Request {
	token := c.token(changes{"aud": "https://orders.example.com", "scope": "orders:read", "sub": "billing", "client_id": "billing"})
	r := httptest.NewRequest(http.MethodGet, url, nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", c.proof(token, changes{"htu": url}))
	return r
}

// steal is the same request with the thief's own proof.
func (c exampleClient) steal(r *http.Request) *http.Request {
	stolen := r.Clone(r.Context())
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "DPoP ")
	stolen.Header.Set("DPoP", c.proof(token, changes{"htu": r.URL.String()}))
	return stolen
}

// downgrade is the same request with the token as a bearer token.
func downgrade(r *http.Request) *http.Request {
	stolen := r.Clone(r.Context())
	stolen.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "DPoP", "Bearer", 1))
	return stolen
}
