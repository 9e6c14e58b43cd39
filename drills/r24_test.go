//go:build drills

package drills

import (
	"testing"
	"time"
)

// TestDrillR24 asks for five times as many tokens as the server can sign. They are signed with RS256, which takes a core
// three quarters of a millisecond: so the generator, with a core of its own, can ask for that many.
func TestDrillR24(t *testing.T) {
	d := begin(t, "R24", "5x of the measured capacity: goodput >= 90 % of the most, accepted p99 < 250 ms, 503 + Retry-After p50 < 5 ms, normal <= 2 s after")
	d.note("shortened", "15 s of overload instead of 60")
	n := newNode(t, "writ")
	n.start()
	o := operate(t, n, n)
	o.resource(api, "RS256")
	client := o.client("billing", api, nil)
	callers := keepAlive(2048, nil)
	ask := func(int) answer { return send(callers, n.tokenOf(client)) }

	most := capacity(32, 5*time.Second, ask)
	d.note("capacity", int(most))
	over := during(5*most, ask, func() { time.Sleep(15 * time.Second) })
	accepted, refused := over.of("200"), over.of("503")
	goodput := float64(len(accepted)) / 15
	d.note("answers", over.classes())
	d.want("goodput", goodput/most, goodput >= .9*most)
	d.want("accepted_p99", accepted.percentile(.99), accepted.percentile(.99) < 250*time.Millisecond)
	told := 0
	for _, a := range refused {
		if a.retryAfter {
			told++
		}
	}
	d.want("503_with_retry_after", told, told == len(refused) && told > 0)
	d.want("503_p50", refused.percentile(.5), refused.percentile(.5) < 5*time.Millisecond)
	d.note("503_p99", refused.percentile(.99))
	time.Sleep(2 * time.Second)
	after := during(most/3, ask, func() { time.Sleep(3 * time.Second) })
	d.want("after_2s_not_200", after.bad("200"), after.bad("200") == 0)
	d.want("after_2s_p99", after.percentile(.99), after.percentile(.99) < 100*time.Millisecond)
}

// capacity returns how many requests a second are answered with 200 when so many are always on their way.
func capacity(workers int, lasting time.Duration, ask func(int) answer) float64 {
	ends := time.Now().Add(lasting)
	counts := make(chan int)
	for range workers {
		go func() {
			count := 0
			for i := 0; time.Now().Before(ends); i++ {
				if ask(i).status == 200 {
					count++
				}
			}
			counts <- count
		}()
	}
	total := 0
	for range workers {
		total += <-counts
	}
	return float64(total) / lasting.Seconds()
}
