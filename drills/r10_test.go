//go:build drills

package drills

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"
)

// TestDrillR10 starts ten nodes at once on a database that has room for thirty connections, and again after kill -9.
func TestDrillR10(t *testing.T) {
	d := begin(t, "R10", "10 nodes at once, max_connections=30: no node gives up, all serve within 5 s, never more connections than the pools are allowed")
	const nodes, pool = 10, 2
	p := newPostgres(t, 30)
	defer p.close()
	dsn := p.create(t)
	c := newCluster(t, nodes, "", dsn, func(_ int, n *node) { n.env = append(n.env, fmt.Sprint("WRIT_DATABASE_CONNECTIONS=", pool)) })
	for _, n := range c.nodes {
		n.kill()
	}
	callers := keepAlive(256, nil)
	for _, name := range []string{"first", "again"} {
		began := time.Now()
		for _, n := range c.nodes {
			n.launch()
		}
		most := 0
		var wait time.Duration
		for _, n := range c.nodes {
			n.until("ready", 20*time.Second, func() bool {
				most = max(most, connections(t, p, dsn))
				status, _ := n.get("/readyz")
				return status == http.StatusOK && send(callers, n.tokenOf(c.client)).status == http.StatusOK
			})
			wait = time.Since(began)
		}
		d.want(name+"_all_serve_after", wait, wait <= 5*time.Second)
		load := during(300, c.ask(c.client), func() {
			for range 10 {
				time.Sleep(200 * time.Millisecond)
				most = max(most, connections(t, p, dsn))
			}
		})
		d.want(name+"_not_200", load.bad("200"), load.bad("200") == 0)
		d.want(name+"_most_connections", most, most <= nodes*pool)
		for _, n := range c.nodes {
			n.kill()
		}
		callers.CloseIdleConnections()
	}
}

// connections counts those of the nodes, with PostgreSQL's own eyes.
func connections(t *testing.T, p *postgres, dsn string) int {
	t.Helper()
	count, _ := strconv.Atoi(p.psql(t, dsn, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'writ'"))
	return count
}
