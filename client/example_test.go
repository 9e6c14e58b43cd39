package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/oauth"
)

// exampleServers starts an issuer and an API on loopback, which the examples talk to.
func exampleServers() (issuerURL, apiURL string, stop func()) {
	i := newIssuer("")
	as := httptest.NewServer(i)
	i.url = as.URL
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s with %s", r.URL.Path, r.Header.Get("Authorization"))
	}))
	return as.URL, api.URL, func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		as.Close()
		api.Close()
	}
}

func setEnvironment(variables map[string]string) (unset func()) {
	for name, value := range variables {
		_ = os.Setenv(name, value)
	}
	return func() {
		for name := range variables {
			_ = os.Unsetenv(name)
		}
	}
}

func ExampleNew() {
	issuer, api, stop := exampleServers()
	defer stop()

	source, err := client.New(client.Config{
		Issuer:     issuer,
		ClientID:   "billing-4fk2p9qz7a",
		Credential: client.Secret("writ_cs_…"),
		Resource:   api,
		Scope:      "orders:read",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := source.Token(context.Background())
	if errors.Is(err, oauth.InvalidClient) {
		fmt.Println("the secret is wrong:", err)
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Type, token.AccessToken(), token.Scope)
	// Output: Bearer token-1 orders:read
}

func ExampleFromEnvironment() {
	issuer, api, stop := exampleServers()
	defer stop()
	directory, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(directory)
	file := filepath.Join(directory, "secret")
	_ = os.WriteFile(file, []byte("writ_cs_…"), 0o600)
	unset := setEnvironment(map[string]string{
		"WRIT_ISSUER": issuer, "WRIT_CLIENT_ID": "billing-4fk2p9qz7a", "WRIT_CLIENT_SECRET_FILE": file, "WRIT_RESOURCE": api,
	})
	defer unset()

	source, err := client.FromEnvironment()
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := source.Client().Get(api + "/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	fmt.Println(string(body))
	// Output: /orders with Bearer token-1
}

func ExampleTransport() {
	issuer, api, stop := exampleServers()
	defer stop()
	source, err := client.New(client.Config{
		Issuer: issuer, ClientID: "billing-4fk2p9qz7a", Credential: client.Secret("writ_cs_…"), Resource: api + "/v1",
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	httpClient := &http.Client{Transport: &client.Transport{Source: source, Base: http.DefaultTransport}}
	for _, path := range []string{"/v1/orders", "/v2/orders"} {
		response, err := httpClient.Get(api + path)
		if err != nil {
			fmt.Println(path, "is not under the resource: nothing was sent")
			continue
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		fmt.Println(string(body))
	}
	// Output:
	// /v1/orders with Bearer token-1
	// /v2/orders is not under the resource: nothing was sent
}

func ExampleSource_With() {
	issuer, api, stop := exampleServers()
	defer stop()
	source, err := client.New(client.Config{
		Issuer: issuer, ClientID: "billing-4fk2p9qz7a", Credential: client.Secret("writ_cs_…"), Resource: api, Scope: "orders:read",
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	writing, err := source.With(api, "orders:write")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range []*client.Source{source, writing, source} {
		token, err := s.Token(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(token.AccessToken(), "for", token.Scope)
	}
	// Output:
	// token-1 for orders:read
	// token-2 for orders:write
	// token-1 for orders:read
}

func ExampleParseChallenges() {
	header := http.Header{"Www-Authenticate": {`DPoP algs="ES256", Bearer error="insufficient_scope", scope="orders:write"`}}
	for _, challenge := range client.ParseChallenges(header) {
		fmt.Println(challenge.Scheme, challenge.Parameters)
	}
	// Output:
	// dpop map[algs:ES256]
	// bearer map[error:insufficient_scope scope:orders:write]
}
