//go:build drills

package drills

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestDrillR13 takes the database away from a node by dropping every packet between them, for a minute and for longer than a
// node may go on with what it knows. That is 15 minutes, which the node's clock jumps over.
func TestDrillR13(t *testing.T) {
	d := begin(t, "R13", "a node that no packet of the database reaches: for 60 s and for more than 15 min exactly the table of 6.2; rejoins <= 2 s, no manual step")
	d.note("shortened", "20 min of partition are 60 s and a jump of the node's clock by 16 min")
	_, dsn := database(t)
	network, clock := newNamespace(t), newClock(t, 0, 0)
	w, through := newWire(t, dsn, network.listen("127.0.0.1:0"))
	_, port, _ := net.SplitHostPort(w.Addr().String())
	c := newCluster(t, 1, "", through, func(_ int, n *node) {
		n.withClock(clock)
		network.holds(n)
		n.env = append(n.env, "WRIT_TOKENS_TTL=30m")
	})
	p := &partitioned{d: d, cluster: c, n: c.nodes[0], keyed: c.keyed(t, "keyed"), clock: clock}
	p.token = tokenIn(send(p.n.dial, p.n.tokenOf(c.client)))

	p.row("connected", map[string]string{"secret": "200", "key": "200", "introspection": "200", "revocation": "200", "registration": "201", "jwks": "200", "ready": "200"})
	network.drop(port)
	began := time.Now()
	p.n.until("the node notices", 30*time.Second, func() bool {
		_, body := p.n.get("/readyz")
		return strings.Contains(body, "unreachable")
	})
	d.note("noticed_after", time.Since(began))
	served := during(100, func(int) answer { return send(p.n.dial, p.n.tokenOf(c.client)) }, func() {
		time.Sleep(time.Until(began.Add(55 * time.Second)))
		p.row("away", map[string]string{"secret": "200", "key": "503", "introspection": "200 503", "revocation": "503", "registration": "503", "jwks": "200", "ready": "200"})
	})
	d.want("away_60s_secret_not_200", served.bad("200"), served.bad("200") == 0)
	d.want("away_60s_secret_p99", served.percentile(.99), served.percentile(.99) < 250*time.Millisecond)
	clock.jump(t, 16*time.Minute)
	p.row("away_long", map[string]string{"secret": "503", "key": "503", "introspection": "503", "revocation": "503", "registration": "503 401", "jwks": "200", "ready": "503"}) // the operator's token has expired in the jump
	network.mend()
	back := p.n.until("the node is back", 30*time.Second, func() bool {
		_, body := p.n.get("/readyz")
		return strings.Contains(body, `"status":"ok"`)
	})
	d.want("rejoined_after", back, back <= 2*time.Second)
	c.operator = operate(t, p.n, p.n)
	writes := p.n.until("admin writes succeed", 30*time.Second, func() bool {
		return c.operator.send(http.MethodPost, "/clients", clientOf(fmt.Sprint("again-", time.Now().UnixNano()), api, nil)).status == http.StatusCreated
	})
	d.want("admin_writes_after", writes, writes <= 2*time.Second)
	p.token = tokenIn(send(p.n.dial, p.n.tokenOf(c.client)))
	p.row("back", map[string]string{"secret": "200", "key": "200", "introspection": "200", "revocation": "200", "registration": "201", "jwks": "200", "ready": "200"})
}

// A partitioned node is asked for everything that the table of 6.2 tells of.
type partitioned struct {
	d       *drilling
	cluster *cluster
	n       *node
	keyed   keyed
	token   string
	clock   *clock
}

// row asks and compares with the row of the table; several answers may be right.
func (p *partitioned) row(state string, want map[string]string) {
	p.d.t.Helper()
	client := p.cluster.client
	jwks, _ := http.NewRequest(http.MethodGet, p.n.url("/jwks"), nil)
	status, _ := p.n.get("/readyz")
	spare := tokenIn(send(p.n.dial, p.n.tokenOf(client)))
	if spare == "" {
		spare = p.token
	}
	got := map[string]answer{
		"secret":        send(p.n.dial, p.n.tokenOf(client)),
		"key":           send(p.n.dial, post(p.n.url("/token"), p.keyed.form(p.clock.set.now()), "", "")),
		"introspection": send(p.n.dial, post(p.n.url("/introspect"), url.Values{"token": {p.token}}, client.ID, client.Secret)),
		"revocation":    send(p.n.dial, post(p.n.url("/revoke"), url.Values{"token": {spare}}, client.ID, client.Secret)),
		"registration":  p.cluster.operator.send(http.MethodPost, "/clients", clientOf("new-"+state, api, nil)),
		"jwks":          send(p.n.dial, jwks),
		"ready":         {status: status},
	}
	said := map[string]string{}
	for what, a := range got {
		said[what] = a.class()
		if !strings.Contains(want[what], a.class()) || a.class() == "" {
			p.d.t.Errorf("R13 %s: %s got %s %s, want %s", state, what, a.class(), a.body, want[what])
		}
	}
	p.d.note(state, said)
}
