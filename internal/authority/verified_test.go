package authority

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// active asks a node about a token as its client.
func (c *cluster) active(n int, token string) bool {
	c.t.Helper()
	request := as("again", "right", oauth.ClientSecretBasic)
	request.Form.set("token", token)
	answer, err := c.nodes[n].Introspect(context.Background(), request)
	c.must(err)
	return answer.Active
}

// TestVerifiedTokensDie: what is remembered of a token keeps it alive beside nothing that ends it.
func TestVerifiedTokensDie(t *testing.T) {
	for name, end := range map[string]func(c *cluster, token string){
		"revoked here":  func(c *cluster, token string) { c.revoke(0, token) },
		"revoked there": func(c *cluster, token string) { c.revoke(1, token); c.now = c.now.Add(time.Second) },
		"its key is withdrawn": func(c *cluster, _ string) {
			c.must(c.nodes[0].ring.Revoke(t.Context(), keyOf(t, c)))
		},
		"expired":              func(c *cluster, _ string) { c.now = c.now.Add(5 * time.Minute) },
		"the client suspended": func(c *cluster, _ string) { c.change(func(client *store.Client) { client.Suspended = true }) },
		"older than the client's tokens may be": func(c *cluster, _ string) {
			c.change(func(client *store.Client) { client.NotBefore = c.now.Add(time.Second) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 2)
			defer c.close()
			token := c.ask(1, "again", "resource", apiA)
			for range 2 {
				if !c.active(0, token) {
					t.Fatal("it was never alive")
				}
			}
			end(c, token)
			request := as("other", "right", oauth.ClientSecretBasic) // the token's own may be suspended
			request.Form.set("token", token)
			c.must(c.store.Update(t.Context(), func(tx store.Store) error {
				caller, err := tx.Clients().Get(t.Context(), "other")
				caller.ResourceServerFor = []string{apiA}
				if err != nil {
					return err
				}
				return tx.Clients().Put(t.Context(), caller)
			}))
			c.poll()
			answer, err := c.nodes[0].Introspect(t.Context(), request)
			must(t, err)
			if answer.Active {
				t.Error("it is alive")
			}
		})
	}
}

func keyOf(t *testing.T, c *cluster) string {
	t.Helper()
	signer, err := c.nodes[0].ring.Signer("ES256")
	must(t, err)
	return signer.KeyID
}

// TestVerifiedTokensCostNothing: the store is asked about a token once a second, and what is remembered is bounded.
func TestVerifiedTokensCostNothing(t *testing.T) {
	c := newCluster(t, 1)
	defer c.close()
	for _, api := range []string{apiA, apiO} {
		token := c.ask(0, "again", "resource", api)
		asked := c.store.asked
		for range 5 {
			c.active(0, token)
		}
		c.now = c.now.Add(time.Second)
		c.active(0, token)
		if got := c.store.asked - asked; got != 2 {
			t.Errorf("%s: the store was asked %d times, want 2", api, got)
		}
	}
	m := newMemory[string, int](100)
	for i := range 1000 {
		m.keep(fmt.Sprint(i), i)
		m.find("0")
	}
	if held := len(m.recent) + len(m.older); held > 100 {
		t.Errorf("%d are remembered, of at most 100", held)
	}
	if value, found := m.find("0"); !found || value != 0 {
		t.Error("what was asked for all the time is forgotten")
	}
	if _, found := m.find("1"); found {
		t.Error("what nobody asked for is remembered")
	}
}

// TestOnlyOursAreRemembered: a stranger's tokens take no memory.
func TestOnlyOursAreRemembered(t *testing.T) {
	c := newCluster(t, 1)
	defer c.close()
	token := c.ask(0, "again", "resource", apiA)
	for i := range 50 {
		c.active(0, fmt.Sprint(token[:len(token)-4], "AA", i%10, "A"))
	}
	if got := len(c.nodes[0].verified.recent); got != 0 {
		t.Errorf("%d tokens with wrong signatures are remembered", got)
	}
}
