package registry

import (
	"context"
	"fmt"
	"testing"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// asked is a store that counts what is asked about clients.
type asked struct {
	store.Store
	times *int
}

type askedClients struct {
	store.Table[store.Client]
	times *int
}

func (a asked) Clients() store.Table[store.Client] { return askedClients{a.Store.Clients(), a.times} }

func (a asked) FindClients(ctx context.Context, query store.ClientQuery) ([]store.Client, error) {
	*a.times++
	return a.Store.FindClients(ctx, query)
}

func (a asked) ClientsCalled(ctx context.Context, words ...string) ([]store.Client, error) {
	*a.times++
	return a.Store.ClientsCalled(ctx, words...)
}

func (a asked) Uses(ctx context.Context, ids ...string) ([]store.Use, error) {
	*a.times++
	return a.Store.Uses(ctx, ids...)
}

func (a asked) Update(ctx context.Context, change func(store.Store) error) error {
	return a.Store.Update(ctx, func(tx store.Store) error { return change(asked{tx, a.times}) })
}

func (a askedClients) Get(ctx context.Context, key string) (store.Client, error) {
	*a.times++
	return a.Table.Get(ctx, key)
}

// TestDeclaredAsksLittle: however many clients a file names, or a role has, the database is asked about hundreds at once. Each
// question is a way over the network.
func TestDeclaredAsksLittle(t *testing.T) {
	b := withOrders(t)
	ctx := t.Context()
	clerk := RoleSettings{Name: "clerk", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read", "orders:write"}}}}
	wish := Declaration{State: DeclaredState{Roles: []RoleSettings{clerk}}}
	for i := range MaxLimit + 20 {
		wish.State.Clients = append(wish.State.Clients, DeclaredClient{
			ClientMetadata: oauth.ClientMetadata{ClientName: fmt.Sprint("worker-", i), Roles: []string{"clerk"}}, Secret: newSecret(),
		})
	}
	b.apply(wish)
	err := store.Each(ctx, b.store.Clients(), func(client store.Client) error {
		return b.store.NoteUses(ctx, []store.Use{{ClientID: client.ID, Credential: client.Secrets[0].ID, Last: noon, Remote: "192.0.2.7"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	times := 0
	b.Registry.store = asked{b.store, &times}
	for i := range wish.State.Clients {
		wish.State.Clients[i].TokenTTLSeconds = 60
	}
	few := func(what string, most int) {
		t.Helper()
		if times > most {
			t.Errorf("%s: %d questions, want %d or fewer", what, times, most)
		}
		times = 0
	}
	if plan := b.plan(Declaration{State: DeclaredState{Clients: wish.State.Clients}}); len(plan.Changes) != MaxLimit+20 {
		t.Fatalf("%d changes", len(plan.Changes))
	}
	few("a plan of clients", 4)
	clerk.Grants[0].Scopes = []string{"orders:read"}
	plan := b.plan(Declaration{State: DeclaredState{Roles: []RoleSettings{clerk}}})
	if len(plan.Changes) != 1 || len(plan.Changes[0].Impact) != maxImpact+1 {
		t.Fatalf("got %+v", plan)
	}
	few("a plan of a role", 4)
	b.apply(Declaration{State: DeclaredState{Clients: wish.State.Clients}})
	few("an apply", 4)
}
