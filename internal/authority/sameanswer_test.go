package authority

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

// A trace is a store in memory that writes down which clients are asked for, and whether they exist.
type trace struct {
	store.Store
	asked []string
}

func (s *trace) Clients() store.Table[store.Client] { return tracedClients{s.Store.Clients(), s} }

func (s *trace) Generation(ctx context.Context) (int64, error) {
	s.asked = append(s.asked, "generation")
	return s.Store.Generation(ctx)
}

type tracedClients struct {
	store.Table[store.Client]
	trace *trace
}

func (t tracedClients) Get(ctx context.Context, id string) (store.Client, error) {
	found, err := t.Table.Get(ctx, id)
	t.trace.asked = append(t.trace.asked, map[bool]string{true: "a client", false: "no client"}[err == nil])
	return found, err
}

// TestCA26SameWork shows that every refusal of credentials asks the store for the same and hashes as often, whoever is
// asked for and whether the client was seen lately: there is nothing whose time could tell. TestCA26Timing in endpoint
// takes the time.
// TestCA26SameWork: A28 as well: an unknown client, a wrong secret and a wrong method cost one hash each.
func TestCA26SameWork(t *testing.T) {
	hashes := 0
	for name, method := range clientAuths {
		counted := method
		counted.prove = func(ctx context.Context, a *Authority, client *client, presented credentials) (credential, error) {
			hashes++
			return method.prove(ctx, a, client, presented)
		}
		clientAuths[name] = counted
		t.Cleanup(func() { clientAuths[name] = method })
	}

	for _, test := range []struct {
		name, id, secret, mechanism string
		why                         reason
	}{
		{"unknown client", "stranger", "right", oauth.ClientSecretBasic, reasonUnknownClient},
		{"wrong secret", "known", "wrong", oauth.ClientSecretBasic, reasonWrongSecret},
		{"wrong secret, in the body", "post", "wrong", oauth.ClientSecretPost, reasonWrongSecret},
		{"secret too long", "known", strings.Repeat("x", 10_000), oauth.ClientSecretBasic, reasonWrongSecret},
		{"suspended", "suspended", "right", oauth.ClientSecretBasic, reasonClientSuspended},
		{"suspended and wrong", "suspended", "wrong", oauth.ClientSecretBasic, reasonWrongSecret},
		{"expired", "expired", "right", oauth.ClientSecretBasic, reasonSecretExpired},
		{"another method", "post", "right", oauth.ClientSecretBasic, reasonWrongMethod},
		{"a method of keys", "jwt", "right", oauth.ClientSecretBasic, reasonWrongMethod},
		{"no credentials", "known", "", "", reasonNoCredentials},
		{"nobody's credentials", "stranger", "", "", reasonNoCredentials},
	} {
		for _, seen := range []bool{false, true} {
			t.Run(fmt.Sprintf("A28, CA-26 %s, seen before: %v", test.name, seen), func(t *testing.T) {
				a, s := traced(t)
				if seen { // in the way that puts a client into the copy
					if _, _, err := a.directory.client(t.Context(), test.id); err != nil && !errors.Is(err, store.ErrNotFound) {
						t.Fatal(err)
					}
				}
				s.asked, hashes = nil, 0
				_, err := a.Token(t.Context(), as(test.id, test.secret, test.mechanism))
				if !errors.Is(err, oauth.InvalidClient) || reasonOf(err) != string(test.why) {
					t.Fatalf("got %v, want invalid_client for %s", err, test.why)
				}
				var refusal *oauth.Error
				if errors.As(err, &refusal); refusal.Description != errInvalidClient.Description {
					t.Errorf("description: got %q, want %q", refusal.Description, errInvalidClient.Description)
				}
				slices.Sort(s.asked)
				if want := []string{"a client", "no client"}; !slices.Equal(s.asked, want) {
					t.Errorf("the store was asked for %q, want %q", s.asked, want)
				}
				want := 2
				if test.mechanism == "" { // there is nothing to hash, for anybody
					want = 0
				}
				if hashes != want {
					t.Errorf("hashed %d times, want %d", hashes, want)
				}
			})
		}
	}
}

func as(id, secret, mechanism string) *Request {
	r := &Request{Form: formOf(url.Values{"grant_type": {oauth.ClientCredentials}, "scope": {"read"}}), Remote: "192.0.2.1:1"}
	switch mechanism {
	case oauth.ClientSecretBasic:
		credentials := url.QueryEscape(id) + ":" + url.QueryEscape(secret)
		r.Authorization = []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))}
	case oauth.ClientSecretPost:
		r.Form.set("client_id", id)
		r.Form.set("client_secret", secret)
	default:
		r.Form.set("client_id", id)
	}
	return r
}

// start is when the tests of this package happen.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func traced(t testing.TB) (*Authority, *trace) {
	t.Helper()
	s := &trace{Store: memstore.New()}
	resource := store.Resource{URI: "https://a.test", Format: store.FormatJWT, Algorithm: jose.ES256, Scopes: []store.Scope{{Name: "read"}}}
	must(t, s.Store.Resources().Insert(t.Context(), resource))
	right := []store.Secret{{ID: "1", Hash: store.HashSecret("right")}}
	for _, c := range []store.Client{
		{ID: "known", Secrets: right},
		{ID: "post", AuthMethod: oauth.ClientSecretPost, Secrets: right},
		{ID: "jwt", AuthMethod: oauth.PrivateKeyJWT, Secrets: right},
		{ID: "suspended", Suspended: true, Secrets: right},
		{ID: "expired", Secrets: []store.Secret{{ID: "1", Hash: right[0].Hash, Expires: start}}},
	} {
		c.Name, c.GrantTypes = c.ID, []string{oauth.ClientCredentials}
		c.Grants = []store.Grant{{Resource: "https://a.test", Scopes: []string{"read"}}}
		if c.AuthMethod == "" {
			c.AuthMethod = oauth.ClientSecretBasic
		}
		must(t, s.Store.Clients().Insert(t.Context(), c))
	}
	now := func() time.Time { return start }
	ring, err := keyring.Open(t.Context(), s, keyring.Options{Root: make([]byte, 32), Now: now})
	must(t, err)
	journal := audit.InMemory()
	t.Cleanup(func() { _ = journal.Close() })
	a, err := New(t.Context(), Options{
		Issuer: "https://as.example", Store: s, Ring: ring, Journal: journal, Now: now, Throttle: Throttle{Off: true},
	})
	must(t, err)
	return a, s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
