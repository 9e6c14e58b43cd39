package registry

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// renewing is a client that may rotate its secrets, with a secret for each of two places.
func renewing(t *testing.T, expires time.Time) (b *bench, clientID, secret string) {
	t.Helper()
	b = withOrders(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing", RotatesSecrets: true})
	west, err := b.AddSecret(t.Context(), System("test"), "billing", SecretSettings{Name: "west", Expires: expires}, "")
	if err != nil {
		t.Fatal(err)
	}
	record := b.record(made.ID)
	record.Secrets[1].Limit = store.Limit{TokenTTL: time.Minute, Scopes: []string{"orders:read"}, Networks: []string{"192.0.2.0/24"}}
	if err := b.store.Clients().Put(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	return b, made.ID, west.ID
}

func (b *bench) renew(t *testing.T, clientID, presented, request string) NewSecret {
	t.Helper()
	made, err := b.RotateOwnSecret(t.Context(), OwnRotation{ClientID: clientID, Presented: presented, Request: request})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (b *bench) notRenewed(t *testing.T, clientID, presented, request string, want Code) {
	t.Helper()
	before := b.record(clientID)
	_, err := b.RotateOwnSecret(t.Context(), OwnRotation{ClientID: clientID, Presented: presented, Request: request})
	wantCode(t, err, want)
	if diff := cmp.Diff(before, b.record(clientID)); diff != "" {
		t.Errorf("it was refused, and changed something:\n%s", diff)
	}
}

func TestRotateOwnSecret(t *testing.T) {
	b, id, west := renewing(t, noon.Add(30*24*time.Hour))
	b.clock = noon.Add(10 * 24 * time.Hour)
	made := b.renew(t, id, west, "")
	record := b.record(id)
	if len(record.Secrets) != 3 {
		t.Fatalf("got %+v", record.Secrets)
	}
	other, former, next := record.Secrets[0], record.Secrets[1], record.Secrets[2]
	if !other.Expires.IsZero() || !other.Rotated.IsZero() {
		t.Errorf("the secret of another place was touched: %+v", other)
	}
	if !former.Expires.Equal(b.clock.Add(DefaultKeep)) || !former.Rotated.Equal(b.clock) || former.Name != "" {
		t.Errorf("the former one: %+v", former)
	}
	limit := store.Limit{TokenTTL: time.Minute, Scopes: []string{"orders:read"}, Networks: []string{"192.0.2.0/24"}}
	if next.Hash != store.HashSecret(made.Secret.Reveal()) || next.Name != "west" || !next.Expires.Equal(b.clock.Add(30*24*time.Hour)) || !cmp.Equal(next.Limit, limit) {
		t.Errorf("the new one: %+v", next)
	}
	if made.ID != next.ID || len(made.Former) != 1 || made.Former[0].ID != west || !made.Former[0].Expires.Equal(former.Expires) {
		t.Errorf("answered %+v", made)
	}
	event := b.lastEvent()
	if event.Action != "client.secret_rotated" || event.Actor != id || event.Object != id || !strings.Contains(event.Detail, `"presented":"`+west+`"`) ||
		strings.Contains(event.Detail, "writ_cs_") || strings.Contains(event.Detail, "sha256") {
		t.Errorf("event: %+v", event)
	}
	b.use(t, id, made.ID)
	b.clock = b.clock.Add(time.Hour)
	again := b.renew(t, id, made.ID, "")
	if !again.Expires.Equal(b.clock.Add(30 * 24 * time.Hour)) {
		t.Errorf("the third expires %v", again.Expires)
	}
}

// TestOwnSecretHasOneSuccessor: who has stolen a secret and renews it cannot stay unseen beside its owner, whoever is first.
func TestOwnSecretHasOneSuccessor(t *testing.T) {
	t.Run("the first got nowhere: the second takes its place", func(t *testing.T) {
		b, id, west := renewing(t, noon.Add(30*24*time.Hour))
		first := b.renew(t, id, west, "one")
		b.notRenewed(t, id, west, "two", Conflict) // a use of it may not be written down yet
		b.clock = noon.Add(2 * time.Minute)
		second := b.renew(t, id, west, "two")
		record := b.record(id)
		if len(record.Secrets) != 3 || record.Secrets[2].ID != second.ID || second.ID == first.ID || record.Secrets[2].Name != "west" {
			t.Errorf("got %+v", record.Secrets)
		}
		if end := record.Secrets[1].Expires; !end.Equal(noon.Add(DefaultKeep)) {
			t.Errorf("the end of the former one moved to %v", end)
		}
		if !second.Expires.Equal(b.clock.Add(30*24*time.Hour)) || record.Secrets[2].Limit.TokenTTL != time.Minute {
			t.Errorf("the new one is not after the model of the first: %+v", record.Secrets[2])
		}
		if !strings.Contains(b.lastEvent().Detail, `"replaced":"`+first.ID+`"`) {
			t.Errorf("event: %+v", b.lastEvent())
		}
	})
	t.Run("the first was used: the second is refused", func(t *testing.T) {
		b, id, west := renewing(t, time.Time{})
		first := b.renew(t, id, west, "one")
		b.use(t, id, first.ID)
		b.clock = noon.Add(time.Hour)
		b.notRenewed(t, id, west, "two", Conflict)
		b.notRenewed(t, id, west, "", Conflict)
		b.notRenewed(t, id, west, "one", Conflict) // what was overheard brings out nothing
		b.clock = noon.Add(DefaultKeep)
		b.notRenewed(t, id, west, "two", Unauthorized)
		b.renew(t, id, first.ID, "two")
	})
	t.Run("the operator rotated: the former one has no successor", func(t *testing.T) {
		b, id, west := renewing(t, time.Time{})
		record := b.record(id)
		record.Secrets[1].Limit = store.Limit{}
		if err := b.store.Clients().Put(t.Context(), record); err != nil {
			t.Fatal(err)
		}
		b.rotate(t, DefaultKeep, "")
		b.clock = noon.Add(time.Hour)
		b.notRenewed(t, id, west, "one", Conflict)
	})
	t.Run("the operator revoked the successor", func(t *testing.T) {
		b, id, west := renewing(t, time.Time{})
		first := b.renew(t, id, west, "one")
		if err := b.RevokeSecret(t.Context(), System("test"), id, first.ID, false); err != nil {
			t.Fatal(err)
		}
		b.clock = noon.Add(time.Hour)
		b.notRenewed(t, id, west, "one", Conflict)
	})
}

// TestOwnSecretAgain: a request whose answer was lost can be sent again, at any node, and makes one secret.
func TestOwnSecretAgain(t *testing.T) {
	b, id, west := renewing(t, time.Time{})
	first := b.renew(t, id, west, "one")
	events := len(b.events())
	b.clock = noon.Add(time.Hour)
	again := b.renew(t, id, west, "one")
	if again.Secret != first.Secret || again.ID != first.ID || len(b.record(id).Secrets) != 3 || len(b.events()) != events {
		t.Errorf("got %+v, first %+v", again, first)
	}
	if len(again.Former) != 1 || again.Former[0].ID != west {
		t.Errorf("former: %+v", again.Former)
	}
	// The same words of another secret of the client are another request.
	if other := b.renew(t, id, b.record(id).Secrets[0].ID, "one"); other.Secret == first.Secret {
		t.Error("two secrets have one successor")
	}
	b.notRenewed(t, id, west, strings.Repeat("x", 256), Invalid)
	b.notRenewed(t, id, west, "a\nb", Invalid)
}

func TestOwnSecretRefused(t *testing.T) {
	change := func(edit func(*store.Client)) func(*testing.T, *bench, string) {
		return func(t *testing.T, b *bench, id string) {
			record := b.record(id)
			edit(&record)
			if err := b.store.Clients().Put(t.Context(), record); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, test := range map[string]struct {
		prepare func(*testing.T, *bench, string)
		want    Code
	}{
		"an operator did not allow it": {change(func(c *store.Client) { c.RotatesSecrets = false }), Forbidden},
		"suspended":                    {change(func(c *store.Client) { c.Suspended = true }), Unauthorized},
		"it authenticates with a key":  {change(func(c *store.Client) { c.AuthMethod = oauth.PrivateKeyJWT }), Unauthorized},
		"the secret is gone":           {change(func(c *store.Client) { c.Secrets = c.Secrets[:1] }), Unauthorized},
		"the secret has expired":       {change(func(c *store.Client) { c.Secrets[1].Expires = noon }), Unauthorized},
		"sixteen secrets": {func(t *testing.T, b *bench, id string) {
			for i := range maxSecrets - 2 {
				if _, err := b.AddSecret(t.Context(), System("test"), id, SecretSettings{Name: fmt.Sprint("s", i)}, ""); err != nil {
					t.Fatal(err)
				}
			}
		}, Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			b, id, west := renewing(t, time.Time{})
			test.prepare(t, b, id)
			if name == "the secret has expired" {
				_, err := b.RotateOwnSecret(t.Context(), OwnRotation{ClientID: id, Presented: west})
				wantCode(t, err, test.want)
				return
			}
			b.notRenewed(t, id, west, "one", test.want)
		})
	}
	b, _, west := renewing(t, time.Time{})
	_, err := b.RotateOwnSecret(t.Context(), OwnRotation{ClientID: "nobody", Presented: west})
	wantCode(t, err, Unauthorized)
}

// TestOwnRotationHasAnOrigin: who asks where a secret was renewed finds it beside what was done.
func TestOwnRotationHasAnOrigin(t *testing.T) {
	b, id, west := renewing(t, time.Time{})
	if _, err := b.RotateOwnSecret(t.Context(), OwnRotation{ClientID: id, Presented: west, Remote: "192.0.2.7", RequestID: "req-1"}); err != nil {
		t.Fatal(err)
	}
	events := b.events()
	last := events[len(events)-1]
	if remote, request := OriginOf(last); last.Action != "client.secret_rotated" || last.Actor != id || remote != "192.0.2.7" || request != "req-1" {
		t.Errorf("the history says %+v", last)
	}
}
