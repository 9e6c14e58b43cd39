package keyring_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/keyring"
)

func TestCreateRoot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "root.key")
	made, err := keyring.CreateRoot(path)
	must(t, err)
	loaded, err := keyring.LoadRoot(path)
	must(t, err)
	if !bytes.Equal(made, loaded) || len(made) != keyring.RootBytes {
		t.Errorf("made %d bytes, loaded others", len(made))
	}
	before, err := os.ReadFile(path)
	must(t, err)
	if !strings.HasPrefix(string(before), "writ_rk_") {
		t.Errorf("scanners would not know it: %q", before[:8])
	}
	if _, err := keyring.CreateRoot(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second one: got %v, want that it exists", err)
	}
	after, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("the root key was overwritten: everything that it sealed is lost")
	}
	if runtime.GOOS != "windows" {
		for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
			info, err := os.Stat(name)
			must(t, err)
			if got := info.Mode().Perm(); got != want {
				t.Errorf("mode of %s: got %04o, want %04o", name, got, want)
			}
		}
	}
	other, err := keyring.CreateRoot(filepath.Join(t.TempDir(), "root.key"))
	must(t, err)
	if bytes.Equal(made, other) {
		t.Error("two root keys are the same")
	}
}

func TestLoadRoot(t *testing.T) {
	const good = "writ_rk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"
	for _, test := range []struct {
		name, text string
		mode       fs.FileMode
		ok         bool
	}{
		{"as it is written", good + "\n", 0o600, true},
		{"without the line end", good, 0o400, true},
		{"readable by the group", good, 0o640, false},
		{"readable by the group, and written by nobody", good, 0o440, true},
		{"readable by all", good, 0o604, false},
		{"writable by others", good, 0o602, false},
		{"empty", "", 0o600, false},
		{"without the prefix", good[8:], 0o600, false},
		{"too short", good[:40], 0o600, false},
		{"too long", good + "BwcH", 0o600, false},
		{"spare bits set", good[:len(good)-1] + "d", 0o600, false},
		{"something else", "-----BEGIN PRIVATE KEY-----", 0o600, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.mode&0o077 != 0 && runtime.GOOS == "windows" {
				t.Skip("Windows has no such modes")
			}
			path := filepath.Join(t.TempDir(), "root.key")
			must(t, os.WriteFile(path, []byte(test.text), 0o600))
			must(t, os.Chmod(path, test.mode))
			got, err := keyring.LoadRoot(path)
			if test.ok != (err == nil) || test.ok && !bytes.Equal(got, root) {
				t.Fatalf("got %d bytes and %v, want it taken: %v", len(got), err, test.ok)
			}
			if err != nil && strings.Contains(err.Error(), "BwcH") {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
	if _, err := keyring.LoadRoot(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
}
