package registry

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// TestUsedScopes: what a client may, by which way, and what of it it got lately. The use of a scope is no credential's.
func TestUsedScopes(t *testing.T) {
	b := withOrders(t)
	_, err := b.CreateRole(t.Context(), System("test"), RoleSettings{Name: "clerk", Grants: []oauth.Grant{
		{Resource: orders, Scopes: []string{"orders:write", "orders:read"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	made := b.client(oauth.ClientMetadata{
		ClientName: "billing", Roles: []string{"clerk"},
		Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}, Defaults: []string{"orders:read"}}},
	})
	if got := b.look(t, "billing"); !got.LastUsed.IsZero() {
		t.Errorf("never used, and got %+v", got.LastUse)
	}
	secret, scope := noon.Add(time.Hour), noon.Add(2*time.Hour)
	b.clock = noon.Add(3 * time.Hour)
	if err := b.store.NoteUses(t.Context(), []store.Use{
		{ClientID: made.ID, Credential: made.Secrets[0].ID, Last: secret, Remote: "192.0.2.1"},
		{ClientID: made.ID, Credential: store.ScopeUse(orders, "orders:read"), Last: scope, Remote: "192.0.2.2"},
		{ClientID: made.ID, Credential: store.ScopeUse(orders, "orders:delete"), Last: noon, Remote: "192.0.2.3"}, // it had that once
	}); err != nil {
		t.Fatal(err)
	}
	got := b.look(t, "billing")
	want := []ScopeUse{
		{Resource: orders, Scope: "orders:read", Default: true, Roles: []string{"clerk"}, LastUsed: scope, LastUsedFrom: "192.0.2.2"},
		{Resource: orders, Scope: "orders:write", Roles: []string{"clerk"}},
	}
	if diff := cmp.Diff(want, got.ScopeUses); diff != "" {
		t.Error(diff)
	}
	if got.LastUsed != scope || got.LastUsedFrom != "192.0.2.2" {
		t.Errorf("last use of the client: got %+v", got.LastUse)
	}
	if info := got.Secrets[0]; info.LastUsed != secret || info.LastUsedFrom != "192.0.2.1" || len(got.Uses) > 0 {
		t.Errorf("last use of the secret: got %+v; others %+v", info.LastUse, got.Uses)
	}
}
