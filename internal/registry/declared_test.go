package registry

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
	"github.com/writ-auth/writ/oauth"
)

func declaredClients(clients ...DeclaredClient) Declaration {
	return Declaration{State: DeclaredState{Clients: clients}}
}

const stock = "https://stock.example.com"

// shop is a state with something of each kind, and the secret of its client billing.
func shop() (Declaration, Secret) {
	secret := newSecret()
	return Declaration{State: DeclaredState{
		Resources: []ResourceSettings{
			{URI: orders, Scopes: []Scope{{Name: "orders:read"}, {Name: "orders:write", Description: "Change orders"}}},
			{URI: stock, Scopes: []Scope{{Name: "stock:read"}}, Format: "opaque", TokenTTLSeconds: 60},
		},
		Roles: []RoleSettings{{Name: "clerk", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:write", "orders:read"}}}}},
		Clients: []DeclaredClient{
			{ClientMetadata: oauth.ClientMetadata{
				ClientName: "billing", Roles: []string{"clerk"}, Grants: []oauth.Grant{{Resource: stock, Scopes: []string{"stock:read"}}},
			}, Secret: secret},
			{ClientMetadata: oauth.ClientMetadata{
				ClientName: "reporting", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: setOf(publicJWK(newKey("ES256"))), DPoPBoundAccessTokens: true,
			}, Suspended: true},
		},
	}}, secret
}

func setOf(keys ...[]byte) []byte {
	var texts []string
	for _, key := range keys {
		texts = append(texts, string(key))
	}
	return []byte(`{"keys":[` + strings.Join(texts, ",") + `]}`)
}

// everyStore runs a test on each kind of store.
func everyStore(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Run("memory", func(t *testing.T) { test(t, memstore.New()) })
	sql := func(t *testing.T, dsn string) {
		s, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		test(t, s)
	}
	t.Run("sqlite", func(t *testing.T) { sql(t, "sqlite:"+filepath.Join(t.TempDir(), "writ.db")) })
	t.Run("postgresql", func(t *testing.T) { sql(t, storetest.PostgreSQL(t)) })
}

// benchOn is newBench on a store, with the admin API.
func benchOn(t *testing.T, s store.Store) *bench {
	t.Helper()
	b := &bench{t: t, store: s, clock: noon}
	now := func() time.Time { return b.clock }
	ring, err := keyring.Open(t.Context(), s, keyring.Options{Root: make([]byte, 32), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	b.Registry = New(Options{Issuer: issuer, Store: s, Ring: ring, Now: now})
	if _, err := b.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// changes returns how many events there are of what somebody has asked for: all but those of the first keys of algorithms.
func (b *bench) changes() int {
	b.t.Helper()
	return len(slices.DeleteFunc(b.events(), func(e store.Event) bool { return e.Action == "key.created" }))
}

func (b *bench) plan(wish Declaration) DeclaredPlan {
	b.t.Helper()
	plan, err := b.PlanDeclared(b.t.Context(), System("test"), wish)
	if err != nil {
		b.t.Fatal(err)
	}
	return plan
}

func (b *bench) apply(wish Declaration) DeclaredPlan {
	b.t.Helper()
	plan, err := b.ApplyDeclared(b.t.Context(), System("test"), wish)
	if err != nil {
		b.t.Fatal(err)
	}
	return plan
}

// brief writes changes in a line each.
func brief(plan DeclaredPlan) []string {
	var lines []string
	for _, c := range plan.Changes {
		lines = append(lines, c.Action+" "+c.Kind+" "+c.Name)
	}
	return lines
}

// all returns everything that is registered.
func (b *bench) all() []any {
	b.t.Helper()
	var records []any
	ctx := b.t.Context()
	err := errors.Join(
		store.Each(ctx, b.store.Resources(), func(r store.Resource) error { records = append(records, r); return nil }),
		store.Each(ctx, b.store.Roles(), func(r store.Role) error { records = append(records, r); return nil }),
		store.Each(ctx, b.store.Clients(), func(r store.Client) error { records = append(records, r); return nil }),
	)
	if err != nil {
		b.t.Fatal(err)
	}
	return records
}

func TestApplyDeclared(t *testing.T) {
	everyStore(t, func(t *testing.T, s store.Store) {
		b := benchOn(t, s)
		wish, secret := shop()
		before := b.changes()
		plan := b.plan(wish)
		want := []string{
			"create resource " + orders, "create resource " + stock, "create role clerk", "create client billing", "create client reporting",
		}
		if diff := cmp.Diff(want, brief(plan)); diff != "" {
			t.Errorf("plan (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{ClientsWrite, ResourcesWrite, RolesWrite}, plan.Needs); diff != "" {
			t.Errorf("needs (-want +got):\n%s", diff)
		}
		wish.Fingerprint = plan.Fingerprint
		if diff := cmp.Diff(plan, b.apply(wish)); diff != "" {
			t.Errorf("apply did not do what was planned:\n%s", diff)
		}
		if got := b.changes() - before; got != len(want) {
			t.Errorf("%d events, want %d: one an object", got, len(want))
		}
		billing, err := findClient(t.Context(), s, "billing")
		if err != nil || len(billing.Secrets) != 1 || billing.Secrets[0].Hash != store.HashSecret(secret.Reveal()) {
			t.Errorf("%v: got %+v", err, billing)
		}
		reporting, err := findClient(t.Context(), s, "reporting")
		if err != nil || !reporting.Suspended || !reporting.DPoPBound || len(reporting.Keys) != 1 || len(reporting.Secrets) != 0 {
			t.Errorf("%v: got %+v", err, reporting)
		}

		// A second time there is nothing to do, with the secret and without.
		b.clock = b.clock.Add(time.Hour)
		held, wish2 := b.all(), wish
		wish2.Fingerprint = ""
		wish2.State.Clients = slices.Clone(wish.State.Clients)
		wish2.State.Clients[0].Secret = ""
		wish.Fingerprint = ""
		for _, again := range []Declaration{wish, wish2} {
			if got := b.apply(again); len(got.Changes) != 0 {
				t.Errorf("again: %v", brief(got))
			}
		}
		if diff := cmp.Diff(held, b.all()); diff != "" {
			t.Errorf("applying twice changed something:\n%s", diff)
		}

		// Changes, and what is left out has its default again.
		wish.State.Resources[1].Name = "Stock"
		wish.State.Roles[0].Description = "Works on orders"
		wish.State.Clients[1].Suspended, wish.State.Clients[1].DPoPBoundAccessTokens = false, false
		if diff := cmp.Diff([]string{"change resource " + stock, "change role clerk", "change client reporting"}, brief(b.apply(wish))); diff != "" {
			t.Errorf("changes (-want +got):\n%s", diff)
		}
		if e := b.lastEvent(); e.Action != "client.resumed" || strings.Contains(e.Detail, secret.Reveal()) {
			t.Errorf("got %+v", e)
		}
		if got := b.plan(wish); len(got.Changes) != 0 {
			t.Errorf("again: %+v", got)
		}

		// What is not in the file stays, until prune.
		wish.State.Resources, wish.State.Roles, wish.State.Clients = wish.State.Resources[:1], wish.State.Roles[:0], wish.State.Clients[1:]
		if got := b.plan(wish); len(got.Changes) != 0 {
			t.Errorf("without prune: %v", brief(got))
		}
		wish.Prune = true
		want = []string{"delete resource " + stock, "delete role clerk", "delete client billing", "delete client operator"}
		if diff := cmp.Diff(want, brief(b.apply(wish))); diff != "" {
			t.Errorf("prune (-want +got):\n%s", diff)
		}
		if _, err := s.Resources().Get(t.Context(), b.Admin()); err != nil {
			t.Errorf("the admin API is gone: %v", err)
		}
	})
}

// broken is a store whose n-th write of a client fails.
type broken struct {
	store.Store
	left *int
}

type brokenClients struct {
	store.Table[store.Client]
	left *int
}

var errDisk = errors.New("disk")

func (f broken) Clients() store.Table[store.Client] {
	return brokenClients{f.Store.Clients(), f.left}
}

func (f broken) Update(ctx context.Context, change func(store.Store) error) error {
	return f.Store.Update(ctx, func(tx store.Store) error { return change(broken{tx, f.left}) })
}

func (f brokenClients) Insert(ctx context.Context, record store.Client) error {
	if *f.left--; *f.left < 0 {
		return errDisk
	}
	return f.Table.Insert(ctx, record)
}

// overtaken is a store in which something else is done just ahead of a transaction.
type overtaken struct {
	store.Store
	meanwhile func()
}

func (o *overtaken) Update(ctx context.Context, change func(store.Store) error) error {
	o.meanwhile()
	return o.Store.Update(ctx, change)
}

// TestApplyDeclaredIsAtomic: when the n-th change fails, nothing happened.
func TestApplyDeclaredIsAtomic(t *testing.T) {
	everyStore(t, func(t *testing.T, s store.Store) {
		b := benchOn(t, s)
		held, events := b.all(), b.changes()
		wish, _ := shop()
		left := 1
		b.Registry.store = broken{s, &left}
		if _, err := b.ApplyDeclared(t.Context(), System("test"), wish); !errors.Is(err, errDisk) {
			t.Fatalf("got %v", err)
		}
		if diff := cmp.Diff(held, b.all()); diff != "" {
			t.Errorf("something happened:\n%s", diff)
		}
		if got := b.changes(); got != events {
			t.Errorf("%d events of what did not happen", got-events)
		}
		left = 10
		if got := b.apply(wish); len(got.Changes) != 5 {
			t.Errorf("got %v", brief(got))
		}
	})
}

// TestDeclaredProblems: everything that is wrong is said at once, where it stands, and nothing happens.
func TestDeclaredProblems(t *testing.T) {
	b := withOrders(t)
	if _, err := b.CreateRole(t.Context(), System("test"), RoleSettings{Name: "clerk", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}}); err != nil {
		t.Fatal(err)
	}
	b.client(oauth.ClientMetadata{ClientName: "old", Roles: []string{"clerk"}, ResourceServerFor: []string{orders}})
	keyed := b.client(oauth.ClientMetadata{ClientName: "keyed", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: setOf(publicJWK(newKey("ES256")))})
	secret := newSecret()
	named := func(name string) oauth.ClientMetadata { return oauth.ClientMetadata{ClientName: name} }
	for name, test := range map[string]struct {
		wish Declaration
		want []string
	}{
		"several": {Declaration{State: DeclaredState{
			Resources: []ResourceSettings{{URI: "not a URI"}, {URI: issuer}},
			Clients:   []DeclaredClient{{ClientMetadata: oauth.ClientMetadata{ClientName: "a b", Roles: []string{"none"}}, Secret: secret}},
		}}, []string{"state.resources[0].uri", "state.resources[1].uri", "state.clients[0].client_name", "state.clients[0].roles[0]"}},
		"the admin API": {Declaration{State: DeclaredState{Resources: []ResourceSettings{{URI: AdminResource(issuer)}}}}, []string{"state.resources[0].uri"}},
		"twice": {Declaration{State: DeclaredState{
			Resources: []ResourceSettings{{URI: orders, Scopes: []Scope{{Name: "orders:read"}, {Name: "orders:write"}}}, {URI: orders}},
			Roles:     []RoleSettings{{Name: "x"}, {Name: "x"}},
			Clients:   []DeclaredClient{{ClientMetadata: named("y"), Secret: secret}, {ClientMetadata: named("y"), Secret: secret}},
		}}, []string{"state.resources[1].uri", "state.roles[1].name", "state.clients[1].client_name"}},
		"no secret":            {declaredClients(DeclaredClient{ClientMetadata: named("new")}), []string{"state.clients[0].secret"}},
		"a guess for a secret": {declaredClients(DeclaredClient{ClientMetadata: named("new"), Secret: "hunter2"}), []string{"state.clients[0].secret"}},
		"a secret for a key":   {declaredClients(DeclaredClient{ClientMetadata: named("keyed"), Secret: secret}), []string{"state.clients[0].secret"}},
		"a fall back to a secret": {declaredClients(DeclaredClient{
			ClientMetadata: oauth.ClientMetadata{ClientName: "keyed", TokenEndpointAuthMethod: oauth.ClientSecretBasic},
		}), []string{"state.clients[0].token_endpoint_auth_method"}},
		"the ID of another": {declaredClients(DeclaredClient{ClientMetadata: named(keyed.ID), Secret: secret}), []string{"state.clients[0].client_name"}},
		"a scope in use":    {Declaration{State: DeclaredState{Resources: []ResourceSettings{{URI: orders, Scopes: []Scope{{Name: "orders:write"}}}}}}, []string{"state.resources"}},
		"a resource in use": {Declaration{State: DeclaredState{Resources: []ResourceSettings{}}, Prune: true}, []string{"state.resources", "state.resources"}},
		"a role in use":     {Declaration{State: DeclaredState{Roles: []RoleSettings{}}, Prune: true}, []string{"state.roles"}},
		"a role that goes":  {Declaration{State: DeclaredState{Roles: []RoleSettings{}, Clients: []DeclaredClient{{ClientMetadata: oauth.ClientMetadata{ClientName: "keyed", Roles: []string{"clerk"}}}}}, Prune: true}, []string{"state.clients[0].roles[0]"}},
	} {
		t.Run(name, func(t *testing.T) {
			held := b.all()
			_, err := b.PlanDeclared(t.Context(), System("test"), test.wish)
			if got := fields(t, err); !cmp.Equal(got, test.want) {
				t.Errorf("got %q, want %q: %v", got, test.want, err)
			}
			if _, err := b.ApplyDeclared(t.Context(), System("test"), test.wish); !errors.Is(err, Invalid) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), secret.Reveal()) {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(held, b.all()); diff != "" {
				t.Errorf("something happened:\n%s", diff)
			}
		})
	}
	t.Run("a secret that is not at hand", func(t *testing.T) {
		wish := declaredClients(DeclaredClient{ClientMetadata: named("new"), SecretPending: true})
		if got := b.plan(wish); len(got.Changes) != 1 {
			t.Errorf("got %+v", got)
		}
		_, err := b.ApplyDeclared(t.Context(), System("test"), wish)
		if got := fields(t, err); !cmp.Equal(got, []string{"state.clients[0].secret"}) {
			t.Errorf("got %v", err)
		}
	})
}

// TestCO25 holds that a plan is carried out only on what it was made from: two operators change the same client.
func TestCO25Declared(t *testing.T) {
	for name, meanwhile := range map[string]func(*bench){
		"a client that the file names": func(b *bench) {
			if _, err := b.SuspendClient(b.t.Context(), System("test"), "billing"); err != nil {
				b.t.Fatal(err)
			}
		},
		"a role that the file does not name": func(b *bench) {
			if _, err := b.CreateRole(b.t.Context(), System("test"), RoleSettings{Name: "other"}); err != nil {
				b.t.Fatal(err)
			}
		},
		"a resource": func(b *bench) { b.resource(ResourceSettings{URI: "urn:example:more"}) },
	} {
		t.Run("CO-25 "+name, func(t *testing.T) {
			b := withOrders(t)
			b.client(oauth.ClientMetadata{ClientName: "billing"})
			wish := declaredClients(DeclaredClient{ClientMetadata: oauth.ClientMetadata{ClientName: "billing", TokenTTLSeconds: 60}})
			wish.Fingerprint = b.plan(wish).Fingerprint
			b.client(oauth.ClientMetadata{ClientName: "stranger"}) // who has nothing to do with it
			held := b.all()
			meanwhile(b)
			_, err := b.ApplyDeclared(t.Context(), System("test"), wish)
			wantCode(t, err, Conflict)
			if len(b.all()) < len(held) {
				t.Error("something happened")
			}
			wish.Fingerprint = b.plan(wish).Fingerprint
			b.apply(wish)
		})
	}
	t.Run("CO-25 another file", func(t *testing.T) {
		b := withOrders(t)
		b.client(oauth.ClientMetadata{ClientName: "billing"})
		wish := declaredClients(DeclaredClient{ClientMetadata: oauth.ClientMetadata{ClientName: "billing", TokenTTLSeconds: 60}})
		fingerprint := b.plan(wish).Fingerprint
		wish = declaredClients(DeclaredClient{ClientMetadata: oauth.ClientMetadata{ClientName: "billing", TokenTTLSeconds: 61}})
		wish.Fingerprint = fingerprint
		_, err := b.ApplyDeclared(t.Context(), System("test"), wish)
		wantCode(t, err, Conflict)
	})
}

// TestCO12Declared: nobody applies more than they hold.
func TestCO12Declared(t *testing.T) {
	admin := AdminResource(issuer)
	grant := func(scopes ...string) []oauth.Grant { return []oauth.Grant{{Resource: admin, Scopes: scopes}} }
	role := func(name string, grants ...oauth.Grant) DeclaredState {
		return DeclaredState{Roles: []RoleSettings{{Name: name, Grants: grants}}}
	}
	client := func(m oauth.ClientMetadata) DeclaredState {
		return DeclaredState{Clients: []DeclaredClient{{ClientMetadata: m}}}
	}
	for name, wish := range map[string]Declaration{
		"a client with an admin scope":         {State: client(oauth.ClientMetadata{ClientName: "billing", Grants: grant(ClientsRead, KeysRotate)})},
		"a client with a role of them":         {State: client(oauth.ClientMetadata{ClientName: "billing", Roles: []string{"admin"}})},
		"a client that introspects for it":     {State: client(oauth.ClientMetadata{ClientName: "billing", ResourceServerFor: []string{admin}})},
		"more for oneself":                     {State: client(oauth.ClientMetadata{ClientName: "registrar", Grants: grant(AdminScopes()...)})},
		"less for who has more":                {State: client(oauth.ClientMetadata{ClientName: "boss"})},
		"who has more is deleted":              {State: DeclaredState{Clients: []DeclaredClient{}}, Prune: true},
		"a new role with an admin scope":       {State: role("mine", grant(KeysRotate)...)},
		"a role that gets an admin scope":      {State: role("clerk", grant(KeysRotate)...)},
		"a role that loses them":               {State: role("admin")},
		"a role with them is deleted":          {State: DeclaredState{Roles: []RoleSettings{}}, Prune: true},
		"a role with them that comes with one": {State: DeclaredState{Roles: role("new", grant(KeysRotate)...).Roles, Clients: client(oauth.ClientMetadata{ClientName: "billing", Roles: []string{"new"}}).Clients}},
		"a resource without its scope":         {State: DeclaredState{Resources: []ResourceSettings{{URI: stock}}}},
	} {
		t.Run("CO-12 "+name, func(t *testing.T) {
			b := withOrders(t)
			for _, settings := range []RoleSettings{{Name: "admin", Grants: grant(AdminScopes()...)}, {Name: "clerk"}} {
				if _, err := b.CreateRole(t.Context(), System("test"), settings); err != nil {
					t.Fatal(err)
				}
			}
			actor := b.operator("registrar", ClientsRead, ClientsWrite, RolesRead, RolesWrite)
			b.operator("boss", AdminScopes()...)
			b.client(oauth.ClientMetadata{ClientName: "billing"})
			held := b.all()
			actor.Scopes = AdminScopes() // the token says more than is registered
			_, err := b.ApplyDeclared(t.Context(), actor, wish)
			wantCode(t, err, Forbidden)
			if diff := cmp.Diff(held, b.all()); diff != "" {
				t.Errorf("something happened:\n%s", diff)
			}
		})
	}
	t.Run("CO-12 who is cut down meanwhile", func(t *testing.T) {
		b := withOrders(t)
		actor := b.operator("registrar", ClientsRead, ClientsWrite, RolesWrite)
		b.Registry.store = &overtaken{Store: b.store, meanwhile: func() {
			less := ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "registrar", Grants: grant(ClientsRead, ClientsWrite)}}
			if _, err := New(Options{Issuer: issuer, Store: b.store, Ring: b.ring, Now: b.now}).UpdateClient(t.Context(), System("test"), "registrar", less); err != nil {
				t.Error(err)
			}
		}}
		_, err := b.ApplyDeclared(t.Context(), actor, Declaration{State: role("clerk")})
		wantCode(t, err, Forbidden)
		if _, err := b.store.Roles().Get(t.Context(), "clerk"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("something happened: %v", err)
		}
	})
	t.Run("CO-12 reading what one may not", func(t *testing.T) {
		b := withOrders(t)
		actor := b.operator("reader", ClientsRead)
		for _, state := range []DeclaredState{{Roles: []RoleSettings{}}, {Resources: []ResourceSettings{}}} {
			_, err := b.PlanDeclared(t.Context(), actor, Declaration{State: state})
			wantCode(t, err, Forbidden)
		}
	})
}

// TestDeclaredSelf: the operator who applies stays, and stays able to.
func TestDeclaredSelf(t *testing.T) {
	b := withOrders(t)
	actor := b.operator("deployer", AdminScopes()...)
	wish := Declaration{State: DeclaredState{Clients: []DeclaredClient{}}, Prune: true}
	plan, err := b.ApplyDeclared(t.Context(), actor, wish)
	if diff := cmp.Diff([]string{"delete client operator"}, brief(plan)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	wish = declaredClients(DeclaredClient{ClientMetadata: oauth.ClientMetadata{
		ClientName: "deployer", Grants: []oauth.Grant{{Resource: b.Admin(), Scopes: AdminScopes()}},
	}, Suspended: true})
	_, err = b.ApplyDeclared(t.Context(), actor, wish)
	if got := fields(t, err); !cmp.Equal(got, []string{"state.clients[0].suspended"}) {
		t.Errorf("got %v", err)
	}
}

// TestDeclaredRetires: the ID of a client that a file no longer names is nobody's for good, as after any other deletion.
func TestDeclaredRetires(t *testing.T) {
	b := withOrders(t)
	gone := b.client(oauth.ClientMetadata{ClientName: "gone"})
	wish := Declaration{State: DeclaredState{Clients: []DeclaredClient{}}, Prune: true}
	if _, err := b.ApplyDeclared(t.Context(), System("test"), wish); err != nil {
		t.Fatal(err)
	}
	_, err := b.Import(t.Context(), System("test"), Import{Clients: []ImportedClient{
		{ID: gone.ID, ClientMetadata: oauth.ClientMetadata{ClientName: "another"}},
	}})
	if !errors.Is(err, Invalid) || !strings.Contains(err.Error(), "was the ID of a client that is deleted") {
		t.Errorf("got %v", err)
	}
}

// TestDeclaredSecrets: a new secret is added, the old one has a day.
func TestDeclaredSecrets(t *testing.T) {
	b := withOrders(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	next := newSecret()
	use := store.Use{ClientID: made.ID, Credential: made.Secrets[0].ID, Last: noon.Add(-2 * time.Hour), Remote: "192.0.2.7"}
	if err := b.store.NoteUses(t.Context(), []store.Use{use}); err != nil {
		t.Fatal(err)
	}
	b.clock = noon.Add(time.Minute)
	wish := declaredClients(DeclaredClient{ClientMetadata: oauth.ClientMetadata{ClientName: "billing"}, Secret: next})
	plan := b.plan(wish)
	if len(plan.Changes) != 1 || strings.Contains(fmt.Sprintf("%+v", plan), next.Reveal()) || strings.Contains(fmt.Sprintf("%+v", wish), next.Reveal()) {
		t.Fatalf("got %+v", plan)
	}
	if diff := cmp.Diff([]DeclaredField{{Field: "secret", Added: []string{"a new one"}}}, plan.Changes[0].Fields); diff != "" {
		t.Error(diff)
	}
	b.apply(wish)
	record, err := findClient(t.Context(), b.store, "billing")
	if err != nil || len(record.Secrets) != 2 || !record.Secrets[0].Expires.Equal(b.clock.Add(24*time.Hour)) || !record.Secrets[1].Expires.IsZero() {
		t.Errorf("%v: got %+v", err, record.Secrets)
	}
	if strings.Contains(b.lastEvent().Detail, store.HashSecret(next.Reveal())) {
		t.Error("the hash is in the history")
	}
	b.clock = b.clock.Add(time.Hour)
	if got := b.plan(wish); len(got.Changes) != 0 {
		t.Errorf("again: %+v", got)
	}
}

// TestDeclaredImpact: what was used lately, and would not work any more.
func TestDeclaredImpact(t *testing.T) {
	b := withOrders(t)
	ctx := t.Context()
	if _, err := b.CreateRole(ctx, System("test"), RoleSettings{Name: "clerk", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read", "orders:write"}}}}); err != nil {
		t.Fatal(err)
	}
	grants := []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read", "orders:write"}}}
	jwk := publicJWK(newKey("ES256"))
	key := oauth.ClientMetadata{ClientName: "keyed", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: setOf(jwk)}
	clients := map[string]Registered{
		"billing": b.client(oauth.ClientMetadata{ClientName: "billing", Grants: grants, Roles: []string{"clerk"}}),
		"keyed":   b.client(key), "idle": b.client(oauth.ClientMetadata{ClientName: "idle"}),
	}
	used := LastUse{LastUsed: noon.Add(-2 * time.Hour), LastUsedFrom: "192.0.2.7"}
	note := func(client, credential string, last time.Time) {
		if err := b.store.NoteUses(ctx, []store.Use{{ClientID: clients[client].ID, Credential: credential, Last: last, Remote: "192.0.2.7"}}); err != nil {
			t.Fatal(err)
		}
	}
	b.clock = noon
	billing, kid := clients["billing"].Secrets[0].ID, clients["keyed"].Keys[0].ID
	note("billing", billing, used.LastUsed)
	note("keyed", kid, used.LastUsed)
	note("idle", clients["idle"].Secrets[0].ID, noon.Add(-91*24*time.Hour))
	plain := func(m oauth.ClientMetadata) Declaration { return declaredClients(DeclaredClient{ClientMetadata: m}) }
	for name, test := range map[string]struct {
		wish Declaration
		want []string
	}{
		"deleted": {
			Declaration{State: DeclaredState{Clients: []DeclaredClient{}}, Prune: true},
			[]string{"billing: secret " + billing + " stops working", "keyed: key " + kid + " stops working"},
		},
		"suspended": {
			declaredClients(DeclaredClient{ClientMetadata: oauth.ClientMetadata{ClientName: "billing", Grants: grants, Roles: []string{"clerk"}}, Suspended: true}),
			[]string{"billing: secret " + billing + " stops working"},
		},
		"a scope": {
			plain(oauth.ClientMetadata{ClientName: "billing", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}, Roles: []string{"clerk"}}),
			[]string{"billing: the client is in use, and loses orders:write of grants[" + orders + "].scopes"},
		},
		"another key": {
			plain(oauth.ClientMetadata{ClientName: "keyed", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: setOf(publicJWK(newKey("ES256")))}),
			[]string{"keyed: key " + kid + " stops working"},
		},
		"bound tokens": {
			plain(oauth.ClientMetadata{ClientName: "keyed", DPoPBoundAccessTokens: true}),
			[]string{"keyed: the client is in use, and must do what dpop_bound_access_tokens asks for"},
		},
		"a scope of a role": {
			Declaration{State: DeclaredState{Roles: []RoleSettings{{Name: "clerk", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}}}}},
			[]string{"billing: the client is in use, and loses orders:write of grants[" + orders + "].scopes"},
		},
		"nothing lost": {plain(oauth.ClientMetadata{ClientName: "billing", Grants: grants, Roles: []string{"clerk"}, TokenTTLSeconds: 60}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range b.plan(test.wish).Changes {
				for _, impact := range c.Impact {
					got = append(got, impact.Client+": "+impact.Text)
					if impact.LastUse != used {
						t.Errorf("used %+v, want %+v", impact.LastUse, used)
					}
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWeakSecret(t *testing.T) {
	random := make([]byte, 32)
	for range 3000 {
		_, _ = rand.Read(random)
		for _, text := range []string{
			newSecret().Reveal(), hex.EncodeToString(random), base64.RawURLEncoding.EncodeToString(random), base64.StdEncoding.EncodeToString(random),
		} {
			if why := weakSecret(text); why != "" {
				t.Errorf("%q %s", text, why)
			}
		}
	}
	whole := newSecret().Reveal()
	last := byte('A')
	if whole[len(whole)-2] == last {
		last = 'B'
	}
	for _, text := range []string{
		"hunter2", "x", "correct horse battery staple", strings.Repeat("a", 64), strings.Repeat("Ab3$", 20), strings.Repeat("abcdefgh12345678", 4),
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", "the-quick-brown-fox-jumps-over-the-lazy-dog-and-some-more-words",
		"0f8fad5b-d9cb-469f-a165-70867728950e", "s3cr3t-s3cr3t-s3cr3t-s3cr3t", hex.EncodeToString(random[:16]),
		whole[:len(whole)-1], whole[:len(whole)-2] + string(last) + whole[len(whole)-1:], whole + "\n", strings.Repeat(whole[8:], 30),
	} {
		if weakSecret(text) == "" {
			t.Errorf("%q is taken", text)
		}
	}
}

// BenchmarkPlanDeclared plans a file of 1 000 clients, half of which differ.
func BenchmarkPlanDeclared(b *testing.B) {
	for name, test := range map[string]struct {
		registered int
		dsn        func() string
	}{
		"SQLite":            {1_000, func() string { return "sqlite:" + filepath.Join(b.TempDir(), "writ.db") }},
		"SQLite among more": {20_000, func() string { return "sqlite:" + filepath.Join(b.TempDir(), "more.db") }},
		"PostgreSQL":        {1_000, func() string { return storetest.PostgreSQL(b) }},
	} {
		b.Run(name, func(b *testing.B) {
			s, err := sqlstore.Open(b.Context(), sqlstore.Options{DSN: test.dsn()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			ring, err := keyring.Open(b.Context(), s, keyring.Options{Root: make([]byte, 32)})
			if err != nil {
				b.Fatal(err)
			}
			r := New(Options{Issuer: issuer, Store: s, Ring: ring})
			wish := Declaration{State: DeclaredState{Resources: []ResourceSettings{{URI: orders, Scopes: []Scope{{Name: "orders:read"}}}}}}
			for i := range test.registered {
				wish.State.Clients = append(wish.State.Clients, DeclaredClient{ClientMetadata: oauth.ClientMetadata{
					ClientName: fmt.Sprintf("worker-%05d", i), Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}},
				}, Secret: newSecret()})
			}
			if _, err := r.ApplyDeclared(b.Context(), System("bench"), wish); err != nil {
				b.Fatal(err)
			}
			wish.State.Clients = wish.State.Clients[:1_000]
			for i := range 500 {
				wish.State.Clients[i].TokenTTLSeconds = 60
			}
			for b.Loop() {
				if plan, err := r.PlanDeclared(b.Context(), System("bench"), wish); err != nil || len(plan.Changes) != 500 {
					b.Fatal(err, len(plan.Changes))
				}
			}
		})
	}
}
