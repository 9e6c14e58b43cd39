package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuer = "https://auth.example.com"
	orders = "https://orders.example.com"
)

// noon is later than any day on which this runs: the stores go by the clock of the machine when they judge whether what was used up
// once counts still.
var noon = time.Date(2126, 11, 22, 12, 0, 0, 0, time.UTC)

// A bench is a registry on an empty store, with a clock that stands still.
type bench struct {
	*Registry
	t     *testing.T
	store store.Store
	clock time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, store: memstore.New(), clock: noon}
	now := func() time.Time { return b.clock }
	ring, err := keyring.Open(t.Context(), b.store, keyring.Options{Root: make([]byte, 32), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	b.Registry = New(Options{Issuer: issuer, Store: b.store, Ring: ring, Now: now})
	return b
}

// with returns a bench that has an operator and the resource orders.
func withOrders(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	if _, err := b.Bootstrap(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.resource(ResourceSettings{URI: orders, Scopes: []Scope{{Name: "orders:read"}, {Name: "orders:write"}}})
	return b
}

func (b *bench) resource(settings ResourceSettings) Resource {
	b.t.Helper()
	resource, err := b.CreateResource(b.t.Context(), System("test"), settings)
	if err != nil {
		b.t.Fatal(err)
	}
	return resource
}

func (b *bench) client(metadata oauth.ClientMetadata) Registered {
	b.t.Helper()
	client, err := b.CreateClient(b.t.Context(), System("test"), metadata)
	if err != nil {
		b.t.Fatal(err)
	}
	return client
}

// operator returns an actor with a client of its own that has these admin scopes.
func (b *bench) operator(name string, scopes ...string) Actor {
	b.t.Helper()
	client := b.client(oauth.ClientMetadata{
		ClientName: name, Grants: []oauth.Grant{{Resource: AdminResource(issuer), Scopes: scopes}},
	})
	return Actor{ID: client.ID, Scopes: scopes, Issued: b.clock}
}

func (b *bench) events() []store.Event {
	b.t.Helper()
	events, err := b.store.Events(b.t.Context(), 0, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	return events
}

func (b *bench) lastEvent() store.Event {
	b.t.Helper()
	events := b.events()
	return events[len(events)-1]
}

// wantCode fails unless err has the code.
func wantCode(t *testing.T, err error, code Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Errorf("got %v, want %v", err, code)
	}
}

// fields returns the fields that an Invalid error names.
func fields(t *testing.T, err error) []string {
	t.Helper()
	refusal, ok := errors.AsType[*Error](err)
	if !ok || refusal.Code != Invalid {
		t.Fatalf("got %v, want an Invalid error", err)
	}
	var names []string
	for _, problem := range refusal.Problems {
		names = append(names, problem.Field)
	}
	return names
}

func TestCreateClient(t *testing.T) {
	b := withOrders(t)
	metadata := oauth.ClientMetadata{
		ClientName: "Billing.EU_1", Grants: []oauth.Grant{{
			Resource: orders, Scopes: []string{"orders:read", "orders:write"}, Defaults: []string{"orders:read"},
		}},
		ResourceServerFor: []string{orders}, MultipleAudiences: true, TokenTTLSeconds: 60,
	}
	made := b.client(metadata)
	if !strings.HasPrefix(made.ID, "billing-eu-1-") || len(made.ID) != len("billing-eu-1-")+10 {
		t.Errorf("ID is %q", made.ID)
	}
	metadata.TokenEndpointAuthMethod = "client_secret_basic"
	metadata.GrantTypes = []string{"client_credentials"}
	if diff := cmp.Diff(metadata, made.ClientMetadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}

	record, err := b.store.Clients().Get(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(record.Secrets) != 1 || record.Secrets[0].Hash != store.HashSecret(made.Secret.Reveal()) {
		t.Errorf("the stored hash is not the secret's: %+v", record.Secrets)
	}
	if record.TokenTTL != time.Minute || !record.Created.Equal(noon) {
		t.Errorf("stored %+v", record)
	}

	event := b.lastEvent()
	if event.Action != "client.created" || event.Actor != "test" || event.Object != made.ID || !event.Time.Equal(noon) {
		t.Errorf("event is %+v", event)
	}
	if !strings.Contains(event.Detail, `"client_name":"Billing.EU_1"`) {
		t.Errorf("detail is %s", event.Detail)
	}

	for _, name := range []string{"Billing.EU_1", made.ID} {
		got, err := b.Client(t.Context(), System("test"), name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(made.Client, got); diff != "" {
			t.Errorf("read back by %s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNamesAndIDs(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	first := b.client(oauth.ClientMetadata{ClientName: "billing"})
	longer := b.client(oauth.ClientMetadata{ClientName: "billing-eu"})
	upper := b.client(oauth.ClientMetadata{ClientName: "Billing"})
	for name, want := range map[string]string{"billing": first.ID, "billing-eu": longer.ID, "Billing": upper.ID} {
		if got, err := b.Client(ctx, system, name); err != nil || got.ID != want {
			t.Errorf("%s: got %q, %v, want %q", name, got.ID, err, want)
		}
	}
	_, err := b.CreateClient(ctx, system, oauth.ClientMetadata{ClientName: "billing"})
	wantCode(t, err, Conflict)
	_, err = b.CreateClient(ctx, system, oauth.ClientMetadata{ClientName: first.ID})
	wantCode(t, err, Conflict)
	for _, name := range []string{"bill", "billing-", "nobody", "", "..", "a b", strings.Repeat("a", 65), "\x00"} {
		_, err := b.Client(ctx, system, name)
		wantCode(t, err, NotFound)
	}

	if err := b.DeleteClient(ctx, system, "billing"); err != nil {
		t.Fatal(err)
	}
	if again := b.client(oauth.ClientMetadata{ClientName: "billing"}); again.ID == first.ID {
		t.Errorf("the ID %s was given out again", again.ID)
	}
}

func TestFindClientAmongMany(t *testing.T) {
	b := withOrders(t)
	for range MaxLimit + 20 {
		b.client(oauth.ClientMetadata{ClientName: "worker-" + randomText(8)})
	}
	want := store.Client{ID: "worker-zzzzzzzzzz", Name: "worker"} // the last of all
	if err := b.store.Clients().Insert(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := b.Client(t.Context(), System("test"), "worker")
	if err != nil || got.ID != want.ID {
		t.Errorf("got %q, %v, want %q", got.ID, err, want.ID)
	}
	_, err = b.Client(t.Context(), System("test"), "worke")
	wantCode(t, err, NotFound)
}

func TestSuspendAndResume(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	b.clock = noon.Add(time.Hour)
	got, err := b.SuspendClient(ctx, system, "billing")
	if err != nil || !got.Suspended {
		t.Fatalf("got %+v, %v", got, err)
	}
	record, err := b.store.Clients().Get(ctx, made.ID)
	if err != nil || !record.Suspended || !record.NotBefore.Equal(b.clock) {
		t.Errorf("stored %+v, %v: tokens from before must be dead", record, err)
	}
	if event := b.lastEvent(); event.Action != "client.suspended" || event.Object != made.ID {
		t.Errorf("event is %+v", event)
	}
	before := len(b.events())
	if _, err := b.SuspendClient(ctx, system, made.ID); err != nil || len(b.events()) != before {
		t.Errorf("suspended twice: %v, %d events more", err, len(b.events())-before)
	}
	b.clock = noon.Add(2 * time.Hour)
	if got, err := b.ResumeClient(ctx, system, made.ID); err != nil || got.Suspended {
		t.Errorf("got %+v, %v", got, err)
	}
	record, err = b.store.Clients().Get(ctx, made.ID)
	if err != nil || !record.NotBefore.Equal(noon.Add(time.Hour+afterSuspension)) {
		t.Errorf("after resuming, tokens from before, or that a node gave out late, are alive: %+v, %v", record, err)
	}
	if event := b.lastEvent(); event.Action != "client.resumed" {
		t.Errorf("event is %+v", event)
	}
	b.clock = noon.Add(3 * time.Hour)
	if _, err := b.SuspendClient(ctx, system, made.ID); err != nil {
		t.Fatal(err)
	}
	b.clock = b.clock.Add(time.Second)
	if _, err := b.ResumeClient(ctx, system, made.ID); err != nil {
		t.Fatal(err)
	}
	if record, err = b.store.Clients().Get(ctx, made.ID); err != nil || !record.NotBefore.Equal(b.clock) {
		t.Errorf("resumed at once: tokens are dead until %v, %v, want until now", record.NotBefore, err)
	}
	for _, change := range []func(context.Context, Actor, string) (Client, error){b.SuspendClient, b.ResumeClient} {
		_, err := change(ctx, system, "nobody")
		wantCode(t, err, NotFound)
	}
	wantCode(t, b.DeleteClient(ctx, system, "nobody"), NotFound)
}

func TestUpdateClient(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	b.clock = noon.Add(time.Hour)
	grants := []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}
	got, err := b.UpdateClient(ctx, system, "billing", ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "billing", Grants: grants}})
	if err != nil {
		t.Fatal(err)
	}
	want := made.Client
	want.Grants, want.Updated, want.ETag = grants, b.clock, got.ETag
	want.ScopeUses = []ScopeUse{{Resource: orders, Scope: "orders:read"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if event := b.lastEvent(); event.Action != "client.updated" || event.Object != made.ID {
		t.Errorf("event is %+v", event)
	}
	_, err = b.UpdateClient(ctx, system, "billing", ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "other"}})
	if got := fields(t, err); !slices.Equal(got, []string{"client_name"}) {
		t.Errorf("renamed: %v", got)
	}
	_, err = b.UpdateClient(ctx, system, "billing", ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "billing", Roles: []string{"none"}}})
	if got := fields(t, err); !slices.Equal(got, []string{"roles[0]"}) {
		t.Errorf("problems with %v", got)
	}
}

func TestClientsInPages(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	want := map[string]bool{"operator": true}
	for range 7 {
		made := b.client(oauth.ClientMetadata{ClientName: "c-" + randomText(8)})
		want[made.ClientName] = true
	}
	after, calls := "", 0
	for {
		clients, next, err := b.Clients(ctx, system, ClientFilter{}, after, 3)
		if err != nil {
			t.Fatal(err)
		}
		calls++
		for _, client := range clients {
			if !want[client.ClientName] {
				t.Errorf("%s came twice, or never was", client.ClientName)
			}
			delete(want, client.ClientName)
		}
		if next == "" {
			break
		}
		after = next
	}
	if len(want) > 0 || calls != 3 {
		t.Errorf("missing %v after %d pages of 3", want, calls)
	}
	for _, bad := range []int{-1, MaxLimit + 1, 1e9} {
		_, _, err := b.Clients(ctx, system, ClientFilter{}, "", bad)
		wantCode(t, err, Invalid)
	}
	for _, bad := range []string{"'; drop table clients", "%00", "a\x00", strings.Repeat("a", 10<<10), "-"} {
		_, _, err := b.Clients(ctx, system, ClientFilter{}, bad, 0)
		wantCode(t, err, Invalid)
		_, _, err = b.Roles(ctx, system, bad, 0)
		wantCode(t, err, Invalid)
	}
	for _, bad := range []string{"a b", "a\x00", strings.Repeat("a", 513)} {
		_, _, err := b.Resources(ctx, system, bad, 0)
		wantCode(t, err, Invalid)
	}
}

func TestResources(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	got, err := b.Resource(ctx, system, orders)
	if err != nil {
		t.Fatal(err)
	}
	want := Resource{
		ID: "aHR0cHM6Ly9vcmRlcnMuZXhhbXBsZS5jb20",
		ResourceSettings: ResourceSettings{
			URI: orders, Scopes: []Scope{{Name: "orders:read"}, {Name: "orders:write"}}, Format: "jwt", Algorithm: "ES256",
			TokenTTLSeconds: 300,
		},
		Created: noon, Updated: noon, ETag: got.ETag,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if event := b.lastEvent(); event.Action != "resource.created" || event.Object != orders {
		t.Errorf("event is %+v", event)
	}
	_, err = b.CreateResource(ctx, system, ResourceSettings{URI: orders})
	wantCode(t, err, Conflict)
	_, err = b.Resource(ctx, system, orders+"/")
	wantCode(t, err, NotFound)

	b.resource(ResourceSettings{URI: "urn:example:stock", Format: "opaque"})
	b.resource(ResourceSettings{URI: "https://edge.example.com", Algorithm: "Ed25519"})
	var algorithms []string
	keys, err := b.Keys(ctx, system)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		algorithms = append(algorithms, key.Algorithm)
	}
	slices.Sort(algorithms)
	if want := []string{"ES256", "Ed25519", keyring.Sealing}; !slices.Equal(algorithms, want) {
		t.Errorf("keys for %v, want %v", algorithms, want)
	}

	list, next, err := b.Resources(ctx, system, "", 2)
	if err != nil || len(list) != 2 || next != "https://edge.example.com" {
		t.Errorf("got %d resources, next %q, %v", len(list), next, err)
	}
	if list, next, err = b.Resources(ctx, system, next, 2); err != nil || len(list) != 2 || next != "" {
		t.Errorf("got %d resources, next %q, %v", len(list), next, err)
	}
}

func TestDeleteResource(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	b.client(oauth.ClientMetadata{ClientName: "billing", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}})
	wantCode(t, b.DeleteResource(ctx, system, orders), Conflict)
	if err := b.DeleteClient(ctx, system, "billing"); err != nil {
		t.Fatal(err)
	}
	b.client(oauth.ClientMetadata{ClientName: "orders-api", ResourceServerFor: []string{orders}})
	wantCode(t, b.DeleteResource(ctx, system, orders), Conflict)
	if err := b.DeleteClient(ctx, system, "orders-api"); err != nil {
		t.Fatal(err)
	}
	role := RoleSettings{Name: "reader", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}}
	if _, err := b.CreateRole(ctx, system, role); err != nil {
		t.Fatal(err)
	}
	wantCode(t, b.DeleteResource(ctx, system, orders), Conflict)
	if err := b.DeleteRole(ctx, system, "reader"); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteResource(ctx, system, orders); err != nil {
		t.Fatal(err)
	}
	if event := b.lastEvent(); event.Action != "resource.deleted" || event.Object != orders {
		t.Errorf("event is %+v", event)
	}
	wantCode(t, b.DeleteResource(ctx, system, orders), NotFound)
	if err := b.DeleteClient(ctx, system, Operator); err != nil {
		t.Fatal(err)
	}
	wantCode(t, b.DeleteResource(ctx, system, AdminResource(issuer)), Conflict) // even when nobody names it
}

func TestRoles(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	settings := RoleSettings{
		Name: "reader", Description: "May look",
		Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}, Defaults: []string{"orders:read"}}},
	}
	made, err := b.CreateRole(ctx, system, settings)
	if err != nil {
		t.Fatal(err)
	}
	if event := b.lastEvent(); event.Action != "role.created" || event.Object != "reader" {
		t.Errorf("event is %+v", event)
	}
	got, err := b.Role(ctx, system, "reader")
	if diff := cmp.Diff(made, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff(settings, got.RoleSettings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if list, next, err := b.Roles(ctx, system, "", 0); err != nil || len(list) != 1 || next != "" {
		t.Errorf("got %+v, %q, %v", list, next, err)
	}
	_, err = b.CreateRole(ctx, system, settings)
	wantCode(t, err, Conflict)
	_, err = b.CreateRole(ctx, system, RoleSettings{Name: "..", Description: "\x1b", Grants: []oauth.Grant{{Resource: "urn:none"}}})
	if got := fields(t, err); !slices.Equal(got, []string{"name", "description", "grants[0].resource", "grants[0].scopes"}) {
		t.Errorf("problems with %v", got)
	}

	b.client(oauth.ClientMetadata{ClientName: "billing", Roles: []string{"reader"}})
	wantCode(t, b.DeleteRole(ctx, system, "reader"), Conflict)
	if err := b.DeleteClient(ctx, system, "billing"); err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteRole(ctx, system, "reader"); err != nil {
		t.Fatal(err)
	}
	if event := b.lastEvent(); event.Action != "role.deleted" || event.Object != "reader" {
		t.Errorf("event is %+v", event)
	}
	wantCode(t, b.DeleteRole(ctx, system, "reader"), NotFound)
	_, err = b.Role(ctx, system, "reader")
	wantCode(t, err, NotFound)
}

func TestKeys(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	status := func() map[string]string {
		t.Helper()
		keys, err := b.Keys(ctx, system)
		if err != nil {
			t.Fatal(err)
		}
		byID := map[string]string{}
		for _, key := range keys {
			byID[key.ID] = key.Status
		}
		return byID
	}
	keys, err := b.Keys(ctx, system)
	if err != nil || len(keys) != 1 || keys[0].Algorithm != "ES256" || keys[0].Status != KeySigning {
		t.Fatalf("got %+v, %v", keys, err)
	}
	first := keys[0].ID
	second, err := b.RotateKey(ctx, system, "ES256", false)
	if err != nil || second.Status != KeyAnnounced {
		t.Fatalf("got %+v, %v", second, err)
	}
	if event := b.lastEvent(); event.Action != "key.rotated" || event.Object != second.ID {
		t.Errorf("event is %+v", event)
	}
	if diff := cmp.Diff(map[string]string{first: KeySigning, second.ID: KeyAnnounced}, status()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.clock = second.SignFrom
	if diff := cmp.Diff(map[string]string{first: KeyRetired, second.ID: KeySigning}, status()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := b.RevokeKey(ctx, system, first); err != nil {
		t.Fatal(err)
	}
	if event := b.lastEvent(); event.Action != "key.revoked" || event.Object != first {
		t.Errorf("event is %+v", event)
	}
	if diff := cmp.Diff(map[string]string{first: KeyRevoked, second.ID: KeySigning}, status()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantCode(t, b.RevokeKey(ctx, system, "none"), NotFound)
	_, err = b.RotateKey(ctx, system, "PS256", false)
	wantCode(t, err, NotFound)
	for _, algorithm := range []string{"none", "HS256", "", "es256"} {
		_, err = b.RotateKey(ctx, system, algorithm, false)
		wantCode(t, err, Invalid)
	}
}

func TestKeysOfAnotherNode(t *testing.T) {
	b := withOrders(t)
	ring, err := keyring.Open(t.Context(), b.store, keyring.Options{Root: make([]byte, 32), Now: b.now})
	if err != nil {
		t.Fatal(err)
	}
	other := New(Options{Issuer: issuer, Store: b.store, Ring: ring, Now: b.now})
	b.clock = noon.Add(time.Hour)
	if _, err := other.RotateKey(t.Context(), System("test"), "ES256", true); err != nil {
		t.Fatal(err)
	}
	if keys, err := b.Keys(t.Context(), System("test")); err != nil || len(keys) != 2 {
		t.Errorf("got %d keys, %v, want 2", len(keys), err)
	}
}

func TestBootstrap(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	made, err := b.Bootstrap(ctx)
	if err != nil || made == nil {
		t.Fatalf("got %v, %v", made, err)
	}
	want := []oauth.Grant{{Resource: AdminResource(issuer), Scopes: AdminScopes(), Defaults: AdminScopes()}}
	if diff := cmp.Diff(want, made.Grants); diff != "" {
		t.Errorf("grants (-want +got):\n%s", diff)
	}
	resource, err := b.Resource(ctx, System("test"), AdminResource(issuer))
	if err != nil || len(resource.Scopes) != len(AdminScopes()) || resource.Format != "jwt" || resource.MultipleAudiences {
		t.Errorf("resource %+v, %v", resource, err)
	}
	var actions []string
	for _, event := range b.events() {
		actions = append(actions, event.Action)
	}
	if !slices.Equal(actions, []string{"key.created", "resource.created", "client.created"}) {
		t.Errorf("events are %v", actions)
	}
	if again, err := b.Bootstrap(ctx); err != nil || again != nil {
		t.Errorf("again: %v, %v", again, err)
	}

	// Whoever deleted the first operator for good reasons must not meet it again after a restart.
	actor := Actor{ID: made.ID, Scopes: AdminScopes(), Issued: noon}
	if err := b.DeleteClient(ctx, actor, Operator); err != nil {
		t.Fatal(err)
	}
	if again, err := b.Bootstrap(ctx); err != nil || again != nil {
		t.Errorf("after the operator was deleted: %v, %v", again, err)
	}
	_, err = b.Client(ctx, System("test"), Operator)
	wantCode(t, err, NotFound)
}

func TestBootstrapForAnotherIssuer(t *testing.T) {
	b := withOrders(t)
	moved := New(Options{Issuer: "https://new.example.com", Store: b.store, Ring: b.ring, Now: b.now})
	made, err := moved.Bootstrap(t.Context())
	if err != nil || made == nil {
		t.Fatalf("got %v, %v", made, err)
	}
	if got := len(made.Grants); got != 2 {
		t.Errorf("the operator has %d grants, want the old and the new admin API", got)
	}
}

func TestResetOperator(t *testing.T) {
	b := newBench(t)
	ctx := t.Context()
	first, err := b.Bootstrap(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SuspendClient(ctx, System("test"), Operator); err != nil {
		t.Fatal(err)
	}
	reset, err := b.ResetOperator(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if reset.ID != first.ID || reset.Suspended || reset.Secret == first.Secret {
		t.Errorf("got %+v", reset.Client)
	}
	record, err := b.store.Clients().Get(ctx, first.ID)
	if err != nil || len(record.Secrets) != 1 || record.Secrets[0].Hash != store.HashSecret(reset.Secret.Reveal()) {
		t.Errorf("the old secret still counts: %+v, %v", record.Secrets, err)
	}
	if event := b.lastEvent(); event.Action != "operator.reset" {
		t.Errorf("event is %+v", event)
	}
	if err := b.DeleteClient(ctx, System("test"), Operator); err != nil {
		t.Fatal(err)
	}
	if again, err := b.ResetOperator(ctx); err != nil || again.ID == first.ID {
		t.Errorf("made anew: %+v, %v", again.Client, err)
	}
}
