//go:build drills

package drills

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// TestDrillR01 kills a server on SQLite two hundred times while it issues tokens and registers clients.
func TestDrillR01(t *testing.T) {
	d := begin(t, "R01", "200 rounds of kill -9 at 300 rps: 0 corrupt, 0 acknowledged writes lost, restart < 300 ms to the first token, audit >= 200 ok")
	const rounds = 200
	n := newNode(t, "writ")
	n.start()
	o := operate(t, n, n)
	o.resource(api, "ES256")
	client := o.client("billing", api, nil)
	callers := keepAlive(256, nil)

	var acknowledged []string
	var restarts answers
	answered := 0
	for round := range rounds {
		l := start(300, func(int) answer { return send(callers, n.tokenOf(client)) })
		if round%20 == 19 { // a token of the operator lives for minutes
			o = operate(t, n, n)
		}
		for deadline := time.Now().Add(time.Duration(50+rand.IntN(450)) * time.Millisecond); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			name := fmt.Sprintf("client-%d-%d", round, len(acknowledged))
			if a := o.send(http.MethodPost, "/clients", clientOf(name, api, nil)); a.status == http.StatusCreated {
				acknowledged = append(acknowledged, name)
			}
		}
		n.kill()
		answered += len(l.end().of("200"))
		callers.CloseIdleConnections()
		began := n.launch()
		n.until("a token", 20*time.Second, func() bool { return send(callers, n.tokenOf(client)).status == http.StatusOK })
		answered++
		restarts = append(restarts, answer{took: time.Since(began)})
	}
	n.awaitReady()
	lost := 0
	o = operate(t, n, n)
	for _, name := range acknowledged {
		if o.send(http.MethodGet, "/clients/"+name, nil).status != http.StatusOK {
			lost++
		}
	}
	n.writ("audit", "verify")
	n.stop()
	d.note("rounds", rounds)
	d.want("acknowledged_writes", len(acknowledged), len(acknowledged) > rounds)
	d.want("lost_writes", lost, lost == 0)
	said := sqliteCheck(t, n)
	d.want("integrity_check", said, said == "ok")
	d.note("restart_p50", restarts.percentile(.5))
	d.want("restart_p95", restarts.percentile(.95), restarts.percentile(.95) < 300*time.Millisecond)
	d.note("restart_p99", restarts.percentile(.99))
	d.note("answers_200", answered)
	recorded := journalled(t, n, "token.issued")
	d.want("audit_issued", recorded, recorded >= answered)
}

// journalled counts the events of a kind in the files of a node's journal.
func journalled(t *testing.T, n *node, kind string) int {
	t.Helper()
	count := 0
	for _, line := range journal(t, n) {
		var event struct{ Kind string }
		if json.Unmarshal(line, &event) == nil && event.Kind == kind {
			count++
		}
	}
	return count
}
