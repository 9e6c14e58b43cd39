package server

import (
	"net/url"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store/storetest"
	"github.com/writ-auth/writ/oauth"
)

// TestTheSameTokenOnEveryNode: nodes that share nothing but PostgreSQL and the root key give a client the same token, to the byte,
// and after it was revoked at one of them, another one, which is the same on both again.
func TestTheSameTokenOnEveryNode(t *testing.T) {
	t.Parallel()
	dsn, clock := storetest.PostgreSQL(t), &clock{}
	var nodes []*running
	for range 2 {
		c := testConfig(t)
		c.Database, c.Issuer = dsn, "https://as.example"
		if len(nodes) > 0 {
			c.RootKey = nodes[0].config.rootKeyPath()
		}
		nodes = append(nodes, startAt(t, c, clock.now))
	}
	client := nodes[0].newClient(t, "batch", func(m *oauth.ClientMetadata) { m.TokenReuseSeconds = 60 })
	ask := func() (token string, same bool) {
		token = nodes[0].token(t, client)
		return token, nodes[1].token(t, client) == token
	}
	agree := func(not string) string {
		t.Helper()
		for range 100 {
			clock.add(2 * time.Second) // a node hears of a change within a second, and a window may just have ended
			if token, same := ask(); same && token != not {
				return token
			}
		}
		t.Fatal("the nodes never give the same token")
		return ""
	}
	first := agree("")
	status, _ := nodes[1].post(t, "/revoke", client, url.Values{"token": {first}})
	if status != 200 {
		t.Fatalf("revocation: %d", status)
	}
	if token := nodes[1].token(t, client); token == first {
		t.Error("the node where the token was revoked gives it again")
	}
	second := agree(first)
	if !nodes[0].active(t, client, second) || nodes[0].active(t, client, first) {
		t.Error("the second token is not active, or the first one is")
	}
}
