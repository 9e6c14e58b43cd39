//go:build unix

package sqlstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// TestMain lets the test binary be another process on the same database.
func TestMain(m *testing.M) {
	switch os.Getenv("SQLSTORE_CHILD") {
	case "open":
		os.Exit(childOpens(os.Getenv("SQLSTORE_DSN")))
	case "look":
		os.Exit(childLooks(os.Getenv("SQLSTORE_DSN")))
	case "write":
		os.Exit(childWrites(os.Getenv("SQLSTORE_DSN")))
	}
	os.Exit(m.Run())
}

func child(t *testing.T, what, dsn string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "SQLSTORE_CHILD="+what, "SQLSTORE_DSN="+dsn)
	return cmd
}

func childOpens(dsn string) (exitCode int) {
	s, err := sqlstore.Open(context.Background(), sqlstore.Options{DSN: dsn})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		fmt.Println(err)
	}
	switch {
	case errors.Is(err, sqlstore.ErrInUse):
		return 3
	case err != nil:
		return 1
	}
	return 0
}

// childWrites writes until it is killed, and prints each key once the write is acknowledged.
func childWrites(dsn string) (exitCode int) {
	ctx := context.Background()
	s, err := sqlstore.Open(ctx, sqlstore.Options{DSN: dsn})
	for n := 0; err == nil; n++ {
		id := fmt.Sprintf("%d-%d", os.Getpid(), n)
		err = s.Update(ctx, func(tx store.Store) error {
			return errors.Join(
				tx.Clients().Insert(ctx, store.Client{ID: id, Name: id, Secrets: []store.Secret{{Hash: strings.Repeat("x", n%5000)}}}),
				tx.Append(ctx, store.Event{Action: "client.created", Object: id}))
		})
		if err == nil {
			err = s.UseOnce(ctx, id, time.Time{})
		}
		if err == nil {
			fmt.Println(id)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// TestKill kills a writer at random moments: whatever it was told is kept must be there, and the database whole.
func TestKill(t *testing.T) {
	t.Parallel()
	const rounds = 10
	dir := t.TempDir()
	dsn := "sqlite:" + filepath.Join(dir, "writ.db")
	var acknowledged []string
	for round := range rounds {
		acknowledged = append(acknowledged, killedWriter(t, dsn)...)
		s := open(t, dsn) // the lock of the killed process is gone
		mustHave(t, s, acknowledged)
		if got, err := s.Pragma(t.Context(), "integrity_check"); err != nil || got != "ok" {
			t.Fatalf("round %d: integrity check: got %q, %v, want ok", round, got, err)
		}
		closeIt(t, s)
	}
	if len(acknowledged) < rounds {
		t.Errorf("only %d writes in %d rounds: the test shows little", len(acknowledged), rounds)
	}
}

// killedWriter starts a writer, kills it within 100 ms of its first write, and returns what was acknowledged.
func killedWriter(t *testing.T, dsn string) (acknowledged []string) {
	t.Helper()
	cmd := child(t, "write", dsn)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if acknowledged == nil {
			time.AfterFunc(rand.N(100*time.Millisecond), func() { _ = cmd.Process.Kill() })
		}
		acknowledged = append(acknowledged, lines.Text())
	}
	err = cmd.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the writer ended by itself: %v: %s", err, complaints.String())
	}
	return acknowledged
}

func mustHave(t *testing.T, s *sqlstore.Store, ids []string) {
	t.Helper()
	clients := keysOf(t, s)
	events := map[string]bool{}
	history, err := s.Events(t.Context(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range history {
		events[e.Object] = true
	}
	for _, id := range ids {
		if !clients[id] || !events[id] {
			t.Errorf("%s was acknowledged, but: client %t, event %t", id, clients[id], events[id])
		}
		if err := s.UseOnce(t.Context(), id, time.Time{}); !errors.Is(err, store.ErrExists) {
			t.Errorf("%s was used, but a replay after the crash got %v, want ErrExists", id, err)
		}
	}
	if len(clients) != len(history) {
		t.Errorf("%d clients and %d events, want as many: each pair was one Update", len(clients), len(history))
	}
}

func keysOf(t *testing.T, s *sqlstore.Store) map[string]bool {
	t.Helper()
	clients, err := s.Clients().List(t.Context(), "", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, c := range clients {
		ids[c.ID] = true
	}
	return ids
}
