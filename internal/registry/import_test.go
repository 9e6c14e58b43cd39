package registry

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

const hydraHash = "$pbkdf2-sha256$i=25000,l=32$xqkGYa9OYhwI7JG1sHdLdg$Nv1PJzOQBKt3H9MPWHRQRiQ89UIDiN0rbJLoTrS2Y7U"

const invoices = "https://api.example.com/invoices"

// brought is an import of one resource, one role and two clients.
func brought() Import {
	grants := []oauth.Grant{{Resource: invoices, Scopes: []string{"invoices:read"}}}
	return Import{
		Resources: []ResourceSettings{{URI: invoices, Scopes: []Scope{{Name: "invoices:read"}}}},
		Roles:     []RoleSettings{{Name: "clerk", Grants: grants}},
		Clients: []ImportedClient{
			{ID: "f34fb15a-bc8a-4372-91cd-aaaffa95fc2c", ClientMetadata: oauth.ClientMetadata{ClientName: "Billing", Grants: grants}, SecretHash: hydraHash},
			{ID: "Some.Free_text", ClientMetadata: oauth.ClientMetadata{ClientName: "night-job", Roles: []string{"clerk"}}, Suspended: true},
		},
	}
}

func outcomes(result ImportResult) []string {
	var all []string
	for _, item := range result.Items {
		all = append(all, strings.TrimSuffix(item.Kind+" "+item.ID+" "+item.Outcome+": "+item.Note, ": "))
	}
	return all
}

func (b *bench) imports(wanted Import) []string {
	b.t.Helper()
	result, err := b.Import(b.t.Context(), System("test"), wanted)
	if err != nil {
		b.t.Fatal(err)
	}
	return outcomes(result)
}

func TestImport(t *testing.T) {
	b := withOrders(t)
	made := []string{
		"resource " + invoices + " created", "role clerk created", "client f34fb15a-bc8a-4372-91cd-aaaffa95fc2c created",
		"client Some.Free_text created: needs a new secret",
	}
	before := len(b.events())
	dry := brought()
	dry.DryRun = true
	if diff := cmp.Diff(made, b.imports(dry)); diff != "" || len(b.events()) != before {
		t.Errorf("a dry run (-want +got), and %d events:\n%s", len(b.events())-before, diff)
	}
	if _, err := b.Client(t.Context(), System("test"), "Some.Free_text"); !errors.Is(err, NotFound) {
		t.Errorf("a dry run has left a client: %v", err)
	}
	if diff := cmp.Diff(made, b.imports(brought())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var actions []string
	for _, event := range b.events()[before:] {
		actions = append(actions, event.Action+" "+event.Object)
		if strings.Contains(event.Detail, "pbkdf2") {
			t.Errorf("the hash is in the history: %s", event.Detail)
		}
	}
	want := []string{
		"resource.created " + invoices, "role.created clerk", "client.imported f34fb15a-bc8a-4372-91cd-aaaffa95fc2c", "client.imported Some.Free_text",
	}
	if diff := cmp.Diff(want, actions); diff != "" {
		t.Errorf("history (-want +got)\n%s", diff)
	}
	again := []string{
		"resource " + invoices + " unchanged", "role clerk unchanged", "client f34fb15a-bc8a-4372-91cd-aaaffa95fc2c unchanged",
		"client Some.Free_text unchanged",
	}
	if diff := cmp.Diff(again, b.imports(brought())); diff != "" || len(b.events()) != before+4 {
		t.Errorf("again (-want +got), %d events\n%s", len(b.events())-before, diff)
	}
	for _, name := range []string{"Billing", "f34fb15a-bc8a-4372-91cd-aaaffa95fc2c"} {
		client, err := b.Client(t.Context(), System("test"), name)
		if err != nil || client.ClientName != "Billing" || len(client.Secrets) != 1 {
			t.Errorf("%s: got %+v %v", name, client, err)
		}
	}
	record, err := b.store.Clients().Get(t.Context(), "f34fb15a-bc8a-4372-91cd-aaaffa95fc2c")
	if err != nil || record.Secrets[0].Hash != "pbkdf2-sha256:"+strings.TrimPrefix(hydraHash, "$pbkdf2-sha256$") {
		t.Errorf("got %+v %v", record.Secrets, err)
	}
}

// TestImportKeeps: what is there is not changed by an import, whatever it says; only a resource gets more scopes.
func TestImportKeeps(t *testing.T) {
	b := withOrders(t)
	b.imports(brought())
	other := brought()
	other.Resources[0].Scopes = []Scope{{Name: "invoices:write"}}
	other.Roles[0].Description = "another"
	other.Clients[0].ClientName, other.Clients[0].SecretHash = "Another", store.HashSecret("another")
	other.Clients[1].Suspended = false
	want := []string{
		"resource " + invoices + " extended: new scopes: invoices:write", "role clerk kept: differs in description",
		"client f34fb15a-bc8a-4372-91cd-aaaffa95fc2c kept: differs in client_name", "client Some.Free_text kept: differs in suspended",
	}
	if diff := cmp.Diff(want, b.imports(other)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	record, err := b.store.Clients().Get(t.Context(), "f34fb15a-bc8a-4372-91cd-aaaffa95fc2c")
	if err != nil || record.Name != "Billing" || !strings.HasPrefix(record.Secrets[0].Hash, "pbkdf2") {
		t.Errorf("got %+v %v", record, err)
	}
	resource, err := b.Resource(t.Context(), System("test"), invoices)
	if err != nil || len(resource.Scopes) != 2 {
		t.Errorf("got %+v %v", resource, err)
	}
}

// TestImportName: a name that is taken, in the import or before, makes room for the ID, also when it is done again.
func TestImportName(t *testing.T) {
	b := withOrders(t)
	b.client(oauth.ClientMetadata{ClientName: "Billing"})
	wanted := Import{Clients: []ImportedClient{
		{ID: "one", ClientMetadata: oauth.ClientMetadata{ClientName: "Billing"}, SecretHash: hydraHash},
		{ID: "two", ClientMetadata: oauth.ClientMetadata{ClientName: "twin"}, SecretHash: hydraHash},
		{ID: "three", ClientMetadata: oauth.ClientMetadata{ClientName: "twin"}, SecretHash: hydraHash},
		{ID: "four", ClientMetadata: oauth.ClientMetadata{ClientName: "two"}, SecretHash: hydraHash},
	}}
	for _, outcome := range []string{"created", "unchanged"} {
		result, err := b.Import(t.Context(), System("test"), wanted)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, item := range result.Items {
			names = append(names, item.Name)
			if item.Outcome != outcome {
				t.Errorf("%+v, want it %s", item, outcome)
			}
		}
		if want := []string{"one", "twin", "three", "four"}; !slices.Equal(names, want) {
			t.Errorf("names: got %v, want %v", names, want)
		}
	}
}

// TestImportID: an ID is kept if it is a good one that nobody ever had. Who holds a token or is named in a policy of somebody
// who is gone must not be met again.
func TestImportID(t *testing.T) {
	b := withOrders(t)
	gone := b.client(oauth.ClientMetadata{ClientName: "gone"})
	imported := Import{Clients: []ImportedClient{{ID: "imported", ClientMetadata: oauth.ClientMetadata{ClientName: "x"}}}}
	b.imports(imported)
	for _, id := range []string{gone.ID, "imported"} {
		if err := b.DeleteClient(t.Context(), System("test"), id); err != nil {
			t.Fatal(err)
		}
	}
	b.client(oauth.ClientMetadata{ClientName: "somebody"})
	for id, field := range map[string]string{
		gone.ID: "was the ID of a client that is deleted", "imported": "was the ID of a client that is deleted",
		"somebody": "is what the client somebody-", "": "must be 1 to 64", "a b": "must be 1 to 64", "../x": "must be 1 to 64",
		"https://odd.example.com": "must be 1 to 64", "bootstrap": "is a name that the history", "Reset": "is a name that the history", "writ_cs_x": "looks like a secret",
		strings.Repeat("x", 65): "must be 1 to 64",
	} {
		before := len(b.events())
		_, err := b.Import(t.Context(), System("test"), Import{Clients: []ImportedClient{
			{ID: "good", ClientMetadata: oauth.ClientMetadata{ClientName: "good"}},
			{ID: id, ClientMetadata: oauth.ClientMetadata{ClientName: "y"}},
		}})
		if !errors.Is(err, Invalid) || !strings.Contains(err.Error(), "clients[1].client_id: "+field) {
			t.Errorf("%q: got %v, want %s", id, err, field)
		}
		if len(b.events()) != before {
			t.Errorf("%q: half of the import was done", id)
		}
	}
}

// TestImportAllOrNothing: everything that is wrong is said at once, with its place, and nothing is done.
func TestImportAllOrNothing(t *testing.T) {
	b := withOrders(t)
	before := len(b.events())
	wanted := brought()
	wanted.Resources = append(wanted.Resources, ResourceSettings{URI: "orders"}, ResourceSettings{URI: "urn:x:rsa", Algorithm: "RS256"})
	wanted.Roles = append(wanted.Roles, RoleSettings{Name: "bad", Grants: []oauth.Grant{{Resource: "urn:nobody", Scopes: []string{"x"}}}})
	wanted.Clients = append(wanted.Clients,
		ImportedClient{ID: "a", ClientMetadata: oauth.ClientMetadata{ClientName: "a", TokenTTLSeconds: -1}, SecretHash: "md5:x"},
		ImportedClient{ID: "b", ClientMetadata: oauth.ClientMetadata{ClientName: "b", TokenEndpointAuthMethod: "private_key_jwt", JWKSURI: "https://b.example.com/jwks"}, SecretHash: hydraHash},
		ImportedClient{ID: "c", ClientMetadata: oauth.ClientMetadata{ClientName: "c", GrantTypes: []string{"implicit"}}})
	_, err := b.Import(t.Context(), System("test"), wanted)
	refusal, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatal(err)
	}
	var fields []string
	for _, problem := range refusal.Problems {
		fields = append(fields, problem.Field)
	}
	want := []string{
		"resources[1].uri", "resources[2]", "roles[1].grants[0].resource", "clients[2].token_ttl_seconds", "clients[2].client_secret_hash",
		"clients[3].client_secret_hash", "clients[4].grant_types[0]",
	}
	if diff := cmp.Diff(want, fields); diff != "" || len(b.events()) != before {
		t.Errorf("%d events (-want +got)\n%s", len(b.events())-before, diff)
	}
}

// TestImportCeiling: an import is no way around what its operator may do (CVE-2025-5999).
func TestImportCeiling(t *testing.T) {
	admin := AdminResource(issuer)
	power := oauth.ClientMetadata{ClientName: "power", Grants: []oauth.Grant{{Resource: admin, Scopes: []string{KeysRotate}}}}
	for name, test := range map[string]struct {
		scopes []string
		wanted Import
		lacks  string
	}{
		"no clients:write":             {[]string{ClientsRead}, Import{}, ClientsWrite},
		"a resource":                   {[]string{ClientsWrite}, Import{Resources: brought().Resources}, ResourcesWrite},
		"a scope of a resource":        {[]string{ClientsWrite}, Import{Resources: []ResourceSettings{{URI: orders, Scopes: []Scope{{Name: "new"}}}}}, ResourcesWrite},
		"a role":                       {[]string{ClientsWrite}, Import{Roles: []RoleSettings{{Name: "r"}}}, RolesWrite},
		"a role with more":             {[]string{ClientsWrite, RolesWrite}, Import{Roles: []RoleSettings{{Name: "r", Grants: power.Grants}}}, KeysRotate},
		"a client with more":           {[]string{ClientsWrite}, Import{Clients: []ImportedClient{{ID: "p", ClientMetadata: power}}}, KeysRotate},
		"one that introspects for all": {[]string{ClientsWrite}, Import{Clients: []ImportedClient{{ID: "p", ClientMetadata: oauth.ClientMetadata{ClientName: "p", ResourceServerFor: []string{admin}}}}}, KeysRotate},
	} {
		t.Run(name, func(t *testing.T) {
			b := withOrders(t)
			actor := b.operator("someone", test.scopes...)
			before := len(b.events())
			_, err := b.Import(t.Context(), actor, test.wanted)
			refusal, _ := errors.AsType[*Error](err)
			if refusal == nil || refusal.Code != Forbidden || !strings.Contains(refusal.Scope, test.lacks) || len(b.events()) != before {
				t.Errorf("got %v, want that %s is lacking", err, test.lacks)
			}
		})
	}
	b := withOrders(t)
	_, err := b.Import(t.Context(), System("test"), Import{Resources: []ResourceSettings{{URI: admin, Scopes: []Scope{{Name: "everything"}}}}})
	if !errors.Is(err, Invalid) {
		t.Errorf("a scope for the admin API: got %v, want it refused", err)
	}
}

// TestReplaceHashes: a hash is replaced only while it is the one that was verified.
func TestReplaceHashes(t *testing.T) {
	b := withOrders(t)
	b.imports(brought())
	const id = "f34fb15a-bc8a-4372-91cd-aaaffa95fc2c"
	held := func() store.Secret {
		record, err := b.store.Clients().Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return record.Secrets[0]
	}
	first := held()
	good := store.SecretChange{ClientID: id, SecretID: first.ID, Old: first.Hash, New: store.HashSecret("new")}
	stale := good
	stale.Old = "bcrypt:another"
	other, nobody := good, good
	other.SecretID, nobody.ClientID = "another", "nobody"
	before := len(b.events())
	if err := b.ReplaceHashes(t.Context(), []store.SecretChange{stale, other, nobody}); err != nil || !reflect.DeepEqual(held(), first) || len(b.events()) != before {
		t.Errorf("got %v %v, want nothing changed", held(), err)
	}
	for range 2 {
		if err := b.ReplaceHashes(t.Context(), []store.SecretChange{good}); err != nil || held().Hash != good.New || held().ID != first.ID {
			t.Errorf("got %v %v, want %s", held(), err, good.New)
		}
	}
	events := b.events()[before:]
	if len(events) != 1 || events[0].Action != "client.secret_rehashed" || strings.Contains(events[0].Detail, good.New) || events[0].Object != id {
		t.Errorf("history: got %v", events)
	}
}

// TestReplaceHashesConcurrently: an operator who takes the secret away while its hash is replaced has the last word.
func TestReplaceHashesConcurrently(t *testing.T) {
	b := withOrders(t)
	b.imports(brought())
	const id = "f34fb15a-bc8a-4372-91cd-aaaffa95fc2c"
	record, err := b.store.Clients().Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	change := store.SecretChange{ClientID: id, SecretID: record.Secrets[0].ID, Old: record.Secrets[0].Hash, New: store.HashSecret("new")}
	done := make(chan error)
	go func() { done <- b.ReplaceHashes(context.WithoutCancel(t.Context()), []store.SecretChange{change}) }()
	err = b.store.Update(t.Context(), func(tx store.Store) error {
		record, err := tx.Clients().Get(t.Context(), id)
		record.Secrets, record.Updated = nil, time.Now().UTC().Truncate(time.Microsecond)
		return errors.Join(err, tx.Clients().Put(t.Context(), record))
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	if record, err := b.store.Clients().Get(t.Context(), id); err != nil || len(record.Secrets) > 0 {
		t.Errorf("got %v %v, want it gone", record.Secrets, err)
	}
}
