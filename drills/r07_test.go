//go:build drills

package drills

import (
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"
)

// TestDrillR07 makes every fdatasync and fsync take 200 ms longer. The journal's are system calls here, as they are where the kernel
// knows no asynchronous ones: those cannot be delayed from outside.
func TestDrillR07(t *testing.T) {
	d := begin(t, "R07", "200 ms more for every fdatasync: paths that only read have a p99 < 2x + 5 ms; writers are grouped (every request answered, p99 < 3 syncs); past the bound 503 at once")
	strace := need(t, "strace", "strace")
	n := newNode(t, "writ", "WRIT_LIMITS_IN_FLIGHT=64")
	noAsynchronousIO(t)
	n.start()
	o := operate(t, n, n)
	o.resource(api, "ES256")
	client := o.client("billing", api, nil)
	callers, readers := keepAlive(512, nil), keepAlive(32, nil)
	token := tokenIn(send(callers, n.tokenOf(client)))
	issue := func(int) answer { return send(callers, n.tokenOf(client)) }
	read := func(i int) answer {
		if i%2 == 0 {
			request, _ := http.NewRequest(http.MethodGet, n.url("/jwks"), nil)
			return send(readers, request)
		}
		return send(readers, post(n.url("/introspect"), url.Values{"token": {token}}, client.ID, client.Secret))
	}
	calm := during(200, read, func() { time.Sleep(3 * time.Second) })
	stop := n.trace(strace, "fdatasync,fsync", "delay_enter=200000")
	defer stop()
	writing := start(100, issue)
	slow := during(200, read, func() { time.Sleep(6 * time.Second) })
	written := writing.end()
	d.note("read_p99_before", calm.percentile(.99))
	d.want("read_p99", slow.percentile(.99), slow.percentile(.99) < 2*calm.percentile(.99)+5*time.Millisecond)
	d.want("read_not_200", slow.bad("200"), slow.bad("200") == 0)
	median := written.of("200").percentile(.5)
	d.want("issue_p50", median, median >= 200*time.Millisecond) // or nothing was delayed
	d.want("issue_p99", written.of("200").percentile(.99), written.of("200").percentile(.99) < 700*time.Millisecond)
	d.want("issue_not_200", written.bad("200"), written.bad("200") == 0)

	flood := during(1000, issue, func() { time.Sleep(3 * time.Second) })
	refused := flood.of("503")
	d.note("flood", flood.classes())
	d.want("flood_neither_200_nor_503", flood.bad("200", "503"), flood.bad("200", "503") == 0)
	d.want("flood_503", len(refused), len(refused) > 0)
	d.want("flood_503_p50", refused.percentile(.5), refused.percentile(.5) < 5*time.Millisecond)
}

// noAsynchronousIO lets no process on this machine that starts before the end of the test have any (io_setup).
func noAsynchronousIO(t *testing.T) {
	t.Helper()
	const most = "/proc/sys/fs/aio-max-nr"
	before, err := os.ReadFile(most)
	if err == nil {
		err = os.WriteFile(most, []byte("0"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(most, before, 0); err != nil {
			t.Error(err)
		}
	})
}
