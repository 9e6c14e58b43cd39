package server

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// rotate asks for the next secret of a client.
func (r *running) rotate(t *testing.T, client registry.Registered, request string) (int, map[string]any) {
	t.Helper()
	return r.post(t, "/client/secret", client, url.Values{"request_id": {request}})
}

// with returns the client with another secret.
func with(client registry.Registered, secret any) registry.Registered {
	text, _ := secret.(string)
	client.Secret = registry.Secret(text)
	return client
}

func rotating(m *oauth.ClientMetadata) { m.RotatesSecrets = true }

// TestA24OwnRotation: a client changes its secret by itself, on both databases; the former one stays until its end.
func TestA24OwnRotation(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, c Config) {
		clock := &clock{}
		r := startAt(t, c, clock.now)
		client := r.newClient(t, "billing", rotating)
		status, made := r.rotate(t, client, "one")
		if status != http.StatusOK || made["client_id"] != client.ID || made["client_secret_expires_at"] != 0.0 ||
			made["former_client_secret_id"] != client.Secrets[0].ID {
			t.Fatalf("got %d %v", status, made)
		}
		next := with(client, made["client_secret"])
		if status, again := r.rotate(t, client, "one"); status != http.StatusOK || again["client_secret"] != made["client_secret"] {
			t.Errorf("the same request again: %d", status)
		}
		r.token(t, next) // at once
		r.token(t, client)
		clock.add(24*time.Hour + time.Second)
		if status, _ := r.post(t, "/token", client, url.Values{"grant_type": {"client_credentials"}}); status != http.StatusUnauthorized {
			t.Errorf("the former secret after its end: %d", status)
		}
		r.token(t, next)
		if status, _ := r.rotate(t, client, "two"); status != http.StatusUnauthorized {
			t.Errorf("a rotation with the former secret: %d", status)
		}
	})
}

// TestOwnRotationRefused: the endpoint answers as the token endpoint to who is nobody, and to clients that may not.
func TestOwnRotationRefused(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig(t))
	may, mayNot := r.newClient(t, "billing", rotating), r.newClient(t, "reporting", nil)
	nobody := with(may, may.Secret.Reveal())
	nobody.ID = "nobody"
	for name, test := range map[string]struct {
		client registry.Registered
		status int
		code   oauth.Code
	}{
		"a wrong secret":                  {with(may, "guess"), http.StatusUnauthorized, oauth.InvalidClient},
		"an unknown client":               {nobody, http.StatusUnauthorized, oauth.InvalidClient},
		"a client that may not":           {mayNot, http.StatusBadRequest, oauth.UnauthorizedClient},
		"a client that may, with another": {with(may, mayNot.Secret.Reveal()), http.StatusUnauthorized, oauth.InvalidClient},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := r.rotate(t, test.client, "")
			if status != test.status || answer["error"] != string(test.code) || !strings.Contains(answer["error_description"].(string), "(refusal ") {
				t.Errorf("got %d %v", status, answer)
			}
		})
	}
	_, made := r.rotate(t, may, "one")
	r.token(t, with(may, made["client_secret"]))
	used := store.Use{ClientID: may.ID, Credential: made["client_secret_id"].(string), Last: time.Now().UTC()}
	if err := r.store.NoteUses(t.Context(), []store.Use{used}); err != nil {
		t.Fatal(err)
	}
	if status, answer := r.rotate(t, may, "two"); status != http.StatusBadRequest || answer["error"] != "invalid_request" ||
		!strings.Contains(answer["error_description"].(string), "is in use") {
		t.Errorf("a second successor: %d %v", status, answer)
	}
	if _, err := r.registry.SuspendClient(t.Context(), registry.System("test"), may.ID); err != nil {
		t.Fatal(err)
	}
	if status, answer := r.rotate(t, with(may, made["client_secret"]), "three"); status != http.StatusUnauthorized {
		t.Errorf("a suspended client: %d %v", status, answer)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		request, err := http.NewRequestWithContext(t.Context(), method, r.base()+"/client/secret", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := r.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d %v", method, response.StatusCode, response.Header)
		}
	}
}
