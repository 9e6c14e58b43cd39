package sqlstore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// TestST18Backup: a backup beside a Store that writes holds all that was acknowledged, is the owner's alone, and can take the
// place of the database when nobody has it.
func TestST18Backup(t *testing.T) {
	t.Parallel()
	dsn := sqlite(t)
	options := sqlstore.Options{DSN: dsn}
	s := open(t, dsn)
	insert(t, s, "a", "b")
	to := filepath.Join(t.TempDir(), "copy.db")
	if err := sqlstore.Backup(t.Context(), options, to); err != nil {
		t.Fatal(err)
	}
	if info := must(os.Stat(to)); info.Mode().Perm() != 0o600 {
		t.Errorf("ST-02: the backup has mode %04o, want 0600", info.Mode().Perm())
	}
	if err := sqlstore.Backup(t.Context(), options, to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("ST-18: over one that is there: got %v, want that it exists", err)
	}
	found, err := sqlstore.Look(t.Context(), to)
	if now := must(s.Generation(t.Context())); err != nil || found.Generation != now || found.Version != binary {
		t.Errorf("ST-18: the backup holds %+v, %v, want generation %d of schema %d", found, err, now, binary)
	}
	if beside := must(filepath.Glob(to + "*")); len(beside) != 1 {
		t.Errorf("ST-18: looking at it left %q", beside)
	}
	insert(t, s, "c")
	closeIt(t, s)

	path, release, err := sqlstore.Hold(options)
	if err != nil {
		t.Fatal(err)
	}
	former, err := sqlstore.Replace(path, to, "then")
	if err := errors.Join(err, release()); err != nil {
		t.Fatal(err)
	}
	ids := func(dsn string) (ids string) {
		for _, c := range must(open(t, dsn).Clients().List(t.Context(), "", 10)) {
			ids += c.ID
		}
		return ids
	}
	if got := ids(dsn); got != "ab" {
		t.Errorf("ST-18: after the restore there are the clients %q, want ab", got)
	}
	if got := ids("sqlite:" + former); got != "abc" {
		t.Errorf("ST-18: the former database has the clients %q, want abc", got)
	}
}

// TestST18NotOurs: what is no backup is not taken for one, and another database is told so.
func TestST18NotOurs(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("not a database, but long enough to look like something"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlstore.Look(t.Context(), file); err == nil || !strings.Contains(err.Error(), "not a backup of Writ") {
		t.Errorf("ST-18: a file of something else: got %v", err)
	}
	other := sqlstore.Options{DSN: "postgres://u@127.0.0.1/writ?sslmode=disable"}
	if err := sqlstore.Backup(t.Context(), other, file); !errors.Is(err, sqlstore.ErrNotSQLite) {
		t.Errorf("ST-18: PostgreSQL: got %v", err)
	}
	if _, _, err := sqlstore.Hold(other); !errors.Is(err, sqlstore.ErrNotSQLite) {
		t.Errorf("ST-18: PostgreSQL: got %v", err)
	}
}
