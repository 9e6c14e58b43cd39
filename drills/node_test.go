//go:build drills

package drills

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A node is a server that a drill breaks: one address, one data directory, and one process after the other.
type node struct {
	t       *testing.T
	name    string
	binary  string // another version, or the test's own for one with a clock; else the released program
	public  string // HOST:PORT
	admin   string
	data    string
	wrap    []string // what runs the program: strace, prlimit, ip netns exec
	env     []string // settings, NAME=VALUE
	issuer  string
	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended
	log     string
	dial    *http.Client // reaches it
}

// newNode makes a node that is not started: on SQLite, unless env says another database.
func newNode(t *testing.T, name string, env ...string) *node {
	t.Helper()
	n := &node{
		t: t, name: name, binary: binary, public: freeAddress(t), admin: freeAddress(t), data: filepath.Join(t.TempDir(), name),
		env: env, dial: keepAlive(64, nil),
	}
	n.log = filepath.Join(t.TempDir(), name+".log")
	n.issuer = "http://" + n.public
	t.Cleanup(func() {
		n.kill()
		if text, _ := os.ReadFile(n.log); t.Failed() {
			t.Logf("the last words of %s:\n%s", name, text[max(0, len(text)-1500):])
		}
	})
	return n
}

// withClock makes a node follow a clock: it is then this test's binary that serves.
func (n *node) withClock(c *clock) *node {
	n.binary = os.Args[0]
	n.env = append(n.env, clockVariable+"="+c.file)
	return n
}

// inMemory keeps the data of a node where no disk is waited for, for drills of something else: a shared disk that stalls for half a
// second would be what they measure. Disks have drills of their own.
func (n *node) inMemory() *node {
	n.t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "writ-drill-")
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		n.kill()
		_ = os.RemoveAll(dir)
	})
	n.data = filepath.Join(dir, n.name)
	return n
}

// start starts the process and returns when it is ready, which it says took so long.
func (n *node) start() time.Duration {
	n.t.Helper()
	began := n.launch()
	n.awaitReady()
	return time.Since(began)
}

// launch starts the process.
func (n *node) launch() time.Time {
	n.t.Helper()
	args := slices.Concat([]string{"taskset", "-c", strconv.Itoa(serverCore)}, n.wrap, []string{n.binary})
	if n.binary != os.Args[0] {
		args = append(args, "serve")
	}
	n.process = exec.Command(args[0], args[1:]...)
	n.process.Env = append(append(os.Environ(),
		"WRIT_ISSUER="+n.issuer, "WRIT_LISTEN="+n.public, "WRIT_ADMIN_LISTEN="+n.admin, "WRIT_DATA="+n.data, "WRIT_LOG_LEVEL=warn",
	), n.env...)
	n.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	n.process.Stdout, n.process.Stderr = log, log
	began := time.Now()
	if err := n.process.Start(); err != nil {
		n.t.Fatal(err)
	}
	process, ended := n.process, make(chan struct{})
	n.ended = ended
	go func() {
		_ = process.Wait() // how it ended, the drill knows
		close(ended)
	}()
	return began
}

// awaitReady waits until the node says that it is ready.
func (n *node) awaitReady() {
	n.t.Helper()
	n.until("ready", 20*time.Second, func() bool {
		status, _ := n.get("/readyz")
		return status == http.StatusOK
	})
}

// until waits for something that the node brings about, and ends the drill when it has ended itself.
func (n *node) until(what string, within time.Duration, holds func() bool) time.Duration {
	n.t.Helper()
	began := time.Now()
	for !holds() {
		select {
		case <-n.ended:
			n.t.Fatalf("%s has ended", n.name)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Since(began) > within {
			n.t.Fatalf("%s: not within %v: %s", n.name, within, what)
		}
	}
	return time.Since(began)
}

// get asks the admin listener.
func (n *node) get(path string) (int, string) {
	request, err := http.NewRequest(http.MethodGet, "http://"+n.admin+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	a := send(n.dial, request)
	return a.status, string(a.body)
}

// metric returns the sum of the series of a metric whose line has all the labels; 0 if there is none.
func (n *node) metric(name string, labels ...string) float64 {
	_, text := n.get("/metrics")
	sum := 0.0
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		series, value, found := strings.Cut(lines.Text(), " ")
		if base, _, _ := strings.Cut(series, "{"); !found || base != name {
			continue
		}
		if slices.ContainsFunc(labels, func(label string) bool { return !strings.Contains(series, label) }) {
			continue
		}
		number, _ := strconv.ParseFloat(value, 64) // it is Prometheus' own format
		sum += number
	}
	return sum
}

// signal sends a signal to the process and what it runs in.
func (n *node) signal(s syscall.Signal) {
	if n.process != nil {
		_ = syscall.Kill(-n.process.Process.Pid, s) // it may have ended
	}
}

// kill is kill -9, and returns when nothing is left.
func (n *node) kill() {
	if n.process == nil {
		return
	}
	n.signal(syscall.SIGKILL)
	<-n.ended
	n.process = nil
	n.dial.CloseIdleConnections()
}

// stop ends the process well, and returns how long that took.
func (n *node) stop() time.Duration {
	n.t.Helper()
	began := time.Now()
	n.signal(syscall.SIGTERM)
	select {
	case <-n.ended:
	case <-time.After(30 * time.Second):
		n.t.Fatalf("%s does not end", n.name)
	}
	n.process = nil
	n.dial.CloseIdleConnections()
	return time.Since(began)
}

// resident returns how much memory the process has, in bytes.
func (n *node) resident() int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.process.Process.Pid))
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1]) // the kernel's own
	return pages * os.Getpagesize()
}

// writ runs a command and returns what it says.
func (n *node) writ(args ...string) string {
	n.t.Helper()
	command := exec.Command(binary, args...)
	command.Dir = n.t.TempDir()
	command.Env = append(os.Environ(), "WRIT_OPERATOR_FILE="+n.operatorFile())
	var out, wrong bytes.Buffer
	command.Stdout, command.Stderr = &out, &wrong
	if err := command.Run(); err != nil {
		n.t.Fatalf("writ %v: %v\n%s%s", args, err, &out, &wrong)
	}
	return out.String()
}

func (n *node) operatorFile() string { return filepath.Join(n.data, "operator.json") }

// url is an endpoint of this node, whatever the issuer is called.
func (n *node) url(path string) string {
	scheme, _, _ := strings.Cut(n.issuer, "://")
	return scheme + "://" + n.public + path
}

// tokenOf makes requests for tokens of a client.
func (n *node) tokenOf(c party) *http.Request {
	return post(n.url("/token"), url.Values{"grant_type": {"client_credentials"}}, c.ID, c.Secret)
}

// given are the addresses that drills have: none is given twice.
var given = map[string]bool{}

// freeAddress returns an address of loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		_ = l.Close()
		if !given[address] {
			given[address] = true
			return address
		}
	}
}
