//go:build drills

package drills

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestDrillR21 rotates the secrets of fifty clients while they ask for tokens: half of them change over at once, half go on with
// the old secret until it ends.
func TestDrillR21(t *testing.T) {
	const clients, keep = 50, 12 * time.Second
	d := begin(t, "R21", "50 clients rotate, half with the old secret, half with the new: 0 failures inside the overlap; the old one refused <= 1 s after it at every node; last_used shows both")
	_, dsn := database(t)
	c := newCluster(t, 3, "", dsn, nil)
	all := make([]*rotating, clients)
	for i := range all {
		all[i] = &rotating{party: c.operator.client(fmt.Sprint("client-", i), api, nil)}
		all[i].use.Store(&all[i].Secret)
	}
	time.Sleep(time.Second)
	callers := keepAlive(256, nil)
	l := start(300, func(i int) answer {
		r := all[i%clients]
		return send(callers, c.nodes[i%3].tokenOf(party{ID: r.ID, Secret: *r.use.Load()}))
	})
	first := time.Now()
	for i, r := range all {
		c.operator.call(http.MethodPost, "/clients/"+r.ID+"/secrets/rotate", map[string]any{"keep_seconds": int(keep.Seconds())}, &r.next)
		if i%2 == 0 {
			r.use.Store(&r.next.Secret)
		}
	}
	last := time.Now()
	d.note("rotated_within", last.Sub(first))
	time.Sleep(time.Until(first.Add(keep - 500*time.Millisecond)))
	inside := l.end()
	d.note("requests", len(inside))
	d.want("failures_inside_the_overlap", inside.bad("200"), inside.bad("200") == 0)
	time.Sleep(time.Until(last.Add(keep + time.Second)))
	accepted, refused := 0, 0
	for _, r := range all {
		for _, n := range c.nodes {
			if send(callers, n.tokenOf(r.party)).status != http.StatusUnauthorized {
				accepted++
			}
			if send(callers, n.tokenOf(party{ID: r.ID, Secret: r.next.Secret})).status != http.StatusOK {
				refused++
			}
		}
	}
	d.want("old_accepted_a_second_after", accepted, accepted == 0)
	d.want("new_refused", refused, refused == 0)
	shown := strings.Count(string(c.operator.send(http.MethodGet, "/clients/"+all[0].ID, nil).body), `"last_used"`)
	c.nodes[0].until("both uses are shown", 15*time.Second, func() bool { // they are written down every ten seconds
		shown = strings.Count(string(c.operator.send(http.MethodGet, "/clients/"+all[0].ID, nil).body), `"last_used"`)
		return shown >= 2
	})
	d.want("secrets_with_last_used", shown, shown >= 2)
}

// A rotating client has two secrets and uses one of them.
type rotating struct {
	party
	next party
	use  atomic.Pointer[string]
}
