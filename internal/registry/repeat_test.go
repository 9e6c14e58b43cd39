package registry

import (
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
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
