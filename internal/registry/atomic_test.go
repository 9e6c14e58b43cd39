package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// failing is a store whose history cannot be written.
type failing struct{ store.Store }

func (f failing) Update(ctx context.Context, change func(store.Store) error) error {
	return f.Store.Update(ctx, func(tx store.Store) error { return change(failing{tx}) })
}

func (failing) Append(context.Context, store.Event) error { return errDisk }

// onFailing returns the registry of a bench, keys and all, on a store whose history cannot be written.
func onFailing(b *bench) *Registry {
	b.t.Helper()
	mute := failing{b.store}
	ring, err := keyring.Open(b.t.Context(), mute, keyring.Options{Root: make([]byte, 32), Now: b.now})
	if err != nil {
		b.t.Fatal(err)
	}
	return New(Options{Issuer: issuer, Store: mute, Ring: ring, Now: b.now})
}

// TestNoChangeWithoutEvent: a change and its record are kept together or not at all, whatever the change is, on every store.
func TestNoChangeWithoutEvent(t *testing.T) {
	everyStore(t, func(t *testing.T, s store.Store) {
		b := benchOn(t, s)
		b.resource(ResourceSettings{URI: orders, Scopes: []Scope{{Name: "orders:read"}, {Name: "orders:write"}}})
		for name, change := range changesOf(b) {
			mute := onFailing(b)
			before := append(b.all(), keysOf(b), tokensOf(b), len(b.events()))
			if err := change(t.Context(), mute); !errors.Is(err, errDisk) {
				t.Errorf("%s: got %v, want the store's error", name, err)
			}
			after := append(b.all(), keysOf(b), tokensOf(b), len(b.events()))
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("%s: changed without an event:\n%s", name, diff)
			}
		}
	})
}

// TestEveryChangeHasAnEvent: the same changes, with a history that can be written, are each told of.
func TestEveryChangeHasAnEvent(t *testing.T) {
	for name := range changesOf(withOrders(t)) {
		b := withOrders(t)
		change := changesOf(b)[name]
		before := len(b.events())
		if err := change(t.Context(), b.Registry); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(b.events()) == before {
			t.Errorf("%s: no event", name)
		}
	}
}

func keysOf(b *bench) (keys []store.SigningKey) {
	if err := store.Each(b.t.Context(), b.store.Keys(), func(k store.SigningKey) error { keys = append(keys, k); return nil }); err != nil {
		b.t.Fatal(err)
	}
	return keys
}

func tokensOf(b *bench) (tokens []store.InitialToken) {
	if err := store.Each(b.t.Context(), b.store.InitialTokens(), func(i store.InitialToken) error { tokens = append(tokens, i); return nil }); err != nil {
		b.t.Fatal(err)
	}
	return tokens
}

// changesOf prepares a bench for one of every change that there is, and returns them.
func changesOf(b *bench) map[string]func(context.Context, *Registry) error {
	ctx, system := b.t.Context(), System("test")
	b.resource(ResourceSettings{URI: "urn:x:z"})
	b.client(oauth.ClientMetadata{ClientName: "worker", RotatesSecrets: true})
	own := b.record(b.look(b.t, "worker").ID)
	added, err := b.AddSecret(ctx, system, "worker", SecretSettings{Expires: noon.Add(time.Minute)}, "")
	keyed := b.client(withKeys(publicJWK(named(newKey("ES256"), "a")), publicJWK(named(newKey("ES256"), "b"))))
	_, role := b.CreateRole(ctx, system, RoleSettings{Name: "helper", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}})
	_, suspended := b.SuspendClient(ctx, system, b.client(oauth.ClientMetadata{ClientName: "asleep"}).ID)
	imported := brought()
	_, brought := b.Import(ctx, system, imported)
	if err := errors.Join(err, role, suspended, brought); err != nil {
		b.t.Fatal(err)
	}
	token := b.initialToken(nil)
	guest, idle := b.mustRegister(token, `{}`), b.initialToken(func(s *InitialTokenSettings) { s.Name, s.FirstUseSeconds = "short", 60 })
	b.mustRegister(idle, `{}`)
	signing := keysOf(b)[0].ID
	rehashed := b.record(imported.Clients[0].ID)
	later := func(r *Registry, do func() error) error { // when what has an end is over
		b.clock = noon.Add(3 * time.Hour)
		defer func() { b.clock = noon }()
		return do()
	}
	visit := func(body string) Visit { return Visit{Token: guest.access, Body: []byte(body)} }
	return map[string]func(context.Context, *Registry) error{
		"create client": func(ctx context.Context, r *Registry) error {
			_, err := r.CreateClient(ctx, system, oauth.ClientMetadata{ClientName: "other"})
			return err
		},
		"update client": func(ctx context.Context, r *Registry) error {
			_, err := r.UpdateClient(ctx, system, "worker", ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "worker", TokenTTLSeconds: 60}})
			return err
		},
		"suspend": func(ctx context.Context, r *Registry) error {
			_, err := r.SuspendClient(ctx, system, "worker")
			return err
		},
		"resume": func(ctx context.Context, r *Registry) error {
			_, err := r.ResumeClient(ctx, system, "asleep")
			return err
		},
		"delete client": func(ctx context.Context, r *Registry) error { return r.DeleteClient(ctx, system, "worker") },
		"add secret": func(ctx context.Context, r *Registry) error {
			_, err := r.AddSecret(ctx, system, "worker", SecretSettings{}, "")
			return err
		},
		"rotate secret": func(ctx context.Context, r *Registry) error {
			_, err := r.RotateSecret(ctx, system, "worker", SecretRotation{Keep: time.Hour}, "")
			return err
		},
		"rotate own secret": func(ctx context.Context, r *Registry) error {
			_, err := r.RotateOwnSecret(ctx, OwnRotation{ClientID: own.ID, Presented: own.Secrets[0].ID})
			return err
		},
		"revoke secret": func(ctx context.Context, r *Registry) error {
			return r.RevokeSecret(ctx, system, "worker", added.ID, false)
		},
		"replace hash": func(ctx context.Context, r *Registry) error {
			return r.ReplaceHashes(ctx, []store.SecretChange{{
				ClientID: rehashed.ID, SecretID: rehashed.Secrets[0].ID, Old: rehashed.Secrets[0].Hash, New: store.HashSecret("x"),
			}})
		},
		"add key": func(ctx context.Context, r *Registry) error {
			_, err := r.AddClientKey(ctx, system, keyed.ID, publicJWK(newKey("ES256")), KeySettings{})
			return err
		},
		"revoke key of a client": func(ctx context.Context, r *Registry) error { return r.RevokeClientKey(ctx, system, keyed.ID, "a") },
		"sweep": func(ctx context.Context, r *Registry) error {
			return later(r, func() error { _, err := r.Sweep(ctx); return err })
		},
		"sweep registrations": func(ctx context.Context, r *Registry) error {
			return later(r, func() error { _, err := r.SweepRegistrations(ctx); return err })
		},
		"create resource": func(ctx context.Context, r *Registry) error {
			_, err := r.CreateResource(ctx, system, ResourceSettings{URI: "urn:x:y"})
			return err
		},
		"create resource with a key of its own": func(ctx context.Context, r *Registry) error {
			_, err := r.CreateResource(ctx, system, ResourceSettings{URI: "urn:x:y", Algorithm: "Ed25519"})
			return err
		},
		"update resource": func(ctx context.Context, r *Registry) error {
			_, err := r.UpdateResource(ctx, system, orders, ResourceSettings{URI: orders, Name: "n", Scopes: []Scope{{Name: "orders:read"}, {Name: "orders:write"}}})
			return err
		},
		"delete resource": func(ctx context.Context, r *Registry) error {
			return r.DeleteResource(ctx, system, "urn:x:z")
		},
		"create role": func(ctx context.Context, r *Registry) error {
			_, err := r.CreateRole(ctx, system, RoleSettings{Name: "r"})
			return err
		},
		"update role": func(ctx context.Context, r *Registry) error {
			_, err := r.UpdateRole(ctx, system, "helper", RoleSettings{Name: "helper", Description: "d"})
			return err
		},
		"delete role": func(ctx context.Context, r *Registry) error { return r.DeleteRole(ctx, system, "helper") },
		"revoke of client": func(ctx context.Context, r *Registry) error {
			return r.RevokeClientTokens(ctx, system, "worker", time.Time{})
		},
		"revoke of resource": func(ctx context.Context, r *Registry) error {
			return r.RevokeResourceTokens(ctx, system, orders, time.Time{})
		},
		"revoke of issuer": func(ctx context.Context, r *Registry) error { return r.RevokeAllTokens(ctx, system, time.Time{}) },
		"rotate key": func(ctx context.Context, r *Registry) error {
			_, err := r.RotateKey(ctx, system, "ES256", true)
			return err
		},
		"revoke key": func(ctx context.Context, r *Registry) error { return r.RevokeKey(ctx, system, signing) },
		"import": func(ctx context.Context, r *Registry) error {
			wanted := Import{Clients: []ImportedClient{{ID: "one-more", ClientMetadata: oauth.ClientMetadata{ClientName: "one-more"}}}}
			_, err := r.Import(ctx, system, wanted)
			return err
		},
		"apply": func(ctx context.Context, r *Registry) error {
			_, err := r.ApplyDeclared(ctx, system, Declaration{State: DeclaredState{Roles: []RoleSettings{{Name: "new"}}}})
			return err
		},
		"create initial token": func(ctx context.Context, r *Registry) error {
			_, err := r.CreateInitialToken(ctx, system, partners(func(s *InitialTokenSettings) { s.Name = "new" }))
			return err
		},
		"revoke initial token": func(ctx context.Context, r *Registry) error { return r.RevokeInitialToken(ctx, system, "partners") },
		"register": func(ctx context.Context, r *Registry) error {
			_, err := r.Register(ctx, Visit{Token: token.Token.Reveal(), Body: []byte(`{}`)})
			return err
		},
		"update registration": func(ctx context.Context, r *Registry) error {
			_, err := r.UpdateRegistration(ctx, guest.id, visit(`{"client_id":"`+guest.id+`","client_name":"New"}`))
			return err
		},
		"end registration": func(ctx context.Context, r *Registry) error { return r.EndRegistration(ctx, guest.id, visit("")) },
		"reset operator":   func(ctx context.Context, r *Registry) error { _, err := r.ResetOperator(ctx); return err },
	}
}

// TestSweptIsTold: a credential that is over is named by a record when it goes, whatever it is that finds it.
func TestSweptIsTold(t *testing.T) {
	for name, write := range map[string]func(context.Context, *bench, store.Client) error{
		"the sweep": func(ctx context.Context, b *bench, _ store.Client) error { _, err := b.Sweep(ctx); return err },
		"a change": func(ctx context.Context, b *bench, _ store.Client) error {
			return b.RevokeClientTokens(ctx, System("test"), "worker", time.Time{})
		},
		"its own rotation": func(ctx context.Context, b *bench, own store.Client) error {
			_, err := b.RotateOwnSecret(ctx, OwnRotation{ClientID: own.ID, Presented: own.Secrets[0].ID})
			return err
		},
		"a file": func(ctx context.Context, b *bench, own store.Client) error {
			metadata := metadataOf(own)
			metadata.TokenTTLSeconds = 60
			_, err := b.ApplyDeclared(ctx, System("test"), Declaration{State: DeclaredState{Clients: []DeclaredClient{{ClientMetadata: metadata}}}})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := withOrders(t)
			made := b.client(oauth.ClientMetadata{ClientName: "worker", RotatesSecrets: true})
			gone, err := b.AddSecret(t.Context(), System("test"), "worker", SecretSettings{Name: "trial", Expires: noon.Add(time.Minute)}, "")
			if err != nil {
				t.Fatal(err)
			}
			own := b.record(made.ID)
			b.clock = noon.Add(time.Hour)
			if err := write(t.Context(), b, own); err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(b.events(), func(e store.Event) bool { return e.Action == "client.swept" })
			if i < 0 {
				t.Fatal("the secret went without a record")
			}
			event := b.events()[i]
			for _, want := range []string{gone.ID, "trial", "2126-11-22T12:01:00Z"} {
				if !strings.Contains(event.Detail, want) {
					t.Errorf("%s is not in %s", want, event.Detail)
				}
			}
			if event.Object != made.ID || event.Actor != "sweep" || !event.Time.Equal(b.clock) || strings.Contains(event.Detail, own.Secrets[0].ID) {
				t.Errorf("event is %+v", event)
			}
		})
	}
}

// TestSweptByRegistration is TestSweptIsTold for a client that changes what it registered.
func TestSweptByRegistration(t *testing.T) {
	b := withOrders(t)
	guest := b.mustRegister(b.initialToken(nil), `{}`)
	gone, err := b.AddSecret(t.Context(), System("test"), guest.id, SecretSettings{Expires: noon.Add(time.Minute)}, "")
	if err != nil {
		t.Fatal(err)
	}
	b.clock = noon.Add(time.Hour)
	visit := Visit{Token: guest.access, Body: []byte(`{"client_id":"` + guest.id + `"}`)}
	if _, err := b.UpdateRegistration(t.Context(), guest.id, visit); err != nil {
		t.Fatal(err)
	}
	swept := func(e store.Event) bool { return e.Action == "client.swept" && strings.Contains(e.Detail, gone.ID) }
	if !slices.ContainsFunc(b.events(), swept) {
		t.Error("the secret went without a record")
	}
}
