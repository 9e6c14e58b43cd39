package registry

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

// TestOnce: requests that are sent again, at the same time or later, have one effect and one answer, on every store.
func TestOnce(t *testing.T) {
	everyStore(t, func(t *testing.T, s store.Store) {
		b := benchOn(t, s)
		ctx, system := t.Context(), System("test")
		made := make([]Registered, 4)
		var wait sync.WaitGroup
		for i := range made {
			wait.Go(func() {
				var err error
				if made[i], err = b.Once("key").CreateClient(ctx, system, oauth.ClientMetadata{ClientName: "billing"}); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		for _, other := range made[1:] {
			if other.ID != made[0].ID || other.Secret != made[0].Secret || other.Secret == "" {
				t.Errorf("another answer: %s, want %s", other.ID, made[0].ID)
			}
		}
		record, err := s.Clients().Get(ctx, made[0].ID)
		if err != nil || len(record.Secrets) != 1 || record.Secrets[0].Hash != store.HashSecret(made[0].Secret.Reveal()) {
			t.Errorf("got %+v, %v", record, err)
		}
		_, err = b.Once("key").CreateClient(ctx, system, oauth.ClientMetadata{ClientName: "billing", TokenTTLSeconds: 60})
		wantCode(t, err, Conflict)
		_, err = b.Once("key").CreateClient(ctx, System("another"), oauth.ClientMetadata{ClientName: "billing"})
		wantCode(t, err, Conflict) // it is a request of its own, and the name is taken
		_, err = b.Once("key\n").CreateClient(ctx, system, oauth.ClientMetadata{ClientName: "other"})
		wantCode(t, err, Invalid)
		if err := b.DeleteClient(ctx, system, "billing"); err != nil {
			t.Fatal(err)
		}
		_, err = b.Once("key").CreateClient(ctx, system, oauth.ClientMetadata{ClientName: "billing"})
		wantCode(t, err, Conflict)

		for range 2 {
			if _, err := b.Once("r").CreateResource(ctx, system, ResourceSettings{URI: orders}); err != nil {
				t.Errorf("resource: %v", err)
			}
			if _, err := b.Once("r").CreateRole(ctx, system, RoleSettings{Name: "reader"}); err != nil {
				t.Errorf("role: %v", err)
			}
		}
		_, err = b.Once("r").CreateRole(ctx, system, RoleSettings{Name: "writer"})
		wantCode(t, err, Conflict)
	})
}

// TestOnceAfterARefusal: what was refused was not carried out, and its key is free.
func TestOnceAfterARefusal(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	_, err := b.Once("key").CreateClient(ctx, system, oauth.ClientMetadata{ClientName: "billing", Roles: []string{"reader"}})
	wantCode(t, err, Invalid)
	if _, err := b.Once("key").CreateClient(ctx, system, oauth.ClientMetadata{ClientName: "billing"}); err != nil {
		t.Error(err)
	}
	b.clock = b.clock.Add(repeatable + time.Hour)
	if _, err := b.store.Sweep(ctx, b.clock); err != nil {
		t.Fatal(err)
	}
	_, err = b.Once("key").CreateClient(ctx, system, oauth.ClientMetadata{ClientName: "billing"})
	wantCode(t, err, Conflict)
}

// TestOnceCredentials: what adds a key to a client or makes an initial access token, sent again at the same time or later, has one
// effect and one answer, on every store.
func TestOnceCredentials(t *testing.T) {
	everyStore(t, func(t *testing.T, s store.Store) {
		b := withBilling(t, s)
		ctx, system, before, jwk := t.Context(), System("test"), len(b.events()), publicJWK(named(newKey("ES256"), "k"))
		keys, tokens := make([]ClientKey, 4), make([]NewInitialToken, 4)
		var wait sync.WaitGroup
		for i := range keys {
			wait.Go(func() {
				var err error
				if keys[i], err = b.Once("1").AddClientKey(ctx, system, "billing", jwk, KeySettings{}); err != nil {
					t.Error(err)
				}
				if tokens[i], err = b.Once("1").CreateInitialToken(ctx, system, partners(nil)); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		for i := range keys {
			if !cmp.Equal(keys[i], keys[0]) || !cmp.Equal(tokens[i], tokens[0]) || tokens[i].Token == "" {
				t.Errorf("another answer: %+v, %+v, want %+v, %+v", keys[i], tokens[i], keys[0], tokens[0])
			}
		}
		if made := len(b.events()) - before; made != 2 {
			t.Errorf("%d changes, want 2", made)
		}
		b.mustRegister(tokens[3], "{}")
		_, err := b.Once("1").AddClientKey(ctx, system, "billing", jwk, KeySettings{Limit: Limit{TokenTTLSeconds: 60}})
		wantCode(t, err, Conflict)
		_, err = b.Once("1").AddClientKey(ctx, system, "billing", publicJWK(newKey("ES256")), KeySettings{})
		wantCode(t, err, Conflict)
		_, err = b.Once("1").CreateInitialToken(ctx, system, partners(func(s *InitialTokenSettings) { s.MaxUses = 3 }))
		wantCode(t, err, Conflict)
	})
}

// TestOnceAndGone: the answer to a request is not given again when what it made is gone, and what comes in its place has a
// text of its own: a token that was revoked stays dead.
func TestOnceAndGone(t *testing.T) {
	b := withBilling(t, memstore.New())
	ctx, system, jwk := t.Context(), System("test"), publicJWK(named(newKey("ES256"), "k"))
	add := func() error {
		_, err := b.Once("1").AddClientKey(ctx, system, "billing", jwk, KeySettings{})
		return err
	}
	create := func() (NewInitialToken, error) { return b.Once("1").CreateInitialToken(ctx, system, partners(nil)) }
	first, err := create()
	if err := errors.Join(err, add(), b.RevokeInitialToken(ctx, system, "partners"), b.RevokeClientKey(ctx, system, "billing", "k")); err != nil {
		t.Fatal(err)
	}
	_, err = create()
	wantCode(t, err, Conflict)
	wantCode(t, add(), Conflict)
	b.initialToken(nil) // of the same name
	_, err = create()
	wantCode(t, err, Conflict)
	b.clock = b.clock.Add(repeatable + time.Hour)
	if _, err := b.store.Sweep(ctx, b.clock); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.RevokeInitialToken(ctx, system, "partners"), add()); err != nil {
		t.Fatal(err)
	}
	if second, err := create(); err != nil || second.Token == first.Token || second.ID == first.ID {
		t.Errorf("got %+v, %v after %+v", second, err, first)
	}
}

// TestOnceRotation: a rotation that is sent again, at the same time or later, makes one key, on every store.
func TestOnceRotation(t *testing.T) {
	everyStore(t, func(t *testing.T, s store.Store) {
		b := withBilling(t, s)
		ctx, system, before := t.Context(), System("test"), len(b.events())
		made := make([]Key, 4)
		var wait sync.WaitGroup
		for i := range made {
			wait.Go(func() {
				var err error
				if made[i], err = b.Once("1").RotateKey(ctx, system, "ES256", false); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		for _, other := range made[1:] {
			if !cmp.Equal(other, made[0]) || other.ID == "" {
				t.Errorf("another answer: %+v, want %+v", other, made[0])
			}
		}
		_, err := b.Once("1").RotateKey(ctx, system, "ES256", true)
		wantCode(t, err, Conflict)
		if changes := len(b.events()) - before; changes != 1 {
			t.Errorf("%d changes, want 1", changes)
		}
		second, err := b.Once("2").RotateKey(ctx, system, "ES256", false)
		again, errAgain := b.Once("1").RotateKey(ctx, system, "ES256", false)
		if err := errors.Join(err, errAgain); err != nil || second.ID == made[0].ID || again.ID != made[0].ID {
			t.Errorf("got %+v, then %+v, %v, after %+v", second, again, err, made[0])
		}
		if keys, err := b.Keys(ctx, system); err != nil || len(keys) != 3 {
			t.Errorf("got %+v, %v", keys, err)
		}
	})
}

// TestRotationAtOnce: the event of a key that signs at once says so, and comes with the key or not at all.
func TestRotationAtOnce(t *testing.T) {
	b := withOrders(t)
	key, err := b.RotateKey(t.Context(), System("test"), "ES256", true)
	if err != nil || key.Status != KeySigning {
		t.Fatalf("got %+v, %v", key, err)
	}
	if event := b.lastEvent(); event.Object != key.ID || event.Detail != detail(key) {
		t.Errorf("the event is %+v, want %s", event, detail(key))
	}
}

// withBilling is benchOn with orders and a client.
func withBilling(t *testing.T, s store.Store) *bench {
	t.Helper()
	b := benchOn(t, s)
	b.resource(ResourceSettings{URI: orders, Scopes: []Scope{{Name: "orders:read"}, {Name: "orders:write"}}})
	b.client(oauth.ClientMetadata{ClientName: "billing"})
	return b
}
