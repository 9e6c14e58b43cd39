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

	"pgregory.net/rapid"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

// A cluster is nodes over one store, on one clock.
type cluster struct {
	t     rapid.TB
	store *breakable
	now   time.Time
	nodes []*node
}

// A node is what one process has.
type node struct {
	*Authority
	ring    *keyring.Ring
	journal *audit.Journal
}

// A breakable store does not tell about revocations while it is broken.
type breakable struct {
	store.Store
	broken bool
	asked  int // about revocations
}

type breakableTable struct {
	store.Table[store.Revocation]
	*breakable
}

var errBroken = errors.New("broken")

func (b *breakable) Revocations() store.Table[store.Revocation] {
	return breakableTable{b.Store.Revocations(), b}
}

func (b breakableTable) Get(ctx context.Context, id string) (store.Revocation, error) {
	if b.asked++; b.broken {
		return store.Revocation{}, errBroken
	}
	return b.Table.Get(ctx, id)
}

const (
	apiA, apiB, apiO = "https://a.test", "https://b.test", "https://o.test"
	apiS             = "https://salted.test"
)

// newCluster starts nodes over a store with a client "again" that gets a token again for a minute, and one "fresh" that does not.
func newCluster(t rapid.TB, nodes int) *cluster {
	t.Helper()
	c := &cluster{t: t, store: &breakable{Store: memstore.New()}, now: start}
	ctx := context.Background()
	for _, r := range []store.Resource{
		{URI: apiA, Format: store.FormatJWT, Algorithm: jose.ES256, MultipleAudiences: true},
		{URI: apiB, Format: store.FormatJWT, Algorithm: jose.Ed25519},
		{URI: apiO, Format: store.FormatOpaque, Algorithm: jose.ES256},
		{URI: apiS, Format: store.FormatJWT, Algorithm: jose.PS256},
	} {
		r.Scopes, r.TokenTTL = scopes("read", "write"), 5*time.Minute
		c.must(c.store.Resources().Insert(ctx, r))
	}
	c.must(c.store.Roles().Insert(ctx, store.Role{Name: "reader", Grants: []store.Grant{to(apiA, "read")}}))
	for id, reuse := range map[string]time.Duration{"again": time.Minute, "other": time.Minute, "fresh": 0} {
		c.must(c.store.Clients().Insert(ctx, store.Client{
			ID: id, Name: id, AuthMethod: oauth.ClientSecretBasic, GrantTypes: []string{oauth.ClientCredentials}, TokenReuse: reuse,
			Secrets: []store.Secret{{ID: "1", Hash: store.HashSecret("right")}}, Roles: []string{"reader"},
			Grants: []store.Grant{defaults(apiA, "read", "write"), defaults(apiB, "read"), defaults(apiO, "read"), defaults(apiS, "read")},
		}))
	}
	for range nodes {
		c.start()
	}
	c.must(c.nodes[0].ring.Ensure(ctx, jose.Ed25519))
	c.poll()
	c.now = start.Add(time.Hour)
	c.poll()
	return c
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) start() *node {
	c.t.Helper()
	clock := func() time.Time { return c.now }
	ctx := context.Background()
	ring, err := keyring.Open(ctx, c.store, keyring.Options{Root: make([]byte, 32), Now: clock})
	c.must(err)
	n := &node{ring: ring, journal: audit.InMemory()}
	n.Authority, err = New(ctx, Options{
		Issuer: "https://as.example", Store: c.store, Ring: ring, Journal: n.journal, Now: clock, Throttle: Throttle{Off: true},
	})
	c.must(err)
	c.nodes = append(c.nodes, n)
	return n
}

// poll lets every node see what changed.
func (c *cluster) poll() {
	c.t.Helper()
	for _, n := range c.nodes {
		c.must(n.ring.Tick(context.Background()))
		c.must(n.Poll(context.Background()))
	}
}

func (c *cluster) close() {
	for _, n := range c.nodes {
		_ = n.journal.Close()
	}
}

// ask asks a node for a token of apiA, or with other parameters.
func (c *cluster) ask(n int, client string, form ...string) string {
	c.t.Helper()
	token, err := c.try(n, client, form...)
	c.must(err)
	return token.AccessToken
}

func (c *cluster) try(n int, client string, form ...string) (*oauth.TokenResponse, error) {
	request := as(client, "right", oauth.ClientSecretBasic)
	request.Form.set("resource", apiA)
	for i := 0; i < len(form); i += 2 {
		request.Form.set(form[i], form[i+1])
	}
	return c.nodes[n].Token(context.Background(), request)
}

func (c *cluster) claims(token string) *oauth.Claims {
	c.t.Helper()
	issued, err := c.nodes[0].decode(token)
	c.must(err)
	return &issued.Claims
}

// change changes the client "again", as registry does.
func (c *cluster) change(change func(*store.Client)) {
	c.t.Helper()
	client, err := c.store.Clients().Get(context.Background(), "again")
	c.must(err)
	change(&client)
	client.Updated = c.now.UTC()
	c.must(c.store.Clients().Put(context.Background(), client))
	c.poll()
}

func (c *cluster) revoke(n int, token string) {
	c.t.Helper()
	request := as("again", "right", oauth.ClientSecretBasic)
	request.Form.set("token", token)
	c.must(c.nodes[n].Revoke(context.Background(), request))
}

func same(t *testing.T, what string, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: another token\n%s\n%s", what, got, want)
	}
}

func another(t *testing.T, what string, got, not string) {
	t.Helper()
	if got == not {
		t.Errorf("%s: the same token", what)
	}
}

func TestTheSameTokenAgain(t *testing.T) {
	c := newCluster(t, 2)
	defer c.close()
	c.now = c.now.Truncate(time.Minute).Add(30 * time.Second)
	for _, api := range []string{apiA, apiB, apiO} {
		first := c.ask(0, "again", "resource", api)
		same(t, api+" asked again", c.ask(0, "again", "resource", api), first)
		same(t, api+" on the other node", c.ask(1, "again", "resource", api), first)
		c.start()
		same(t, api+" after a restart", c.ask(len(c.nodes)-1, "again", "resource", api), first)
		another(t, api+" of another client", c.ask(0, "other", "resource", api), first)
		another(t, api+" of a client without", c.ask(0, "fresh", "resource", api), c.ask(0, "fresh", "resource", api))
	}
	c.must(c.nodes[0].ring.Ensure(t.Context(), jose.PS256))
	another(t, "salted signatures", c.ask(0, "again", "resource", apiS), c.ask(0, "again", "resource", apiS))
	first := c.ask(0, "again", "scope", "read")
	another(t, "another scope", c.ask(0, "again", "scope", "read write"), first)
	same(t, "the same scope", c.ask(1, "again", "scope", "read"), first)

	id := c.claims(first).ID // given once as the first of all, and twice again until here
	for range 3 {
		c.ask(0, "again", "scope", "read")
	}
	var told []string
	for _, event := range c.nodes[0].journal.Events() {
		if event.TokenID == id {
			told = append(told, fmt.Sprint(event.Kind, " ", event.ClientID, " ", event.Count))
		}
	}
	if want := []string{"token.issued again 0", "token.repeated again 5"}; !slices.Equal(told, want) {
		t.Errorf("the journal has %q of a token, want %q", told, want)
	}
}

// TestReuseNeedsTheFirstEvent: a token whose event is not on disk has not left, and is not given to the next who asks.
func TestReuseNeedsTheFirstEvent(t *testing.T) {
	c := newCluster(t, 1)
	c.close()
	if _, err := c.try(0, "again"); err == nil {
		t.Fatal("a token without an event")
	}
	if held := len(c.nodes[0].reuse.made.recent); held != 0 {
		t.Errorf("%d tokens without an event would be given again", held)
	}
}

// TestReuseIsBound: a token for one key is not a token for another, nor for none.
func TestReuseIsBound(t *testing.T) {
	c := newCluster(t, 1)
	defer c.close()
	owner, _, err := c.nodes[0].directory.client(t.Context(), "again")
	must(t, err)
	seen := map[string]string{}
	for range 2 {
		for _, bound := range []*pop.Confirmation{nil, {Key: "one"}, {Key: "two"}, {Certificate: "one"}, {Key: "one", Certificate: "one"}} {
			authorization, err := narrow(owner, []string{apiA}, "read")
			must(t, err)
			authorization.Subject, authorization.Lifetime, authorization.Confirmation = owner.ID, 5*time.Minute, bound
			made := c.nodes[0].again(t.Context(), owner, authorization, c.now)
			name := fmt.Sprintf("%+v", bound)
			if before, found := seen[name]; found && before != made.token {
				t.Errorf("%s: another token", name)
			}
			seen[name] = made.token
		}
	}
	tokens := map[string]bool{}
	for _, token := range seen {
		tokens[token] = true
	}
	if len(tokens) != 5 {
		t.Errorf("%d tokens for 5 bindings", len(tokens))
	}
}

func TestNoTokenAgainAfterAChange(t *testing.T) {
	ctx := context.Background()
	resource := func(change func(*cluster, *store.Resource)) func(*cluster) {
		return func(c *cluster) {
			r, err := c.store.Resources().Get(ctx, apiA)
			c.must(err)
			change(c, &r)
			c.must(c.store.Resources().Put(ctx, r))
			c.poll()
		}
	}
	for name, change := range map[string]func(c *cluster){
		"of the client": func(c *cluster) { c.change(func(r *store.Client) { r.Name = "renamed" }) },
		"of the client and back": func(c *cluster) {
			c.change(func(r *store.Client) { r.MultipleAudiences = true })
			c.change(func(r *store.Client) { r.MultipleAudiences = false })
		},
		"of the static claims alone": func(c *cluster) {
			client, err := c.store.Clients().Get(ctx, "again")
			c.must(err)
			client.Claims = `{"tenant":"a"}`
			c.must(c.store.Clients().Put(ctx, client))
			c.poll()
		},
		"suspended and resumed": func(c *cluster) {
			c.change(func(r *store.Client) { r.Suspended, r.NotBefore = true, c.now.UTC() })
			c.change(func(r *store.Client) { r.Suspended = false })
		},
		"all tokens of the client revoked": func(c *cluster) {
			client, err := c.store.Clients().Get(ctx, "again")
			c.must(err)
			client.NotBefore = c.now.UTC()
			c.must(c.store.Clients().Put(ctx, client))
			c.poll()
		},
		"all tokens for the resource revoked": resource(func(c *cluster, r *store.Resource) { r.NotBefore = c.now.UTC() }),
		"of the resource":                     resource(func(c *cluster, r *store.Resource) { r.Name, r.Updated = "renamed", c.now.UTC() }),
		"of a role": func(c *cluster) {
			c.must(c.store.Roles().Put(ctx, store.Role{Name: "reader", Updated: c.now.UTC(), Grants: []store.Grant{to(apiA, "read")}}))
			c.poll()
		},
		"of the key": func(c *cluster) {
			_, err := c.nodes[0].ring.Rotate(ctx, jose.ES256, true)
			c.must(err)
			c.poll()
		},
		"the key withdrawn": func(c *cluster) {
			for _, key := range c.nodes[0].ring.List() {
				if key.Algorithm == jose.ES256 {
					c.must(c.nodes[0].ring.Revoke(ctx, key.ID))
				}
			}
			c.poll()
		},
		"the token revoked": func(c *cluster) { c.revoke(0, c.ask(0, "again")) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 2)
			defer c.close()
			c.now = c.now.Truncate(time.Minute).Add(20*time.Second + 400*time.Millisecond)
			first, elsewhere := c.ask(0, "again"), c.ask(1, "again")
			same(t, "before", elsewhere, first)
			change(c)
			at := c.ask(0, "again")
			another(t, "at once", at, first)
			c.now = c.now.Add(1100 * time.Millisecond)
			c.poll()
			after := c.ask(0, "again")
			another(t, "a second later", after, first)
			same(t, "then again", c.ask(0, "again"), after)
			same(t, "on the other node", c.ask(1, "again"), after)
			if active, err := c.nodes[1].active(ctx, c.claims(after)); err != nil || !active {
				t.Errorf("the new token is not active (%v): %+v", err, c.claims(after))
			}
		})
	}
}

// TestEachRevokedTokenHasASuccessor: as often as the token of a window is revoked, so often the next takes its place, on all nodes;
// in the end each is a new one.
func TestEachRevokedTokenHasASuccessor(t *testing.T) {
	c := newCluster(t, 2)
	defer c.close()
	c.now = c.now.Truncate(time.Minute).Add(time.Second)
	seen := map[string]bool{}
	for range maxSteps {
		token := c.ask(0, "again")
		c.now = c.now.Add(maxAge)
		c.poll()
		same(t, "on the other node", c.ask(1, "again"), token)
		if seen[token] {
			t.Fatal("a revoked token was given again")
		}
		seen[token] = true
		c.revoke(0, token)
	}
	another(t, "when the bound is reached", c.ask(0, "again"), c.ask(0, "again"))
}

// TestReuseAsksTheStoreOnceASecond, and where the store cannot say whether a token was revoked, it is not given again.
func TestReuseAsksTheStoreOnceASecond(t *testing.T) {
	c := newCluster(t, 1)
	defer c.close()
	c.now = c.now.Truncate(time.Minute).Add(time.Second)
	first := c.ask(0, "again")
	asked := c.store.asked
	for range 100 {
		c.now = c.now.Add(9 * time.Millisecond)
		same(t, "within a second", c.ask(0, "again"), first)
	}
	if c.store.asked != asked {
		t.Errorf("the store was asked %d times within a second", c.store.asked-asked)
	}
	c.store.broken = true
	c.now = c.now.Add(100 * time.Millisecond)
	must(t, c.nodes[0].Poll(t.Context()))
	another(t, "without the store", c.ask(0, "again"), first)
	c.store.broken = false
	same(t, "with the store again", c.ask(0, "again"), first)
}

// TestReuseAndClocks: a window ends at half of a token's life, however long it is, and a clock that goes back keeps nothing alive.
func TestReuseAndClocks(t *testing.T) {
	c := newCluster(t, 2)
	defer c.close()
	c.change(func(r *store.Client) { r.TokenReuse = time.Hour })
	tokens := map[string]bool{}
	for range 300 {
		c.now = c.now.Add(5 * time.Second)
		c.poll()
		answer, err := c.try(0, "again")
		must(t, err)
		if answer.ExpiresIn <= 150 || answer.ExpiresIn > 300 {
			t.Fatalf("%d seconds are left of 300", answer.ExpiresIn)
		}
		tokens[answer.AccessToken] = true
	}
	if len(tokens) != 10 && len(tokens) != 11 {
		t.Errorf("%d tokens in 1500 s, each for 150", len(tokens))
	}
	c.now = c.now.Truncate(150 * time.Second).Add(100 * time.Second)
	c.poll()
	token := c.ask(0, "again")
	c.now = c.now.Add(-2 * time.Second)
	c.revoke(1, token)
	another(t, "a clock that went back", c.ask(0, "again"), token)
}

// TestReuseForgets: what is not remembered is made anew and comes out the same, and what is remembered is bounded.
func TestReuseForgets(t *testing.T) {
	c := newCluster(t, 1)
	defer c.close()
	u := c.nodes[0].reuse
	first := c.ask(0, "again")
	for i := range 3 * maxReused {
		u.keep(digest{byte(i), byte(i >> 8), byte(i >> 16), 1}, reused{})
	}
	if held := len(u.made.recent) + len(u.made.older); held > maxReused {
		t.Errorf("%d tokens are remembered", held)
	}
	same(t, "forgotten", c.ask(0, "again"), first)
	u.keep(digest{1}, reused{token: strings.Repeat("x", maxReusedBytes+1)})
	if _, found, _ := u.find(digest{1}, c.now); found {
		t.Error("a large token is remembered")
	}
}

// TestReuseAlways goes through sequences of requests, changes and jumps of the clock. Whatever happens: a token that is given is
// active, at least half of its life is left, it was issued after the last change, and nodes that know the same give the same.
func TestReuseAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newCluster(t, 2)
		defer c.close()
		ctx := context.Background()
		changed := time.Time{}
		var last string
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				c.t = t
				api := rapid.SampledFrom([]string{apiA, apiB, apiO}).Draw(t, "api")
				answer, err := c.try(0, "again", "resource", api)
				c.must(err)
				last = answer.AccessToken
				claims := c.claims(last)
				if active, err := c.nodes[1].active(ctx, claims); err != nil || !active {
					t.Fatalf("the token is not active (%v): %+v", err, claims)
				}
				lifetime := int64(claims.Expires - claims.IssuedAt)
				left := int64(claims.Expires) - c.now.Unix()
				if answer.ExpiresIn != left || 2*left < lifetime || int64(claims.IssuedAt) > c.now.Unix() {
					t.Fatalf("expires_in is %d, left are %d of %d", answer.ExpiresIn, left, lifetime)
				}
				if int64(claims.IssuedAt) < changed.Unix() {
					t.Fatalf("issued %v, changed %v", time.Unix(int64(claims.IssuedAt), 0), changed)
				}
				settled := !c.now.Before(changed.Add(time.Second))
				if other := c.ask(1, "again", "resource", api); settled && other != last {
					t.Fatalf("the other node gives another token\n%s\n%s", other, last)
				}
			},
			"wait": func(t *rapid.T) {
				c.t = t
				c.now = c.now.Add(time.Duration(rapid.IntRange(1, 40_000).Draw(t, "milliseconds")) * time.Millisecond)
				c.poll()
			},
			"change": func(t *rapid.T) {
				c.t = t
				changed = c.now
				window := time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second
				c.change(func(r *store.Client) {
					r.TokenReuse = window
					if rapid.Bool().Draw(t, "revoke all") {
						r.NotBefore = c.now.UTC().Truncate(time.Second)
					}
				})
			},
			"revoke": func(t *rapid.T) {
				if last == "" {
					t.Skip()
				}
				c.t = t
				c.revoke(rapid.IntRange(0, 1).Draw(t, "node"), last)
				last = ""
				c.now = c.now.Add(maxAge) // the other node has a second to hear of it
				c.poll()
			},
			"rotate": func(t *rapid.T) {
				c.t = t
				if _, err := c.nodes[0].ring.Rotate(ctx, jose.ES256, true); err != nil && !errors.Is(err, keyring.ErrTooManyKeys) {
					t.Fatal(err)
				}
				c.poll()
			},
		})
	})
}

// TestTokenAllocates is for whoever adds a step: a signature makes 51 of these allocations. Not in parallel, as all are counted.
func TestTokenAllocates(t *testing.T) {
	c := newCluster(t, 1)
	defer c.close()
	for client, most := range map[string]float64{"fresh": 90, "again": 32} {
		request := &Request{
			Form:          formOf(url.Values{"grant_type": {oauth.ClientCredentials}, "resource": {apiA}}),
			Authorization: []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(client+":right"))},
		}
		got := testing.AllocsPerRun(200, func() {
			_, err := c.nodes[0].Token(context.Background(), request)
			must(t, err)
		})
		if got > most {
			t.Errorf("%s: %v allocations, and may be %v", client, got, most)
		}
	}
}

// BenchmarkTokenAgain is the authority's part of a token request, with a new token and with one that was given before.
func BenchmarkTokenAgain(b *testing.B) {
	c := newCluster(b, 1)
	defer c.close()
	for _, client := range []string{"fresh", "again"} {
		b.Run(client, func(b *testing.B) {
			request := &Request{
				Form:          formOf(url.Values{"grant_type": {oauth.ClientCredentials}, "resource": {apiA}}),
				Authorization: []string{"Basic " + base64.StdEncoding.EncodeToString([]byte(client+":right"))},
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.nodes[0].Token(b.Context(), request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
