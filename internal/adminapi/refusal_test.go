package adminapi

import (
	"context"
	"net/http"
	"testing"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// explainOne knows one refusal, of a caller who gave the client's name for its ID.
func explainOne(_ context.Context, id string) (Explanation, error) {
	if id != "7k3m9x2qpt" {
		return Explanation{}, NoRefusal("no refusal has the ID " + id)
	}
	return Explanation{ID: id, ClientID: "billing", Reason: "unknown_client"}, nil
}

func TestExplain(t *testing.T) {
	b := newBench(t)
	made, err := b.registry.CreateClient(t.Context(), registry.System("test"), oauth.ClientMetadata{ClientName: "billing"})
	if err != nil {
		t.Fatal(err)
	}
	caller := b.caller(b.all())
	told, err := caller.Explain(t.Context(), "7k3m9x2qpt")
	if err != nil || told.Registered["client_id"] != made.ID || told.Remedy == "" || told.Commands[0] != "writ client show billing" {
		t.Errorf("got %+v, %v", told, err)
	}
	_, err = caller.Explain(t.Context(), "0000000000")
	if problem, ok := err.(*admin.Problem); !ok || problem.Status != http.StatusNotFound {
		t.Errorf("got %v", err)
	}
	// The operator alone: another scope is not enough, and nobody is not either.
	if response := b.call(http.MethodGet, Prefix+"/refusals/7k3m9x2qpt", b.token(registry.KeysRead), ""); response.StatusCode != http.StatusForbidden {
		t.Errorf("without the scope: got %s", response.Status)
	}
	if response := b.call(http.MethodGet, Prefix+"/refusals/7k3m9x2qpt", "", ""); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: got %s", response.Status)
	}
}
