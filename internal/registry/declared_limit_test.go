package registry

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

const declaredText = "5d41402abc4b2a76b9719d911017c592ae2f1b1c9e0d4f6a8b3c7e5d2f1a0b9c"

// changed returns the fields of the one change of a plan, "field -removed +added" each.
func changedFields(plan DeclaredPlan) (lines []string) {
	for _, change := range plan.Changes {
		for _, field := range change.Fields {
			line := field.Field
			for _, text := range field.Removed {
				line += " -" + text
			}
			for _, text := range field.Added {
				line += " +" + text
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func billingWith(change func(*DeclaredClient)) Declaration {
	client := DeclaredClient{ClientMetadata: oauth.ClientMetadata{ClientName: "billing", Grants: []oauth.Grant{
		{Resource: orders, Scopes: []string{"orders:read", "orders:write"}},
	}}}
	change(&client)
	return declaredClients(client)
}

// TestDeclaredSecretLimit: the ceiling of a client's secrets is a part of what a file declares.
func TestDeclaredSecretLimit(t *testing.T) {
	everyStore(t, func(t *testing.T, s store.Store) {
		b := benchOn(t, s)
		b.resource(ResourceSettings{URI: orders, Scopes: []Scope{{Name: "orders:read"}, {Name: "orders:write"}}})
		limit := limitedTo
		b.apply(billingWith(func(c *DeclaredClient) { c.Secret, c.SecretLimit = declaredText, &limit }))
		made := b.record(b.look(t, "billing").ID)
		if got := made.Secrets[0].Limit; !cmp.Equal(got, asKept(limit)) {
			t.Errorf("the new secret is for %+v", got)
		}
		same := billingWith(func(c *DeclaredClient) { c.SecretLimit = &limit })
		if got := b.plan(same); len(got.Changes) != 0 {
			t.Errorf("again: %+v", got)
		}
		if got := b.plan(billingWith(func(*DeclaredClient) {})); len(got.Changes) != 0 {
			t.Errorf("left out: %+v", got)
		}

		// One that was rotated out stays as it was.
		b.rotate(t, time.Hour, "")
		other := Limit{Scopes: []string{"orders:write"}}
		wish := billingWith(func(c *DeclaredClient) { c.SecretLimit = &other })
		want := []string{"secret_limit.networks -10.0.0.1/32", "secret_limit.scopes -orders:read +orders:write", "secret_limit.token_ttl_seconds -60"}
		if diff := cmp.Diff(want, changedFields(b.apply(wish))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		record := b.record(made.ID)
		if !cmp.Equal(record.Secrets[0].Limit, asKept(limit)) || !cmp.Equal(record.Secrets[1].Limit, asKept(other)) {
			t.Errorf("got %+v", record.Secrets)
		}

		// Several that differ are left alone by a file that says nothing, and have one ceiling by one that does.
		if _, err := b.AddSecret(t.Context(), System("test"), "billing", SecretSettings{Limit: limit}, ""); err != nil {
			t.Fatal(err)
		}
		if got := b.plan(billingWith(func(*DeclaredClient) {})); len(got.Changes) != 0 {
			t.Errorf("different, left out: %+v", got)
		}
		b.apply(billingWith(func(c *DeclaredClient) { c.SecretLimit = &Limit{} }))
		for _, secret := range b.record(made.ID).Secrets[1:] {
			if limited(secret.Limit) {
				t.Errorf("{}: got %+v", secret.Limit)
			}
		}
	})
}

// TestDeclaredKeyLimit: the ceiling of a client's keys is, too; and it is how keys with one make room for those at a jwks_uri.
func TestDeclaredKeyLimit(t *testing.T) {
	b := withOrders(t)
	key := publicJWK(named(newKey("ES256"), "a"))
	with := func(change func(*DeclaredClient)) Declaration {
		return billingWith(func(c *DeclaredClient) {
			c.TokenEndpointAuthMethod, c.JWKS = oauth.PrivateKeyJWT, set(key)
			change(c)
		})
	}
	limit := limitedTo
	b.apply(with(func(c *DeclaredClient) { c.KeyLimit = &limit }))
	id := b.look(t, "billing").ID
	if got := b.record(id).Keys[0].Limit; !cmp.Equal(got, asKept(limit)) {
		t.Errorf("got %+v", got)
	}
	if got := b.plan(with(func(*DeclaredClient) {})); len(got.Changes) != 0 {
		t.Errorf("left out: %+v", got)
	}
	published := func(change func(*DeclaredClient)) Declaration {
		return with(func(c *DeclaredClient) {
			c.JWKS, c.JWKSURI = nil, "https://client.example/jwks.json"
			change(c)
		})
	}
	for name, test := range map[string]struct {
		wish Declaration
		want string
	}{
		"keys elsewhere":              {published(func(*DeclaredClient) {}), "state.clients[0].jwks_uri"},
		"keys elsewhere with a limit": {published(func(c *DeclaredClient) { c.KeyLimit = &limit }), "state.clients[0].key_limit"},
		"a scope that it has not":     {with(func(c *DeclaredClient) { c.KeyLimit = &Limit{Scopes: []string{"orders:drop"}} }), "state.clients[0].key_limit.scopes[0]"},
		"no network":                  {with(func(c *DeclaredClient) { c.KeyLimit = &Limit{Networks: []string{"x"}} }), "state.clients[0].key_limit.networks[0]"},
		"too long":                    {with(func(c *DeclaredClient) { c.KeyLimit = &Limit{TokenTTLSeconds: 1 << 40} }), "state.clients[0].key_limit.token_ttl_seconds"},
		"no secret":                   {with(func(c *DeclaredClient) { c.SecretLimit = &limit }), "state.clients[0].secret_limit"},
		"no key":                      {billingWith(func(c *DeclaredClient) { c.ClientName, c.Secret, c.KeyLimit = "other", declaredText, &limit }), "state.clients[0].key_limit"},
	} {
		_, err := b.PlanDeclared(t.Context(), System("test"), test.wish)
		if got := fields(t, err); !slices.Equal(got, []string{test.want}) {
			t.Errorf("%s: problems with %v, want %s", name, got, test.want)
		}
	}
	got := changedFields(b.plan(published(func(c *DeclaredClient) { c.KeyLimit = &Limit{} })))
	if !slices.Contains(got, "key_limit.scopes -orders:read") || !slices.Contains(got, "jwks_uri +https://client.example/jwks.json") {
		t.Errorf("lifted in so many words: %q", got)
	}
}

// TestDeclaredLimitImpact: a ceiling that takes what was used lately is told of.
func TestDeclaredLimitImpact(t *testing.T) {
	b := withOrders(t)
	made := b.client(billingWith(func(*DeclaredClient) {}).State.Clients[0].ClientMetadata)
	secret := b.record(made.ID).Secrets[0].ID
	err := b.store.NoteUses(t.Context(), []store.Use{
		{ClientID: made.ID, Credential: secret, Last: noon.Add(-time.Hour), Remote: "192.0.2.7"},
		{ClientID: made.ID, Credential: store.ScopeUse(orders, "orders:write"), Last: noon.Add(-time.Hour), Remote: "192.0.2.7"},
		{ClientID: made.ID, Credential: store.ScopeUse(orders, "orders:read"), Last: noon.Add(-time.Hour), Remote: "192.0.2.7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	texts := func(limit Limit) (texts []string) {
		for _, impact := range b.plan(billingWith(func(c *DeclaredClient) { c.SecretLimit = &limit })).Changes[0].Impact {
			texts = append(texts, impact.Text)
		}
		return texts
	}
	if got, want := texts(Limit{Scopes: []string{"orders:read"}}), []string{"loses orders:write of " + orders}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := texts(Limit{Networks: []string{"10.0.0.0/8"}}), []string{"secret " + secret + " is refused from 192.0.2.7, which is not in its networks"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := texts(Limit{TokenTTLSeconds: 60, Networks: []string{"192.0.2.0/24"}}); got != nil {
		t.Errorf("got %q", got)
	}
	b.apply(billingWith(func(c *DeclaredClient) { c.SecretLimit = &Limit{Scopes: []string{"orders:read"}} }))
	if got := texts(Limit{}); got != nil {
		t.Errorf("wider: got %q", got)
	}
}

// TestR18LimitedKeysStayLimited: keys at a URL have no ceiling, so they do not take the place of some that have one.
func TestR18LimitedKeysStayLimited(t *testing.T) {
	b := withOrders(t)
	made := b.client(withKeys(publicJWK(named(newKey("ES256"), "a"))))
	limit := KeySettings{Limit: Limit{TokenTTLSeconds: 60}}
	if _, err := b.AddClientKey(t.Context(), System("test"), made.ID, publicJWK(named(newKey("ES256"), "b")), limit); err != nil {
		t.Fatal(err)
	}
	elsewhere := oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKSURI: "https://client.example/jwks.json"}
	_, err := b.tryChange(t, elsewhere, time.Time{})
	if got := fields(t, err); !slices.Equal(got, []string{"jwks_uri"}) || !strings.Contains(err.Error(), "writ client key") {
		t.Errorf("got %v", err)
	}
	if err := b.RevokeClientKey(t.Context(), System("test"), made.ID, "b"); err != nil {
		t.Fatal(err)
	}
	if got := b.changed(t, elsewhere, time.Time{}); got.JWKSURI == "" {
		t.Errorf("got %+v", got)
	}
}
