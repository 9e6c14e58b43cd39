package authority

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/slowhash"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// secretly makes a client with secrets that are called as their text, each with a ceiling.
func secretly(id string, limits map[string]store.Limit) store.Client {
	c := withHash(id, "")
	c.Secrets = nil
	for text, of := range limits {
		c.Secrets = append(c.Secrets, store.Secret{ID: strings.ToUpper(text), Hash: store.HashSecret(text), Limit: of})
	}
	return c
}

func from(networks ...string) store.Limit { return store.Limit{Networks: networks} }

func TestNetworks(t *testing.T) {
	t.Parallel()
	home := secretly("home", map[string]store.Limit{"right": {}})
	home.Networks = []string{"10.0.0.0/8", "2001:db8::/32"}
	both := secretly("both", map[string]store.Limit{"right": from("10.1.0.0/16")})
	both.Networks = []string{"10.0.0.0/8"}
	damaged := secretly("damaged", map[string]store.Limit{"right": from("not a network")})
	twice := secretly("twice", map[string]store.Limit{"right": from("10.1.0.0/16")})
	twice.Secrets = append(twice.Secrets, store.Secret{ID: "again", Hash: twice.Secrets[0].Hash, Limit: from("10.2.0.0/16")})
	clients := []store.Client{
		home, both, damaged, twice, secretly("east", map[string]store.Limit{"east": from("10.1.0.0/16"), "west": from("10.2.0.0/16"), "any": {}}),
	}
	for _, test := range []struct {
		name, client, secret, remote string
		good                         bool
	}{
		{"within", "home", "right", "10.9.8.7:1234", true},
		{"within, no port", "home", "right", "10.9.8.7", true},
		{"IPv4 in the form of IPv6", "home", "right", "[::ffff:10.9.8.7]:1234", true},
		{"IPv4 in the form of IPv6, no port", "home", "right", "::ffff:10.9.8.7", true},
		{"IPv4 in the form of IPv6, elsewhere", "home", "right", "::ffff:11.0.0.1", false},
		{"IPv6", "home", "right", "[2001:db8::5]:1", true},
		{"IPv6 with a zone", "home", "right", "[2001:db8::5%eth0]:1", true},
		{"IPv6 elsewhere", "home", "right", "[2001:db9::5]:1", false},
		{"elsewhere", "home", "right", "192.0.2.1:1", false},
		{"an address that cannot be read", "home", "right", "a socket", false},
		{"no address", "home", "right", "", false},
		{"both ceilings", "both", "right", "10.1.2.3:1", true},
		{"the client's and not the credential's", "both", "right", "10.2.2.3:1", false},
		{"a network that cannot be read", "damaged", "right", "10.1.2.3:1", false},
		{"one secret here", "east", "east", "10.1.0.1:1", true},
		{"another there", "east", "west", "10.2.0.1:1", true},
		{"one secret there", "east", "east", "10.2.0.1:1", false},
		{"one text that is two secrets, the first here", "twice", "right", "10.1.0.1:1", true},
		{"one text that is two secrets, the second here", "twice", "right", "10.2.0.1:1", true},
		{"one text that is two secrets, neither", "twice", "right", "10.3.0.1:1", false},
		{"one without a ceiling", "east", "any", "192.0.2.1:1", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a, s := tracing(t, clients...)
			r := withBasic(test.client, test.secret)
			r.Remote = test.remote
			if !test.good {
				refused(t, a, s, r, reasonNetwork)
				return
			}
			if _, err := a.Token(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("at every endpoint", func(t *testing.T) {
		t.Parallel()
		a, _ := tracing(t, clients...)
		for name, ask := range map[string]func(*Request) error{
			"token":         func(r *Request) error { _, err := a.Token(t.Context(), r); return err },
			"introspection": func(r *Request) error { _, err := a.Introspect(t.Context(), r); return err },
			"signed":        func(r *Request) error { _, err := a.IntrospectSigned(t.Context(), r); return err },
			"revocation":    func(r *Request) error { return a.Revoke(t.Context(), r) },
		} {
			for remote, good := range map[string]bool{"10.0.0.1:1": true, "192.0.2.1:1": false} {
				r := withBasic("home", "right")
				r.Remote = remote
				r.Form.set("token", "writ_at_x")
				if err := ask(r); good != (err == nil) || !good && (!errors.Is(err, oauth.InvalidClient) || reasonOf(err) != string(reasonNetwork)) {
					t.Errorf("%s from %s: got %v", name, remote, err)
				}
			}
		}
	})
}

// TestNetworksSameWork: whoever has stolen a secret or a key and uses it from elsewhere learns nothing by it: the answer, what
// is asked of the store, what is hashed and verified, and how failures are counted is the same as for a wrong one.
func TestNetworksSameWork(t *testing.T) {
	t.Parallel()
	inside := func(c store.Client) store.Client { c.Networks = []string{"10.0.0.0/8"}; return c }
	limited := func(c store.Client) store.Client {
		for i := range c.Keys {
			c.Keys[i].Limit = from("10.0.0.0/8")
		}
		return c
	}
	clients := []store.Client{
		inside(withHash("slow", cheapHash(t, "right"))), inside(keyed(t, "key", "ES256 a", "ES256 b")), limited(keyed(t, "limited", "ES256 a", "ES256 b")),
		secretly("some", map[string]store.Limit{"right": from("10.0.0.0/8")}),
	}
	t.Run("keys", func(t *testing.T) {
		t.Parallel()
		for _, client := range []string{"key", "limited"} {
			for _, keyID := range []string{"ES256 a", ""} {
				a, s := tracing(t, clients...)
				verified := counted(a)
				refused(t, a, s, asserting(t, client, "ES256 x", keyID), reasonWrongSignature)
				want := slices.Clone(*verified)
				*verified = nil
				refused(t, a, s, asserting(t, client, "ES256 a", keyID), reasonNetwork)
				if !slices.Equal(*verified, want) {
					t.Errorf("%s, key ID %q: verified with %q, want %q", client, keyID, *verified, want)
				}
			}
		}
	})
	t.Run("an assertion is not used up", func(t *testing.T) {
		t.Parallel()
		a, s := tracing(t, clients...)
		r := asserting(t, "limited", "ES256 a", "ES256 a")
		refused(t, a, s, r, reasonNetwork)
		if r.Remote = "10.0.0.1:1"; r.Remote != "" {
			if _, err := a.Token(t.Context(), r); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("certificates", func(t *testing.T) {
		t.Parallel()
		ca, caKey := authorityOf(t)
		right, other := clientCertificate(t, "right.test", ca, caKey), clientCertificate(t, "other.test", ca, caKey)
		self := keyed(t, "self")
		self.AuthMethod = oauth.SelfSignedTLSClientAuth
		self.Keys = []store.ClientKey{{ID: "c", Certificate: right.Raw, Limit: from("10.0.0.0/8")}}
		named := inside(keyed(t, "named"))
		named.AuthMethod, named.CertificateRule, named.CertificateValue = oauth.TLSClientAuth, "san_dns", "right.test"
		a, s := tracing(t, self, named)
		pool := x509.NewCertPool()
		pool.AddCert(ca)
		a.trust = func() *Trust { return &Trust{Roots: pool} }
		for _, client := range []string{"self", "named"} {
			refused(t, a, s, showing(client, other), reasonOtherCertificate)
			refused(t, a, s, showing(client, right), reasonNetwork)
			r := showing(client, right)
			r.Remote = "10.0.0.1:1"
			if _, err := a.Token(t.Context(), r); err != nil {
				t.Errorf("%s: %v", client, err)
			}
		}
	})
	t.Run("slow hashes", func(t *testing.T) {
		t.Parallel()
		a, s := tracing(t, clients...)
		must(t, a.Census(t.Context()))
		for _, test := range []struct {
			id, secret string
			why        reason
		}{{"slow", "wrong", reasonWrongSecret}, {"slow", "right", reasonNetwork}, {"some", "wrong", reasonWrongSecret}, {"some", "right", reasonNetwork}} {
			before := a.slow.spent
			refused(t, a, s, withBasic(test.id, test.secret), test.why)
			if got, want := a.slow.spent.Minus(before), (slowhash.Work{Rounds: 16}); got != want {
				t.Errorf("%s %s: slow work %v, want %v", test.id, test.secret, got, want)
			}
		}
	})
	t.Run("failures count", func(t *testing.T) {
		t.Parallel()
		a, _ := tracing(t, clients...)
		a.failures = newFailures(Throttle{Burst: 2, Interval: time.Hour}, a.now)
		for i, want := range []string{string(reasonNetwork), string(reasonNetwork), reasonTooMany} {
			if _, err := a.Token(t.Context(), withBasic("some", "right")); reasonOf(err) != want {
				t.Errorf("attempt %d: got %v, want %s", i, err, want)
			}
		}
	})
	t.Run("no use is noted", func(t *testing.T) {
		t.Parallel()
		a, s := tracing(t, clients...)
		refused(t, a, s, withBasic("some", "right"), reasonNetwork)
		if uses := a.TakeUses(); len(uses) > 0 {
			t.Errorf("got %+v", uses)
		}
	})
}

// TestLimit: a token stays below the ceiling of the credential that it was obtained with.
func TestLimit(t *testing.T) {
	const a, m1, m2 = "https://a.test", "https://m1.test", "https://m2.test"
	reading := &limit{scopes: oauth.Scope{"read"}}
	one := store.Client{Grants: []store.Grant{{Resource: a, Scopes: []string{"write", "read"}, Defaults: []string{"write", "read"}}}}
	shared := store.Client{MultipleAudiences: true, Grants: []store.Grant{to(m1, "read", "write", "m1-only"), to(m2, "read", "write")}}
	for _, test := range []struct {
		name      string
		client    store.Client
		limit     *limit
		resources []string
		scope     string
		want      string // the scope and the roles; "" for invalid_scope
	}{
		{"below", one, reading, nil, "read", "read []"},
		{"beyond", one, reading, nil, "write", ""},
		{"partly beyond", one, reading, nil, "read write", ""},
		{"the defaults are cut", one, reading, nil, "", "read []"},
		{"no default is left", store.Client{Grants: []store.Grant{defaults(a, "write", "read")}}, reading, nil, "", ""},
		{"a scope that the client has not", one, &limit{scopes: oauth.Scope{"read", "a-only"}}, nil, "a-only", ""},
		{"a part of the name", one, &limit{scopes: oauth.Scope{"rea"}}, nil, "read", ""},
		{"another case", one, &limit{scopes: oauth.Scope{"Read"}}, nil, "read", ""},
		{"a resource repeated", one, reading, []string{a, a}, "write", ""},
		{"two resources", shared, reading, []string{m1, m2}, "read", "read []"},
		{"two resources, beyond at both", shared, reading, []string{m1, m2}, "write", ""},
		{"two resources, beyond at one", shared, reading, []string{m1, m2}, "read m1-only", ""},
		{"two resources, in the other order", shared, reading, []string{m2, m1}, "read m1-only", ""},
		{"no ceiling on scopes", one, &limit{lifetime: time.Minute}, nil, "write", "write []"},

		{"a role that is below", store.Client{Roles: []string{"reader"}}, reading, []string{a}, "read", "read [reader]"},
		{"a role's scope beyond", store.Client{Roles: []string{"writer"}}, reading, []string{a}, "write", ""},
		{"a role's default beyond", store.Client{Roles: []string{"writer"}}, reading, []string{a}, "", ""},
		{"a role of which a part is beyond does not show", store.Client{Roles: []string{"editor", "reader"}}, reading, []string{a}, "read", "read [reader]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := inWorld(test.client)
			got, err := narrow(client.under(test.limit), test.resources, test.scope)
			if test.want == "" {
				if !errors.Is(err, oauth.InvalidScope) || got != nil {
					t.Fatalf("got %+v and %v, want invalid_scope", got, err)
				}
				return
			}
			must(t, err)
			if text := got.Scope.String() + " [" + strings.Join(got.Roles, " ") + "]"; text != test.want {
				t.Errorf("got %q, want %q", text, test.want)
			}
		})
	}
	t.Run("the client is as it was", func(t *testing.T) {
		client := inWorld(one)
		client.under(reading)
		if got, err := narrow(client, nil, "write read"); err != nil || got.Scope.String() != "write read" {
			t.Errorf("got %+v and %v", got, err)
		}
	})
	t.Run("a grant that looks at nothing is held all the same", func(t *testing.T) {
		of := &limit{scopes: oauth.Scope{"read"}, lifetime: time.Minute}
		if err := of.hold(&Authorization{Scope: oauth.Scope{"read", "write"}}); !errors.Is(err, oauth.InvalidScope) {
			t.Errorf("got %v", err)
		}
		authorization := &Authorization{Scope: oauth.Scope{"read"}, Lifetime: time.Hour}
		if err := of.hold(authorization); err != nil || authorization.Lifetime != time.Minute {
			t.Errorf("got %v and %v", authorization.Lifetime, err)
		}
		if authorization.Lifetime = time.Second; of.hold(authorization) != nil || authorization.Lifetime != time.Second {
			t.Errorf("a ceiling made it %v", authorization.Lifetime)
		}
	})
}

// TestLimitOfCredential goes through the whole pipeline: each credential of a client has its own ceiling, and what another one
// may does not matter.
func TestLimitOfCredential(t *testing.T) {
	t.Parallel()
	short := store.Limit{TokenTTL: 30 * time.Second, Scopes: []string{"read"}}
	several := secretly("several", map[string]store.Limit{"whole": {}, "short": short, "useless": {Scopes: []string{"gone"}}})
	keys := keyed(t, "keys", "ES256 a", "ES256 b")
	keys.Keys[1].Limit = short
	keys.Keys[0].ID, keys.Keys[1].ID = "SHORT", "b" // a key that is called as the secret of another
	a, s := tracing(t, several, keys)
	expires := func(t *testing.T, r *Request) int64 {
		t.Helper()
		answer, err := a.Token(t.Context(), r)
		must(t, err)
		return answer.ExpiresIn
	}
	for name, test := range map[string]struct {
		request *Request
		want    int64
	}{
		"a secret without a ceiling": {withBasic("several", "whole"), 300},
		"a secret with one":          {withBasic("several", "short"), 30},
		"a key without":              {asserting(t, "keys", "ES256 a", "SHORT"), 300},
		"a key with one":             {asserting(t, "keys", "ES256 b", "b"), 30},
	} {
		if got := expires(t, test.request); got != test.want {
			t.Errorf("%s: a token for %d s, want %d", name, got, test.want)
		}
	}
	r := withBasic("several", "useless")
	if _, err := a.Token(t.Context(), r); !errors.Is(err, oauth.InvalidScope) {
		t.Errorf("got %v, want invalid_scope", err)
	}
	t.Run("a ceiling that is set later counts", func(t *testing.T) {
		whole := several
		whole.Secrets = slices.Clone(several.Secrets)
		for i := range whole.Secrets {
			whole.Secrets[i].Limit = store.Limit{TokenTTL: time.Second}
		}
		must(t, s.Store.Clients().Put(t.Context(), whole))
		must(t, a.Poll(t.Context()))
		if got := expires(t, withBasic("several", "whole")); got != 1 {
			t.Errorf("a token for %d s, want 1", got)
		}
	})
}

func TestExplainLimit(t *testing.T) {
	t.Parallel()
	c := secretly("limited", map[string]store.Limit{"right": {Scopes: []string{"read"}, Networks: []string{"10.1.0.0/16"}}})
	c.Networks = []string{"10.0.0.0/8"}
	c.Grants = []store.Grant{to("https://a.test", "read", "write")}
	a, _ := tracing(t, c)
	for _, test := range []struct {
		name, remote, scope string
		reason              string
		remedy              []string
	}{
		{"outside of the client's", "192.0.2.1:1", "read", "network", []string{"10.0.0.0/8", "192.0.2.1", "trusted_proxies"}},
		{"outside of the credential's", "10.2.0.1:1", "read", "network", []string{"RIGHT", "10.1.0.0/16", "10.2.0.1"}},
		{"beyond the credential", "10.1.0.1:1", "write", "invalid_scope", []string{"RIGHT", "for: read"}},
	} {
		r := withBasic("limited", "right")
		r.Remote = test.remote
		r.Form.set("scope", test.scope)
		_, err := a.Token(t.Context(), r)
		e := explained(t, a, err)
		for _, part := range test.remedy {
			if e.Reason != test.reason || !strings.Contains(e.Remedy, part) || e.Presented["credential"] != "RIGHT" {
				t.Errorf("%s: got %s, %q, %q, want %q", test.name, e.Reason, e.Remedy, e.Presented, part)
			}
		}
	}
}
