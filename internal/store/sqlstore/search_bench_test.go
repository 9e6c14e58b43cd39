package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// BenchmarkClients finds pages among 100 000 clients: the first one, one in the middle, and what few or none match, for which
// all must be looked at.
func BenchmarkClients(b *testing.B) {
	const clients, page = 100_000, 50
	for database, dsn := range map[string]func() string{
		"SQLite":     func() string { return sqlite(b) },
		"PostgreSQL": func() string { return storetest.PostgreSQL(b) },
	} {
		b.Run(database, func(b *testing.B) {
			dsn := dsn()
			s := open(b, dsn)
			crowd(b, s, clients)
			if database == "PostgreSQL" { // as it does by itself within minutes
				must(must(sql.Open("pgx", dsn)).Exec(`VACUUM ANALYZE clients`))
			}
			for _, order := range []struct {
				name string
				by   store.ClientOrder
				half store.ClientPosition
			}{
				{"ID", store.ByID, store.ClientPosition{ID: "team-5"}},
				{"name", store.ByName, store.ClientPosition{Name: "team-5", ID: "a"}},
				{"created", store.ByCreated, store.ClientPosition{Time: epoch.Add(clients / 2 * time.Second), ID: "a"}},
				{"updated", store.ByUpdated, store.ClientPosition{Time: epoch.Add(clients / 2 * time.Second), ID: "a"}},
			} {
				for name, q := range map[string]store.ClientQuery{
					"first page":          {},
					"middle page":         {After: order.half},
					"text, many":          {Text: "EAM-7"},
					"text, few":           {Text: "m-99-svc-9999"},
					"text, none":          {Text: "nothing"},
					"resource, many":      {Resource: "https://api.example.com/r1"},
					"resource, few":       {Resource: "https://api.example.com/rare"},
					"resource, none":      {Resource: "https://api.example.com/none"},
					"role, few":           {Role: "rare"},
					"method, few":         {AuthMethod: "private_key_jwt"},
					"suspended, few":      {Suspended: store.Yes},
					"several, few":        {Text: "team", Resource: "https://api.example.com/r1", Role: "rare", Suspended: store.No},
					"not self-registered": {SelfRegistered: store.No},
				} {
					for _, descending := range []bool{false, true} {
						q.Order, q.Descending, q.Limit = order.by, descending, page
						b.Run(fmt.Sprintf("%s/by %s/descending %t", name, order.name, descending), func(b *testing.B) {
							for b.Loop() {
								if _, err := s.FindClients(b.Context(), q); err != nil {
									b.Fatal(err)
								}
							}
						})
					}
				}
			}
			b.Run("called, many", func(b *testing.B) {
				var words []string
				for i := range 500 {
					words = append(words, fmt.Sprintf("team-%d-svc-%d", i%100, i*200+i%100))
				}
				for b.Loop() {
					if found, err := s.ClientsCalled(b.Context(), words...); err != nil || len(found) != len(words) {
						b.Fatal(len(found), err)
					}
				}
			})
			b.Run("by name", func(b *testing.B) {
				for b.Loop() {
					if found, err := s.FindClients(b.Context(), store.ClientQuery{Name: "team-70-svc-70", Limit: 1}); err != nil || len(found) != 1 {
						b.Fatal(found, err)
					}
				}
			})
		})
	}
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// crowd inserts clients that look like those of a company.
func crowd(b *testing.B, s *sqlstore.Store, n int) {
	b.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	ctx := context.WithoutCancel(b.Context())
	for at := 0; at < n; at += 1000 {
		err := s.Update(ctx, func(tx store.Store) error {
			for i := at; i < min(at+1000, n); i++ {
				if err := tx.Clients().Insert(ctx, oneOfCrowd(random, i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func oneOfCrowd(random *rand.Rand, i int) store.Client {
	c := store.Client{
		Name: fmt.Sprintf("team-%d-svc-%d", i%100, i), AuthMethod: "client_secret_basic", GrantTypes: []string{"client_credentials"},
		Secrets: []store.Secret{{ID: "s", Hash: store.HashSecret(fmt.Sprint(i)), Created: epoch}},
		Created: epoch.Add(time.Duration(i) * time.Second), Updated: epoch.Add(time.Duration(random.IntN(100_000)) * time.Second),
		Suspended: i%10_000 == 0, Roles: []string{fmt.Sprint("role", i%20)},
	}
	c.ID = fmt.Sprintf("%s-%010x", c.Name, random.Uint64()>>24)
	for _, r := range []int{0, 1, 2 + i%10} {
		c.Grants = append(c.Grants, store.Grant{Resource: fmt.Sprint("https://api.example.com/r", r), Scopes: []string{"orders:read", "orders:write"}, Defaults: []string{"orders:read"}})
	}
	if i%5_000 == 17 {
		c.AuthMethod, c.Grants[2].Resource, c.Roles = "private_key_jwt", "https://api.example.com/rare", append(c.Roles, "rare")
	}
	return c
}
