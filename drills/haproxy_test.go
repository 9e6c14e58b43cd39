//go:build drills

package drills

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// balance starts HAProxy on an address in front of nodes, with the health checks and retries of deploy/haproxy.
func balance(t *testing.T, address string, nodes []*node) {
	t.Helper()
	program := need(t, "haproxy", "haproxy")
	var servers strings.Builder
	for _, n := range nodes {
		_, port, _ := net.SplitHostPort(n.admin)
		fmt.Fprintf(&servers, "    server %s %s check port %s addr 127.0.0.1 inter 250ms fall 1 rise 1\n", n.name, n.public, port)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := fmt.Sprintf(`global
    maxconn 4096
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 15s
    retries 3
    retry-on conn-failure empty-response 0rtt-rejected
    option redispatch 1
    option http-keep-alive
frontend writ
    bind %s
    default_backend nodes
backend nodes
    balance roundrobin
    option httpchk
    http-check send meth GET uri /readyz
    http-check expect status 200
%s`, address, &servers)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("taskset", "-c", strconv.Itoa(serverCore), program, "-db", "-f", file)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var output strings.Builder
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Logf("haproxy: %s", output.String())
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("HAProxy does not listen")
		}
	}
}
