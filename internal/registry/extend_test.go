package registry

import (
	"slices"
	"testing"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// TestNewAdminScopeReachesTheOperatorThatIsThere: an upgrade that brings a scope gives it to the first operator who could do
// everything, and to nobody else.
func TestNewAdminScopeReachesTheOperatorThatIsThere(t *testing.T) {
	old := slices.DeleteFunc(AdminScopes(), func(name string) bool { return name == AuditRead })
	for _, test := range []struct {
		name     string
		held     oauth.Scope
		extended bool
	}{
		{"who had all", old, true},
		{"who was cut down", old[1:], false},
		{"who has none", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t)
			ctx := t.Context()
			if _, err := b.Bootstrap(ctx); err != nil {
				t.Fatal(err)
			}
			resource, err := b.store.Resources().Get(ctx, b.Admin())
			if err != nil {
				t.Fatal(err)
			}
			resource.Scopes = slices.DeleteFunc(resource.Scopes, func(s store.Scope) bool { return s.Name == AuditRead })
			id, err := FindClientID(ctx, b.store, Operator)
			if err != nil {
				t.Fatal(err)
			}
			operator, err := b.store.Clients().Get(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			operator.Grants = []store.Grant{{Resource: b.Admin(), Scopes: test.held, Defaults: test.held}}
			if err := b.store.Resources().Put(ctx, resource); err != nil {
				t.Fatal(err)
			}
			if err := b.store.Clients().Put(ctx, operator); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second start finds nothing to do
				if made, err := b.Bootstrap(ctx); made != nil || err != nil {
					t.Fatalf("Bootstrap: %v, %v", made, err)
				}
			}
			resource, err = b.store.Resources().Get(ctx, b.Admin())
			if err != nil || !slices.ContainsFunc(resource.Scopes, func(s store.Scope) bool { return s.Name == AuditRead }) {
				t.Errorf("the resource has %v, %v", resource.Scopes, err)
			}
			operator, err = b.store.Clients().Get(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			grant := operator.Grants[0]
			if slices.Contains(grant.Scopes, AuditRead) != test.extended || slices.Contains(grant.Defaults, AuditRead) != test.extended {
				t.Errorf("it may %v, by default %v; extended: want %t", grant.Scopes, grant.Defaults, test.extended)
			}
			events, err := b.store.Events(ctx, 0, 1000)
			if err != nil {
				t.Fatal(err)
			}
			var told []string
			for _, e := range events {
				if e.Actor == "bootstrap" {
					told = append(told, e.Action)
				}
			}
			want := []string{"resource.created", "client.created", "resource.updated"}
			if test.extended {
				want = append(want, "client.updated")
			}
			if !slices.Equal(told, want) {
				t.Errorf("the history tells %v, want %v", told, want)
			}
		})
	}
}
