package sqlstore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// TestFull holds that a database which takes no more says so: what cannot be remembered is not taken for remembered, what
// was is not forgotten, and with room again all goes on.
func TestFull(t *testing.T) {
	t.Parallel()
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "writ.db"))
	until := time.Now().Add(time.Hour)
	if err := s.UseOnce(t.Context(), "first", until); err != nil {
		t.Fatal(err)
	}
	pages, err := s.Limit(t.Context(), 1) // SQLite goes no lower than what there is
	if err != nil {
		t.Fatal(err)
	}
	used := []string{"first"}
	var full error
	for i := 0; full == nil; i++ {
		if i > 100_000 {
			t.Fatalf("%d pages took %d IDs", pages, i)
		}
		id := fmt.Sprintf("an ID that takes some room in its page, so that the page is full before long %d", i)
		if full = s.UseOnce(t.Context(), id, until); full == nil {
			used = append(used, id)
		}
	}
	if errors.Is(full, store.ErrExists) || errors.Is(full, store.ErrNotFound) || errors.Is(full, store.ErrInvalid) {
		t.Errorf("full: got %v, want an error that says that the store could not answer", full)
	}
	for _, id := range used {
		if err := s.UseOnce(t.Context(), id, until); err == nil {
			t.Fatalf("full: %q was forgotten", id)
		}
	}
	if _, err := s.Limit(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for _, id := range used {
		if err := s.UseOnce(t.Context(), id, until); !errors.Is(err, store.ErrExists) {
			t.Fatalf("with room again: %q: got %v, want ErrExists", id, err)
		}
	}
	if err := s.UseOnce(t.Context(), "another", until); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
