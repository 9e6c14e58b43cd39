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

// TestEach: every client comes once, in order, and those that are due where only they are wanted; background work leaves time to others
// between two pages, and ends when it is told to.
func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const all = 1234
		s, noon := memstore.New(), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		for i := range 2 * all {
			client := store.Client{ID: fmt.Sprintf("client-%06d", i)}
			if client.Name = client.ID; i < all {
				client.Keys = []store.ClientKey{{ID: "key", Expires: noon}}
			}
			if err := s.Clients().Insert(t.Context(), client); err != nil {
				t.Fatal(err)
			}
		}
		due := func(each func(context.Context, store.Store, time.Time, func(store.Client) error) error) func(context.Context, func(store.Client) error) error {
			return func(ctx context.Context, visit func(store.Client) error) error { return each(ctx, s, noon, visit) }
		}
		for _, test := range []struct {
			name string
			each func(context.Context, func(store.Client) error) error
			want int
			rest time.Duration
		}{
			{"all", func(ctx context.Context, visit func(store.Client) error) error {
				return store.Each(ctx, s.Clients(), visit)
			}, 2 * all, 0},
			{"due", due(store.EachDue), all, 0},
			{"due, at ease", due(store.EachDueAtEase), all, 800 * time.Millisecond},
		} {
			began, seen := time.Now(), 0
			count := func(client store.Client) error {
				if want := fmt.Sprintf("client-%06d", seen); client.ID != want {
					t.Errorf("%s: got %s, want %s", test.name, client.ID, want)
				}
				seen++
				return nil
			}
			if err := test.each(t.Context(), count); err != nil || seen != test.want {
				t.Errorf("%s: %d came, want %d; %v", test.name, seen, test.want, err)
			}
			if rested := time.Since(began); rested != test.rest {
				t.Errorf("%s: it rested for %v, want %v", test.name, rested, test.rest)
			}
		}
		ending, end := context.WithCancel(t.Context())
		err := store.EachDueAtEase(ending, s, noon, func(client store.Client) error {
			if client.ID > "client-000500" {
				t.Errorf("%s came after the end", client.ID)
			}
			end()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that it was told to end", err)
		}
	})
}
