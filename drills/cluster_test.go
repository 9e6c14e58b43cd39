//go:build drills

package drills

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// A cluster is nodes of one issuer on one PostgreSQL.
type cluster struct {
	nodes    []*node
	operator *operator
	client   party
}

// newCluster starts nodes one after the other: the first makes the keys. change is for each before it starts.
func newCluster(t *testing.T, size int, issuer, dsn string, change func(i int, n *node)) *cluster {
	t.Helper()
	c := &cluster{}
	for i := range size {
		n := newNode(t, fmt.Sprint("node", i), "WRIT_DATABASE="+dsn)
		if issuer != "" {
			n.issuer = issuer
		} else if i > 0 {
			n.issuer = c.nodes[0].issuer
		}
		if i > 0 {
			n.env = append(n.env, "WRIT_ROOT_KEY="+c.nodes[0].data+"/root.key")
		}
		if change != nil {
			change(i, n)
		}
		n.start()
		c.nodes = append(c.nodes, n)
	}
	c.operator = operate(t, c.nodes[0], c.nodes[0])
	c.operator.resource(api, "ES256")
	c.client = c.operator.client("billing", api, nil)
	c.settle(t)
	return c
}

// settle waits until every node knows the client and what it may ask for.
func (c *cluster) settle(t *testing.T) {
	t.Helper()
	for _, n := range c.nodes {
		n.until("knows the client", 10*time.Second, func() bool { return send(n.dial, n.tokenOf(c.client)).status == http.StatusOK })
	}
}

// ask asks the nodes in turn for tokens of a client.
func (c *cluster) ask(of party) func(int) answer {
	callers := keepAlive(256, nil)
	return func(i int) answer { return send(callers, c.nodes[i%len(c.nodes)].tokenOf(of)) }
}
