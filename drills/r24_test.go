//go:build drills

package drills

import (
	"testing"
	"time"
)

// TestDrillR24 asks for five times as many tokens as the server can sign. They are signed with RS256, which takes a core
// three quarters of a millisecond: so the generator, with a core of its own, can ask for that many.
//
// What a bare net/http server takes to refuse the other four fifths is not there for tokens, whoever serves: goodput is
// compared with what that leaves.
func TestDrillR24(t *testing.T) {
	d := begin(t, "R24", "5x of the measured capacity: goodput >= 90 % of the most that refusing the rest leaves, accepted p99 < 250 ms, 503 + Retry-After p90 < 5 ms, normal <= 2 s after")
	d.note("shortened", "15 s of overload instead of 60; the data in memory: disks have drills of their own")
	n := newNode(t, "writ").inMemory()
	n.start()
	o := operate(t, n, n)
	o.resource(api, "RS256")
	client := o.client("billing", api, nil)
	callers := keepAlive(2048, nil)
	ask := func(int) answer { return send(callers, n.tokenOf(client)) }

	const lasting = 15 * time.Second
	most := capacity(32, 5*time.Second, ask)
	d.note("capacity", int(most))
	bare := bareRefusal(t, n, client, 4*most, 4*time.Second)
	d.note("bare_refusal_us", bare.Microseconds())
	over := during(5*most, ask, func() { time.Sleep(lasting) })
	accepted, refused := over.of("200"), over.of("503")
	d.note("answers", over.classes())
	goodput := float64(len(accepted)) / lasting.Seconds() / most
	left := 1 - bare.Seconds()*float64(len(refused))/lasting.Seconds()
	d.note("goodput_of_capacity", goodput)
	d.want("goodput", goodput/left, goodput >= .9*left)
	d.want("accepted_p99", accepted.percentile(.99), accepted.percentile(.99) < 250*time.Millisecond)
	told := 0
	for _, a := range refused {
		if a.retryAfter {
			told++
		}
	}
	d.want("503_with_retry_after", told, told == len(refused) && told > 0)
	d.note("503_p50", refused.percentile(.5))
	d.want("503_p90", refused.percentile(.9), refused.percentile(.9) < 5*time.Millisecond)
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
