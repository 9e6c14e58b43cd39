package registry

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// calls are all methods that an actor can call, with the scope that each needs.
func calls(b *bench) map[string]struct {
	scope string
	call  func(context.Context, Actor) error
} {
	type entry = struct {
		scope string
		call  func(context.Context, Actor) error
	}
	return map[string]entry{
		"Client": {ClientsRead, func(ctx context.Context, a Actor) error { _, err := b.Client(ctx, a, "billing"); return err }},
		"Clients": {ClientsRead, func(ctx context.Context, a Actor) error {
			_, _, err := b.Clients(ctx, a, ClientFilter{}, "", 0)
			return err
		}},
		"PlanDeclared": {ClientsRead, func(ctx context.Context, a Actor) error {
			_, err := b.PlanDeclared(ctx, a, declaredClients(DeclaredClient{ClientMetadata: oauth.ClientMetadata{ClientName: "billing", TokenTTLSeconds: 60}}))
			return err
		}},
		"ApplyDeclared": {ClientsWrite, func(ctx context.Context, a Actor) error {
			_, err := b.ApplyDeclared(ctx, a, declaredClients(DeclaredClient{ClientMetadata: oauth.ClientMetadata{ClientName: "billing", TokenTTLSeconds: 60}}))
			return err
		}},
		"CreateClient": {ClientsWrite, func(ctx context.Context, a Actor) error {
			_, err := b.CreateClient(ctx, a, oauth.ClientMetadata{ClientName: "c-" + randomText(8)})
			return err
		}},
		"UpdateClient": {ClientsWrite, func(ctx context.Context, a Actor) error {
			_, err := b.UpdateClient(ctx, a, "billing", ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "billing"}})
			return err
		}},
		"AddClientKey": {ClientsWrite, func(ctx context.Context, a Actor) error {
			_, err := b.AddClientKey(ctx, a, "billing", publicJWK(newKey("ES256")), KeySettings{})
			return err
		}},
		"RevokeClientKey": {ClientsWrite, func(ctx context.Context, a Actor) error { return b.RevokeClientKey(ctx, a, "billing", "spare") }},
		"AddSecret": {ClientsWrite, func(ctx context.Context, a Actor) error {
			_, err := b.AddSecret(ctx, a, "billing", SecretSettings{}, "")
			return err
		}},
		"RotateSecret": {ClientsWrite, func(ctx context.Context, a Actor) error {
			_, err := b.RotateSecret(ctx, a, "billing", SecretRotation{}, "")
			return err
		}},
		"RevokeClientTokens": {ClientsWrite, func(ctx context.Context, a Actor) error {
			return b.RevokeClientTokens(ctx, a, "billing", time.Time{})
		}},
		"RevokeResourceTokens": {ResourcesWrite, func(ctx context.Context, a Actor) error {
			return b.RevokeResourceTokens(ctx, a, orders, time.Time{})
		}},
		"RevokeAllTokens": {ResourcesWrite, func(ctx context.Context, a Actor) error {
			return b.RevokeAllTokens(ctx, a, noon.Add(-time.Hour))
		}},
		"RevokeSecret": {ClientsWrite, func(ctx context.Context, a Actor) error {
			client, err := b.Client(ctx, System("test"), "billing")
			if err != nil {
				return err
			}
			return b.RevokeSecret(ctx, a, "billing", client.Secrets[0].ID, true)
		}},
		"SuspendClient": {ClientsWrite, func(ctx context.Context, a Actor) error { _, err := b.SuspendClient(ctx, a, "billing"); return err }},
		"ResumeClient":  {ClientsWrite, func(ctx context.Context, a Actor) error { _, err := b.ResumeClient(ctx, a, "billing"); return err }},
		"DeleteClient":  {ClientsWrite, func(ctx context.Context, a Actor) error { return b.DeleteClient(ctx, a, "old") }},
		"Import": {ClientsWrite, func(ctx context.Context, a Actor) error {
			_, err := b.Import(ctx, a, Import{Clients: []ImportedClient{{ID: "i-" + randomText(8), ClientMetadata: oauth.ClientMetadata{ClientName: "i-" + randomText(8)}}}})
			return err
		}},
		"CreateInitialToken": {ClientsWrite, func(ctx context.Context, a Actor) error {
			_, err := b.CreateInitialToken(ctx, a, partners(func(s *InitialTokenSettings) { s.Name = "t-" + randomText(8) }))
			return err
		}},
		"InitialToken":  {ClientsRead, func(ctx context.Context, a Actor) error { _, err := b.InitialToken(ctx, a, "partners"); return err }},
		"InitialTokens": {ClientsRead, func(ctx context.Context, a Actor) error { _, _, err := b.InitialTokens(ctx, a, "", 0); return err }},
		"RevokeInitialToken": {ClientsWrite, func(ctx context.Context, a Actor) error {
			return b.RevokeInitialToken(ctx, a, "partners")
		}},
		"Resource":  {ResourcesRead, func(ctx context.Context, a Actor) error { _, err := b.Resource(ctx, a, orders); return err }},
		"Resources": {ResourcesRead, func(ctx context.Context, a Actor) error { _, _, err := b.Resources(ctx, a, "", 0); return err }},
		"CreateResource": {ResourcesWrite, func(ctx context.Context, a Actor) error {
			_, err := b.CreateResource(ctx, a, ResourceSettings{URI: "urn:example:" + randomText(8), Algorithm: "Ed25519"})
			return err
		}},
		"UpdateResource": {ResourcesWrite, func(ctx context.Context, a Actor) error {
			settings := ResourceSettings{URI: orders, Scopes: []Scope{{Name: "orders:read"}, {Name: "orders:write"}}}
			_, err := b.UpdateResource(ctx, a, orders, settings)
			return err
		}},
		"DeleteResource": {ResourcesWrite, func(ctx context.Context, a Actor) error { return b.DeleteResource(ctx, a, orders) }},
		"Role":           {RolesRead, func(ctx context.Context, a Actor) error { _, err := b.Role(ctx, a, "reader"); return err }},
		"Roles":          {RolesRead, func(ctx context.Context, a Actor) error { _, _, err := b.Roles(ctx, a, "", 0); return err }},
		"CreateRole": {RolesWrite, func(ctx context.Context, a Actor) error {
			_, err := b.CreateRole(ctx, a, RoleSettings{Name: "r-" + randomText(8)})
			return err
		}},
		"UpdateRole": {RolesWrite, func(ctx context.Context, a Actor) error {
			_, err := b.UpdateRole(ctx, a, "reader", RoleSettings{Name: "reader"})
			return err
		}},
		"DeleteRole": {RolesWrite, func(ctx context.Context, a Actor) error { return b.DeleteRole(ctx, a, "reader") }},
		"Allow":      {AuditRead, func(ctx context.Context, a Actor) error { return b.Allow(ctx, a, AuditRead) }},
		"Keys":       {KeysRead, func(ctx context.Context, a Actor) error { _, err := b.Keys(ctx, a); return err }},
		"RotateKey": {KeysRotate, func(ctx context.Context, a Actor) error {
			_, err := b.RotateKey(ctx, a, "ES256", false)
			return err
		}},
		"RevokeKey": {KeysRotate, func(ctx context.Context, a Actor) error {
			keys, err := b.Keys(ctx, System("test"))
			if err != nil {
				return err
			}
			return b.RevokeKey(ctx, a, keys[0].ID)
		}},
	}
}

// stocked returns a bench with what calls look for.
func stocked(t *testing.T) *bench {
	b := withOrders(t)
	b.client(oauth.ClientMetadata{ClientName: "billing"})
	b.client(oauth.ClientMetadata{ClientName: "old"})
	if _, err := b.CreateRole(t.Context(), System("test"), RoleSettings{Name: "reader"}); err != nil {
		t.Fatal(err)
	}
	b.initialToken(nil)
	spare := newKey("Ed25519")
	spare.ID = "spare"
	if _, err := b.AddClientKey(t.Context(), System("test"), "billing", publicJWK(spare), KeySettings{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// A method that takes an actor and is not in the matrix is a method that nobody tried without rights.
func TestMatrixIsComplete(t *testing.T) {
	known := calls(nil)
	methods := reflect.TypeFor[*Registry]()
	for i := range methods.NumMethod() {
		method := methods.Method(i)
		takesActor := method.Type.NumIn() > 2 && method.Type.In(2) == reflect.TypeFor[Actor]()
		if _, listed := known[method.Name]; takesActor != listed {
			t.Errorf("%s: takes an actor is %v, in the matrix is %v", method.Name, takesActor, listed)
		}
	}
}

// TestCO10 is the authorization matrix of the registry's methods.
func TestCO10(t *testing.T) {
	for name := range calls(nil) {
		t.Run("CO-10 "+name, func(t *testing.T) {
			b := stocked(t)
			c := calls(b)[name]
			others := AdminScopes()
			others = slices.DeleteFunc(others, func(s string) bool { return s == c.scope })
			all := b.operator("all", AdminScopes()...)
			revoked := all
			revoked.TokenID = "token-that-was-revoked"
			if err := b.store.Revocations().Insert(t.Context(), store.Revocation{TokenID: revoked.TokenID, Expires: noon.Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
			suspended := b.operator("suspended", AdminScopes()...)
			if _, err := b.SuspendClient(t.Context(), System("test"), suspended.ID); err != nil {
				t.Fatal(err)
			}
			resumed := b.operator("resumed", AdminScopes()...)
			b.clock = noon.Add(time.Second)
			if _, err := b.SuspendClient(t.Context(), System("test"), resumed.ID); err != nil {
				t.Fatal(err)
			}
			if _, err := b.ResumeClient(t.Context(), System("test"), resumed.ID); err != nil {
				t.Fatal(err)
			}
			less := b.operator("cut-down", others...)
			narrow := all
			narrow.Scopes = others
			without := b.client(oauth.ClientMetadata{ClientName: "ordinary"})

			before, keys := len(b.events()), b.ring.List()
			for who, test := range map[string]struct {
				actor Actor
				want  Code
			}{
				"nobody":                            {Actor{}, Unauthorized},
				"a client that does not exist":      {Actor{ID: "ghost-aaaaaaaaaa", Scopes: AdminScopes()}, Unauthorized},
				"a revoked token":                   {revoked, Unauthorized},
				"a suspended client":                {suspended, Unauthorized},
				"a token from before a suspension":  {resumed, Unauthorized},
				"a token without the scope":         {narrow, Forbidden},
				"a client that lost the scope":      {Actor{ID: less.ID, Scopes: AdminScopes(), Issued: b.clock}, Forbidden},
				"an ordinary client":                {Actor{ID: without.ID, Scopes: oauth.Scope{"orders:read"}, Issued: b.clock}, Forbidden},
				"an ordinary client with big words": {Actor{ID: without.ID, Scopes: AdminScopes(), Issued: b.clock}, Forbidden},
			} {
				if err := c.call(t.Context(), test.actor); !errors.Is(err, test.want) {
					t.Errorf("%s: got %v, want %v", who, err, test.want)
				}
			}
			if after := len(b.events()); after != before {
				t.Errorf("%d events from refused calls", after-before)
			}
			if diff := cmp.Diff(keys, b.ring.List()); diff != "" {
				t.Errorf("refused calls changed the keys:\n%s", diff)
			}
			if err := c.call(t.Context(), Actor{ID: all.ID, Scopes: oauth.Scope{c.scope}, TokenID: "fine", Issued: b.clock}); err != nil {
				t.Errorf("with just the scope %s: %v", c.scope, err)
			}
		})
	}
}

func TestCO12(t *testing.T) {
	admin := AdminResource(issuer)
	grant := func(scopes ...string) []oauth.Grant { return []oauth.Grant{{Resource: admin, Scopes: scopes}} }
	setUp := func(t *testing.T) (*bench, Actor) {
		b := withOrders(t)
		if _, err := b.CreateRole(t.Context(), System("test"), RoleSettings{Name: "admin", Grants: grant(AdminScopes()...)}); err != nil {
			t.Fatal(err)
		}
		return b, b.operator("registrar", ClientsRead, ClientsWrite, RolesWrite)
	}
	create := func(m oauth.ClientMetadata) func(context.Context, *bench, Actor) error {
		return func(ctx context.Context, b *bench, a Actor) error {
			m.ClientName = "new"
			_, err := b.CreateClient(ctx, a, m)
			return err
		}
	}
	for name, attack := range map[string]func(context.Context, *bench, Actor) error{
		"a client with an admin scope that the operator lacks": create(oauth.ClientMetadata{Grants: grant(ClientsRead, KeysRotate)}),
		"a client with a role that has admin scopes":           create(oauth.ClientMetadata{Roles: []string{"admin"}}),
		"a client that introspects for the admin API":          create(oauth.ClientMetadata{ResourceServerFor: []string{admin}}),
		"a role with admin scopes": func(ctx context.Context, b *bench, a Actor) error {
			_, err := b.CreateRole(ctx, a, RoleSettings{Name: "mine", Grants: grant(KeysRotate)})
			return err
		},
		"deleting a role with admin scopes": func(ctx context.Context, b *bench, a Actor) error {
			return b.DeleteRole(ctx, a, "admin")
		},
		"more for oneself": func(ctx context.Context, b *bench, a Actor) error {
			_, err := b.UpdateClient(ctx, a, "registrar", ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "registrar", Grants: grant(AdminScopes()...)}})
			return err
		},
		"a role for oneself": func(ctx context.Context, b *bench, a Actor) error {
			_, err := b.UpdateClient(ctx, a, "registrar", ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "registrar", Roles: []string{"admin"}}})
			return err
		},
		"cutting down a mightier operator": func(ctx context.Context, b *bench, a Actor) error {
			_, err := b.UpdateClient(ctx, a, Operator, ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: Operator}})
			return err
		},
		"suspending a mightier operator": func(ctx context.Context, b *bench, a Actor) error {
			_, err := b.SuspendClient(ctx, a, Operator)
			return err
		},
		"deleting a mightier operator": func(ctx context.Context, b *bench, a Actor) error {
			return b.DeleteClient(ctx, a, Operator)
		},
		"with a token that says more than is registered": func(ctx context.Context, b *bench, a Actor) error {
			a.Scopes = AdminScopes()
			return create(oauth.ClientMetadata{Grants: grant(KeysRotate)})(ctx, b, a)
		},
		"with a token that says less than is registered": func(ctx context.Context, b *bench, a Actor) error {
			a.Scopes = oauth.Scope{ClientsWrite}
			return create(oauth.ClientMetadata{Grants: grant(RolesWrite)})(ctx, b, a)
		},
	} {
		t.Run("CO-12 "+name, func(t *testing.T) {
			b, actor := setUp(t)
			before := b.events()
			err := attack(t.Context(), b, actor)
			refusal, ok := errors.AsType[*Error](err)
			if !ok || refusal.Code != Forbidden {
				t.Fatalf("got %v, want Forbidden", err)
			}
			if refusal.Scope == "" || !strings.Contains(err.Error(), refusal.Scope) {
				t.Errorf("%v does not name the scope", err)
			}
			if len(b.events()) != len(before) {
				t.Error("something was changed")
			}
		})
	}
	t.Run("CO-12 what the operator holds, it may give", func(t *testing.T) {
		b, actor := setUp(t)
		if err := create(oauth.ClientMetadata{Grants: grant(ClientsRead, ClientsWrite)})(t.Context(), b, actor); err != nil {
			t.Error(err)
		}
		if _, err := b.CreateRole(t.Context(), actor, RoleSettings{Name: "mine", Grants: grant(ClientsRead)}); err != nil {
			t.Error(err)
		}
		if err := b.DeleteRole(t.Context(), actor, "mine"); err != nil {
			t.Error(err)
		}
	})
	t.Run("CO-12 an operator by role", func(t *testing.T) {
		b, _ := setUp(t)
		client := b.client(oauth.ClientMetadata{ClientName: "by-role", Roles: []string{"admin"}})
		actor := Actor{ID: client.ID, Scopes: AdminScopes(), Issued: noon}
		if err := create(oauth.ClientMetadata{Grants: grant(KeysRotate)})(t.Context(), b, actor); err != nil {
			t.Error(err)
		}
	})
}

func TestSecretsStayOut(t *testing.T) {
	b := withOrders(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	secret := made.Secret.Reveal()
	for _, text := range []string{
		fmt.Sprint(made), fmt.Sprintf("%+v %#v %x %q %s", made, made, made.Secret, made.Secret, made.Secret),
		made.Secret.LogValue().String(), fmt.Sprint(b.events()),
	} {
		if strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) {
			t.Errorf("the secret is in %s", text)
		}
	}
	record, err := b.store.Clients().Get(t.Context(), made.ID)
	if err != nil || strings.Contains(fmt.Sprint(record), secret) {
		t.Errorf("the secret is stored: %v", err)
	}
}

// TestIntrospectingForTheAdminAPIIsNoRight: a client that introspects for the admin API weighs as much as all admin scopes
// for whoever would change it, and holds none of them by that: what was taken from it stays taken, although its last
// token still says otherwise.
func TestIntrospectingForTheAdminAPIIsNoRight(t *testing.T) {
	b := stocked(t)
	actor := b.operator("introspector", ClientsWrite)
	cut := oauth.ClientMetadata{ClientName: "introspector", ResourceServerFor: []string{b.Admin()}}
	if _, err := b.UpdateClient(t.Context(), System("test"), actor.ID, ClientUpdate{ClientMetadata: cut}); err != nil {
		t.Fatal(err)
	}
	_, err := b.SuspendClient(t.Context(), actor, "billing")
	wantCode(t, err, Forbidden)
	_, err = b.SuspendClient(t.Context(), b.operator("clerk", ClientsWrite), "introspector")
	wantCode(t, err, Forbidden)
}
