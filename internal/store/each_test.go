package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
)

// TestEach: every record comes once, in order; background work leaves time to others between two pages, and ends when it is told to.
func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all = 1234
		s := memstore.New()
		for i := range all {
			if err := s.Roles().Insert(t.Context(), store.Role{Name: fmt.Sprintf("role-%06d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		for name, each := range map[string]func(context.Context, store.Table[store.Role], func(store.Role) error) error{
			"at once": store.Each[store.Role], "at ease": store.EachAtEase[store.Role],
		} {
			began, seen := time.Now(), 0
			count := func(role store.Role) error {
				if want := fmt.Sprintf("role-%06d", seen); role.Name != want {
					t.Errorf("%s: got %s, want %s", name, role.Name, want)
				}
				seen++
				return nil
			}
			if err := each(t.Context(), s.Roles(), count); err != nil || seen != all {
				t.Errorf("%s: %d came, want %d; %v", name, seen, all, err)
			}
			if rested := time.Since(began); (rested >= 800*time.Millisecond) != (name == "at ease") {
				t.Errorf("%s: it rested for %v", name, rested)
			}
		}
		ending, end := context.WithCancel(t.Context())
		err := store.EachAtEase(ending, s.Roles(), func(role store.Role) error {
			if role.Name > "role-000500" {
				t.Errorf("%s came after the end", role.Name)
			}
			end()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was told to end", err)
		}
	})
}
