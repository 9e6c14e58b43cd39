package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// TestExpiredCredentialsAreSwept: the secrets of a client that changed to a key are gone when their time is over, also when
// nobody changes anything about the client any more.
func TestExpiredCredentialsAreSwept(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	r := startAt(t, testConfig(t), clock.now)
	made := r.newClient(t, "billing", nil)
	pair, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jose.MarshalPublic(jose.Key{Algorithm: jose.ES256, Public: pair.Public()})
	if err != nil {
		t.Fatal(err)
	}
	update := registry.ClientUpdate{ClientMetadata: made.ClientMetadata, KeepFormerUntil: clock.now().Add(time.Hour)}
	update.TokenEndpointAuthMethod, update.JWKS = oauth.PrivateKeyJWT, fmt.Appendf(nil, `{"keys":[%s]}`, key)
	if _, err := r.registry.UpdateClient(t.Context(), registry.System("test"), made.ID, update); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.loops, func(l loop) bool { return l.name == "expired credentials" })
	if i < 0 || r.loops[i].every > time.Hour {
		t.Fatal("the server does not look for them every hour")
	}
	for _, step := range []struct {
		pass time.Duration
		want int
	}{{0, 1}, {time.Hour, 0}} {
		clock.add(step.pass)
		if err := r.loops[i].once(t.Context()); err != nil {
			t.Fatal(err)
		}
		record, err := r.store.Clients().Get(t.Context(), made.ID)
		if err != nil || len(record.Secrets) != step.want || len(record.Keys) != 1 {
			t.Errorf("after %s: %d secrets and %d keys, %v, want %d and 1", step.pass, len(record.Secrets), len(record.Keys), err, step.want)
		}
	}
}
