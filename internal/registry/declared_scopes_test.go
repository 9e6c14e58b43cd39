package registry

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// scopesInUse returns a bench with clients that used scopes lately: reporting by itself, by a role, and by default.
func scopesInUse(t *testing.T) *bench {
	t.Helper()
	b := withOrders(t)
	b.resource(ResourceSettings{URI: stock, Scopes: []Scope{{Name: "stock:read"}, {Name: "stock:write"}}})
	_, err := b.CreateRole(t.Context(), System("test"), RoleSettings{Name: "clerk", Grants: []oauth.Grant{
		{Resource: stock, Scopes: []string{"stock:read", "stock:write"}}, {Resource: orders, Scopes: []string{"orders:read"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	note := func(made Registered, uses map[string]time.Duration) {
		for scope, ago := range uses {
			uri := orders
			if scope[0] == 's' {
				uri = stock
			}
			use := store.Use{ClientID: made.ID, Credential: store.ScopeUse(uri, scope), Last: noon.Add(-ago), Remote: "192.0.2.7"}
			if err := b.store.NoteUses(t.Context(), []store.Use{use}); err != nil {
				t.Fatal(err)
			}
		}
	}
	note(b.client(reporting()), map[string]time.Duration{
		"orders:write": 2 * time.Hour, "orders:read": 3 * time.Hour, "stock:read": time.Hour, "stock:write": 91 * 24 * time.Hour,
	})
	note(b.client(oauth.ClientMetadata{ClientName: "twin", Roles: []string{"clerk"}, Grants: reporting().Grants[:1]}),
		map[string]time.Duration{"orders:read": time.Hour, "stock:read": 30 * 24 * time.Hour, "stock:write": 24 * time.Hour})
	b.client(oauth.ClientMetadata{ClientName: "idle", Roles: []string{"clerk"}})
	return b
}

func reporting() oauth.ClientMetadata {
	return oauth.ClientMetadata{ClientName: "reporting", Roles: []string{"clerk"}, Grants: []oauth.Grant{
		{Resource: orders, Scopes: []string{"orders:read", "orders:write"}, Defaults: []string{"orders:write"}},
	}}
}

// TestDeclaredImpactScopes: a plan names the scopes that were used lately and would be lost, whichever way they go; what
// nobody uses can go without a word.
func TestDeclaredImpactScopes(t *testing.T) {
	b := scopesInUse(t)
	plain := func(m oauth.ClientMetadata) Declaration { return declaredClients(DeclaredClient{ClientMetadata: m}) }
	with := func(change func(*oauth.ClientMetadata)) Declaration {
		m := reporting()
		change(&m)
		return plain(m)
	}
	role := func(grants ...oauth.Grant) []RoleSettings { return []RoleSettings{{Name: "clerk", Grants: grants}} }
	read := oauth.Grant{Resource: orders, Scopes: []string{"orders:read"}}
	for name, test := range map[string]struct {
		wish Declaration
		want []string
	}{
		"a scope of a client": {
			with(func(m *oauth.ClientMetadata) { m.Grants = []oauth.Grant{read} }),
			[]string{"reporting used orders:write 2h0m0s: loses orders:write of " + orders},
		},
		"a grant whose scope also comes by a role": {
			with(func(m *oauth.ClientMetadata) {
				m.Grants = []oauth.Grant{{Resource: orders, Scopes: []string{"orders:write"}, Defaults: []string{"orders:write"}}}
			}), nil,
		},
		"a default scope": {
			with(func(m *oauth.ClientMetadata) { m.Grants[0].Defaults = nil }),
			[]string{"reporting used orders:write 2h0m0s: does not get orders:write of " + orders + " any more unless it asks for it"},
		},
		"a role of a client": {
			with(func(m *oauth.ClientMetadata) { m.Roles = nil }),
			[]string{"reporting used : the client is in use, and loses clerk of roles", "reporting used stock:read 1h0m0s: loses stock:read of " + stock},
		},
		"a scope of a role": {
			Declaration{State: DeclaredState{Roles: role(oauth.Grant{Resource: stock, Scopes: []string{"stock:read"}}, read)}},
			[]string{"twin used stock:write 24h0m0s: loses stock:write of " + stock},
		},
		"a scope of a role that clients have themselves": {
			Declaration{State: DeclaredState{Roles: role(oauth.Grant{Resource: stock, Scopes: []string{"stock:read", "stock:write"}})}}, nil,
		},
		"a scope of a role, and of a client that changes as well": {
			Declaration{State: DeclaredState{
				Roles:   role(oauth.Grant{Resource: stock, Scopes: []string{"stock:write"}}, read),
				Clients: with(func(m *oauth.ClientMetadata) { m.Grants = []oauth.Grant{read} }).State.Clients,
			}},
			[]string{
				"twin used stock:read 720h0m0s: loses stock:read of " + stock,
				"reporting used stock:read 1h0m0s: loses stock:read of " + stock, "reporting used orders:write 2h0m0s: loses orders:write of " + orders,
			},
		},
		"a scope of a resource": {
			Declaration{State: DeclaredState{
				Resources: []ResourceSettings{{URI: orders, Scopes: []Scope{{Name: "orders:read"}}}},
				Clients: append(with(func(m *oauth.ClientMetadata) { m.Grants = []oauth.Grant{read} }).State.Clients,
					plain(oauth.ClientMetadata{ClientName: "twin", Roles: []string{"clerk"}, Grants: []oauth.Grant{read}}).State.Clients...),
			}},
			[]string{"reporting used orders:write 2h0m0s: loses orders:write of " + orders},
		},
		"deleted": {
			Declaration{State: DeclaredState{Clients: []DeclaredClient{}}, Prune: true},
			[]string{
				"reporting used stock:read 1h0m0s: loses stock:read of " + stock, "reporting used orders:write 2h0m0s: loses orders:write of " + orders,
				"reporting used orders:read 3h0m0s: loses orders:read of " + orders,
				"twin used orders:read 1h0m0s: loses orders:read of " + orders, "twin used stock:write 24h0m0s: loses stock:write of " + stock,
				"twin used stock:read 720h0m0s: loses stock:read of " + stock,
			},
		},
		"suspended": {
			declaredClients(DeclaredClient{ClientMetadata: reporting(), Suspended: true}),
			[]string{
				"reporting used stock:read 1h0m0s: loses stock:read of " + stock, "reporting used orders:write 2h0m0s: loses orders:write of " + orders,
				"reporting used orders:read 3h0m0s: loses orders:read of " + orders,
			},
		},
		"more": {with(func(m *oauth.ClientMetadata) { m.Grants[0].Defaults = []string{"orders:read", "orders:write"} }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			b.t, b.clock = t, noon
			var got []string
			for _, c := range b.plan(test.wish).Changes {
				for _, impact := range c.Impact {
					used := impact.Scope
					if used != "" {
						used += " " + noon.Sub(impact.LastUsed).String()
					}
					got = append(got, impact.Client+" used "+used+": "+impact.Text)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDeclaredImpactIsBounded: of a role that many clients use, a few are named, and the rest is counted.
func TestDeclaredImpactIsBounded(t *testing.T) {
	b := scopesInUse(t)
	for i := range maxImpact + 3 {
		made := b.client(oauth.ClientMetadata{ClientName: fmt.Sprint("more-", i), Roles: []string{"clerk"}})
		use := store.Use{ClientID: made.ID, Credential: store.ScopeUse(stock, "stock:write"), Last: noon, Remote: "192.0.2.7"}
		if err := b.store.NoteUses(t.Context(), []store.Use{use}); err != nil {
			t.Fatal(err)
		}
	}
	plan := b.plan(Declaration{State: DeclaredState{Roles: []RoleSettings{{Name: "clerk", Grants: []oauth.Grant{{Resource: stock, Scopes: []string{"stock:read"}}}}}}})
	impact := plan.Changes[0].Impact
	if len(impact) != maxImpact+1 || impact[maxImpact].Text != "and 4 more that were used lately" {
		t.Errorf("got %d: %+v", len(impact), impact[len(impact)-1])
	}
}
