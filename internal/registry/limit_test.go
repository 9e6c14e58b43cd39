package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

func TestParseNetwork(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"192.0.2.0/24": "192.0.2.0/24", "192.0.2.7": "192.0.2.7/32", "0.0.0.0/0": "0.0.0.0/0", "2001:db8::/32": "2001:db8::/32",
		"2001:db8::7": "2001:db8::7/128", "2001:DB8:0:0::/64": "2001:db8::/64", "::/0": "::/0",
		"::ffff:192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.0/120": "192.0.2.0/24", "::ffff:0:0/96": "0.0.0.0/0",

		"192.0.2.7/24":          "write 192.0.2.0/24 for all of it, or 192.0.2.7 for the address",
		"2001:db8::7/32":        "write 2001:db8::/32 for all of it",
		"::ffff:192.0.2.7/120":  "write 192.0.2.0/24 for all of it, or 192.0.2.7",
		"::ffff:0:0/90":         "larger than all IPv4 addresses",
		"fe80::1%eth0":          "zone",
		"fe80::%eth0/64":        "zone",
		"192.0.2.0/33":          "neither",
		"192.0.2.0/":            "neither",
		"192.0.2.0/024":         "neither",
		"192.0.2.0/-1":          "neither",
		"010.0.0.1":             "neither",
		"192.0.2":               "neither",
		"192.0.2.0/255.255.0.0": "neither",
		"example.com":           "neither",
		"192.0.2.7:443":         "neither",
		" 192.0.2.7":            "neither",
		"":                      "neither",
	} {
		network, err := parseNetwork(text)
		if got := network.String(); err != nil && !strings.Contains(err.Error(), want) || err == nil && got != want {
			t.Errorf("%q: got %s and %v, want %q", text, got, err, want)
		}
	}
}

// TestInNetworks: the address of a caller is the same however it is written, and what is no address is in no network.
func TestInNetworks(t *testing.T) {
	t.Parallel()
	four, six := []string{"192.0.2.0/24"}, []string{"2001:db8::/32", "fe80::/64"}
	for remote, want := range map[string][2]bool{
		"192.0.2.7": {true, false}, "192.0.2.7:4711": {true, false}, "::ffff:192.0.2.7": {true, false}, "[::ffff:192.0.2.7]:4711": {true, false},
		"192.0.3.7": {}, "192.0.3.7:1": {},
		"2001:db8::7": {false, true}, "[2001:db8::7]:4711": {false, true}, "[fe80::1%eth0]:4711": {false, true}, "fe80::1%eth0": {false, true},
		"2001:db9::7": {}, "": {}, "@": {}, "192.0.2.7:": {}, "[2001:db8::7]": {}, "example.com:443": {},
	} {
		if got := [2]bool{inNetworks(four, remote), inNetworks(six, remote)}; got != want || !inNetworks(nil, remote) {
			t.Errorf("%q: got %v, want %v", remote, got, want)
		}
	}
}

func TestNetworksOfClient(t *testing.T) {
	t.Parallel()
	b := withOrders(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing", Networks: []string{"192.0.2.7", "::ffff:10.0.0.0/104"}})
	want := []string{"192.0.2.7/32", "10.0.0.0/8"}
	if record := b.record(made.ID); !slices.Equal(record.Networks, want) || !slices.Equal(made.Networks, want) {
		t.Errorf("kept %q, shown %q, want %q", record.Networks, made.Networks, want)
	}
	var many []string
	for i := range maxPrefixes + 1 {
		many = append(many, fmt.Sprintf("10.0.%d.0/24", i))
	}
	for field, networks := range map[string][]string{
		"networks[0]": {"10.0.0.1/8"}, "networks[1]": {"10.0.0.1", "10.0.0.1/32"}, "networks": many,
	} {
		_, err := b.tryChange(t, oauth.ClientMetadata{Networks: networks}, time.Time{})
		if got := fields(t, err); !slices.Equal(got, []string{field}) {
			t.Errorf("%q: problems with %v, want %s", networks[:1], got, field)
		}
	}
	if client := b.changed(t, oauth.ClientMetadata{Networks: many[:maxPrefixes]}, time.Time{}); len(client.Networks) != maxPrefixes {
		t.Errorf("got %d", len(client.Networks))
	}
	if client := b.changed(t, oauth.ClientMetadata{}, time.Time{}); client.Networks != nil {
		t.Errorf("got %v", client.Networks)
	}
}

// limitedTo is a ceiling of two scopes and a network.
var limitedTo = Limit{TokenTTLSeconds: 60, Scopes: []string{"orders:read"}, Networks: []string{"10.0.0.1"}}

func asKept(l Limit) store.Limit {
	return store.Limit{TokenTTL: time.Duration(l.TokenTTLSeconds) * time.Second, Scopes: l.Scopes, Networks: plainNetworks(l.Networks)}
}

func withRights() oauth.ClientMetadata {
	return oauth.ClientMetadata{ClientName: "billing", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read", "orders:write"}}}}
}

func TestLimitOfSecret(t *testing.T) {
	t.Parallel()
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	made := b.client(withRights())
	added, err := b.AddSecret(ctx, system, "billing", SecretSettings{Name: "eu", Limit: limitedTo}, "")
	if err != nil {
		t.Fatal(err)
	}
	if kept := b.record(made.ID).Secrets[1]; kept.ID != added.ID || !sameLimit(kept.Limit, asKept(limitedTo)) {
		t.Errorf("kept %+v", kept)
	}
	want := Limit{TokenTTLSeconds: 60, Scopes: []string{"orders:read"}, Networks: []string{"10.0.0.1/32"}}
	if shown := b.look(t, "billing").Secrets[1]; cmp.Diff(want, shown.Limit) != "" || cmp.Diff(want, added.Limit) != "" {
		t.Errorf("shown as %+v and %+v", shown.Limit, added.Limit)
	}
	if event := b.lastEvent(); !strings.Contains(event.Detail, `"limit":{"token_ttl_seconds":60,"scopes":["orders:read"],"networks":["10.0.0.1/32"]}`) {
		t.Errorf("event is %s", event.Detail)
	}
	for field, wrong := range map[string]Limit{
		"limit.token_ttl_seconds": {TokenTTLSeconds: maxTokenTTL + 1}, "limit.scopes[1]": {Scopes: []string{"orders:read", "orders:drop"}},
		"limit.networks[0]": {Networks: []string{"10.0.0.1/8"}}, "limit.scopes": {Scopes: strings.Fields(strings.Repeat("x ", maxGrantScopes+1))},
	} {
		_, err := b.AddSecret(ctx, system, "billing", SecretSettings{Limit: wrong}, "")
		if got := fields(t, err); !slices.Contains(got, field) {
			t.Errorf("problems with %v, want %s", got, field)
		}
	}
	_, err = b.AddSecret(ctx, system, "billing", SecretSettings{Limit: Limit{TokenTTLSeconds: -1}}, "")
	wantCode(t, err, Invalid)
}

// TestRotationKeepsTheLimit: the secret that takes the place of others is good for no more than they were, unless the operator
// says so.
func TestRotationKeepsTheLimit(t *testing.T) {
	t.Parallel()
	other := Limit{TokenTTLSeconds: 5}
	for name, test := range map[string]struct {
		before   []Limit
		rotation SecretRotation
		want     Limit
		code     Code
	}{
		"none":                     {[]Limit{{}}, SecretRotation{}, Limit{}, ""},
		"inherited":                {[]Limit{limitedTo}, SecretRotation{}, limitedTo, ""},
		"two of the same":          {[]Limit{limitedTo, limitedTo}, SecretRotation{}, limitedTo, ""},
		"a part is said":           {[]Limit{limitedTo}, SecretRotation{Limit: other}, Limit{TokenTTLSeconds: 5, Scopes: limitedTo.Scopes, Networks: limitedTo.Networks}, ""},
		"lifted":                   {[]Limit{limitedTo}, SecretRotation{LiftLimit: true}, Limit{}, ""},
		"lifted, and another":      {[]Limit{limitedTo}, SecretRotation{LiftLimit: true, Limit: other}, other, ""},
		"a first ceiling":          {[]Limit{{}}, SecretRotation{Limit: other}, other, ""},
		"different":                {[]Limit{limitedTo, other}, SecretRotation{}, Limit{}, Conflict},
		"one with and one without": {[]Limit{limitedTo, {}}, SecretRotation{}, Limit{}, Conflict},
		"different, and lifted":    {[]Limit{limitedTo, other}, SecretRotation{LiftLimit: true, Limit: limitedTo}, limitedTo, ""},
		"a scope that is not":      {[]Limit{{}}, SecretRotation{Limit: Limit{Scopes: []string{"x"}}}, Limit{}, Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := withOrders(t)
			first := b.client(withRights())
			for _, limit := range test.before {
				if _, err := b.AddSecret(t.Context(), System("test"), "billing", SecretSettings{Limit: limit}, ""); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.RevokeSecret(t.Context(), System("test"), "billing", b.record(first.ID).Secrets[0].ID, false); err != nil {
				t.Fatal(err)
			}
			made, err := b.RotateSecret(t.Context(), System("test"), "billing", test.rotation, "")
			if test.code != "" {
				wantCode(t, err, test.code)
				return
			}
			secrets := b.record(first.ID).Secrets
			if err != nil || !sameLimit(secrets[len(secrets)-1].Limit, asKept(test.want)) || !sameLimit(asKept(made.Limit), asKept(test.want)) {
				t.Errorf("got %+v and %v, want %+v", made.Limit, err, test.want)
			}
		})
	}
}

// TestRotatedOutLimit: what was rotated out before does not count for what comes next.
func TestRotatedOutLimit(t *testing.T) {
	t.Parallel()
	b := withOrders(t)
	b.client(withRights())
	for _, rotation := range []SecretRotation{{Keep: DefaultKeep, Limit: limitedTo}, {Keep: DefaultKeep}} {
		made, err := b.RotateSecret(t.Context(), System("test"), "billing", rotation, "")
		if err != nil || !sameLimit(asKept(made.Limit), asKept(limitedTo)) {
			t.Errorf("got %+v and %v", made.Limit, err)
		}
	}
}

// TestLimitOfKey: a ceiling does not get lost when the set of keys is written anew, by whatever name the key comes.
func TestLimitOfKey(t *testing.T) {
	t.Parallel()
	b := withOrders(t)
	ctx, system := t.Context(), System("test")
	first, second := named(newKey("ES256"), "first"), named(newKey("ES256"), "second")
	metadata := withKeys(publicJWK(first))
	metadata.Grants = withRights().Grants
	made := b.client(metadata)
	key, err := b.AddClientKey(ctx, system, "billing", publicJWK(second), KeySettings{Limit: limitedTo})
	if err != nil || !sameLimit(asKept(key.Limit), asKept(limitedTo)) {
		t.Fatalf("got %+v and %v", key, err)
	}
	_, err = b.AddClientKey(ctx, system, "billing", publicJWK(newKey("ES256")), KeySettings{Limit: Limit{Scopes: []string{"x"}}})
	if got := fields(t, err); !slices.Equal(got, []string{"limit.scopes[0]"}) {
		t.Errorf("problems with %v", got)
	}
	renamed := metadata
	renamed.JWKS = set(publicJWK(first), publicJWK(named(second, "renamed")))
	for _, again := range []oauth.ClientMetadata{metadataOf(b.record(made.ID)), renamed} {
		b.changed(t, again, time.Time{})
		if keys := b.record(made.ID).Keys; len(keys) != 2 || !sameLimit(keys[0].Limit, store.Limit{}) || !sameLimit(keys[1].Limit, asKept(limitedTo)) {
			t.Errorf("got %+v", keys)
		}
	}
	more := renamed
	more.JWKS = set(publicJWK(first), publicJWK(newKey("ES256")))
	_, err = b.tryChange(t, more, time.Time{})
	if got := fields(t, err); !slices.Equal(got, []string{"jwks.keys[1]"}) {
		t.Errorf("a new key beside keys with two ceilings: problems with %v", got)
	}
	more.JWKS = set(publicJWK(named(second, "renamed")))
	b.changed(t, more, time.Time{})
	more.JWKS = set(publicJWK(newKey("ES256")))
	b.changed(t, more, time.Time{})
	if keys := b.record(made.ID).Keys; len(keys) != 1 || !sameLimit(keys[0].Limit, asKept(limitedTo)) {
		t.Errorf("a new key in the place of one with a ceiling: %+v", keys)
	}
}

// TestDeclaredLimit: a file that is applied neither lifts a ceiling nor hands a secret out without the one that others have.
func TestDeclaredLimit(t *testing.T) {
	t.Parallel()
	b := withOrders(t)
	made := b.client(withRights())
	if _, err := b.RotateSecret(t.Context(), System("test"), "billing", SecretRotation{Limit: limitedTo}, ""); err != nil {
		t.Fatal(err)
	}
	declared := DeclaredClient{ClientMetadata: withRights(), Secret: newSecret()}
	declared.Networks = []string{"10.0.0.0/8"}
	wish := Declaration{State: DeclaredState{Clients: []DeclaredClient{declared}}}
	plan := b.plan(wish)
	want := []DeclaredField{{Field: "networks", Added: []string{"10.0.0.0/8"}}, {Field: "secret", Added: []string{"a new one"}}}
	if diff := cmp.Diff(want, plan.Changes[0].Fields); diff != "" {
		t.Error(diff)
	}
	if err := b.store.NoteUses(t.Context(), []store.Use{{ClientID: made.ID, Credential: "x", Last: b.clock, Remote: "192.0.2.7"}}); err != nil {
		t.Fatal(err)
	}
	if impact := b.plan(wish).Changes[0].Impact; len(impact) != 1 || impact[0].Text != "is refused from 192.0.2.7, which is not in its networks" {
		t.Errorf("got %+v", impact)
	}
	b.apply(wish)
	secrets := b.record(made.ID).Secrets
	if last := secrets[len(secrets)-1]; !sameLimit(last.Limit, asKept(limitedTo)) || last.Hash != store.HashSecret(declared.Secret.Reveal()) {
		t.Errorf("kept %+v", last)
	}
	if again := b.plan(wish); len(again.Changes) != 0 {
		t.Errorf("applied again: %+v", again.Changes)
	}
	if _, err := b.AddSecret(t.Context(), System("test"), "billing", SecretSettings{}, ""); err != nil {
		t.Fatal(err)
	}
	wish.State.Clients[0].Secret = newSecret()
	_, err := b.PlanDeclared(t.Context(), System("test"), wish)
	if got := fields(t, err); !slices.Equal(got, []string{"state.clients[0].secret"}) {
		t.Errorf("problems with %v", got)
	}
}
