//go:build unix

package storetest

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestMain lets the test binary be one that is killed.
func TestMain(m *testing.M) {
	if os.Getenv("STORETEST_CHILD") != "" {
		s, err := startPostgreSQL()
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(s.port)
		fmt.Println(s.dir)
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

// TestPostgreSQLEnds kills a test binary and expects the server that it started, and its files, to go too.
func TestPostgreSQLEnds(t *testing.T) {
	if _, err := postgresPrograms(); err != nil {
		PostgreSQL(t) // skips, or fails in CI
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "STORETEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	address := net.JoinHostPort("127.0.0.1", lines.Text())
	lines.Scan()
	dir := lines.Text()
	if !answers(address) {
		t.Fatalf("no server at %s: %s", address, dir)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(dir)
		if !answers(address) && os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server at %s outlived the test binary: its files: %v", address, err)
		}
	}
}

func answers(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

func TestPostgreSQL(t *testing.T) {
	one, other := PostgreSQL(t), PostgreSQL(t)
	if one == other {
		t.Errorf("two calls gave the same database: %s", one)
	}
	u, err := url.Parse(one)
	if err != nil || u.Hostname() != "127.0.0.1" || !answers(u.Host) {
		t.Errorf("got %s, %v, want a server on loopback", one, err)
	}
}
