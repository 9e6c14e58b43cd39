//go:build drills

package drills

import (
	"crypto"
	"net/url"
	"testing"
	"time"
)

// TestDrillR08 restarts PostgreSQL ten times below three nodes under load.
func TestDrillR08(t *testing.T) {
	d := begin(t, "R08", "PostgreSQL restarted 10 times at 300 rps: secrets 100 % served; keys get 503 + Retry-After at most, for the outage + 1 s; no other 5xx")
	p := newPostgres(t, 100)
	defer p.close()
	c := newCluster(t, 3, "", p.create(t), nil)
	keyed := c.keyed(t, "keyed")
	time.Sleep(time.Second) // every node has heard of it
	served, proved := 0, 0
	var worst time.Duration
	classes := map[string]int{}
	for round := range 10 {
		secrets := start(200, c.ask(c.client))
		keys := start(100, c.askKeyed(keyed))
		time.Sleep(300 * time.Millisecond)
		p.stop(round >= 5)
		time.Sleep(200 * time.Millisecond)
		p.start(t)
		up := time.Now()
		time.Sleep(1800 * time.Millisecond)
		bySecret, byKey := secrets.end(), keys.end()
		served += len(bySecret)
		proved += len(byKey)
		if bad := bySecret.bad("200"); bad > 0 {
			t.Errorf("R08 round %d: %d of %d requests with a secret failed: %v", round, bad, len(bySecret), bySecret.classes())
		}
		for class, count := range byKey.classes() {
			classes[class] += count
		}
		for _, a := range byKey {
			if a.status == 503 && !a.retryAfter {
				t.Error("R08 a 503 without Retry-After")
			}
			if late := a.sent.Sub(up); a.status != 200 && late > worst {
				worst = late
			}
		}
	}
	d.note("requests_with_a_secret", served)
	d.note("requests_with_a_key", proved)
	d.note("answers_to_keys", classes)
	d.want("answers_to_keys_but_200_and_503", proved-classes["200"]-classes["503"], proved == classes["200"]+classes["503"])
	d.want("last_503_after_the_database_was_back", worst, worst <= time.Second)
}

// A keyed party authenticates with assertions.
type keyed struct {
	party
	key    crypto.Signer
	issuer string
}

// keyed registers a client with a key.
func (c *cluster) keyed(t *testing.T, name string) keyed {
	t.Helper()
	private, public := newKey(t)
	return keyed{c.operator.client(name, api, map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": public}), private, c.nodes[0].issuer}
}

// form is a token request with an assertion of its own, made at a time.
func (k keyed) form(at time.Time) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion": {assertion(k.key, k.ID, k.issuer, at)},
	}
}

// askKeyed asks the nodes in turn with assertions.
func (c *cluster) askKeyed(k keyed) func(int) answer {
	callers := keepAlive(256, nil)
	return func(i int) answer {
		return send(callers, post(c.nodes[i%len(c.nodes)].url("/token"), k.form(time.Now()), "", ""))
	}
}
