package registry

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

func (b *bench) rotate(t *testing.T, keep time.Duration, request string) NewSecret {
	t.Helper()
	made, err := b.RotateSecret(t.Context(), System("test"), "billing", SecretRotation{Keep: keep}, request)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// use writes down that a secret of the client billing was used now.
func (b *bench) use(t *testing.T, clientID, secretID string) {
	t.Helper()
	if err := b.store.NoteUses(t.Context(), []store.Use{{ClientID: clientID, Credential: secretID, Last: b.clock, Remote: "192.0.2.7"}}); err != nil {
		t.Fatal(err)
	}
}

func TestA24RotateSecret(t *testing.T) {
	b := withOrders(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	b.clock = noon.Add(time.Hour)
	next := b.rotate(t, DefaultKeep, "")
	if next.Secret.Reveal() == made.Secret.Reveal() || next.ClientID != made.ID || len(next.Former) != 1 ||
		!next.Former[0].Expires.Equal(b.clock.Add(DefaultKeep)) || !next.Former[0].Rotated.Equal(b.clock) || !next.Expires.IsZero() {
		t.Fatalf("got %+v", next)
	}
	record := b.record(made.ID)
	if len(record.Secrets) != 2 || record.Secrets[1].Hash != store.HashSecret(next.Secret.Reveal()) || record.Secrets[0].Hash != store.HashSecret(made.Secret.Reveal()) {
		t.Errorf("kept %+v", record.Secrets)
	}
	event := b.lastEvent()
	if event.Action != "client.secret_rotated" || event.Object != made.ID || !strings.Contains(event.Detail, next.ID) ||
		strings.Contains(event.Detail, "writ_cs_") || strings.Contains(event.Detail, "sha256") {
		t.Errorf("event is %+v", event)
	}
	if text := fmt.Sprintf("%v %+v %x", next, next, next); strings.Contains(text, "writ_cs_") {
		t.Errorf("printed: %s", text)
	}
	b.clock = b.clock.Add(DefaultKeep)
	if got := b.look(t, "billing").Secrets; len(got) != 1 || got[0].ID != next.ID {
		t.Errorf("after the end: %+v", got)
	}
}

// TestA24EndOfARotatedSecret: an end is never moved to later, and by a second rotation not to earlier while somebody counts
// on it.
func TestA24EndOfARotatedSecret(t *testing.T) {
	const day = 24 * time.Hour
	for name, test := range map[string]struct {
		expires time.Duration   // of the first secret
		used    []time.Duration // when the first secret is used, after the first rotation
		again   time.Duration   // when the second rotation comes, after the first
		keep    time.Duration   // of the second
		want    time.Duration   // the end of the first secret, after the first rotation
	}{
		"unused for long: the end is moved":                   {used: []time.Duration{-time.Hour}, again: time.Hour, want: time.Hour},
		"never used: the end is moved":                        {again: time.Hour, keep: time.Minute, want: time.Hour + time.Minute},
		"used since: it stays":                                {used: []time.Duration{time.Minute}, again: time.Hour, want: day},
		"used since, and another node says nothing newer":     {used: []time.Duration{-time.Hour, time.Second}, again: 20 * time.Hour, want: day},
		"used so shortly before that a use since is not told": {used: []time.Duration{-59 * time.Second}, again: time.Hour, want: day},
		"used a minute before, and not since":                 {used: []time.Duration{-time.Minute}, again: time.Hour, want: time.Hour},
		"at once: a use may not be written down yet":          {again: 2*time.Minute - 1, want: day},
		"two minutes later it is":                             {again: 2 * time.Minute, want: 2 * time.Minute},
		"never later":                                         {again: time.Hour, keep: 2 * day, want: day},
		"never later, though it is used":                      {used: []time.Duration{time.Minute}, again: time.Hour, keep: 2 * day, want: day},
		"never later than it was to end anyway":               {expires: time.Hour, again: time.Minute, keep: day, want: time.Hour},
		"nor earlier, if it is used":                          {expires: 10 * time.Hour, used: []time.Duration{time.Minute}, again: time.Hour, want: 10 * time.Hour},
		"its own end counts as given when it is rotated":      {expires: 10 * time.Hour, again: time.Second, want: 10 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			b := withOrders(t)
			made := b.client(oauth.ClientMetadata{ClientName: "billing"})
			rotated := noon.Add(2 * time.Hour)
			record := b.record(made.ID)
			if test.expires > 0 {
				record.Secrets[0].Expires = rotated.Add(test.expires)
				if err := b.store.Clients().Put(t.Context(), record); err != nil {
					t.Fatal(err)
				}
			}
			b.clock = rotated
			b.rotate(t, day, "")
			for _, after := range test.used {
				b.clock = rotated.Add(after)
				b.use(t, made.ID, record.Secrets[0].ID)
			}
			b.clock = rotated.Add(test.again)
			b.rotate(t, test.keep, "")
			for _, secret := range b.record(made.ID).Secrets {
				if want := rotated.Add(test.want).Truncate(time.Microsecond); secret.ID == record.Secrets[0].ID && !secret.Expires.Equal(want) {
					t.Errorf("ends %s after the rotation, want %s", secret.Expires.Sub(rotated), test.want)
				}
			}
		})
	}
}

func TestAddSecret(t *testing.T) {
	b := withOrders(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	ctx, system := t.Context(), System("test")
	settings := SecretSettings{Name: "eu-west", NotBefore: noon.Add(time.Hour), Expires: noon.Add(2 * time.Hour)}
	second, err := b.AddSecret(ctx, system, "billing", settings, "")
	if err != nil || len(second.Former) != 1 || second.Former[0].ID != made.Secrets[0].ID || !second.Former[0].Expires.IsZero() {
		t.Fatalf("got %+v, %v", second, err)
	}
	want := SecretInfo{ID: second.ID, Name: "eu-west", Created: noon, NotBefore: settings.NotBefore, Expires: settings.Expires}
	if got := b.look(t, "billing").Secrets; len(got) != 2 || !cmp.Equal(got[1], want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if event := b.lastEvent(); event.Action != "client.secret_added" || strings.Contains(event.Detail, "writ_cs_") {
		t.Errorf("event is %+v", event)
	}
	b.use(t, made.ID, second.ID)
	if got := b.look(t, "billing").Secrets[1]; !got.LastUsed.Equal(noon) || got.LastUsedFrom != "192.0.2.7" {
		t.Errorf("got %+v", got)
	}
	for name, test := range map[string]struct {
		settings SecretSettings
		field    string
	}{
		"over":            {SecretSettings{Expires: noon}, "expires"},
		"never":           {SecretSettings{NotBefore: noon.Add(time.Hour), Expires: noon.Add(time.Hour)}, "not_before"},
		"a name of paths": {SecretSettings{Name: "../x"}, "name"},
	} {
		_, err := b.AddSecret(ctx, system, "billing", test.settings, "")
		if got := fields(t, err); len(got) != 1 || got[0] != test.field {
			t.Errorf("%s: got %v, want %s", name, err, test.field)
		}
	}
	_, err = b.AddSecret(ctx, system, "billing", SecretSettings{Name: "eu-west"}, "")
	wantCode(t, err, Conflict)
	for range maxSecrets - 2 {
		if _, err := b.AddSecret(ctx, system, "billing", SecretSettings{}, ""); err != nil {
			t.Fatal(err)
		}
	}
	_, err = b.AddSecret(ctx, system, "billing", SecretSettings{}, "")
	wantCode(t, err, Conflict)
	_, err = b.RotateSecret(ctx, system, "billing", SecretRotation{}, "")
	wantCode(t, err, Conflict)
	_, err = b.RotateSecret(ctx, system, "billing", SecretRotation{Keep: -1}, "")
	wantCode(t, err, Invalid)
}

// TestFromKeyToSecret is the way back: the secret is there first, and counts from when the method changes.
func TestFromKeyToSecret(t *testing.T) {
	b := withOrders(t)
	key := publicJWK(named(newKey("ES256"), "k"))
	made := b.client(oauth.ClientMetadata{ClientName: "billing", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: set(key)})
	toSecret := oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.ClientSecretBasic}
	_, err := b.tryChange(t, toSecret, noon.Add(time.Hour))
	if got := fields(t, err); len(got) != 1 || got[0] != "token_endpoint_auth_method" {
		t.Errorf("without a secret: %v", err)
	}
	_, err = b.RotateSecret(t.Context(), System("test"), "billing", SecretRotation{}, "")
	wantCode(t, err, Conflict)
	secret, err := b.AddSecret(t.Context(), System("test"), "billing", SecretSettings{}, "")
	if err != nil || made.Secret != "" {
		t.Fatal(err)
	}
	b.changed(t, oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT, DPoPBoundAccessTokens: true}, time.Time{})
	if got := b.look(t, "billing"); len(got.Secrets) != 1 || !got.Secrets[0].Expires.IsZero() {
		t.Errorf("in wait: %+v", got)
	}
	got := b.changed(t, toSecret, noon.Add(time.Hour))
	if got.FormerMethod != oauth.PrivateKeyJWT || len(got.Secrets) != 1 || got.Secrets[0].ID != secret.ID || len(got.Keys) != 1 {
		t.Errorf("between: %+v", got)
	}
	b.clock = noon.Add(time.Hour)
	if got := b.look(t, "billing"); got.FormerMethod != "" || len(got.Secrets) != 1 || got.Keys != nil {
		t.Errorf("at the end: %+v", got)
	}
}

func TestRevokeSecret(t *testing.T) {
	b := withOrders(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	ctx, system, first := t.Context(), System("test"), made.Secrets[0].ID
	wantCode(t, b.RevokeSecret(ctx, system, "billing", "nothing", false), NotFound)
	wantCode(t, b.RevokeSecret(ctx, system, "billing", first, false), Conflict)
	if _, err := b.AddSecret(ctx, system, "billing", SecretSettings{NotBefore: noon.Add(time.Hour)}, ""); err != nil {
		t.Fatal(err)
	}
	wantCode(t, b.RevokeSecret(ctx, system, "billing", first, false), Conflict) // the other one does not count yet
	next := b.rotate(t, time.Hour, "")
	if err := b.RevokeSecret(ctx, system, "billing", first, false); err != nil {
		t.Fatal(err)
	}
	if event := b.lastEvent(); event.Action != "client.secret_revoked" || !strings.Contains(event.Detail, first) {
		t.Errorf("event is %+v", event)
	}
	if got := b.record(made.ID).Secrets; len(got) != 2 || got[1].ID != next.ID {
		t.Errorf("left: %+v", got)
	}
	if err := b.RevokeSecret(ctx, system, "billing", next.ID, true); err != nil {
		t.Error(err)
	}
}

// TestCO12Secrets: who gives a client a secret can be that client.
func TestCO12Secrets(t *testing.T) {
	b := withOrders(t)
	registrar := b.operator("registrar", ClientsWrite)
	operator := b.look(t, Operator)
	before := len(b.events())
	_, err := b.AddSecret(t.Context(), registrar, Operator, SecretSettings{}, "")
	wantCode(t, err, Forbidden)
	_, err = b.RotateSecret(t.Context(), registrar, Operator, SecretRotation{}, "")
	wantCode(t, err, Forbidden)
	wantCode(t, b.RevokeSecret(t.Context(), registrar, Operator, operator.Secrets[0].ID, true), Forbidden)
	if after := len(b.events()); after != before {
		t.Errorf("%d changes", after-before)
	}
}

// TestRepeatedRequest: who did not hear the answer asks again and gets the same secret, after a crash and on another node
// too; nobody else does.
func TestRepeatedRequest(t *testing.T) {
	b := withOrders(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	other := b.client(oauth.ClientMetadata{ClientName: "other"})
	ann, bob := b.operator("ann", ClientsWrite), b.operator("bob", ClientsWrite)
	ask := func(r *Registry, actor Actor, client, request string) NewSecret {
		t.Helper()
		got, err := r.RotateSecret(t.Context(), actor, client, SecretRotation{Keep: time.Hour}, request)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := ask(b.Registry, ann, "billing", "q4")
	if len(first.Secret.Reveal()) != len(made.Secret.Reveal()) || !strings.HasPrefix(first.Secret.Reveal(), "writ_cs_") {
		t.Errorf("the secret has another form: %d characters", len(first.Secret.Reveal()))
	}
	before, events := b.record(made.ID), len(b.events())
	b.clock = noon.Add(30 * time.Minute)
	ring, err := keyring.Open(t.Context(), b.store, keyring.Options{Root: make([]byte, 32), Now: func() time.Time { return b.clock }})
	if err != nil {
		t.Fatal(err)
	}
	node := New(Options{Issuer: issuer, Store: b.store, Ring: ring, Now: func() time.Time { return b.clock }})
	if again := ask(node, ann, made.ID, "q4"); !cmp.Equal(again, first) {
		t.Errorf("again: %+v, want %+v", again, first)
	}
	if !cmp.Equal(b.record(made.ID), before) || len(b.events()) != events {
		t.Error("the repetition changed something")
	}
	texts := map[string]string{first.Secret.Reveal(): "the first"}
	for name, got := range map[string]NewSecret{
		"another request":   ask(b.Registry, ann, "billing", "q5"),
		"another actor":     ask(b.Registry, bob, "billing", "q4"),
		"another client":    ask(b.Registry, ann, other.ID, "q4"),
		"no request":        ask(b.Registry, ann, "billing", ""),
		"again no request":  ask(b.Registry, ann, "billing", ""),
		"another operation": b.added(t, ann, "q4"),
	} {
		if twin, taken := texts[got.Secret.Reveal()]; taken {
			t.Errorf("%s got the secret of %s", name, twin)
		}
		texts[got.Secret.Reveal()] = name
	}
	if err := b.RevokeSecret(t.Context(), ann, "billing", first.ID, false); err != nil {
		t.Fatal(err)
	}
	if got := ask(b.Registry, ann, "billing", "q4"); texts[got.Secret.Reveal()] != "" {
		t.Error("a secret that was revoked is back")
	}
	for _, request := range []string{strings.Repeat("x", 256), "a\x00b", "ä"} {
		_, err := b.RotateSecret(t.Context(), ann, "billing", SecretRotation{}, request)
		wantCode(t, err, Invalid)
	}
	weak := Actor{ID: ann.ID, Scopes: oauth.Scope{ClientsRead}, Issued: b.clock}
	_, err = b.RotateSecret(t.Context(), weak, "billing", SecretRotation{}, "q5")
	wantCode(t, err, Forbidden)
}

func (b *bench) added(t *testing.T, actor Actor, request string) NewSecret {
	t.Helper()
	made, err := b.AddSecret(t.Context(), actor, "billing", SecretSettings{}, request)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
