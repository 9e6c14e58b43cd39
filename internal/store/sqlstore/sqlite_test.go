//go:build unix

package sqlstore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// TestST01: a SQLite with the WAL-reset bug is refused, and the one that is linked is not one of them.
func TestST01(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"3.7.17": false, "3.44.0": false, "3.51.2": false, "3.52.0": false, "2.99.99": false,
		"3.51.3": true, "3.51.10": true, "3.52.1": true, "3.53.0": true, "3.54.1": true, "4.0.0": true,
		"": false, "3": false, "3.54": false, "3.54.x": false, "3.54.-1": false, "3.54.1.1": false, "3.54.1000": false,
	} {
		if err := sqlstore.SupportedSQLite(version); (err == nil) != want {
			t.Errorf("SQLite %q: got %v, want supported: %t", version, err, want)
		}
	}
	version, err := open(t, sqlite(t)).SQLiteVersion(t.Context())
	if err != nil || sqlstore.SupportedSQLite(version) != nil {
		t.Errorf("the SQLite that is linked: got %q, %v, want a supported version", version, err)
	}
}

func TestSQLiteSettings(t *testing.T) {
	t.Parallel()
	s := open(t, sqlite(t))
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000", "trusted_schema": "0"} {
		if got, err := s.Pragma(t.Context(), name); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
}

// modes returns the permissions of what is in the directory of the database, "." included.
func modes(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		name, _ := filepath.Rel(dir, path)
		got[name] = fmt.Sprintf("%04o", info.Mode().Perm())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestST02(t *testing.T) {
	t.Parallel()
	t.Run("ST02 made for the owner alone", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "new", "data")
		s := open(t, "sqlite:"+filepath.Join(dir, "writ.db"))
		if err := s.Roles().Insert(t.Context(), store.Role{Name: "a"}); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{".": "0700", "writ.db": "0600", "writ.db-wal": "0600", "writ.db-shm": "0600", "writ.db.lock": "0600"}
		if got := modes(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	for name, test := range map[string]struct {
		spoil func(dir, file string) error
		want  string
	}{
		"ST02 readable by others":          {func(_, file string) error { return os.Chmod(file, 0o644) }, "chmod 600"},
		"ST02 writable by others":          {func(_, file string) error { return os.Chmod(file, 0o602) }, "chmod 600"},
		"ST02 WAL readable by others":      {func(_, file string) error { return os.Chmod(file+"-wal", 0o644) }, "-wal"},
		"ST02 index readable by others":    {func(_, file string) error { return os.Chmod(file+"-shm", 0o644) }, "-shm"},
		"ST02 directory writable by all":   {func(dir, _ string) error { return os.Chmod(dir, 0o777) }, "chmod 700"},
		"ST02 directory as open as /tmp":   {func(dir, _ string) error { return os.Chmod(dir, 0o777|fs.ModeSticky) }, "chmod 700"},
		"ST02 a second name":               {func(dir, file string) error { return os.Link(file, filepath.Join(dir, "other")) }, "hard links"},
		"ST02 a directory for a file":      {func(_, file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) }, "regular"},
		"ST02 a lock that leads elsewhere": {func(dir, file string) error { return replaceBySymlink(dir, file+".lock") }, "regular"},
		"ST02 a WAL that leads elsewhere":  {func(dir, file string) error { return replaceBySymlink(dir, file+"-wal") }, "regular"},
		"ST02 the file of another user":    {chown, "run it as the owner"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.want == "run it as the owner" && os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			dir := t.TempDir()
			file := filepath.Join(dir, "writ.db")
			closeIt(t, open(t, "sqlite:"+file))
			if err := test.spoil(dir, file); err != nil {
				t.Fatal(err)
			}
			s, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + file})
			if err == nil {
				closeIt(t, s)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
	t.Run("ST02 a group may have rights", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "writ.db")
		closeIt(t, open(t, "sqlite:"+file))
		if err := os.Chmod(file, 0o660); err != nil {
			t.Fatal(err)
		}
		open(t, "sqlite:"+file)
	})
}

func chown(_, file string) error { return os.Chown(file, 12345, -1) }

func replaceBySymlink(dir, name string) error {
	target := filepath.Join(dir, "elsewhere")
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(os.WriteFile(target, nil, 0o600), os.Symlink(target, name))
}

// TestST03: a second process is refused, told who has the database, and harms nothing.
func TestST03(t *testing.T) {
	t.Parallel()
	dsn := sqlite(t)
	s := open(t, dsn)
	second := open(t, dsn) // in the same process the lock is shared
	want := fmt.Sprintf("another process (pid %d) has this database open; talk to it through its admin API", os.Getpid())
	refused := func() {
		t.Helper()
		out, err := child(t, "open", dsn).CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 || !strings.Contains(string(out), want) {
			t.Errorf("a second process: got %v, %q, want exit code 3 and %q", err, out, want)
		}
	}
	refused()
	closeIt(t, second)
	refused()
	if err := s.Roles().Insert(t.Context(), store.Role{Name: "a"}); err != nil {
		t.Errorf("the first process goes on: %v", err)
	}

	// Another name of the same file does not get around the lock.
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(strings.TrimPrefix(dsn, "sqlite:"), link); err != nil {
		t.Fatal(err)
	}
	dsn = "sqlite:" + link
	refused()

	closeIt(t, s)
	if out, err := child(t, "open", dsn).CombinedOutput(); err != nil {
		t.Errorf("once the first one is done: got %v, %q, want no error", err, out)
	}
}

func TestST04(t *testing.T) {
	t.Parallel()
	dsn := sqlite(t)
	of := func(kind string, network bool) func(string) (string, bool, error) {
		return func(string) (string, bool, error) { return kind, network, nil }
	}
	options := sqlstore.WithFilesystem(sqlstore.Options{DSN: dsn}, of("NFS", true))
	if _, err := sqlstore.Open(t.Context(), options); err == nil || !strings.Contains(err.Error(), "network file system (NFS)") {
		t.Errorf("on NFS: got %v, want a refusal that names it", err)
	}
	if _, err := os.Stat(strings.TrimPrefix(dsn, "sqlite:")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a refused database was made: %v", err)
	}
	options.AllowNetworkFS = true
	closeIt(t, openWith(t, options))
	openWith(t, sqlstore.WithFilesystem(sqlstore.Options{DSN: dsn}, of("overlay", false)))

	if kind, _, err := sqlstore.FilesystemOf(t.TempDir()); err != nil || kind == "" {
		t.Errorf("of a temporary directory: got %q, %v", kind, err)
	}
	if _, _, err := sqlstore.FilesystemOf("/does/not/exist"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no directory: got %v, want ErrNotExist", err)
	}
}

func TestSQLitePaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", ":memory:"} {
		if _, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: "sqlite:" + path}); err == nil || !strings.Contains(err.Error(), "sqlite:PATH") {
			t.Errorf("sqlite:%s: got %v, want an error that says how", path, err)
		}
	}
	for _, name := range []string{"a b.db", "a?mode=memory", "a%20b", "ä#1.db", "file:x.db"} { // a path is not a URI
		dir := t.TempDir()
		s := open(t, "sqlite:"+filepath.Join(dir, name))
		if err := s.Roles().Insert(t.Context(), store.Role{Name: "a"}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		got := modes(t, dir)
		if got[name] != "0600" || got[name+"-wal"] != "0600" || len(got) != 5 {
			t.Errorf("%q: got %v, want the database, its WAL, index and lock", name, got)
		}
	}
	for _, dsn := range []string{"", "writ.db", "mysql://host/db", "SQLITE:x"} {
		if _, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn}); err == nil {
			t.Errorf("DSN %q: got no error", dsn)
		}
	}
}
