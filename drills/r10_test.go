//go:build drills

package drills

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDrillR10 starts ten nodes at once on a database that has room for their thirty connections and no more, and again after
// kill -9.
func TestDrillR10(t *testing.T) {
	d := begin(t, "R10", "10 nodes at once, max_connections=30: no node gives up, all serve within 5 s, never more connections of a node than it is allowed")
	const nodes, allowed = 10, 3
	p := newPostgres(t, nodes*allowed)
	defer p.close()
	dsn := p.create(t)
	c := newCluster(t, nodes, "", dsn, func(_ int, n *node) { n.env = append(n.env, fmt.Sprint("WRIT_DATABASE_CONNECTIONS=", allowed)) })
	for _, n := range c.nodes {
		n.kill()
	}
	callers := keepAlive(256, nil)
	for _, name := range []string{"first", "again"} {
		began := time.Now()
		for _, n := range c.nodes {
			n.launch()
		}
		most := mostConnections(c.nodes, p.port)
		var wait time.Duration
		for _, n := range c.nodes {
			n.until("ready", 20*time.Second, func() bool {
				status, _ := n.get("/readyz")
				return status == http.StatusOK && send(callers, n.tokenOf(c.client)).status == http.StatusOK
			})
			wait = time.Since(began)
		}
		d.want(name+"_all_serve_after", wait, wait <= 5*time.Second)
		load := during(300, c.ask(c.client), func() { time.Sleep(2 * time.Second) })
		d.want(name+"_not_200", load.bad("200"), load.bad("200") == 0)
		ofOne, ofAll := most()
		d.want(name+"_most_connections_of_a_node", ofOne, ofOne <= allowed && ofOne > 0)
		d.note(name+"_most_connections", ofAll)
		for _, n := range c.nodes {
			n.kill()
		}
		callers.CloseIdleConnections()
	}
	d.note("refused_by_the_database", strings.Count(p.said(), "too many clients"))
}

// mostConnections counts the connections of nodes to a port of this machine a hundred times a second, until the function that it
// returns is called: that says how many one node, and all of them together, had at most. It counts sockets of the processes and not
// the database's own view, which has for a moment longer what is closed or was killed, and keeps out who asks when it is full.
func mostConnections(nodes []*node, port string) (stop func() (ofOne, ofAll int)) {
	var pids []int
	for _, n := range nodes {
		pids = append(pids, n.process.Process.Pid)
	}
	over, most := make(chan struct{}), make(chan [2]int)
	go func() {
		ofOne, ofAll := 0, 0
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-over:
				most <- [2]int{ofOne, ofAll}
				return
			case <-tick.C:
			}
			all, open := 0, socketsTo(port)
			for _, pid := range pids {
				own := socketsOf(pid, open)
				ofOne, all = max(ofOne, own), all+own
			}
			ofAll = max(ofAll, all)
		}
	}()
	return func() (int, int) { close(over); m := <-most; return m[0], m[1] }
}

// socketsTo returns the sockets of this network that are connected to a port of 127.0.0.1, as links in /proc name them.
func socketsTo(port string) map[string]bool {
	number, _ := strconv.ParseUint(port, 10, 16) // PostgreSQL listens on it
	to := fmt.Sprintf("0100007F:%04X", number)
	sockets := map[string]bool{}
	text, _ := os.ReadFile("/proc/net/tcp")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 9 && f[2] == to {
			sockets["socket:["+f[9]+"]"] = true
		}
	}
	return sockets
}

// socketsOf counts those that a process has open.
func socketsOf(pid int, open map[string]bool) (count int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, file := range files {
		if to, _ := os.Readlink(file); open[to] {
			count++
		}
	}
	return count
}
