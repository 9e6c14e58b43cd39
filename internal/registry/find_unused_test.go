package registry

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// TestUnusedClients: those that nobody has used since, whatever credential it was with; not those that are younger.
func TestUnusedClients(t *testing.T) {
	b := withOrders(t)
	const day = 24 * time.Hour
	b.clock = noon.Add(100 * day)
	since := b.clock.Add(-90 * day)
	add := func(name string, created time.Time, used ...time.Duration) {
		now := b.clock
		b.clock = created
		made := b.client(oauth.ClientMetadata{ClientName: name})
		b.clock = now
		for i, ago := range used {
			use := store.Use{ClientID: made.ID, Credential: fmt.Sprint("kid:", i), Last: now.Add(-ago)}
			if err := b.store.NoteUses(t.Context(), []store.Use{use}); err != nil {
				t.Fatal(err)
			}
		}
	}
	add("idle", noon, 95*day, 99*day)
	add("mixed", noon, 95*day, 89*day)
	add("never", noon)
	add("young", since.Add(day))
	for i := range MaxLimit + 20 { // more than are read at once
		add(fmt.Sprint("used-", i), noon, day)
	}
	add("zombie", noon, 91*day)
	all := func(limit int) (names []string) {
		for after := ""; ; {
			clients, next, err := b.Clients(t.Context(), System("test"), ClientFilter{UnusedSince: since, Sort: "name"}, after, limit)
			if err != nil {
				t.Fatal(err)
			}
			for _, client := range clients {
				names = append(names, client.ClientName)
			}
			if after = next; next == "" {
				return names
			}
		}
	}
	want := []string{"idle", "never", "operator", "zombie"} // the operator of the tests acts without a credential
	for _, limit := range []int{1, 2, 500} {
		if got := all(limit); !slices.Equal(got, want) {
			t.Errorf("%d at once: got %q, want %q", limit, got, want)
		}
	}
}
