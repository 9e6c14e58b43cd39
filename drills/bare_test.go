//go:build drills

package drills

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bareVariable, in the environment, turns the test binary into a server that refuses every request and does nothing else: it names
// the address. What that costs, no server on net/http is below.
const bareVariable = "WRIT_DRILL_BARE"

func serveBare() int {
	const body = `{"error":"temporarily_unavailable"}`
	err := http.ListenAndServe(os.Getenv(bareVariable), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Retry-After"] = []string{"1"}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(body)) // a caller that has gone away misses nothing
	}))
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// bareRefusal measures how much of a core it takes to refuse a request like those of n, at a rate.
func bareRefusal(t *testing.T, n *node, of party, rate float64, lasting time.Duration) time.Duration {
	t.Helper()
	address := freeAddress(t)
	bare := exec.Command("taskset", "-c", strconv.Itoa(serverCore), os.Args[0])
	bare.Env = append(os.Environ(), bareVariable+"="+address)
	bare.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := bare.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = bare.Process.Kill()
		_ = bare.Wait()
	}()
	callers := keepAlive(2048, nil)
	ask := func(int) answer {
		request := n.tokenOf(of)
		request.URL.Host, request.Host = address, address
		return send(callers, request)
	}
	for deadline := time.Now().Add(10 * time.Second); ask(0).status != http.StatusServiceUnavailable; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the bare server does not answer")
		}
	}
	before := processorTime(bare.Process.Pid)
	refused := during(rate, ask, func() { time.Sleep(lasting) })
	return (processorTime(bare.Process.Pid) - before) / time.Duration(max(1, len(refused.of("503"))))
}

// processorTime returns how long a process has run, in all.
func processorTime(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, behind, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(behind)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11]) // the kernel's own, in hundredths of a second
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
