package authority

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// The world of these tests: four resources, and roles over them.
var world = &catalog{
	resources: map[string]store.Resource{
		"https://a.test":  {URI: "https://a.test", Format: store.FormatJWT, Algorithm: "ES256", Scopes: scopes("read", "write", "a-only")},
		"https://b.test":  {URI: "https://b.test", Format: store.FormatJWT, Algorithm: "RS256", Scopes: scopes("read", "write")},
		"https://m1.test": {URI: "https://m1.test", Format: store.FormatJWT, Algorithm: "ES256", MultipleAudiences: true, Scopes: scopes("read", "write", "m1-only")},
		"https://m2.test": {URI: "https://m2.test", Format: store.FormatJWT, Algorithm: "ES256", MultipleAudiences: true, Scopes: scopes("read", "write", "m2-only")},
		"https://m3.test": {URI: "https://m3.test", Format: store.FormatOpaque, Algorithm: "ES256", MultipleAudiences: true, Scopes: scopes("read")},
		"https://m4.test": {URI: "https://m4.test", Format: store.FormatJWT, Algorithm: "PS256", MultipleAudiences: true, Scopes: scopes("read")},
		"https://m5.test": {URI: "https://m5.test", Format: store.FormatJWT, Algorithm: "ES256", MultipleAudiences: true, Scopes: scopes("other")},
	},
	roles: map[string]store.Role{
		"reader": {Name: "reader", Grants: []store.Grant{to("https://a.test", "read"), to("https://b.test", "read")}},
		"writer": {Name: "writer", Grants: []store.Grant{{Resource: "https://a.test", Scopes: []string{"write"}, Defaults: []string{"write"}}}},
		"shared": {Name: "shared", Grants: []store.Grant{to("https://m1.test", "read"), to("https://m2.test", "read")}},
		"editor": {Name: "editor", Grants: []store.Grant{to("https://a.test", "read", "write")}},
		"m1":     {Name: "m1", Grants: []store.Grant{to("https://m1.test", "m1-only")}},
		"ghost":  {Name: "ghost", Grants: []store.Grant{to("https://gone.test", "read")}},
	},
}

func scopes(names ...string) []store.Scope {
	var all []store.Scope
	for _, name := range names {
		all = append(all, store.Scope{Name: name})
	}
	return all
}

func to(uri string, scopes ...string) store.Grant { return store.Grant{Resource: uri, Scopes: scopes} }

func defaults(uri string, scopes ...string) store.Grant {
	return store.Grant{Resource: uri, Scopes: scopes, Defaults: scopes[:1]}
}

func inWorld(record store.Client) *client {
	return &client{common: new(commonOf(&record)), own: ownOf(&record), grants: world.effective(record)}
}

func TestNarrow(t *testing.T) {
	const a, b, m1, m2, m3, m4, m5 = "https://a.test", "https://b.test", "https://m1.test", "https://m2.test", "https://m3.test", "https://m4.test", "https://m5.test"
	one := store.Client{Grants: []store.Grant{to(a, "read", "write")}}
	several := store.Client{Grants: []store.Grant{to(a, "read"), to(b, "read", "write")}}
	shared := store.Client{MultipleAudiences: true, Grants: []store.Grant{
		to(m1, "read", "write", "m1-only"), to(m2, "read", "m2-only"), to(m3, "read"), to(m4, "read"), to(m5, "other"), to(a, "read"),
	}}
	for _, test := range []struct {
		name      string
		client    store.Client
		resources []string
		scope     string
		want      any // the audience and the scope, or the error code
	}{
		{"the only resource, unasked", one, nil, "read", []string{a, "read"}},
		{"a resource asked for", several, []string{b}, "write read", []string{b, "write read"}},
		{"asked for twice is once", one, []string{a, a}, "read", []string{a, "read"}},
		{"several resources and none asked for", several, nil, "read", oauth.InvalidTarget},
		{"no resource granted", store.Client{}, nil, "read", oauth.InvalidTarget},
		{"a resource that was not granted", one, []string{b}, "read", oauth.InvalidTarget},
		{"a resource that does not exist", one, []string{"https://gone.test"}, "read", oauth.InvalidTarget},
		{"one of two that was not granted", shared, []string{m1, b}, "read", oauth.InvalidTarget},
		{"a resource that was deleted after it was granted", store.Client{Grants: []store.Grant{to("https://gone.test", "read")}}, nil, "read", oauth.InvalidTarget},
		{"relative", one, []string{"a.test"}, "read", oauth.InvalidTarget},
		{"with a fragment", one, []string{a + "#x"}, "read", oauth.InvalidTarget},
		{"with an empty fragment", one, []string{a + "#"}, "read", oauth.InvalidTarget},

		{"scope not allowed", one, nil, "a-only", oauth.InvalidScope},
		{"scope partly allowed", one, nil, "read a-only", oauth.InvalidScope},
		{"scope of another resource", several, []string{a}, "write", oauth.InvalidScope},
		{"scope unknown to all", one, nil, "nothing", oauth.InvalidScope},
		{"scope that the resource no longer knows", store.Client{Grants: []store.Grant{to(a, "old")}}, nil, "old", oauth.InvalidScope},
		{"scope that is a part of another", one, nil, "rea", oauth.InvalidScope},
		{"malformed scope", one, nil, "re\"ad", oauth.InvalidScope},
		{"no scope and no default", one, nil, "", oauth.InvalidScope},
		{"no scope and a default", store.Client{Grants: []store.Grant{defaults(a, "write", "read")}}, nil, "", []string{a, "write"}},
		{"a default that the resource no longer knows", store.Client{Grants: []store.Grant{defaults(a, "old", "read")}}, nil, "", oauth.InvalidScope},
		{"more than the default, asked for", store.Client{Grants: []store.Grant{defaults(a, "write", "read")}}, nil, "read", []string{a, "read"}},

		{"two resources in one token", shared, []string{m2, m1}, "read", []string{m2, m1, "read"}},
		{"two resources, the client may not", several, []string{a, b}, "read", oauth.InvalidTarget},
		{"two resources, one of them does not share", shared, []string{m1, a}, "read", oauth.InvalidTarget},
		{"two resources with tokens of two kinds", shared, []string{m1, m3}, "read", oauth.InvalidTarget},
		{"two resources with two algorithms", shared, []string{m1, m4}, "read", oauth.InvalidTarget},
		{"a scope known to both and granted on one", shared, []string{m1, m2}, "write", oauth.InvalidScope},
		{"the same beside one that is fine", shared, []string{m1, m2}, "read write", oauth.InvalidScope},
		{"a scope known to one of them alone", shared, []string{m1, m2}, "m1-only m2-only", []string{m1, m2, "m1-only m2-only"}},
		{"a scope that the other does not know", shared, []string{m1, m5}, "read", []string{m1, m5, "read"}},
		{"defaults that are ambiguous", store.Client{MultipleAudiences: true, Grants: []store.Grant{defaults(m1, "write"), defaults(m2, "read")}}, []string{m1, m2}, "", oauth.InvalidScope},

		{"by a role", store.Client{Roles: []string{"reader"}}, []string{b}, "read", []string{b, "read"}},
		{"by a role and a grant together", store.Client{Roles: []string{"reader"}, Grants: []store.Grant{to(a, "write")}}, []string{a}, "read write", []string{a, "read write"}},
		{"by a role, not on the other resource", store.Client{Roles: []string{"reader", "writer"}}, []string{b}, "write", oauth.InvalidScope},
		{"a role's default", store.Client{Roles: []string{"writer"}}, nil, "", []string{a, "write"}},
		{"a role that does not exist", store.Client{Roles: []string{"nobody"}}, nil, "read", oauth.InvalidTarget},
		{"a role over a resource that is gone", store.Client{Roles: []string{"ghost"}}, nil, "read", oauth.InvalidTarget},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := narrow(inWorld(test.client), test.resources, test.scope)
			if code, refused := test.want.(oauth.Code); refused {
				if !errors.Is(err, code) || got != nil {
					t.Fatalf("got %+v and %v, want %s", got, err, code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := test.want.([]string)
			if have := append(slices.Clone(got.Audience), got.Scope.String()); !slices.Equal(have, want) {
				t.Errorf("got %q, want %q", have, want)
			}
			if first := world.resources[got.Audience[0]]; got.Format != first.Format || got.Algorithm != first.Algorithm {
				t.Errorf("got %s by %s, want what %s takes", got.Format, got.Algorithm, first.URI)
			}
		})
	}
}

func TestRolesInTokens(t *testing.T) {
	c := inWorld(store.Client{Roles: []string{"reader", "writer", "ghost"}})
	for _, test := range []struct {
		uri, scope string
		want       []string
	}{
		{"https://a.test", "read write", []string{"reader", "writer"}},
		{"https://a.test", "read", []string{"reader"}}, // who asks for less does not keep the role that gives more
		{"https://a.test", "write", []string{"writer"}},
		{"https://b.test", "read", []string{"reader"}}, // a role says nothing where it grants nothing
	} {
		got, err := narrow(c, []string{test.uri}, test.scope)
		if err != nil || !slices.Equal(got.Roles, test.want) {
			t.Errorf("%q at %s: got %q, %v, want %q", test.scope, test.uri, got.Roles, err, test.want)
		}
	}
	shared := inWorld(store.Client{MultipleAudiences: true, Roles: []string{"m1", "shared"}})
	both := []string{"https://m1.test", "https://m2.test"}
	for _, audience := range [][]string{both, {both[1], both[0]}} {
		got, err := narrow(shared, audience, "read")
		if err != nil || !slices.Equal(got.Roles, []string{"shared"}) {
			t.Errorf("at %s: got %q, %v: a role of one resource must not pass for a right on the other", audience, got.Roles, err)
		}
	}
}

// TestNarrowNeverWidens asks for anything with any grants: every scope of the token is granted by every resource of its
// audience that knows it, was asked for or is a default, and the audience is what was asked for.
func TestNarrowNeverWidens(t *testing.T) {
	var uris []string
	for uri := range world.resources {
		uris = append(uris, uri)
	}
	slices.Sort(uris)
	words := []string{"read", "write", "a-only", "m1-only", "m2-only", "other", "nothing"}
	rapid.Check(t, func(t *rapid.T) {
		record := store.Client{MultipleAudiences: rapid.Bool().Draw(t, "multiple")}
		granted := map[string][]string{}
		for _, uri := range rapid.SliceOfDistinct(rapid.SampledFrom(uris), rapid.ID).Draw(t, "grants") {
			some := rapid.SliceOfDistinct(rapid.SampledFrom(words), rapid.ID).Draw(t, "scopes")
			record.Grants = append(record.Grants, store.Grant{Resource: uri, Scopes: some, Defaults: some[:len(some)/2]})
			granted[uri] = some
		}
		asked := rapid.SliceOfN(rapid.SampledFrom(uris), 0, 3).Draw(t, "resources")
		scope := rapid.SliceOfN(rapid.SampledFrom(words), 0, 3).Draw(t, "scope")
		got, err := narrow(inWorld(record), asked, strings.Join(scope, " "))
		if err != nil {
			return
		}
		for _, uri := range got.Audience {
			if _, may := granted[uri]; !may || len(asked) > 0 && !slices.Contains(asked, uri) {
				t.Fatalf("audience %q: granted %v, asked for %q", got.Audience, granted, asked)
			}
		}
		for _, s := range got.Scope {
			known := false
			for _, uri := range got.Audience {
				knows := knows(world.resources[uri], s)
				if knows && !slices.Contains(granted[uri], s) {
					t.Fatalf("scope %s is a right at %s, which granted %q", s, uri, granted[uri])
				}
				known = known || knows
			}
			if !known || len(scope) > 0 && !slices.Contains(scope, s) {
				t.Fatalf("scope %q of %q: asked for %q", s, got.Audience, scope)
			}
		}
	})
}

func TestLifetime(t *testing.T) {
	a := &Authority{tokenTTL: 5 * time.Minute, maxTokenTTL: time.Hour}
	long, short := store.Resource{URI: "l", TokenTTL: 3 * time.Hour}, store.Resource{URI: "s", TokenTTL: time.Minute}
	usual := store.Resource{URI: "u"}
	for _, test := range []struct {
		name      string
		client    time.Duration
		resources []store.Resource
		want      time.Duration
	}{
		{"nobody says", 0, []store.Resource{usual}, 5 * time.Minute},
		{"the resource says less", 0, []store.Resource{short}, time.Minute},
		{"the resource says more than the server bears", 0, []store.Resource{long}, time.Hour},
		{"the client says less", 2 * time.Minute, []store.Resource{usual}, 2 * time.Minute},
		{"the client cannot say more", 2 * time.Hour, []store.Resource{usual}, 5 * time.Minute},
		{"the client shortens a long one", 30 * time.Minute, []store.Resource{long}, 30 * time.Minute},
		{"the shortest of several", 0, []store.Resource{long, short, usual}, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &client{common: &common{TokenTTL: test.client}, grants: map[string]*effective{}}
			var audience []string
			for _, r := range test.resources {
				c.grants[r.URI] = &effective{resource: r}
				audience = append(audience, r.URI)
			}
			if got := a.lifetime(c, audience); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestClaims(t *testing.T) {
	authorization := &Authorization{
		Subject: "s", ClientID: "c", Audience: []string{"https://a.test"}, Scope: oauth.Scope{"read", "write"},
		Roles: []string{"reader"}, Lifetime: 90 * time.Second,
	}
	now := start.Add(999 * time.Millisecond)
	got := claimsOf("https://as.example", now, "id", authorization)
	for name, ok := range map[string]bool{
		"iss": got.Issuer == "https://as.example", "sub": got.Subject == "s", "client_id": got.ClientID == "c", "jti": got.ID == "id",
		"aud": slices.Equal(got.Audience, []string{"https://a.test"}), "scope": got.Scope == "read write",
		"roles": slices.Equal(got.Roles, []string{"reader"}), "iat, in whole seconds": int64(got.IssuedAt) == start.Unix(),
		"exp": int64(got.Expires) == start.Unix()+90, "nothing of a key": got.Confirmation == nil, "no nbf": got.NotBefore == 0,
	} {
		if !ok {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	// In the second in which older tokens were revoked, and after it.
	for _, test := range []struct{ after, now, issued time.Duration }{
		{500 * time.Millisecond, 999 * time.Millisecond, time.Second}, {500 * time.Millisecond, time.Second, time.Second}, {0, 999 * time.Millisecond, 0},
	} {
		authorization.after = start.Add(test.after)
		got := claimsOf("https://as.example", start.Add(test.now), "id", authorization)
		if want := start.Add(test.issued).Unix(); int64(got.IssuedAt) != want || int64(got.Expires) != start.Add(test.now).Unix()+90 {
			t.Errorf("%+v: got iat %d, exp %d, want iat %d", test, int64(got.IssuedAt), int64(got.Expires), want)
		}
	}
	if a, b := newTokenID(), newTokenID(); a == b || len(a) != 22 {
		t.Errorf("token IDs %q and %q: want 128 random bits each (RFC 6749, 10.10)", a, b)
	}
}

func TestNewRefusesIssuers(t *testing.T) {
	for issuer, ok := range map[string]bool{
		"https://as.example": true, "https://as.example/t1": true, "http://127.0.0.1:8080": true, "https://as.example:8443/a/b": true,
		"": false, "as.example": false, "https://": false, "ftp://as.example": false, "https:as.example": false,
		"https://as.example?x": false, "https://as.example?": false, "https://as.example#x": false, "https://as.example#": false,
		"https://user@as.example": false, "https://as.example/t%201": false, "https://as.example/a b": false,
	} {
		if err := checkIssuer(issuer); (err == nil) != ok {
			t.Errorf("CA-14 issuer %q: got %v, want it taken: %v", issuer, err, ok)
		}
	}
	if _, err := New(t.Context(), Options{Issuer: "https://as.example"}); err == nil {
		t.Error("New takes no store, no ring and no journal")
	}
}
