//go:build drills

package drills

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/writ-auth/writ/internal/server"
)

// binary is the program as it is released; TestMain builds it.
var binary string

// Servers and what they need run on the first core, what asks them on the second, so that neither takes the other's time.
const (
	serverCore    = 0
	generatorCore = 1
)

func TestMain(m *testing.M) {
	if os.Getenv(clockVariable) != "" {
		os.Exit(serveWithClock())
	}
	if os.Getenv(bareVariable) != "" {
		os.Exit(serveBare())
	}
	os.Exit(drill(m))
}

func drill(m *testing.M) int {
	dir, err := os.MkdirTemp("", "writ-drills-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer os.RemoveAll(dir)
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "drills: must be root, who may make network namespaces and control groups: sudo make drills")
		return 2
	}
	if binary, err = build(dir, "drill"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	pin()
	code := m.Run()
	closePostgres()
	return code
}

// build makes the program of a version.
func build(dir, version string) (string, error) {
	path := filepath.Join(dir, "writ-"+version)
	command := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version="+version, "-o", path, "../cmd/writ")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("drills: %v: %w\n%s", command.Args, err, out)
	}
	return path, nil
}

// pin keeps this process, threads to come included, to the generator's core.
func pin() {
	if runtime.NumCPU() <= generatorCore {
		return
	}
	var set unix.CPUSet
	set.Set(generatorCore)
	threads, _ := filepath.Glob("/proc/self/task/*") // the pattern is good
	for _, thread := range threads {
		if id, err := strconv.Atoi(filepath.Base(thread)); err == nil {
			_ = unix.SchedSetaffinity(id, &set) // one that has ended needs none
		}
	}
	runtime.GOMAXPROCS(2) // one that waits in a system call must not hold up the other
}

// need returns the path of a tool, or says what brings it.
func need(t *testing.T, tool, debian string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + tool)
	}
	if err != nil {
		t.Fatalf("%s is not installed: apt-get install %s", tool, debian)
	}
	return path
}

// clockVariable, in the environment, turns the test binary into a server whose clock the drill sets: it names the file with
// the setting.
const clockVariable = "WRIT_DRILL_CLOCK"

// serveWithClock is `writ serve` with another clock.
func serveWithClock() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	now, err := followClock(os.Getenv(clockVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	config, err := server.Load("", os.Environ(), nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	running, err := server.New(ctx, config, server.Options{Now: now, Logger: server.NewLogger(os.Stderr, config.Log)})
	if err == nil {
		err = running.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
