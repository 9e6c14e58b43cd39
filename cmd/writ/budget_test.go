package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The budgets of PRODUCT.md.
const (
	maxBinary     = 60 << 20
	maxFirstToken = 300 * time.Millisecond
	maxIdle       = 50 << 20
)

// TestBudgets builds the binary as make does and measures it. It does not run beside the other tests of this package.
func TestBudgets(t *testing.T) {
	binary := build(t)
	t.Run("binary", func(t *testing.T) {
		info, err := os.Stat(binary)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("the binary has %.1f MB", float64(info.Size())/(1<<20))
		if info.Size() > maxBinary {
			t.Errorf("more than %d MB", maxBinary>>20)
		}
	})
	t.Run("first start to first token", func(t *testing.T) {
		best := time.Hour
		for range 5 {
			best = min(best, firstToken(t, binary))
		}
		t.Logf("first start to first token in %v, best of 5", best.Round(time.Millisecond))
		if best > maxFirstToken {
			t.Errorf("more than %v", maxFirstToken)
		}
	})
	t.Run("idle", func(t *testing.T) {
		p := newPlace(t)
		cmd := p.command(t.Context(), binary, "writ", "serve")
		_, _ = start(t, cmd)
		await(t, "token", func() error { _, err := operatorToken(filepath.Join(p.dir, dataDirectory)); return err })
		time.Sleep(3 * time.Second) // idle is what is measured
		size, err := resident(cmd.Process.Pid)
		if err != nil {
			t.Skipf("this system does not say what a process has in memory: %v", err)
		}
		t.Logf("%.1f MB resident after 3 s idle", float64(size)/(1<<20))
		if size > maxIdle {
			t.Errorf("more than %d MB", maxIdle>>20)
		}
	})
}

// firstToken starts a server where there is nothing and returns how long it takes until the operator has a token.
func firstToken(t *testing.T, binary string) time.Duration {
	t.Helper()
	p := newPlace(t)
	begin := time.Now()
	_, stop := start(t, p.command(t.Context(), binary, "writ", "serve"))
	await(t, "token", func() error { _, err := operatorToken(filepath.Join(p.dir, dataDirectory)); return err })
	took := time.Since(begin)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	return took
}

// build makes the binary as make build does.
func build(t *testing.T) string {
	t.Helper()
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"export CGO_ENABLED ?= 0", "ldflags := -s -w ", "go build -trimpath -ldflags '$(ldflags)' -o bin/writ ./cmd/writ"} {
		if !strings.Contains(string(makefile), line) {
			t.Fatalf("the Makefile builds another way than this test, without %q", line)
		}
	}
	binary := filepath.Join(t.TempDir(), "writ")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// resident returns how many bytes of a process are in memory.
func resident(pid int) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	var kilobytes int64
	_, err = fmt.Sscan(after, &kilobytes)
	return kilobytes << 10, err
}
