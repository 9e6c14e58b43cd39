//go:build drills

package drills

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/resource"
)

// TestDrillR18 rotates the signing key twenty times while tokens are issued, and verified by four APIs that fetch the key set
// by themselves. All clocks run sixty times as fast, so that the 8 minutes for which a key is announced are 8 s, and
// the 300 s for which an API may keep the key set are 5 s, as the drill asks.
func TestDrillR18(t *testing.T) {
	const rate, rotations, apis = 60, 20, 4
	d := begin(t, "R18", "20 rotations at 500 rps issued and 2000 rps verified by 4 APIs with caches of their own: 0 failed verifications")
	d.note("shortened", "clocks run 60 times as fast: 9 s between rotations instead of 30")
	clock := newClock(t, rate, 0)
	n := newNode(t, "writ", "WRIT_KEYS_LIFETIME=9m", "WRIT_KEYS_ANNOUNCE=8m", "WRIT_TOKENS_TTL=5m", "WRIT_TOKENS_MAX_TTL=5m").withClock(clock)
	n.start()
	o := operate(t, n, n)
	o.resource(api, "ES256")
	client := o.client("billing", api, nil)
	fetched := n.metric("writ_http_requests_total", `endpoint="jwks"`)
	v := &verifiers{live: make([]issued, 256)}
	for range apis {
		verifier, err := resource.NewVerifier(resource.Config{Issuer: n.issuer, Audience: api, CacheSize: 64, Now: clock.set.now})
		if err != nil {
			t.Fatal(err)
		}
		v.all = append(v.all, verifier)
	}
	callers := keepAlive(64, nil)
	issue := start(500, func(int) answer {
		a := send(callers, n.tokenOf(client))
		if token := tokenIn(a); token != "" {
			v.keep(token, clock.set.now())
		}
		return a
	})
	time.Sleep(time.Second)
	verify := start(2000, func(i int) answer { return v.check(t, i, clock.set.now()) })
	seen := map[string]bool{}
	for deadline := time.Now().Add(6 * time.Minute); len(seen) < rotations+1 && time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		token, _ := v.pick(clock.set.now())
		if id := keyID(token); id != "" {
			seen[id] = true
		}
	}
	verified, issuedAll := verify.end(), issue.end()
	d.want("rotations", len(seen)-1, len(seen) > rotations)
	d.note("verifications", len(verified))
	d.want("failed_verifications", v.failed.Load(), v.failed.Load() == 0)
	d.want("issued_not_200", issuedAll.bad("200"), issuedAll.bad("200") == 0)
	d.note("issued", issuedAll.classes())
	d.note("key_set_fetches", n.metric("writ_http_requests_total", `endpoint="jwks"`)-fetched)
	d.note("reasons", v.reasons())
}

type issued struct {
	token string
	at    time.Time
}

// verifiers are APIs, and the tokens that they are called with.
type verifiers struct {
	all    []*resource.Verifier
	failed atomic.Int64

	mu   sync.Mutex
	next int            // under mu, like all below
	live []issued       // the latest
	why  map[string]int // reasons
}

func (v *verifiers) keep(token string, at time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.live[v.next%len(v.live)] = issued{token, at}
	v.next++
}

// pick returns one of the tokens that are good for a while yet.
func (v *verifiers) pick(now time.Time) (string, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next == 0 {
		return "", false
	}
	one := v.live[rand.IntN(min(v.next, len(v.live)))]
	return one.token, now.Sub(one.at) < 4*time.Minute
}

func (v *verifiers) check(t *testing.T, i int, now time.Time) answer {
	token, good := v.pick(now)
	if !good {
		return answer{status: http.StatusNoContent}
	}
	if _, err := v.all[i%len(v.all)].Verify(t.Context(), token); err != nil {
		v.failed.Add(1)
		v.note(err)
		return answer{failure: "refused"}
	}
	return answer{status: http.StatusOK}
}

func (v *verifiers) note(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.why == nil {
		v.why = map[string]int{}
	}
	if cause := errors.Unwrap(err); cause != nil {
		err = cause
	}
	v.why[err.Error()]++
}

func (v *verifiers) reasons() (all []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for reason := range v.why {
		all = append(all, reason)
	}
	return all
}
