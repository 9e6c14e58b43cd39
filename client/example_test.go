package client_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

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

func ExamplePrivateKeyFile() {
	issuer, api, stop := exampleServers()
	defer stop()
	directory, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(directory)
	file := filepath.Join(directory, "billing.pem")
	_ = os.WriteFile(file, keyPEM(newKey()), 0o600) // as writ key generate makes it

	source, err := client.New(client.Config{
		Issuer: issuer, ClientID: "billing-4fk2p9qz7a", Resource: api, Scope: "orders:read",
		Credential: client.PrivateKeyFile(file), // read again for each assertion
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := source.Token(context.Background())
	fmt.Println(token.Type, err)
	// Output: Bearer <nil>
}

func ExamplePrivateKey() {
	issuer, api, stop := exampleServers()
	defer stop()
	var key crypto.Signer = newKey() // or what the library of a KMS or an HSM returns

	source, err := client.New(client.Config{
		Issuer: issuer, ClientID: "billing-4fk2p9qz7a", Resource: api,
		Credential: client.PrivateKey(key, client.KeyID("billing-2026"), client.Algorithm("ES256")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := source.Token(context.Background())
	fmt.Println(token.Type, err)
	// Output: Bearer <nil>
}

func ExampleParsePrivateKey() {
	jwk := []byte(`{"kty":"OKP","crv":"Ed25519","kid":"billing-2026","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
		"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`) // from a vault, say

	key, err := client.ParsePrivateKey(jwk)
	fmt.Println(key, err)
	_, err = client.ParsePrivateKey([]byte("hunter2"))
	fmt.Println(err)
	// Output:
	// REDACTED <nil>
	// client: private key: jose: neither PEM nor a JWK
}

func ExampleAssertionFile() {
	issuer, api, stop := exampleServers()
	defer stop()
	directory, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(directory)
	file := filepath.Join(directory, "token") // in a pod /var/run/secrets/tokens/writ, written by the kubelet
	_ = os.WriteFile(file, []byte("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQ6cHJvZDpiaWxsaW5nIn0.c2ln"), 0o600)

	source, err := client.New(client.Config{
		Issuer: issuer, ClientID: "billing-4fk2p9qz7a", Credential: client.AssertionFile(file), Resource: api,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := source.Token(context.Background())
	fmt.Println(token.Type, err)
	// Output: Bearer <nil>
}

func ExampleCertificateFile() {
	directory, _ := os.MkdirTemp("", "example")
	defer os.RemoveAll(directory)
	certificate, key := filepath.Join(directory, "tls.crt"), filepath.Join(directory, "tls.key")
	pair := newCertificate("billing", time.Now().Add(time.Hour))
	_ = os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600)
	_ = os.WriteFile(key, keyPEM(pair.PrivateKey.(crypto.Signer)), 0o600)

	// The certificate is presented to the issuer, which knows the client by it, and to the API, because the token is bound
	// to it. Both files are read again for each token.
	source, err := client.New(client.Config{
		Issuer: "https://as.example", ClientID: "billing-4fk2p9qz7a", Resource: "https://api.example",
		Credential: client.CertificateFile(certificate, key),
	})
	fmt.Println(source != nil, err)

	// Beside another credential it only binds the token.
	source, err = client.New(client.Config{
		Issuer: "https://as.example", ClientID: "billing-4fk2p9qz7a", Resource: "https://api.example",
		Credential:  client.PrivateKey(newKey()),
		Certificate: client.CertificateFile(certificate, key),
	})
	fmt.Println(source != nil, err)
	// Output:
	// true <nil>
	// true <nil>
}

func ExampleCertificateFunc() {
	fromWorkloadAPI := func(context.Context) (*tls.Certificate, error) { // such as an X.509 SVID of SPIFFE
		return newCertificate("billing", time.Now().Add(time.Hour)), nil
	}

	source, err := client.New(client.Config{
		Issuer: "https://as.example", ClientID: "billing-4fk2p9qz7a", Resource: "https://api.example",
		Credential: client.CertificateFunc(fromWorkloadAPI), AuthMethod: oauth.SelfSignedTLSClientAuth,
	})
	fmt.Println(source != nil, err)
	// Output: true <nil>
}

// With DPoP a stolen token is of no use: each request carries a proof of the key that the token is bound to.
func ExampleConfig_dPoP() {
	issuer, api, stop := exampleDPoP()
	defer stop()

	source, err := client.New(client.Config{
		Issuer: issuer, ClientID: "billing-4fk2p9qz7a", Credential: client.PrivateKey(newKey()), Resource: api, DPoP: true,
	})
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
	// Output: /orders with DPoP token-1 and a proof
}

// Who sends requests with a client of their own has the token put onto each of them.
func ExampleToken_Authorize() {
	issuer, api, stop := exampleDPoP()
	defer stop()
	source, err := client.New(client.Config{
		Issuer: issuer, ClientID: "billing-4fk2p9qz7a", Credential: client.PrivateKey(newKey()), Resource: api, DPoP: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := source.Token(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}

	for range 2 { // once more if the API wants a nonce
		request, _ := http.NewRequest(http.MethodGet, api+"/orders", nil)
		if err := token.Authorize(request); err != nil {
			fmt.Println(err)
			return
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if !token.Learn(response) {
			fmt.Println(string(body))
			break
		}
	}
	// Output: /orders with DPoP token-1 and a proof
}

// exampleDPoP starts an issuer of DPoP tokens, and an API.
func exampleDPoP() (issuerURL, apiURL string, stop func()) {
	i := newIssuer("")
	i.token = raw(http.StatusOK, "application/json", `{"access_token":"token-1","token_type":"DPoP","expires_in":300}`)
	as := httptest.NewServer(i)
	i.url = as.URL
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s with %s", r.URL.Path, r.Header.Get("Authorization"))
		if r.Header.Get("DPoP") != "" {
			_, _ = io.WriteString(w, " and a proof")
		}
	}))
	return as.URL, api.URL, func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		as.Close()
		api.Close()
	}
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
