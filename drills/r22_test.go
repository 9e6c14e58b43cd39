//go:build drills

package drills

import (
	"net/http"
	"testing"
	"time"
)

// TestDrillR22 replaces three nodes behind HAProxy one by one by those of another version, and back, while clients that do not
// try again ask for tokens over connections that stay open.
func TestDrillR22(t *testing.T) {
	d := begin(t, "R22", "3 nodes behind HAProxy at 300 rps, each replaced by version N+1 and then by N again: 0 failed requests both ways, clients without retry")
	next, err := build(t.TempDir(), "drill-next")
	if err != nil {
		t.Fatal(err)
	}
	d.note("versions", "the same source with two version stamps; the schema of versions is the business of ST-13 and ST-14")
	front := freeAddress(t)
	_, dsn := database(t)
	c := newCluster(t, 3, "http://"+front, dsn, func(_ int, n *node) { n.env = append(n.env, "WRIT_SHUTDOWN_DELAY=1s") })
	balance(t, front, c.nodes)
	callers := keepAlive(64, nil)
	ask := func(int) answer {
		request := c.nodes[0].tokenOf(c.client)
		request.URL.Host, request.Host = front, front
		return send(callers, request)
	}
	c.nodes[0].until("HAProxy has found the nodes", 10*time.Second, func() bool { return ask(0).status == http.StatusOK })
	for _, step := range []struct{ name, binary string }{{"upgrade", next}, {"downgrade", binary}} {
		all := during(300, ask, func() {
			for _, n := range c.nodes {
				n.stop()
				n.binary = step.binary
				n.start()
				time.Sleep(time.Second) // HAProxy looks every 250 ms
			}
		})
		d.note(step.name+"_requests", len(all))
		d.note(step.name+"_answers", all.classes())
		d.want(step.name+"_failed", all.bad("200"), all.bad("200") == 0)
	}
}
