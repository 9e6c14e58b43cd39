//go:build unix

package storetest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// PostgreSQL returns the DSN of a new, empty database of its own, on a server that the first call in a test binary starts
// from the installed packages and that ends with the test binary, however that ends. The user of the DSN is the
// superuser. createdb takes more arguments for createdb(1), such as a locale.
//
// Without PostgreSQL the test is skipped; where CI=true it fails.
func PostgreSQL(t testing.TB, createdb ...string) (dsn string) {
	t.Helper()
	dsn, err := StartPostgreSQL(createdb...)
	switch {
	case errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true":
		t.Skip("PostgreSQL is not installed; to run this test: apt-get install postgresql")
	case err != nil:
		t.Fatalf("storetest: start PostgreSQL: %v", err)
	}
	return dsn
}

// StartPostgreSQL is PostgreSQL outside of a test: for benchmarks. Without PostgreSQL the error is exec.ErrNotFound.
func StartPostgreSQL(createdb ...string) (dsn string, err error) {
	s, err := startPostgreSQL()
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("writ%d", s.databases.Add(1))
	if err := s.run("createdb", append(createdb, name)...); err != nil {
		return "", err
	}
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", s.password), Path: "/" + name,
		Host: net.JoinHostPort("127.0.0.1", s.port), RawQuery: "sslmode=disable",
	}).String(), nil
}

// startPostgreSQL starts the server of this test binary, once.
var startPostgreSQL = sync.OnceValues(func() (*server, error) {
	programs, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	for range 3 { // another process may take the free port before we do
		s := &server{programs: programs, password: rand.Text()}
		if err = s.initialize(); err == nil {
			err = s.start()
		}
		if err == nil {
			return s, nil
		}
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return nil, err
})

// server is a PostgreSQL server on loopback.
type server struct {
	programs  string // directory of initdb, postgres and createdb
	dir       string // everything it writes
	password  string // of the superuser
	port      string
	account   *syscall.Credential // PostgreSQL refuses to run as root
	databases atomic.Int64
}

// postgresPrograms finds the newest PostgreSQL in Debian's place, or the one in PATH.
func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	initdb, err := exec.LookPath("initdb")
	return filepath.Dir(initdb), err
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

func (s *server) initialize() (err error) {
	if s.dir, err = os.MkdirTemp("", "writ-postgresql-"); err != nil {
		return err
	}
	if err := errors.Join(s.choosePort(), s.becomePostgres()); err != nil {
		return err
	}
	passwords := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwords, []byte(s.password), 0o600); err != nil {
		return err
	}
	if err := s.chown(passwords); err != nil {
		return err
	}
	return s.run("initdb", "--pgdata="+s.data(), "--username=postgres", "--auth=scram-sha-256", "--pwfile="+passwords,
		"--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
}

func (s *server) choosePort() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	_, s.port, err = net.SplitHostPort(listener.Addr().String())
	return err
}

func (s *server) becomePostgres() error {
	if os.Geteuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	if err != nil {
		return err
	}
	s.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return s.chown(s.dir)
}

func (s *server) chown(path string) error {
	if s.account == nil {
		return nil
	}
	return os.Chown(path, int(s.account.Uid), int(s.account.Gid))
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

// keeper starts the server and waits for the end of its own input, which comes when the test binary is gone, killed or
// not. Then it takes the server and its files with it.
const keeper = `
trap '' INT TERM
"$1/postgres" -D "$2/data" -p "$3" -h 127.0.0.1 -k "$2" -F -c max_connections=200 </dev/null >"$2/log" 2>&1 &
cat
kill -QUIT $!
wait
rm -rf "$2"
`

func (s *server) start() error {
	input, life, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	cmd := exec.Command("/bin/sh", "-c", keeper, "keeper", s.programs, s.dir, s.port)
	cmd.Dir, cmd.Stdin = s.dir, input
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.account} // of its own: ^C is for the tests
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := s.ready(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		return errors.Join(fmt.Errorf("%w:\n%s", err, log), life.Close(), cmd.Wait())
	}
	lives = append(lives, life)
	return nil
}

// lives keeps the pipes to the keepers from being collected, and so closed.
var lives []io.Closer

// ready waits until the server says in its pid file that it is, as pg_ctl does.
func (s *server) ready() error {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		pid, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if lines := strings.Split(string(pid), "\n"); len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready" {
			return nil
		}
	}
	return errors.New("not ready within 20 s")
}

// run runs one of PostgreSQL's programs with the superuser's password.
func (s *server) run(program string, args ...string) error {
	cmd := exec.Command(filepath.Join(s.programs, program), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PGHOST=127.0.0.1", "PGPORT="+s.port, "PGUSER=postgres", "PGPASSWORD="+s.password, "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.account}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w:\n%s", program, err, &output)
	}
	return nil
}
