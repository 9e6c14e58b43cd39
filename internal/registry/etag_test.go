package registry

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// TestCO25 races writers who all saw the same: one of them writes, and the others hear that it is not what they saw.
func TestCO25(t *testing.T) {
	everyStore(t, func(t *testing.T, s store.Store) {
		b := benchOn(t, s)
		system, ctx := System("test"), t.Context()
		b.resource(ResourceSettings{URI: orders, Scopes: []Scope{{Name: "orders:read"}}})
		client := b.client(oauth.ClientMetadata{ClientName: "billing"})
		role, err := b.CreateRole(ctx, system, RoleSettings{Name: "reader"})
		if err != nil {
			t.Fatal(err)
		}
		resource, err := b.Resource(ctx, system, orders)
		if err != nil {
			t.Fatal(err)
		}
		for name, write := range map[string]func(i int) error{
			"CO-25 client": func(i int) error {
				m := oauth.ClientMetadata{ClientName: "billing", TokenTTLSeconds: int64(60 + i)}
				_, err := b.If(client.ETag).UpdateClient(ctx, system, "billing", ClientUpdate{ClientMetadata: m})
				return err
			},
			"CO-25 resource": func(i int) error {
				settings := ResourceSettings{URI: orders, Scopes: []Scope{{Name: "orders:read"}}, TokenTTLSeconds: int64(60 + i)}
				_, err := b.If(resource.ETag).UpdateResource(ctx, system, orders, settings)
				return err
			},
			"CO-25 role": func(i int) error {
				_, err := b.If(role.ETag).UpdateRole(ctx, system, "reader", RoleSettings{Name: "reader", Description: strings.Repeat("x", i+1)})
				return err
			},
		} {
			t.Run(name, func(t *testing.T) {
				const writers = 4
				errs := make([]error, writers)
				var wait sync.WaitGroup
				for i := range writers {
					wait.Go(func() { errs[i] = write(i) })
				}
				wait.Wait()
				written := 0
				for _, err := range errs {
					if err == nil {
						written++
						continue
					}
					wantCode(t, err, Changed)
				}
				if written != 1 {
					t.Errorf("%d writers wrote over each other: %v", written, errs)
				}
			})
		}
	})
}

// TestIf: every write to an object heeds the condition, a write that changes nothing needs none, and who does not say what
// they saw is not asked.
func TestIf(t *testing.T) {
	b := withOrders(t)
	system, ctx := System("test"), t.Context()
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	if _, err := b.CreateRole(ctx, system, RoleSettings{Name: "reader"}); err != nil {
		t.Fatal(err)
	}
	spare := newKey("Ed25519")
	spare.ID = "spare"
	if _, err := b.AddClientKey(ctx, system, "billing", publicJWK(spare), KeySettings{}); err != nil {
		t.Fatal(err)
	}
	stale := b.If(`"stale"`, `W/`+made.ETag)
	for name, write := range map[string]func(r *Registry) error{
		"UpdateClient": func(r *Registry) error {
			_, err := r.UpdateClient(ctx, system, "billing", ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "billing"}})
			return err
		},
		"SuspendClient": func(r *Registry) error { _, err := r.SuspendClient(ctx, system, "billing"); return err },
		"AddSecret": func(r *Registry) error {
			_, err := r.AddSecret(ctx, system, "billing", SecretSettings{}, "")
			return err
		},
		"RotateSecret": func(r *Registry) error {
			_, err := r.RotateSecret(ctx, system, "billing", SecretRotation{}, "")
			return err
		},
		"RevokeSecret": func(r *Registry) error { return r.RevokeSecret(ctx, system, "billing", made.Secrets[0].ID, true) },
		"AddClientKey": func(r *Registry) error {
			_, err := r.AddClientKey(ctx, system, "billing", publicJWK(newKey("ES256")), KeySettings{})
			return err
		},
		"RevokeClientKey":    func(r *Registry) error { return r.RevokeClientKey(ctx, system, "billing", "spare") },
		"RevokeClientTokens": func(r *Registry) error { return r.RevokeClientTokens(ctx, system, "billing", time.Time{}) },
		"DeleteClient":       func(r *Registry) error { return r.DeleteClient(ctx, system, "billing") },
		"UpdateResource": func(r *Registry) error {
			_, err := r.UpdateResource(ctx, system, orders, ResourceSettings{URI: orders})
			return err
		},
		"RevokeResourceTokens": func(r *Registry) error { return r.RevokeResourceTokens(ctx, system, orders, time.Time{}) },
		"DeleteResource":       func(r *Registry) error { return r.DeleteResource(ctx, system, orders) },
		"UpdateRole": func(r *Registry) error {
			_, err := r.UpdateRole(ctx, system, "reader", RoleSettings{Name: "reader"})
			return err
		},
		"DeleteRole": func(r *Registry) error { return r.DeleteRole(ctx, system, "reader") },
	} {
		t.Run(name, func(t *testing.T) {
			before := len(b.events())
			wantCode(t, write(stale), Changed)
			if len(b.events()) != before {
				t.Error("an event of a change that was refused")
			}
		})
	}
	if _, err := stale.ResumeClient(ctx, system, "billing"); err != nil {
		t.Errorf("what is so already: %v", err)
	}
	for _, etags := range [][]string{nil, {"*"}, {`"other"`, ""}} {
		now, err := b.Client(ctx, system, "billing")
		if err != nil {
			t.Fatal(err)
		}
		if len(etags) == 2 {
			etags[1] = now.ETag
		}
		if _, err := b.If(etags...).AddSecret(ctx, system, "billing", SecretSettings{}, ""); err != nil {
			t.Errorf("%q: %v", etags, err)
		}
	}
}

// TestETagIsNotOfUses: who reads a client to change it is not told that it changed because it was used.
func TestETagIsNotOfUses(t *testing.T) {
	b := newBench(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	use := store.Use{ClientID: made.ID, Credential: made.Secrets[0].ID, Last: noon.Add(time.Hour), Remote: "192.0.2.1"}
	if err := b.store.NoteUses(t.Context(), []store.Use{use}); err != nil {
		t.Fatal(err)
	}
	got, err := b.Client(t.Context(), System("test"), "billing")
	if err != nil || got.Secrets[0].LastUsed.IsZero() || got.ETag != made.ETag || got.ETag == "" {
		t.Errorf("ETag %s, want %s, of %+v, %v", got.ETag, made.ETag, got, err)
	}
	if strings.Contains(got.ETag, store.HashSecret(made.Secret.Reveal())) {
		t.Error("the ETag tells of the secret")
	}
}

func TestUpdateResource(t *testing.T) {
	b := withOrders(t)
	system, ctx := System("test"), t.Context()
	grants := []oauth.Grant{{Resource: orders, Scopes: []string{"orders:write"}}}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		b.client(oauth.ClientMetadata{ClientName: name, Grants: grants})
	}
	if _, err := b.CreateRole(ctx, system, RoleSettings{Name: "writer", Grants: grants}); err != nil {
		t.Fatal(err)
	}
	b.clock = noon.Add(time.Hour)
	_, err := b.UpdateResource(ctx, system, orders, ResourceSettings{URI: orders, Scopes: []Scope{{Name: "orders:read"}}})
	wantCode(t, err, Conflict)
	if want := "orders:write of " + orders + " cannot be taken away: the role writer, the client "; !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), " and 2 more have it") {
		t.Errorf("got %v", err)
	}
	got, err := b.UpdateResource(ctx, system, orders, ResourceSettings{URI: orders, Name: "Orders", Scopes: []Scope{{Name: "orders:write"}, {Name: "orders:ship"}}})
	if err != nil || !got.Created.Equal(noon) || !got.Updated.Equal(b.clock) || got.Name != "Orders" || len(got.Scopes) != 2 || got.TokenTTLSeconds != 300 {
		t.Errorf("got %+v, %v", got, err)
	}
	if event := b.lastEvent(); event.Action != "resource.updated" || event.Object != orders {
		t.Errorf("event is %+v", event)
	}
	for _, test := range []struct {
		uri      string
		settings ResourceSettings
		code     Code
	}{
		{orders, ResourceSettings{URI: "urn:example:other"}, Invalid},
		{orders, ResourceSettings{URI: orders, Format: "xml"}, Invalid},
		{"urn:example:other", ResourceSettings{URI: "urn:example:other"}, NotFound},
		{b.admin, ResourceSettings{URI: b.admin}, Conflict},
	} {
		_, err := b.UpdateResource(ctx, system, test.uri, test.settings)
		wantCode(t, err, test.code)
	}
}

func TestUpdateRole(t *testing.T) {
	b := withOrders(t)
	system, ctx := System("test"), t.Context()
	if _, err := b.CreateRole(ctx, system, RoleSettings{Name: "reader"}); err != nil {
		t.Fatal(err)
	}
	b.clock = noon.Add(time.Hour)
	grants := []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}
	got, err := b.UpdateRole(ctx, system, "reader", RoleSettings{Name: "reader", Description: "Look", Grants: grants})
	if err != nil || !got.Created.Equal(noon) || !got.Updated.Equal(b.clock) || len(got.Grants) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if event := b.lastEvent(); event.Action != "role.updated" || event.Object != "reader" {
		t.Errorf("event is %+v", event)
	}
	for name, code := range map[string]Code{"nobody": NotFound, "reader": Invalid} {
		_, err := b.UpdateRole(ctx, system, name, RoleSettings{Name: "other"})
		wantCode(t, err, code)
	}
	// An operator gives no admin scope that they lack, nor takes one away (CVE-2025-5999).
	powerful := []oauth.Grant{{Resource: b.admin, Scopes: []string{KeysRotate}}}
	some := b.operator("registrar", RolesWrite)
	_, err = b.UpdateRole(ctx, some, "reader", RoleSettings{Name: "reader", Grants: powerful})
	wantCode(t, err, Forbidden)
	if _, err := b.UpdateRole(ctx, system, "reader", RoleSettings{Name: "reader", Grants: powerful}); err != nil {
		t.Fatal(err)
	}
	_, err = b.UpdateRole(ctx, some, "reader", RoleSettings{Name: "reader"})
	wantCode(t, err, Forbidden)
}
