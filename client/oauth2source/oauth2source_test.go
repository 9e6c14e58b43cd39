package oauth2source_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/oauth2"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/client/oauth2source"
	"github.com/writ-auth/writ/oauth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tokenEndpoint starts a server that issues a token to the client with the right secret, and echoes Authorization
// elsewhere.
func tokenEndpoint() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			_, _ = io.WriteString(w, r.Header.Get("Authorization"))
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if _, secret, _ := r.BasicAuth(); secret != "right" {
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_client"})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "token-1", "token_type": "bearer", "expires_in": 300})
	}))
}

func newSource(server *httptest.Server, secret string) (*client.Source, error) {
	return client.New(client.Config{
		TokenEndpoint: server.URL + "/token", ClientID: "billing-4fk2p9qz7a", Credential: client.Secret(secret),
		HTTPClient: server.Client(),
	})
}

func TestToken(t *testing.T) {
	t.Parallel()
	server := tokenEndpoint()
	defer server.Close()
	source, err := newSource(server, "right")
	if err != nil {
		t.Fatal(err)
	}
	token, err := oauth2source.New(source).Token()
	if err != nil {
		t.Fatal(err)
	}
	if token.AccessToken != "token-1" || token.TokenType != "Bearer" || !token.Valid() || token.RefreshToken != "" {
		t.Errorf("token is %+v", token)
	}
	if left := time.Until(token.Expiry); left < 290*time.Second || left > 300*time.Second {
		t.Errorf("token lives %v, want 300s", left)
	}
}

func TestError(t *testing.T) {
	t.Parallel()
	server := tokenEndpoint()
	defer server.Close()
	source, err := newSource(server, "wrong")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oauth2source.New(source).Token(); !errors.Is(err, oauth.InvalidClient) {
		t.Errorf("error is %v, want %v", err, oauth.InvalidClient)
	}
}

// TestDPoP checks that a token which is of no use without a proof is not handed to who cannot make one.
func TestDPoP(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "token-1", "token_type": "DPoP", "expires_in": 300})
	}))
	defer server.Close()
	source, err := client.New(client.Config{
		TokenEndpoint: server.URL + "/token", ClientID: "billing-4fk2p9qz7a", Credential: client.Secret("right"), DPoP: true,
		HTTPClient: server.Client(),
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := oauth2source.New(source).Token()
	if token != nil || err == nil || !strings.Contains(err.Error(), "x/oauth2 cannot prove") {
		t.Errorf("token %v, error %v: want none, and why", token, err)
	}
}

func ExampleNew() {
	server := tokenEndpoint()
	defer server.Close()
	source, err := newSource(server, "right")
	if err != nil {
		fmt.Println(err)
		return
	}

	httpClient := &http.Client{Transport: &oauth2.Transport{Source: oauth2source.New(source), Base: server.Client().Transport}}
	response, err := httpClient.Get(server.URL + "/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	fmt.Println(string(body))
	// Output: Bearer token-1
}
