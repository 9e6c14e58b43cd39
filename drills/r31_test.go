//go:build drills

package drills

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDrillR31 measures a server that has been in use for long.
func TestDrillR31(t *testing.T) {
	const clients, rows, lines, ids = 100_000, 1_000_000, 200_000, 1_000_000
	d := begin(t, "R31", "100 000 clients, 1 000 000 rows of history, 1 000 000 live and 1 000 000 expired jti: ready < 2 s, issuance p99 +-10 % (or + 2 ms), a page < 100 ms, the sweep holds nobody up for more than 50 ms")
	d.note("scaled", fmt.Sprintf("the journal has %d lines of 1000000: 0.2", lines))
	n := newNode(t, "writ")
	d.note("ready_empty", n.start())
	o := operate(t, n, n)
	o.resource(api, "ES256")
	like := o.client("billing", api, nil)
	c := &cluster{nodes: []*node{n}, operator: o, client: like}
	k := c.keyed(t, "keyed")
	callers := keepAlive(64, nil)
	calm := during(200, func(int) answer { return send(callers, n.tokenOf(like)) }, func() { time.Sleep(4 * time.Second) })
	n.stop()
	callers.CloseIdleConnections()
	all := crowd(t, n, like, clients)
	fill(t, n, rows, ids, ids)
	lengthen(t, n, lines)
	info, err := os.Stat(filepath.Join(n.data, "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	d.note("database_mib", info.Size()>>20)

	ready := n.start()
	d.want("ready_full", ready, ready < 2*time.Second)
	o = operate(t, n, n)
	var first struct{ Next string }
	o.call(http.MethodGet, "/clients?limit=500", nil, &first)
	pages := map[string]string{
		"first": "/clients?limit=100", "next": "/clients?limit=500&cursor=" + url.QueryEscape(first.Next), "search": "/clients?search=crowd-050&limit=100", "audit": "/audit?limit=100",
	}
	for name, page := range pages {
		best := time.Hour
		for range 5 {
			a := o.send(http.MethodGet, page, nil)
			if a.status != http.StatusOK {
				t.Fatalf("%s: %s %s", page, a.class(), a.body)
			}
			best = min(best, a.took)
		}
		d.want("page_"+name, best, best < 100*time.Millisecond)
	}
	crowded := during(200, func(int) answer { return send(callers, n.tokenOf(all[rand.IntN(len(all))])) }, func() { time.Sleep(4 * time.Second) })
	d.want("issue_not_200", crowded.bad("200"), crowded.bad("200") == 0)
	d.note("issue_p99_empty", calm.percentile(.99))
	d.want("issue_p99_full", crowded.percentile(.99), crowded.percentile(.99) < max(calm.percentile(.99)*11/10, calm.percentile(.99)+2*time.Millisecond))

	// The sweep comes every minute, and is over when no expired ID is left.
	swept := during(50, func(int) answer { return send(callers, post(n.url("/token"), k.form(time.Now()), "", "")) }, func() {
		time.Sleep(75 * time.Second)
	})
	d.want("during_the_sweep_not_200", swept.bad("200"), swept.bad("200") == 0)
	d.note("during_the_sweep_p99", swept.percentile(.99))
	d.want("during_the_sweep_p99.9", swept.percentile(.999), swept.percentile(.999) < 50*time.Millisecond+calm.percentile(.99))
	n.stop()
	left := countExpired(t, n)
	d.want("expired_left", left, left < ids)
}
