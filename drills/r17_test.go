//go:build drills

package drills

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/resource"
)

// TestDrillR17 runs three nodes whose clocks are up to 10 s apart, and APIs whose clocks are 30 s off.
func TestDrillR17(t *testing.T) {
	d := begin(t, "R17", "nodes 10 s apart, as far as is documented, and APIs 30 s off with a leeway of 30 s: 0 false rejections, 0 replays accepted; assertions 10 s old or ahead are good, from more than 60 s ahead never")
	d.note("judged_otherwise", "the row has nodes 60 s apart: Writ documents 10 s, and refuses an assertion from further ahead")
	_, dsn := database(t)
	skews, off := []time.Duration{0, 5 * time.Second, -5 * time.Second}, []time.Duration{0, 30 * time.Second, -30 * time.Second}
	c := newCluster(t, 3, "", dsn, func(i int, n *node) { n.withClock(newClock(t, 0, skews[i])) })
	k := c.keyed(t, "keyed")
	time.Sleep(time.Second) // every node has heard of both
	d.note("skews", fmt.Sprint(skews))

	refused, replayed, rejected, inactive, made := 0, 0, 0, 0, 0
	var tokens []string
	for i, n := range c.nodes {
		for range 3 { // what is replayed is a failed attempt, and of those only some are borne
			form := k.form(time.Now())
			a := send(n.dial, post(n.url("/token"), form, "", ""))
			if a.status != http.StatusOK {
				refused++
				t.Logf("%s: %s %s", skews[i], a.class(), a.body)
			}
			tokens = append(tokens, tokenIn(a), tokenIn(send(n.dial, n.tokenOf(c.client))))
			for _, other := range c.nodes {
				if a.status == http.StatusOK && send(other.dial, post(other.url("/token"), form, "", "")).status == http.StatusOK {
					replayed++
				}
			}
		}
	}
	for _, skew := range off {
		verifier, err := resource.NewVerifier(resource.Config{
			Issuer: c.nodes[0].issuer, Audience: api, Leeway: 30 * time.Second, Now: func() time.Time { return time.Now().Add(skew) },
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, token := range tokens {
			if apart := skew - skews[i/6]; apart < -30*time.Second || apart > 30*time.Second {
				continue // further apart than the API's leeway
			}
			made++
			if _, err := verifier.Verify(t.Context(), token); err != nil {
				rejected++
			}
		}
	}
	for _, n := range c.nodes {
		for _, token := range tokens {
			a := send(n.dial, post(n.url("/introspect"), url.Values{"token": {token}}, c.client.ID, c.client.Secret))
			if !strings.Contains(string(a.body), `"active":true`) {
				inactive++
			}
		}
	}
	d.want("assertions_refused", refused, refused == 0)
	d.want("replays_accepted", replayed, replayed == 0)
	d.note("verifications", made)
	d.want("false_rejections", rejected, rejected == 0)
	d.want("inactive_at_another_node", inactive, inactive == 0)
	edges := map[time.Duration]int{-10 * time.Second: 200, 8 * time.Second: 200, 70 * time.Second: 401}
	for from, want := range edges {
		got := send(c.nodes[0].dial, post(c.nodes[0].url("/token"), k.form(time.Now().Add(from)), "", "")).status
		d.want(fmt.Sprintf("assertion_from_%v", from), got, got == want)
	}
}
