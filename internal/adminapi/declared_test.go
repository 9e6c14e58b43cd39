package adminapi

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// furnished returns a bench with something of each kind, and an operator's secrets and keys in it.
func furnished(t *testing.T) *bench {
	t.Helper()
	b := stocked(t)
	ctx, system := t.Context(), registry.System("test")
	_, err := b.registry.CreateRole(ctx, system, registry.RoleSettings{Name: "clerk", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}})
	if err != nil {
		t.Fatal(err)
	}
	keys := json.RawMessage(`{"keys":[` + publicKey + `,` + sparePublicKey + `]}`)
	for _, m := range []oauth.ClientMetadata{
		{ClientName: "secret", Roles: []string{"reader", "clerk"}, Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}, Defaults: []string{"orders:read"}}}},
		{ClientName: "key", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: keys, DPoPBoundAccessTokens: true, ResourceServerFor: []string{orders}},
		{ClientName: "published", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKSURI: "https://client.example/jwks.json", TokenEndpointAuthSigningAlg: "ES256"},
		{ClientName: "certificate", TokenEndpointAuthMethod: oauth.TLSClientAuth, TLSClientAuthSANDNS: "client.example", TLSClientCertificateBoundAccessTokens: true, MultipleAudiences: true, TokenTTLSeconds: 60},
	} {
		if _, err := b.registry.CreateClient(ctx, system, m); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.registry.SuspendClient(ctx, system, "published"); err != nil {
		t.Fatal(err)
	}
	limit := registry.Limit{TokenTTLSeconds: 30, Scopes: []string{"orders:read"}, Networks: []string{"192.0.2.0/24"}}
	if _, err := b.registry.RotateSecret(ctx, system, "secret", registry.SecretRotation{Limit: limit}, ""); err != nil {
		t.Fatal(err)
	}
	limit.Scopes = nil
	client, err := b.registry.Client(ctx, system, "key")
	if err != nil {
		t.Fatal(err)
	}
	keyed := []DeclaredClient{{ClientMetadata: client.ClientMetadata, KeyLimit: &limit}}
	if _, err := b.registry.ApplyDeclared(ctx, system, Declaration{State: DeclaredState{Clients: keyed}}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) exported(c *admin.API) DeclaredState {
	b.t.Helper()
	state, err := c.Export(b.t.Context(), registry.AdminResource(issuer), b.operator)
	if err != nil {
		b.t.Fatal(err)
	}
	return state
}

// TestExport: what is exported is the same each time, has no secret in it, and applying it changes nothing.
func TestExport(t *testing.T) {
	b := furnished(t)
	c := b.caller(b.all())
	state := b.exported(c)
	if diff := cmp.Diff(state, b.exported(c)); diff != "" {
		t.Errorf("another time:\n%s", diff)
	}
	if len(state.Resources) != 1 || len(state.Roles) != 2 || len(state.Clients) != 5 {
		t.Errorf("got %+v", state)
	}
	for _, client := range state.Clients {
		wantSecret, wantKey := client.ClientName == "secret", client.ClientName == "key"
		if (client.SecretLimit != nil) != wantSecret || (client.KeyLimit != nil) != wantKey {
			t.Errorf("the ceilings of %s: %v, %v", client.ClientName, client.SecretLimit, client.KeyLimit)
		}
	}
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	for _, banned := range []string{"sha256:", "secret_", `"secret":`, "writ_cs_", "operator", "/admin/v1", "client_id", "created"} {
		if strings.Contains(strings.NewReplacer("client_secret_basic", "", "secret_limit", "").Replace(string(text)), banned) {
			t.Errorf("%s is in the export: %s", banned, text)
		}
	}
	before := b.changes()
	plan, err := c.ApplyDeclared(t.Context(), Declaration{State: state, Prune: true})
	if err != nil || len(plan.Changes) != 0 || b.changes() != before {
		t.Errorf("%v: got %+v", err, plan)
	}

	// The same elsewhere makes the same, when the secrets are there.
	other := newBench(t)
	for i, client := range state.Clients {
		if client.TokenEndpointAuthMethod == oauth.ClientSecretBasic {
			state.Clients[i].Secret = "writ_cs_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAjj_LgA"
		}
	}
	elsewhere := other.caller(other.all())
	if _, err := elsewhere.ApplyDeclared(t.Context(), Declaration{State: state}); err == nil || strings.Contains(err.Error(), "AAAA") {
		t.Errorf("a secret with a wrong checksum: %v", err)
	}
	for i, client := range state.Clients {
		if client.Secret != "" {
			state.Clients[i].Secret = "5d41402abc4b2a76b9719d911017c592ae2f1b1c9e0d4f6a8b3c7e5d2f1a0b9c"
		}
	}
	if _, err := elsewhere.ApplyDeclared(t.Context(), Declaration{State: state}); err != nil {
		t.Fatal(err)
	}
	for i := range state.Clients {
		state.Clients[i].Secret = ""
	}
	if diff := cmp.Diff(state, other.exported(elsewhere)); diff != "" {
		t.Errorf("elsewhere (-want +got):\n%s", diff)
	}
}

// TestDeclaredRefusals: problems say where, a plan that is out of date is a conflict, and what was sent is not sent back.
func TestDeclaredRefusals(t *testing.T) {
	b := furnished(t)
	const guess = "hunter2-hunter2"
	p := wantProblem(t, b.call("POST", Prefix+"/declared/plan", b.all(), `{"state":{"clients":[{"client_name":"new","roles":["none"],"secret":"`+guess+`"}]}}`), 400)
	if len(p.Errors) != 2 || p.Errors[0].Location != "body.state.clients[0].roles[0]" || p.Errors[1].Location != "body.state.clients[0].secret" ||
		strings.Contains(p.Error(), guess) || !strings.Contains(p.Error(), "writ client") {
		t.Errorf("got %+v", p)
	}
	p = wantProblem(t, b.call("POST", Prefix+"/declared/plan", b.all(), `{"state":{"clients":[{"client_name":"new","secret":["`+guess+`"]}]}}`), 400)
	if strings.Contains(p.Error(), guess) {
		t.Errorf("got %+v", p)
	}
	p = wantProblem(t, b.call("POST", Prefix+"/declared/apply", b.all(), `{"state":{"clients":[{"client_name":"billing"}]},"fingerprint":"old"}`), 409)
	if !strings.Contains(p.Detail, "plan again") {
		t.Errorf("got %+v", p)
	}
	wantProblem(t, b.call("POST", Prefix+"/declared/apply", b.all(), `{"state":{"clients":[{"client_name":"`+strings.Repeat("x", MaxDeclaredBody)+`"}]}}`), 413)
	p = wantProblem(t, b.call("POST", Prefix+"/declared/apply", b.token(registry.ClientsWrite), `{"state":{"roles":[{"name":"new","grants":[]}]}}`), 403)
	if !strings.Contains(p.Detail, registry.RolesWrite) {
		t.Errorf("got %+v", p)
	}
	if strings.Contains(b.log.String(), guess) {
		t.Error("the secret is in the log")
	}
}
