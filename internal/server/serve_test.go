package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// A running server, stopped when its test ends.
type running struct {
	*Server
	log  *logged
	stop func() error // idempotent
	http *http.Client
}

// testConfig is the default on free ports, in a directory of its own.
func testConfig(t *testing.T) Config {
	t.Helper()
	c := Default()
	c.Listen, c.Admin.Listen, c.Data, c.Log.Level = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(t.TempDir(), "data"), "debug"
	return c
}

func start(t *testing.T, c Config) *running {
	t.Helper()
	log := &logged{}
	s, err := New(t.Context(), c, Options{Logger: NewLogger(log, c.Log)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	r := &running{Server: s, log: log, http: &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}}
	var stopped bool
	var result error
	r.stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			result = <-done
		}
		return result
	}
	t.Cleanup(func() {
		r.http.CloseIdleConnections()
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

const testResource = "https://orders.example"

// newClient registers a client that may have orders:read, and the resource if it is not there.
func (r *running) newClient(t *testing.T, name string, change func(*oauth.ClientMetadata)) registry.Registered {
	t.Helper()
	actor := registry.System("test")
	_, err := r.registry.CreateResource(t.Context(), actor, registry.ResourceSettings{
		URI: testResource, Scopes: []registry.Scope{{Name: "orders:read"}, {Name: "orders:write"}},
	})
	if err != nil && !strings.Contains(err.Error(), "exists") {
		t.Fatal(err)
	}
	metadata := oauth.ClientMetadata{
		ClientName: name, ResourceServerFor: []string{testResource},
		Grants: []oauth.Grant{{Resource: testResource, Scopes: []string{"orders:read"}, Defaults: []string{"orders:read"}}},
	}
	if change != nil {
		change(&metadata)
	}
	made, err := r.registry.CreateClient(t.Context(), actor, metadata)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// post sends a form with Basic credentials and returns the status and the JSON.
func (r *running) post(t *testing.T, path string, client registry.Registered, form url.Values) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.IssuerURL()+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client.ID, client.Secret.Reveal())
	response, err := r.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if len(data) > 0 {
		if err := json.Unmarshal(data, &answer); err != nil {
			t.Fatalf("%s answered %d %q", path, response.StatusCode, data)
		}
	}
	return response.StatusCode, answer
}

func (r *running) token(t *testing.T, client registry.Registered) string {
	t.Helper()
	status, answer := r.post(t, "/token", client, url.Values{"grant_type": {"client_credentials"}})
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" {
		t.Fatalf("token endpoint answered %d %v", status, answer)
	}
	return token
}

// active asks the introspection endpoint.
func (r *running) active(t *testing.T, client registry.Registered, token string) bool {
	t.Helper()
	status, answer := r.post(t, "/introspect", client, url.Values{"token": {token}})
	if status != http.StatusOK {
		t.Fatalf("introspection answered %d %v", status, answer)
	}
	return answer["active"] == true
}

func TestFirstStart(t *testing.T) {
	c := testConfig(t)
	r := start(t, c)
	for name, want := range map[string]os.FileMode{".": 0o700, "root.key": 0o600, "operator.json": 0o600, "writ.db": 0o600, "audit": 0o700} {
		info, err := os.Stat(filepath.Join(c.Data, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
	data, err := os.ReadFile(filepath.Join(c.Data, "operator.json"))
	if err != nil {
		t.Fatal(err)
	}
	var operator Credential
	if err := json.Unmarshal(data, &operator); err != nil {
		t.Fatal(err)
	}
	if operator.Issuer != r.IssuerURL() || operator.Admin != r.AdminURL() || operator.ClientID == "" {
		t.Errorf("got %+v", operator)
	}
	if strings.Contains(r.log.String(), operator.ClientSecret) || operator.ClientSecret == "" {
		t.Error("the operator's secret is in the log, or there is none")
	}
	client := r.newClient(t, "billing", nil)
	if token := r.token(t, client); !r.active(t, client, token) {
		t.Error("a fresh token is not active")
	}
}
