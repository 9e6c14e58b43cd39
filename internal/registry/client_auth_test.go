package registry

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/oauth"
)

// tryChange updates the client billing: its method, and until when the former one counts.
func (b *bench) tryChange(t *testing.T, m oauth.ClientMetadata, keep time.Time) (Client, error) {
	t.Helper()
	m.ClientName = "billing"
	return b.UpdateClient(t.Context(), System("test"), "billing", ClientUpdate{ClientMetadata: m, KeepFormerUntil: keep})
}

func (b *bench) changed(t *testing.T, m oauth.ClientMetadata, keep time.Time) Client {
	t.Helper()
	client, err := b.tryChange(t, m, keep)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestFromSecretToKey is the migration that docs describe: both count for a while, and nobody is locked out.
func TestFromSecretToKey(t *testing.T) {
	b := withOrders(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	secret := b.record(made.ID).Secrets
	b.addKey(t, "billing", publicJWK(named(newKey("ES256"), "k")))
	if got := b.look(t, "billing"); got.TokenEndpointAuthMethod != oauth.ClientSecretBasic || len(got.Secrets) != 1 || len(got.Keys) != 1 || got.JWKS != nil {
		t.Errorf("with a key in wait: %+v", got)
	}
	until := noon.Add(24 * time.Hour)
	toKey := oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT}
	got := b.changed(t, toKey, until.Add(999))
	if got.TokenEndpointAuthMethod != oauth.PrivateKeyJWT || got.FormerMethod != oauth.ClientSecretBasic || !got.FormerUntil.Equal(until) ||
		len(got.Secrets) != 1 || !got.Secrets[0].Expires.Equal(until) || !slices.Equal(kids(got), []string{"k"}) || got.JWKS == nil {
		t.Errorf("between: %+v", got)
	}
	if event := b.lastEvent(); event.Action != "client.updated" || !strings.Contains(event.Detail, `"former_method":"client_secret_basic"`) {
		t.Errorf("event is %+v", event)
	}
	if got := b.record(made.ID).Secrets; !cmp.Equal(got, secret) {
		t.Errorf("the secret was changed: %+v", got)
	}

	// Updates meanwhile are about something else.
	if got := b.changed(t, b.look(t, "billing").ClientMetadata, time.Time{}); got.FormerMethod == "" || len(got.Secrets) != 1 {
		t.Errorf("an update ended the former method: %+v", got)
	}
	if got := b.changed(t, toKey, until.Add(-time.Hour)); !got.FormerUntil.Equal(until.Add(-time.Hour)) {
		t.Errorf("the end was not moved: %+v", got)
	}
	b.changed(t, toKey, until)

	b.clock = until.Add(-time.Microsecond)
	if got := b.look(t, "billing"); got.FormerMethod == "" || len(got.Secrets) != 1 {
		t.Errorf("just before the end: %+v", got)
	}
	b.clock = until
	if got := b.look(t, "billing"); got.FormerMethod != "" || !got.FormerUntil.IsZero() || got.Secrets != nil || len(got.Keys) != 1 {
		t.Errorf("at the end: %+v", got)
	}
	b.changed(t, toKey, time.Time{})
	if record := b.record(made.ID); record.FormerMethod != "" || record.Secrets != nil || len(record.Keys) != 1 {
		t.Errorf("the next update left %+v", record)
	}
}

func TestMethodChanges(t *testing.T) {
	uri, name := "https://keys.example.com/jwks", "billing.example.com"
	secret := oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.ClientSecretBasic}
	key := oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: set(publicJWK(named(newKey("ES256"), "k")))}
	remote := oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKSURI: uri, TokenEndpointAuthSigningAlg: "PS256"}
	tls := oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.TLSClientAuth, TLSClientAuthSANDNS: name}
	// What is left: s secrets, k keys, u jwks_uri, a algorithm, c certificate rule, f former method.
	left := func(c Client) (all string) {
		for _, part := range []struct {
			name  string
			there bool
		}{
			{"s", c.Secrets != nil}, {"k", c.Keys != nil}, {"u", c.JWKSURI != ""}, {"a", c.TokenEndpointAuthSigningAlg != ""},
			{"c", c.TLSClientAuthSANDNS != ""}, {"f", c.FormerMethod != ""},
		} {
			if part.there {
				all += part.name
			}
		}
		return all
	}
	for name, test := range map[string]struct {
		from, to              oauth.ClientMetadata
		atOnce, during, after string
	}{
		"secret to post":         {secret, oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.ClientSecretPost}, "s", "sf", "s"},
		"secret to key":          {secret, key, "k", "skf", "k"},
		"secret to jwks_uri":     {secret, remote, "ua", "suaf", "ua"},
		"secret to certificate":  {secret, tls, "c", "scf", "c"},
		"key to certificate":     {key, tls, "c", "kcf", "c"},
		"jwks_uri to certifcate": {remote, tls, "c", "uacf", "c"},
		"certificate to key":     {tls, key, "k", "kcf", "k"},
	} {
		t.Run(name, func(t *testing.T) {
			b := withOrders(t)
			from := test.from
			from.ClientName = "billing"
			b.client(from)
			if got := left(b.changed(t, test.to, time.Time{})); got != test.atOnce {
				t.Errorf("at once: %q is left, want %q", got, test.atOnce)
			}
			b = withOrders(t)
			made := b.client(from)
			until := noon.Add(time.Hour)
			if got := left(b.changed(t, test.to, until)); got != test.during {
				t.Errorf("during the overlap: %q is there, want %q", got, test.during)
			}
			again := b.look(t, "billing").ClientMetadata
			if got := left(b.changed(t, again, time.Time{})); got != test.during {
				t.Errorf("written as it was read: %q is there, want %q", got, test.during)
			}
			b.clock = until
			if got := left(b.look(t, "billing")); got != test.after {
				t.Errorf("afterwards: %q is left, want %q", got, test.after)
			}
			if n, err := b.Sweep(t.Context()); err != nil || n != 1 {
				t.Errorf("Sweep: got %d, %v, want 1", n, err)
			}
			if got := left(clientView(b.record(made.ID), nil)); got != test.after {
				t.Errorf("after a sweep: %q is stored, want %q", got, test.after)
			}
			if event := b.lastEvent(); event.Action != "client.swept" || event.Object != made.ID {
				t.Errorf("event is %+v", event)
			}
			if n, err := b.Sweep(t.Context()); err != nil || n != 0 {
				t.Errorf("Sweep again: got %d, %v, want 0", n, err)
			}
		})
	}
}

// TestWayBack: who finds that the change does not work goes back while the secret is there.
func TestWayBack(t *testing.T) {
	b := withOrders(t)
	b.client(oauth.ClientMetadata{ClientName: "billing"})
	b.changed(t, withKeys(publicJWK(newKey("ES256"))), noon.Add(time.Hour))
	got := b.changed(t, oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.ClientSecretBasic}, time.Time{})
	if got.TokenEndpointAuthMethod != oauth.ClientSecretBasic || len(got.Secrets) != 1 || !got.Secrets[0].Expires.IsZero() || got.Keys != nil || got.FormerMethod != "" {
		t.Errorf("got %+v", got)
	}
	b.changed(t, withKeys(publicJWK(newKey("ES256"))), noon.Add(time.Hour))
	if got := b.changed(t, oauth.ClientMetadata{}, noon); got.FormerMethod != "" || got.Secrets != nil {
		t.Errorf("the former method was ended now: %+v", got)
	}
	_, err := b.tryChange(t, oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.ClientSecretBasic}, time.Time{})
	if got := fields(t, err); !slices.Equal(got, []string{"token_endpoint_auth_method"}) {
		t.Errorf("without a secret: problems with %v", got)
	}
	if got := b.look(t, "billing"); got.TokenEndpointAuthMethod != oauth.PrivateKeyJWT || len(got.Keys) != 1 {
		t.Errorf("an update that was refused left %+v", got)
	}
}

func TestOverlapsAreBounded(t *testing.T) {
	b := withOrders(t)
	b.client(oauth.ClientMetadata{ClientName: "billing"})
	toKey := withKeys(publicJWK(newKey("ES256")))
	for name, test := range map[string]struct {
		m    oauth.ClientMetadata
		keep time.Time
	}{
		"too long":              {toKey, noon.Add(maxOverlap + time.Second)},
		"no change":             {oauth.ClientMetadata{}, noon.Add(time.Hour)},
		"no change, named":      {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.ClientSecretBasic}, noon.Add(time.Hour)},
		"no change and no time": {oauth.ClientMetadata{}, noon.Add(-time.Hour)},
	} {
		_, err := b.tryChange(t, test.m, test.keep)
		if got := fields(t, err); !slices.Equal(got, []string{"keep_former_until"}) {
			t.Errorf("%s: problems with %v", name, got)
		}
	}
	if got := b.changed(t, toKey, noon.Add(maxOverlap)); got.FormerMethod == "" {
		t.Errorf("got %+v", got)
	}
}
