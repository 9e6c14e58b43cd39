package registry

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

func (b *bench) addKey(t *testing.T, client string, data []byte) ClientKey {
	t.Helper()
	key, err := b.AddClientKey(t.Context(), System("test"), client, data, KeySettings{})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func kids(client Client) (ids []string) {
	for _, key := range client.Keys {
		ids = append(ids, key.ID)
	}
	return ids
}

func (b *bench) look(t *testing.T, name string) Client {
	t.Helper()
	client, err := b.Client(t.Context(), System("test"), name)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestAddClientKey(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	made := b.client(withKeys(publicJWK(named(newKey("ES256"), "first"))))
	b.clock = noon.Add(time.Hour)

	expires := noon.Add(48 * time.Hour)
	jwk := named(newKey("Ed25519"), "second")
	key, err := b.AddClientKey(ctx, system, "billing", publicJWK(jwk), KeySettings{Expires: expires})
	want := ClientKey{ID: "second", Algorithm: "Ed25519", Thumbprint: key.Thumbprint, Created: b.clock, Expires: expires}
	if diff := cmp.Diff(want, key); err != nil || diff != "" || len(key.Thumbprint) != 43 {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if event := b.lastEvent(); event.Action != "client.key_added" || event.Object != made.ID || !strings.Contains(event.Detail, `"kid":"second"`) {
		t.Errorf("event is %+v", event)
	}
	der, err := x509.MarshalPKIXPublicKey(newKey("ES256").Public)
	if err != nil {
		t.Fatal(err)
	}
	fromPEM := b.addKey(t, "billing", pemOf("PUBLIC KEY", der))
	if fromPEM.ID != fromPEM.Thumbprint || fromPEM.Algorithm != "ES256" {
		t.Errorf("from PEM: %+v", fromPEM)
	}
	certificate := certified(t, "", noon.Add(72*time.Hour)).Certificate
	fromCertificate := b.addKey(t, "billing", pemOf("CERTIFICATE", certificate.Raw))
	if fromCertificate.CertificateSubject != "CN=billing" || !fromCertificate.CertificateExpires.Equal(certificate.NotAfter) {
		t.Errorf("from a certificate: %+v", fromCertificate)
	}
	if got := b.record(made.ID).Keys[3].Certificate; !bytes.Equal(got, certificate.Raw) {
		t.Error("the certificate was not kept")
	}
	if got := kids(b.look(t, "billing")); !slices.Equal(got, []string{"first", "second", fromPEM.ID, fromCertificate.ID}) {
		t.Errorf("keys are %v", got)
	}
	b.clock = expires
	if got := kids(b.look(t, "billing")); !slices.Equal(got, []string{"first", fromPEM.ID, fromCertificate.ID}) {
		t.Errorf("keys are %v, though second has expired", got)
	}
}

func TestAddClientKeyRefused(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	first := named(newKey("ES256"), "first")
	metadata := withKeys(publicJWK(first))
	metadata.TokenEndpointAuthSigningAlg = "ES256"
	b.client(metadata)
	pair := newPair("ES256")
	private, err := jose.MarshalPrivate(pair, "ES256")
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(pair.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pemOf("PUBLIC KEY", pkix)
	for name, test := range map[string]struct {
		data    []byte
		expires time.Time
		code    Code
		text    string
	}{
		"nothing":                    {nil, time.Time{}, Invalid, "neither PEM"},
		"text":                       {[]byte("ssh-ed25519 AAAA"), time.Time{}, Invalid, "neither PEM"},
		"RG-06 a private JWK":        {private, time.Time{}, Invalid, "not public"},
		"RG-06 a private key in PEM": {pemOf("PRIVATE KEY", pkcs8), time.Time{}, Invalid, "private key"},
		"two keys in PEM":            {slices.Concat(public, public), time.Time{}, Invalid, "more than one"},
		"a private key behind":       {slices.Concat(public, pemOf("PRIVATE KEY", pkcs8)), time.Time{}, Invalid, "more than one"},
		"a set":                      {set(publicJWK(newKey("ES256"))), time.Time{}, Invalid, "JWK Set"},
		"J42 RSA 1024":               {weakRSA(t, 1024), time.Time{}, Invalid, "not supported"},
		"too large":                  {bytes.Repeat([]byte(" "), jose.MaxJWKSBytes+1), time.Time{}, Invalid, "256 KiB"},
		"another algorithm":          {publicJWK(newKey("Ed25519")), time.Time{}, Invalid, "signs with ES256 only"},
		"expired":                    {public, noon, Invalid, "over already"},
		"its kid is taken":           {publicJWK(named(newKey("ES256"), "first")), time.Time{}, Conflict, "first already"},
		"known by another kid":       {publicJWK(named(first, "other")), time.Time{}, Conflict, "as first"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(b.events())
			_, err := b.AddClientKey(ctx, system, "billing", test.data, KeySettings{Expires: test.expires})
			if wantCode(t, err, test.code); err == nil || !strings.Contains(err.Error(), test.text) || len(b.events()) != before {
				t.Errorf("got %v, want %s", err, test.text)
			}
		})
	}
	_, err = b.AddClientKey(ctx, system, "nobody", public, KeySettings{})
	wantCode(t, err, NotFound)
	for i := range jose.MaxJWKSKeys - 1 {
		b.addKey(t, "billing", publicJWK(named(newKey("ES256"), fmt.Sprint(i))))
	}
	_, err = b.AddClientKey(ctx, system, "billing", public, KeySettings{})
	wantCode(t, err, Conflict)
	if got := kids(b.look(t, "billing")); len(got) != jose.MaxJWKSKeys {
		t.Errorf("%d keys", len(got))
	}
}

func TestSelfSignedKeysComeWithCertificates(t *testing.T) {
	b := withOrders(t)
	first := certified(t, "first", noon.Add(time.Hour))
	b.client(oauth.ClientMetadata{ClientName: "billing", TokenEndpointAuthMethod: oauth.SelfSignedTLSClientAuth, JWKS: set(publicJWK(first))})
	_, err := b.AddClientKey(t.Context(), System("test"), "billing", publicJWK(newKey("ES256")), KeySettings{})
	if got := fields(t, err); !slices.Equal(got, []string{"key"}) {
		t.Errorf("problems with %v", got)
	}
	b.addKey(t, "billing", publicJWK(certified(t, "second", noon.Add(time.Hour))))
	keys, err := jose.ParseJWKS(b.look(t, "billing").JWKS)
	if err != nil || len(keys) != 2 || !keys[0].Certificate.Equal(first.Certificate) {
		t.Errorf("jwks is shown as %+v, %v, want the certificates with it", keys, err)
	}
}

func TestRevokeClientKey(t *testing.T) {
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	made := b.client(withKeys(publicJWK(named(newKey("ES256"), "https://kms.example/1")), publicJWK(named(newKey("ES256"), "second"))))
	wantCode(t, b.RevokeClientKey(ctx, system, "billing", "third"), NotFound)
	wantCode(t, b.RevokeClientKey(ctx, system, "nobody", "second"), NotFound)
	if err := b.RevokeClientKey(ctx, system, "billing", made.Keys[0].Thumbprint); err != nil {
		t.Fatal(err)
	}
	if event := b.lastEvent(); event.Action != "client.key_revoked" || event.Object != made.ID || !strings.Contains(event.Detail, "kms.example") {
		t.Errorf("event is %+v", event)
	}
	err := b.RevokeClientKey(ctx, system, "billing", "second")
	if wantCode(t, err, Conflict); err == nil || !strings.Contains(err.Error(), "add another one first") {
		t.Errorf("the last key: got %v", err)
	}
	if got := kids(b.look(t, "billing")); !slices.Equal(got, []string{"second"}) {
		t.Errorf("keys are %v", got)
	}
	// One that has expired does not count.
	b.addKeyUntil(t, "billing", named(newKey("ES256"), "short"), noon.Add(time.Minute))
	b.clock = noon.Add(time.Hour)
	wantCode(t, b.RevokeClientKey(ctx, system, "billing", "second"), Conflict)
	wantCode(t, b.RevokeClientKey(ctx, system, "billing", "short"), NotFound)
	b.addKey(t, "billing", publicJWK(named(newKey("ES256"), "third")))
	if err := b.RevokeClientKey(ctx, system, "billing", "second"); err != nil {
		t.Error(err)
	}

	b.client(oauth.ClientMetadata{ClientName: "secretive"})
	b.addKey(t, "secretive", publicJWK(named(newKey("ES256"), "only")))
	if err := b.RevokeClientKey(ctx, system, "secretive", "only"); err != nil {
		t.Errorf("a key that the client does not need: %v", err)
	}
}

func (b *bench) addKeyUntil(t *testing.T, client string, key jose.Key, expires time.Time) {
	t.Helper()
	if _, err := b.AddClientKey(t.Context(), System("test"), client, publicJWK(key), KeySettings{Expires: expires}); err != nil {
		t.Fatal(err)
	}
}

// TestUpdateKeepsKeys: an update that does not name the keys leaves them; one that does replaces them.
func TestUpdateKeepsKeys(t *testing.T) {
	b := withOrders(t)
	first, second := named(newKey("ES256"), "first"), named(newKey("ES256"), "second")
	made := b.client(withKeys(publicJWK(first)))
	b.clock = noon.Add(time.Hour)
	b.addKeyUntil(t, "billing", second, noon.Add(48*time.Hour))
	update := func(m oauth.ClientMetadata) Client {
		t.Helper()
		m.ClientName = "billing"
		client, err := b.UpdateClient(t.Context(), System("test"), "billing", ClientUpdate{ClientMetadata: m})
		if err != nil {
			t.Fatal(err)
		}
		return client
	}
	b.clock = noon.Add(2 * time.Hour)
	before := b.record(made.ID).Keys
	if got := update(oauth.ClientMetadata{TokenTTLSeconds: 60}); !slices.Equal(kids(got), []string{"first", "second"}) || got.TokenEndpointAuthMethod != oauth.PrivateKeyJWT {
		t.Errorf("without jwks: %+v", got)
	}
	if got := b.record(made.ID).Keys; !cmp.Equal(got, before) {
		t.Errorf("without jwks: %+v, want %+v", got, before)
	}
	update(b.look(t, "billing").ClientMetadata) // what was read is what is written
	if got := b.record(made.ID).Keys; !cmp.Equal(got, before) {
		t.Errorf("with what was there: %+v, want %+v", got, before)
	}
	third := named(newKey("ES256"), "third")
	got := update(oauth.ClientMetadata{JWKS: set(publicJWK(second), publicJWK(third))})
	if !slices.Equal(kids(got), []string{"second", "third"}) || !got.Keys[0].Created.Equal(noon.Add(time.Hour)) || got.Keys[0].Expires.IsZero() ||
		!got.Keys[1].Created.Equal(b.clock) {
		t.Errorf("with jwks: %+v", got.Keys)
	}
	// Another key under the same ID is another key.
	if got := update(oauth.ClientMetadata{JWKS: set(publicJWK(named(newKey("ES256"), "third")))}); !got.Keys[0].Created.Equal(b.clock) || len(got.Keys) != 1 {
		t.Errorf("with another key: %+v", got.Keys)
	}
	if got := update(oauth.ClientMetadata{JWKSURI: "https://keys.example.com/jwks"}); got.Keys != nil || got.JWKS != nil || got.JWKSURI == "" {
		t.Errorf("with jwks_uri: %+v", got)
	}
	if got := update(oauth.ClientMetadata{}); got.JWKSURI == "" {
		t.Errorf("without jwks_uri: %+v", got)
	}
	if got := update(oauth.ClientMetadata{JWKS: set(publicJWK(first))}); !slices.Equal(kids(got), []string{"first"}) || got.JWKSURI != "" {
		t.Errorf("back to jwks: %+v", got)
	}
	for _, jwks := range []string{`{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`} {
		_, err := b.UpdateClient(t.Context(), System("test"), "billing", ClientUpdate{ClientMetadata: oauth.ClientMetadata{ClientName: "billing", JWKS: []byte(jwks)}})
		wantCode(t, err, Invalid)
		if got := kids(b.look(t, "billing")); !slices.Equal(got, []string{"first"}) {
			t.Errorf("an update that was refused left %v", got)
		}
	}
}

// TestLastUses: what authority noted is shown beside the credential, and not beside another of the same ID.
func TestLastUses(t *testing.T) {
	b := withOrders(t)
	ctx := t.Context()
	secretive := b.client(oauth.ClientMetadata{ClientName: "secretive"})
	keyed := b.client(withKeys(publicJWK(named(newKey("ES256"), "k"))))
	remote := b.client(oauth.ClientMetadata{ClientName: "remote", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKSURI: "https://keys.example.com/"})
	certificate := b.client(oauth.ClientMetadata{ClientName: "tls", TokenEndpointAuthMethod: oauth.TLSClientAuth, TLSClientAuthSANDNS: "a.example"})
	later := noon.Add(time.Hour)
	err := b.store.NoteUses(ctx, []store.Use{
		{ClientID: secretive.ID, Credential: secretive.Secrets[0].ID, Last: later, Remote: "192.0.2.1"},
		{ClientID: keyed.ID, Credential: "k", Last: later, Remote: "192.0.2.2"},
		{ClientID: keyed.ID, Credential: "kid:k", Last: later, Remote: "192.0.2.2"},
		{ClientID: remote.ID, Credential: "kid:2026", Last: later, Remote: "192.0.2.3"},
		{ClientID: remote.ID, Credential: "gone", Last: later, Remote: "192.0.2.3"},
		{ClientID: certificate.ID, Credential: "certificate", Last: later, Remote: "192.0.2.4"},
	})
	if err != nil {
		t.Fatal(err)
	}
	used := func(from string) LastUse { return LastUse{LastUsed: later, LastUsedFrom: from} }
	if got := b.look(t, "secretive").Secrets[0].LastUse; got != used("192.0.2.1") {
		t.Errorf("secret: %+v", got)
	}
	if got := b.look(t, "billing"); got.Keys[0].LastUse != used("192.0.2.2") || got.Uses != nil {
		t.Errorf("key: %+v, %+v", got.Keys, got.Uses)
	}
	if got := b.look(t, "remote").Uses; !cmp.Equal(got, []KeyUse{{Credential: "kid:2026", LastUse: used("192.0.2.3")}}) {
		t.Errorf("key at jwks_uri: %+v", got)
	}
	if got := b.look(t, "tls").Uses; !cmp.Equal(got, []KeyUse{{Credential: "certificate", LastUse: used("192.0.2.4")}}) {
		t.Errorf("certificate: %+v", got)
	}
	clients, _, err := b.Clients(ctx, System("test"), ClientFilter{}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, client := range clients {
		if client.ID == keyed.ID && client.Keys[0].LastUse != used("192.0.2.2") {
			t.Errorf("listed: %+v", client.Keys)
		}
	}
	b.addKey(t, "billing", publicJWK(named(newKey("ES256"), "other")))
	if err := b.RevokeClientKey(ctx, System("test"), "billing", "k"); err != nil {
		t.Fatal(err)
	}
	b.clock = later.Add(time.Second)
	b.addKey(t, "billing", publicJWK(named(newKey("ES256"), "k")))
	if got := b.look(t, "billing").Keys[1]; got.ID != "k" || got.LastUse != (LastUse{}) {
		t.Errorf("another key of the same ID: %+v", got)
	}
}

// TestKeyThatBeginsLater: it is there ahead of its time, and nothing relies on it until then.
func TestKeyThatBeginsLater(t *testing.T) {
	b := withOrders(t)
	ctx, system, begins := t.Context(), System("test"), noon.Add(time.Hour)
	first := publicJWK(named(newKey("ES256"), "first"))
	made := b.client(oauth.ClientMetadata{ClientName: "billing", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: set(first)})
	next := publicJWK(named(newKey("ES256"), "next"))
	_, err := b.AddClientKey(ctx, system, "billing", next, KeySettings{NotBefore: begins, Expires: begins})
	if got := fields(t, err); !slices.Equal(got, []string{"not_before"}) {
		t.Errorf("one that never counts: %v", err)
	}
	key, err := b.AddClientKey(ctx, system, "billing", next, KeySettings{NotBefore: begins})
	if err != nil || !key.NotBefore.Equal(begins) || !b.record(made.ID).Keys[1].NotBefore.Equal(begins) {
		t.Fatalf("got %+v, %v", key, err)
	}
	wantCode(t, b.RevokeClientKey(ctx, system, "billing", "first"), Conflict)
	again := oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: set(first, next)}
	if got := b.changed(t, again, time.Time{}); !got.Keys[1].NotBefore.Equal(begins) {
		t.Errorf("an update made it begin: %+v", got.Keys)
	}
	b.clock = begins
	if err := b.RevokeClientKey(ctx, system, "billing", "first"); err != nil {
		t.Error(err)
	}
}
