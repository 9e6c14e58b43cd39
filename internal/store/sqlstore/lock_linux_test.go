package sqlstore_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// TestLockIsGivenBack: a copy of the lock's file, such as a child process has between fork and exec, does not keep the lock.
func TestLockIsGivenBack(t *testing.T) {
	t.Parallel()
	dsn := sqlite(t)
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	shared := duplicate(t, strings.TrimPrefix(dsn, "sqlite:")+".lock")
	defer func() { _ = unix.Close(shared) }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(strings.TrimPrefix(dsn, "sqlite:")+".lock", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("another process cannot take the lock: %v", err)
	}
}

// duplicate returns a second descriptor of a file that this process has open.
func duplicate(t *testing.T, path string) int {
	t.Helper()
	for _, entry := range must(os.ReadDir("/proc/self/fd")) {
		if to, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && to == path {
			return must(unix.Dup(must(strconv.Atoi(entry.Name()))))
		}
	}
	t.Fatal(fmt.Sprint(path, " is not open"))
	return 0
}
