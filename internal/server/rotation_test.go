package server

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store/storetest"
	"github.com/writ-auth/writ/oauth"
)

// TestRotationUnderLoad: fifty clients ask for tokens all the time while their secrets are rotated. Half of them change to the
// new one at once, half stay with the old one until its end.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("A24 one node, SQLite", func(t *testing.T) {
		clock := &clock{}
		rotated(t, clock, []*running{startAt(t, testConfig(t), clock.now)})
	})
	t.Run("A24 three nodes, PostgreSQL", func(t *testing.T) {
		dsn, clock := storetest.PostgreSQL(t), &clock{}
		var nodes []*running
		for range 3 {
			c := testConfig(t)
			c.Database, c.Issuer = dsn, "https://as.example"
			if len(nodes) > 0 {
				c.RootKey = nodes[0].config.rootKeyPath()
			}
			nodes = append(nodes, startAt(t, c, clock.now))
		}
		rotated(t, clock, nodes)
	})
}

// A loaded client asks for tokens with the secret that it has.
type loaded struct {
	id       string
	old      registry.Secret
	next     registry.NewSecret
	secret   atomic.Pointer[registry.Secret]
	answered atomic.Int64
}

// ask returns the status of a token request at a node.
func (l *loaded) ask(t *testing.T, node *running, secret registry.Secret) int {
	for {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {l.id}, "client_secret": {secret.Reveal()}}
		status, _, _ := node.ask(t, form, "")
		if status != http.StatusServiceUnavailable { // a busy machine may have to put some off
			return status
		}
	}
}

// load asks all nodes in turn until it is over; each request must succeed.
func (l *loaded) load(t *testing.T, nodes []*running, over <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-over:
			return
		default:
		}
		if status := l.ask(t, nodes[i%len(nodes)], *l.secret.Load()); status != http.StatusOK {
			t.Errorf("request %d of %s: got %d", i, l.id, status)
			return
		}
		l.answered.Add(1)
	}
}

func rotated(t *testing.T, clock *clock, nodes []*running) {
	const clients, keep = 50, time.Hour
	system := registry.System("test")
	all := make([]*loaded, clients)
	for i := range all {
		made := nodes[0].newClient(t, fmt.Sprint("billing-", i), posting)
		all[i] = &loaded{id: made.ID, old: made.Secret}
		all[i].secret.Store(&made.Secret)
	}
	for _, node := range nodes {
		until(t, "every node knows the resource", func() bool { return all[0].ask(t, node, all[0].old) == http.StatusOK })
	}
	over := make(chan struct{})
	var work sync.WaitGroup
	for _, l := range all {
		work.Go(func() { l.load(t, nodes, over) })
	}
	for i, l := range all {
		var err error
		l.next, err = nodes[i%len(nodes)].registry.RotateSecret(t.Context(), system, l.id, registry.SecretRotation{Keep: keep}, "")
		if err != nil {
			t.Error(err)
			break
		}
		if i%2 == 0 {
			l.secret.Store(&l.next.Secret) // used at once, also at nodes that have not heard of it
		}
	}
	for _, l := range all { // a few more of each
		for more := l.answered.Load() + int64(len(nodes)); l.answered.Load() < more && !t.Failed(); {
			time.Sleep(time.Millisecond) // for goroutines that use the network
		}
	}
	close(over)
	work.Wait()

	clock.add(keep)
	revoked := all[0]
	if _, err := nodes[0].registry.AddSecret(t.Context(), system, revoked.id, registry.SecretSettings{}, ""); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].registry.RevokeSecret(t.Context(), system, revoked.id, revoked.next.ID, false); err != nil {
		t.Fatal(err)
	}
	if got := revoked.ask(t, nodes[0], revoked.next.Secret); got != http.StatusUnauthorized {
		t.Errorf("a secret that was revoked: got %d at the same node", got)
	}
	for _, l := range all[1:] {
		for i, node := range nodes {
			if got := l.ask(t, node, l.old); got != http.StatusUnauthorized {
				t.Errorf("%s, node %d: the old secret after its end: got %d", l.id, i, got)
			}
			if got := l.ask(t, node, l.next.Secret); got != http.StatusOK {
				t.Errorf("%s, node %d: the new secret: got %d", l.id, i, got)
			}
		}
	}
	time.Sleep(time.Second) // the promised bound within which every node knows that a secret was revoked
	for i, node := range nodes {
		if got := revoked.ask(t, node, revoked.next.Secret); got != http.StatusUnauthorized {
			t.Errorf("a secret that was revoked a second ago: got %d at node %d", got, i)
		}
	}
}

func posting(m *oauth.ClientMetadata) { m.TokenEndpointAuthMethod = oauth.ClientSecretPost }
