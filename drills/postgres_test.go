//go:build drills

package drills

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A postgres is a PostgreSQL server that a drill may stop and start.
type postgres struct {
	programs, dir, port string
	account             *syscall.Credential
	connections         int
	process             *exec.Cmd
}

var (
	sharedPostgres *postgres
	databases      atomic.Int64
)

// database returns the DSN of a new database on the server that all drills share.
func database(t *testing.T) (*postgres, string) {
	t.Helper()
	if sharedPostgres == nil {
		sharedPostgres = newPostgres(t, 200)
	}
	return sharedPostgres, sharedPostgres.create(t)
}

// newPostgres makes a server with its own files and starts it. close it.
func newPostgres(t *testing.T, connections int) *postgres {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("PostgreSQL is not installed: apt-get install postgresql")
	}
	dir, err := os.MkdirTemp("", "writ-drills-postgresql-")
	if err != nil {
		t.Fatal(err)
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(freeAddress(t), ":")
	p := &postgres{
		programs: filepath.Dir(found[len(found)-1]), dir: dir, port: port, connections: connections,
		account: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
	}
	// trust: it listens on loopback of this machine, for as long as the drills last.
	p.run(t, "initdb", "-D", p.data(), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	p.start(t)
	return p
}

func (p *postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *postgres) address() string { return "127.0.0.1:" + p.port }

func (p *postgres) dsn(address, name string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", address, name)
}

func (p *postgres) create(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("writ%d_%s", databases.Add(1), strings.ToLower(rand.Text()[:6]))
	p.run(t, "createdb", "-h", "127.0.0.1", "-p", p.port, "-U", "postgres", name)
	return p.dsn(p.address(), name)
}

// start starts the server and returns when it is ready.
func (p *postgres) start(t *testing.T) {
	t.Helper()
	p.process = exec.Command("taskset", "-c", strconv.Itoa(serverCore), filepath.Join(p.programs, "postgres"), "-D", p.data(), "-p", p.port,
		"-h", "127.0.0.1", "-k", p.dir, "-F", "-c", fmt.Sprintf("max_connections=%d", p.connections))
	p.process.Dir = p.dir
	p.process.SysProcAttr = &syscall.SysProcAttr{Credential: p.account, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p.process.Stdout, p.process.Stderr = log, log
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		pid, _ := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
		if lines := strings.Split(string(pid), "\n"); len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("PostgreSQL does not start:\n%s", p.said())
		}
	}
}

// said returns the server's log.
func (p *postgres) said() string {
	text, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return string(text)
}

// stop is pg_ctl stop, -m fast or -m immediate.
func (p *postgres) stop(immediate bool) {
	signal := syscall.SIGINT
	if immediate {
		signal = syscall.SIGQUIT
	}
	_ = p.process.Process.Signal(signal)
	_ = p.process.Wait()
	_ = os.Remove(filepath.Join(p.data(), "postmaster.pid")) // of a server that ended at once
}

func (p *postgres) run(t *testing.T, program string, args ...string) string {
	t.Helper()
	command := exec.Command(filepath.Join(p.programs, program), args...)
	command.Dir = p.dir
	command.SysProcAttr = &syscall.SysProcAttr{Credential: p.account}
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, &out)
	}
	return out.String()
}

func (p *postgres) close() {
	p.stop(true)
	_ = os.RemoveAll(p.dir)
}

func closePostgres() {
	if sharedPostgres != nil {
		sharedPostgres.close()
	}
}
