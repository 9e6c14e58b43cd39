package adminapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// TestCallerRotatesASecret: the life of a client's secrets over HTTP, as the command line does it.
func TestCallerRotatesASecret(t *testing.T) {
	b := newBench(t)
	c, ctx := b.caller(b.all()), t.Context()
	made, err := c.CreateClient(ctx, oauth.ClientMetadata{ClientName: "billing"})
	if err != nil {
		t.Fatal(err)
	}
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	added, err := c.AddSecret(ctx, "billing", SecretSettings{Name: "eu", Expires: expires})
	if err != nil || added.Name != "eu" || !added.Expires.Equal(expires) || !strings.HasPrefix(added.Secret.Reveal(), "writ_cs_") {
		t.Fatalf("got %+v, %v", added, err)
	}
	next, err := c.RotateSecret(ctx, "billing", SecretRotation{Name: "2027"}, admin.IdempotencyKey("request 1"))
	if err != nil || next.Name != "2027" || next.ClientID != made.ID || len(next.Former) != 2 || !next.Former[1].Expires.Equal(expires) {
		t.Fatalf("got %+v, %v", next, err)
	}
	if left := time.Until(next.Former[0].Expires); left < 23*time.Hour || left > 24*time.Hour {
		t.Errorf("the former secret has %s left, want 24 hours", left)
	}
	again, err := c.RotateSecret(ctx, "billing", SecretRotation{}, admin.IdempotencyKey("request 1"))
	if err != nil || !cmp.Equal(again, next) {
		t.Errorf("again: %+v, %v, want %+v", again, err, next)
	}
	client, err := c.Client(ctx, made.ID)
	if err != nil || len(client.Secrets) != 3 {
		t.Fatalf("got %+v, %v", client.Secrets, err)
	}
	now := int64(0)
	if _, err := c.RotateSecret(ctx, "billing", SecretRotation{Keep: &now}); err != nil {
		t.Error(err)
	}
	if client, err = c.Client(ctx, made.ID); err != nil || len(client.Secrets) != 4-1 { // the one that nobody was promised an end
		t.Errorf("after a rotation that keeps nothing: %+v, %v", client.Secrets, err)
	}
	for _, secret := range client.Secrets {
		if err := c.RevokeSecret(ctx, "billing", secret.ID, false); err != nil && secret.ID != client.Secrets[len(client.Secrets)-1].ID {
			t.Error(err)
		}
	}
	last := client.Secrets[len(client.Secrets)-1].ID
	if p, ok := c.RevokeSecret(ctx, "billing", last, false).(*admin.Problem); !ok || p.Status != http.StatusConflict {
		t.Errorf("the last one: got %v", p)
	}
	if err := c.RevokeSecret(ctx, "billing", last, true); err != nil {
		t.Error(err)
	}
}

// TestCO23NewSecrets: a secret is in the one answer that makes it, and in those to the same request; nowhere else, and not in
// the history.
func TestCO23NewSecrets(t *testing.T) {
	b := stocked(t)
	answer := decode[NewSecret](t, b.call("POST", "/admin/v1/clients/billing/secrets/rotate", b.all(), "{}", idempotencyKey, "one"))
	repeated := b.call("POST", "/admin/v1/clients/billing/secrets/rotate", b.all(), "{}", idempotencyKey, "one")
	secret := answer.Secret.Reveal()
	if body := text(t, repeated); !strings.Contains(body, secret) || repeated.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s", body)
	}
	other := text(t, b.call("POST", "/admin/v1/clients/billing/secrets/rotate", b.all(), "{}", idempotencyKey, "two"))
	events, err := b.store.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	found := text(t, b.call("GET", "/admin/v1/clients", b.all(), "")) + other + b.log.String()
	for _, event := range events {
		found += event.Detail
	}
	if strings.Contains(found, secret) || strings.Contains(found, store.HashSecret(secret)) {
		t.Error("the secret is in another answer, in the history or in the log")
	}
}

func TestWrongSecretsAreRefused(t *testing.T) {
	b := stocked(t)
	before := b.changes()
	for name, test := range map[string]struct{ path, body, key, location string }{
		"a name of paths":  {"", `{"name":"../x"}`, "", "body.name"},
		"over":             {"", `{"expires":"2020-01-01T00:00:00Z"}`, "", "body.expires"},
		"its own text":     {"", `{"client_secret":"chosen"}`, "", "body.client_secret"},
		"kept for ever":    {"/rotate", `{"keep_seconds":9223372036854775807}`, "", "body.keep_seconds"},
		"kept less":        {"/rotate", `{"keep_seconds":-1}`, "", "body.keep_seconds"},
		"begins later":     {"/rotate", `{"not_before":"2099-01-01T00:00:00Z"}`, "", "body.not_before"},
		"a key with a NUL": {"/rotate", `{}`, "a\x00", "header." + idempotencyKey},
		"a long key":       {"/rotate", `{}`, strings.Repeat("k", 256), "header." + idempotencyKey},
	} {
		response := b.call("POST", "/admin/v1/clients/billing/secrets"+test.path, b.all(), test.body, idempotencyKey, test.key)
		if got := locations(wantProblem(t, response, 400)); got != test.location {
			t.Errorf("%s: problems with %s, want %s: %s", name, got, test.location, text(t, response))
		}
	}
	if after := b.changes(); after != before {
		t.Errorf("%d changes", after-before)
	}
}

// TestCO12Secrets: who gives a client a secret can be that client.
func TestCO12Secrets(t *testing.T) {
	b := newBench(t)
	registrar, err := b.registry.CreateClient(t.Context(), registry.System("test"), oauth.ClientMetadata{
		ClientName: "registrar", Grants: []oauth.Grant{{Resource: registry.AdminResource(issuer), Scopes: []string{"clients:write"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	token := b.sign(b.ring, claims(registrar.ID, "clients:write"))
	before := b.changes()
	t.Run("CO-12 a secret for the operator", func(t *testing.T) {
		wantProblem(t, b.call("POST", "/admin/v1/clients/operator/secrets", token, `{}`), 403)
	})
	t.Run("CO-12 the operator's secret rotated", func(t *testing.T) {
		wantProblem(t, b.call("POST", "/admin/v1/clients/operator/secrets/rotate", token, `{}`), 403)
	})
	t.Run("CO-12 the operator's secret revoked", func(t *testing.T) {
		path := "/admin/v1/clients/operator/secrets/" + b.secretID("operator") + "?force=true"
		wantProblem(t, b.call("DELETE", path, token, ""), 403)
	})
	if after := b.changes(); after != before {
		t.Errorf("%d changes", after-before)
	}
}
