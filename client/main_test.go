package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/writ-auth/writ/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuerURL = "https://as.example"
	api       = "https://api.example"
	clientID  = "billing"
	theSecret = "writ_cs_the-secret-of-billing"
)

// network is an http.RoundTripper that calls the handler of a host: the handlers are real, the wire is not, so that time
// can be synctest's.
type network map[string]http.Handler

func (n network) RoundTrip(r *http.Request) (*http.Response, error) {
	handler, ok := n[r.URL.Host]
	if !ok {
		return nil, errors.New("connection refused")
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	served := r.Clone(r.Context())
	if served.Body == nil {
		served.Body = http.NoBody
	}
	served.Host, served.RequestURI = r.URL.Host, r.URL.RequestURI()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, served)
	_ = served.Body.Close()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := recorder.Result()
	response.Request = r
	return response, nil
}

// An issuer is a small authorization server that keeps what it was asked. Tests replace its answers to make it wrong.
type issuer struct {
	url      string
	metadata http.HandlerFunc
	token    http.HandlerFunc

	mu       sync.Mutex
	forms    []url.Values  // of all token requests
	headers  []http.Header // of all token requests
	lookups  int           // metadata requests
	sequence int           // tokens issued
}

func newIssuer(address string) *issuer {
	i := &issuer{url: address}
	i.metadata = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"issuer": i.url, "token_endpoint": i.url + "/token", "jwks_uri": i.url + "/jwks"})
	}
	i.token = i.issue(300)
	return i
}

// issue answers with token-1, token-2 and so on; expiresIn is any JSON value, nil leaves it out.
func (i *issuer) issue(expiresIn any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		i.sequence++
		n := i.sequence
		i.mu.Unlock()
		body := map[string]any{
			"access_token": fmt.Sprintf("token-%d", n), "token_type": "Bearer", "unknown": []any{1}, "refresh_token": "never-to-be-used",
		}
		if expiresIn != nil {
			body["expires_in"] = expiresIn
		}
		reply(w, http.StatusOK, body)
	}
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		i.mu.Lock()
		i.lookups++
		i.mu.Unlock()
		i.metadata(w, r)
	case "/token":
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		i.mu.Lock()
		i.forms, i.headers = append(i.forms, r.PostForm), append(i.headers, r.Header.Clone())
		answer := i.token
		i.mu.Unlock()
		answer(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (i *issuer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.forms)
}

func (i *issuer) answer(handler http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.token = handler
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(status int, code, description string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		reply(w, status, map[string]string{"error": code, "error_description": description})
	}
}

func raw(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// config is a Config for the issuer on a network.
func config(n network) client.Config {
	return client.Config{
		Issuer: issuerURL, ClientID: clientID, Credential: client.Secret(theSecret), Resource: api, Scope: "orders:read",
		HTTPClient: &http.Client{Transport: n},
	}
}

func source(t *testing.T, c client.Config) *client.Source {
	t.Helper()
	s, err := client.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start returns an issuer, its network and a Source for it.
func start(t *testing.T) (*issuer, network, *client.Source) {
	t.Helper()
	i := newIssuer(issuerURL)
	n := network{"as.example": i}
	return i, n, source(t, config(n))
}

func token(t *testing.T, s *client.Source) *client.Token {
	t.Helper()
	got, err := s.Token(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func wantToken(t *testing.T, s *client.Source, want string) {
	t.Helper()
	if got := token(t, s).AccessToken(); got != want {
		t.Errorf("token is %q, want %q", got, want)
	}
}

func wantAsked(t *testing.T, i *issuer, want int) {
	t.Helper()
	if got := i.asked(); got != want {
		t.Errorf("the issuer was asked %d times, want %d", got, want)
	}
}

// wantError checks that err says each of the words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error is %q, want %q in it", err, word)
		}
	}
}
