//go:build drills

package drills

import (
	"fmt"
	"net/url"
	"testing"
	"time"
)

// TestDrillR09 makes the database answer late.
func TestDrillR09(t *testing.T) {
	d := begin(t, "R09", "the database answers 100, 500, 2000 ms late, +-50 %: secrets p99 < 20 ms; what needs the database ends within 1 s, then 503; goroutines bounded")
	_, dsn := database(t)
	w, through := newWire(t, dsn, nil)
	c := newCluster(t, 1, "", through, nil)
	n := c.nodes[0]
	keyed := c.keyed(t, "keyed")
	callers := keepAlive(256, nil)
	token := tokenIn(send(callers, n.tokenOf(c.client)))
	revoke := func(i int) answer {
		if i%2 == 0 {
			return send(callers, post(n.url("/revoke"), url.Values{"token": {token}}, c.client.ID, c.client.Secret))
		}
		return send(callers, post(n.url("/token"), keyed.form(time.Now()), "", ""))
	}
	for _, late := range []time.Duration{0, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second} {
		w.delay.Store(int64(late))
		time.Sleep(2 * time.Second) // connections and loops meet it
		needy := start(40, revoke)
		most := 0.0
		secrets := during(200, c.ask(c.client), func() {
			for range 6 {
				time.Sleep(500 * time.Millisecond)
				most = max(most, n.metric("go_goroutines"))
			}
		})
		needing := needy.end()
		name := fmt.Sprintf("late_%dms_", late.Milliseconds())
		d.want(name+"secret_p99", secrets.percentile(.99), secrets.percentile(.99) < 20*time.Millisecond)
		d.want(name+"secret_not_200", secrets.bad("200"), secrets.bad("200") == 0)
		d.note(name+"database_path", needing.classes())
		d.want(name+"database_path_but_200_503", needing.bad("200", "503"), needing.bad("200", "503") == 0)
		d.want(name+"database_path_max", needing.percentile(1), needing.percentile(1) < 1100*time.Millisecond) // the way there and back is not the server's
		d.want(name+"goroutines", most, most < 700)
	}
}
