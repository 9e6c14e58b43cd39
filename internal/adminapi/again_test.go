package adminapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/store"
)

// TestSentAgain: what adds or rotates a key or makes a token is done once, however often it is sent with the same Idempotency-Key, and the
// answer is the same to the byte.
func TestSentAgain(t *testing.T) {
	b := stocked(t)
	for path, bodies := range map[string][2]string{
		"/admin/v1/clients/billing/keys": {`{"jwk":` + publicKey + `}`, `{"jwk":` + publicKey + `,"limit":{"token_ttl_seconds":60}}`},
		"/admin/v1/keys/rotate":          {`{"algorithm":"ES256"}`, `{"algorithm":"ES256","now":true}`},
		"/admin/v1/initial-access-tokens": {
			samples["createInitialToken"].body, strings.Replace(samples["createInitialToken"].body, `"new"`, `"newer"`, 1),
		},
	} {
		t.Run(path, func(t *testing.T) {
			before := b.changes()
			first := b.call("POST", path, b.all(), bodies[0], idempotencyKey, "1")
			again := b.call("POST", path, b.all(), bodies[0], idempotencyKey, "1")
			if first.StatusCode != http.StatusCreated || again.StatusCode != http.StatusCreated || text(t, first) != text(t, again) {
				t.Errorf("%d %s, then %d %s", first.StatusCode, text(t, first), again.StatusCode, text(t, again))
			}
			wantProblem(t, b.call("POST", path, b.all(), bodies[1], idempotencyKey, "1"), http.StatusConflict)
			wantProblem(t, b.call("POST", path, b.all(), bodies[0], idempotencyKey, "2\n"), http.StatusBadRequest)
			if made := b.changes() - before; made != 1 {
				t.Errorf("%d changes, want 1", made)
			}
		})
	}
}

// TestCO23InitialTokens: the text of an initial access token is in the answers to the request that makes it, and nowhere else.
func TestCO23InitialTokens(t *testing.T) {
	b := stocked(t)
	made := decode[map[string]any](t, b.call("POST", "/admin/v1/initial-access-tokens", b.all(), samples["createInitialToken"].body, idempotencyKey, "1"))
	token, _ := made["initial_access_token"].(string)
	if !strings.HasPrefix(token, "writ_iat_") {
		t.Fatalf("got %v", made)
	}
	events, err := b.store.Events(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	shown := text(t, b.call("GET", "/admin/v1/initial-access-tokens/new", b.all(), "")) + text(t, b.call("GET", "/admin/v1/initial-access-tokens", b.all(), "")) + b.log.String()
	for _, event := range events {
		shown += event.Detail
	}
	if strings.Contains(shown, token) || strings.Contains(shown, store.HashSecret(token)) {
		t.Error("the token is in another answer, in the history or in the log")
	}
}
