package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// testClientsDue: who is due by a time comes once, in order, however small the pages are; also what an Update has just written.
func testClientsDue(t *testing.T, s store.Store) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	hash := store.HashSecret("right")
	ends := func(id string, hours int) store.Client {
		return store.Client{ID: id, Name: id, Keys: []store.ClientKey{{ID: "later", Expires: noon.Add(99 * time.Hour)}, {ID: "k", Expires: noon.Add(time.Duration(hours) * time.Hour)}}}
	}
	clients := []store.Client{
		ends("é", 2), ends("B", 2), ends("a", 2), ends("_", 1), ends("z", 0), ends("after", 3),
		{ID: "never", Name: "never", Secrets: []store.Secret{{ID: "s", Hash: hash}}, Keys: []store.ClientKey{{ID: "k"}}},
		{ID: "at any time", Name: "at any time", Secrets: []store.Secret{{ID: "s", Hash: "$2a$10$x"}}},
		{ID: "long ago", Name: "long ago", Keys: []store.ClientKey{{ID: "k", Expires: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)}}},
	}
	insertAll(t, s, clients)
	page := func(in store.Store, by time.Time, after store.DuePosition, limit int) ([]string, store.DuePosition) {
		t.Helper()
		found, last, err := in.ClientsDue(t.Context(), by, after, limit)
		must(t, err)
		return keysOf(found), last
	}
	all := func(in store.Store, by time.Time, limit int) (ids []string) {
		t.Helper()
		for after := (store.DuePosition{}); ; {
			found, last := page(in, by, after, limit)
			if ids = append(ids, found...); len(found) == 0 {
				return ids
			}
			after = last
		}
	}
	any := []string{"at any time", "long ago"}
	for _, test := range []struct {
		by   time.Time
		want []string
	}{
		{time.Time{}, any},
		{noon.Add(-time.Microsecond), any},
		{noon, append(slices.Clone(any), "z")},
		{noon.Add(2 * time.Hour), append(slices.Clone(any), "z", "_", "B", "a", "é")},
		{noon.Add(10000 * time.Hour), append(slices.Clone(any), "z", "_", "B", "a", "é", "after")},
	} {
		for limit := 1; limit < 9; limit++ {
			if got := all(s, test.by, limit); !slices.Equal(got, test.want) {
				t.Errorf("by %v, %d at once: got %q, want %q", test.by, limit, got, test.want)
			}
		}
	}
	found, last, err := s.ClientsDue(t.Context(), noon.Add(2*time.Hour), store.DuePosition{At: noon.Add(2 * time.Hour), ID: "a"}, 9)
	if err != nil || len(found) != 1 || !reflect.DeepEqual(found[0], clients[0]) || last != (store.DuePosition{At: noon.Add(2 * time.Hour), ID: "é"}) {
		t.Errorf("got %+v, %+v, %v", found, last, err)
	}
	if found, last := page(s, noon, last, 9); len(found) > 0 || last.ID != "é" {
		t.Errorf("behind the last: got %q, %+v", found, last)
	}
	if found, _ := page(s, noon, store.DuePosition{}, 0); len(found) > 0 {
		t.Errorf("none are wanted: got %q", found)
	}
	_, _, err = s.ClientsDue(t.Context(), noon, store.DuePosition{ID: "\xff"}, 1)
	mustBe(t, err, store.ErrInvalid)

	must(t, s.Update(t.Context(), func(tx store.Store) error {
		must(t, tx.Clients().Put(t.Context(), ends("z", 500)))
		must(t, tx.Clients().Put(t.Context(), ends("at any time", 1)))
		must(t, tx.Clients().Delete(t.Context(), "_"))
		if got, want := all(tx, noon.Add(time.Hour), 2), []string{"long ago", "at any time"}; !slices.Equal(got, want) {
			t.Errorf("within the update: got %q, want %q", got, want)
		}
		return nil
	}))
	if got, want := all(s, noon.Add(100*time.Hour), 2), "[long ago at any time B a é after z]"; fmt.Sprint(got) != want {
		t.Errorf("after it: got %q, want %s", got, want)
	}
}
