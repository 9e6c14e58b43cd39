//go:build unix

package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

func TestReadOnly(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		if err := s.Roles().Insert(t.Context(), store.Role{Name: "one"}); err != nil {
			t.Fatal(err)
		}
		look := func(t *testing.T, want int) store.Store {
			t.Helper()
			r, err := sqlstore.OpenReadOnly(t.Context(), sqlstore.Options{DSN: dsn})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Close() })
			if roles, err := r.Roles().List(t.Context(), "", 10); err != nil || len(roles) != want {
				t.Errorf("got %v, %v, want %d roles", roles, err, want)
			}
			return r
		}
		r := look(t, 1)
		for name, write := range map[string]func(context.Context) error{
			"insert":   func(ctx context.Context) error { return r.Roles().Insert(ctx, store.Role{Name: "two"}) },
			"use once": func(ctx context.Context) error { return r.UseOnce(ctx, "id", time.Now().Add(time.Hour)) },
			"note uses": func(ctx context.Context) error {
				return r.NoteUses(ctx, []store.Use{{ClientID: "a", Credential: "b", Last: time.Now()}})
			},
		} {
			if err := write(t.Context()); err == nil {
				t.Errorf("%s: it writes", name)
			}
		}
		if err := s.Roles().Insert(t.Context(), store.Role{Name: "three"}); err != nil {
			t.Errorf("the owner of the database, while somebody looks: %v", err)
		}
		look(t, 2)
		closeIt(t, s)
		look(t, 2)
	})
}

func TestReadOnlyMakesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := sqlstore.OpenReadOnly(t.Context(), sqlstore.Options{DSN: "sqlite:" + filepath.Join(dir, "writ.db")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
	dsn := sqlite(t)
	path := strings.TrimPrefix(dsn, "sqlite:")
	closeIt(t, open(t, dsn))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := sqlstore.OpenReadOnly(t.Context(), sqlstore.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the database has changed, %v", err)
	}
	closeIt(t, open(t, dsn)) // and its owner can have it again
}

// Another process has the database: a server that runs.
func TestReadOnlyBesideItsOwner(t *testing.T) {
	dsn := sqlite(t)
	s := open(t, dsn)
	if err := s.Roles().Insert(t.Context(), store.Role{Name: "one"}); err != nil {
		t.Fatal(err)
	}
	if out, err := child(t, "open", dsn).CombinedOutput(); err == nil {
		t.Fatalf("the database is not this process's alone: %s", out)
	}
	out, err := child(t, "look", dsn).CombinedOutput()
	if err != nil || string(out) != "1 roles\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if err := s.Roles().Insert(t.Context(), store.Role{Name: "two"}); err != nil {
		t.Errorf("the owner, afterwards: %v", err)
	}
}

func childLooks(dsn string) (exitCode int) {
	s, err := sqlstore.OpenReadOnly(context.Background(), sqlstore.Options{DSN: dsn})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	roles, err := s.Roles().List(context.Background(), "", 10)
	if err = errors.Join(err, s.Close()); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(len(roles), "roles")
	return 0
}
