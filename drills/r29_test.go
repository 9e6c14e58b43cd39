//go:build drills

package drills

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// TestDrillR29 gives a server with a hundred thousand clients 128 MiB of memory, and the kernel the order to end it above that.
func TestDrillR29(t *testing.T) {
	d := begin(t, "R29", "128 MiB of memory (cgroup), GOMEMLIMIT=100MiB, 100 000 clients, 300 rps: not killed, resident < 100 MiB, GC < 15 % of the CPU")
	n := newNode(t, "writ", "GOMEMLIMIT=100MiB", "GODEBUG=gctrace=1")
	n.start()
	o := operate(t, n, n)
	o.resource(api, "ES256")
	like := o.client("billing", api, nil)
	n.stop()
	all := crowd(t, n, like, 100_000)
	d.note("clients", len(all))
	group := newMemoryGroup(t, 128<<20)
	n.wrap = []string{"/bin/sh", "-c", `echo $$ > ` + group.tasks() + ` && exec "$@"`, "sh"}
	d.note("ready_after", n.start())
	callers := keepAlive(64, nil)
	most := 0
	load := during(300, func(int) answer { return send(callers, n.tokenOf(all[rand.IntN(len(all))])) }, func() {
		for range 80 {
			time.Sleep(250 * time.Millisecond)
			most = max(most, n.resident())
		}
	})
	d.want("not_200", load.bad("200"), load.bad("200") == 0)
	d.note("p99", load.percentile(.99))
	d.want("resident_most_mib", most>>20, most < 100<<20)
	d.want("killed_for_memory", group.kills(), group.kills() == 0)
	share := gcShare(t, n)
	d.want("gc_percent_of_cpu", share, share < 15)
}

// A memoryGroup is a control group (version 1) with a limit of memory.
type memoryGroup struct{ dir string }

func newMemoryGroup(t *testing.T, bytes int) memoryGroup {
	t.Helper()
	g := memoryGroup{filepath.Join("/sys/fs/cgroup/memory", fmt.Sprintf("writ-drill-%d", os.Getpid()))}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatalf("a control group for memory cannot be made (cgroup v1, as root): %v", err)
	}
	t.Cleanup(func() {
		for range 100 { // until the last process is gone
			if os.Remove(g.dir) == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	if err := os.WriteFile(filepath.Join(g.dir, "memory.limit_in_bytes"), []byte(strconv.Itoa(bytes)), 0o644); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g memoryGroup) tasks() string { return filepath.Join(g.dir, "cgroup.procs") }

// kills returns how many processes the kernel has ended for want of memory.
func (g memoryGroup) kills() int {
	text, _ := os.ReadFile(filepath.Join(g.dir, "memory.oom_control"))
	found := regexp.MustCompile(`oom_kill (\d+)`).FindSubmatch(text)
	if found == nil {
		return 0
	}
	count, _ := strconv.Atoi(string(found[1]))
	return count
}

// gcShare returns what the runtime says its garbage collector took of the CPU since the start, in percent.
func gcShare(t *testing.T, n *node) int {
	t.Helper()
	text, err := os.ReadFile(n.log)
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^gc \d+ @[\d.]+s (\d+)%`).FindAllSubmatch(text, -1)
	if len(all) == 0 {
		t.Fatal("the runtime says nothing about its garbage collector")
	}
	share, _ := strconv.Atoi(string(all[len(all)-1][1]))
	return share
}
