package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// seedSecret is the secret of all seeded clients: what is measured is how many there are.
const seedSecret = "writ_cs_s4T1wrzsg7dr0XbKXi1x6EyEM6SsIw4XzJE_IkqVwGcQTi8sg"

// A batch is written in one transaction.
const batch = 5000

// seed fills the database of a node that is not running. Through the admin API, where each client is a transaction, a request
// and an event, a million would take an hour; the records are the same.
func (n *node) seed(ctx context.Context, clients, revoked int) error {
	dsn := n.place.database
	if dsn == "" {
		dsn = "sqlite:" + filepath.Join(n.data, "writ.db")
	}
	s, err := sqlstore.Open(ctx, sqlstore.Options{DSN: dsn})
	if err != nil {
		return err
	}
	now := time.Now().Truncate(time.Microsecond)
	err = inBatches(ctx, s, clients, func(tx store.Store, i int) error { return tx.Clients().Insert(ctx, seeded(i, now)) })
	if err == nil {
		err = inBatches(ctx, s, revoked, func(tx store.Store, i int) error {
			return tx.Revocations().Insert(ctx, store.Revocation{TokenID: "revoked" + seededID(i), Expires: now.Add(24 * time.Hour)})
		})
	}
	return errors.Join(err, s.Close())
}

func inBatches(ctx context.Context, s store.Store, n int, write func(tx store.Store, i int) error) error {
	for from := 0; from < n; from += batch {
		err := s.Update(ctx, func(tx store.Store) error {
			for i := from; i < min(from+batch, n); i++ {
				if err := write(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("seed: %w", err)
		}
	}
	return nil
}

// seededID is the ID of the ith seeded client. They are written in the order in which the index has them, which is ten times
// as fast as any other; they are asked for in none.
func seededID(i int) string { return fmt.Sprintf("machine-%07d", i) }

// seededName is what operators call it.
func seededName(i int) string { return "the-" + seededID(i) }

func seeded(i int, now time.Time) store.Client {
	return store.Client{
		ID: seededID(i), Name: seededName(i), AuthMethod: "client_secret_basic", GrantTypes: []string{"client_credentials"},
		Secrets: []store.Secret{{ID: "first", Hash: store.HashSecret(seedSecret), Created: now}},
		Grants:  []store.Grant{{Resource: formats[0].audience(), Scopes: []string{"read"}, Defaults: []string{"read"}}},
		Created: now, Updated: now,
	}
}

// touch has each of the first clients ask once, so that what is measured then is a server that knows who asks.
func (n *node) touch(ctx context.Context, clients, connections int) error {
	open := openSession(n.newcomers(clients), connections)
	defer open.close()
	_, err := open.run(ctx, load{connections: connections, duration: time.Hour, most: clients})
	return err
}

// newcomers ask for tokens as one of the first clients after the other.
func (n *node) newcomers(clients int) target {
	t, order := seededRequests("newcomers", n, clients), atomic.Int64{}
	t.request = n.seededRequest(func() int { return int(order.Add(1)-1) % clients })
	return t
}

// seededRequests ask for tokens as one of the first clients, any of them, each time.
func seededRequests(name string, n *node, clients int) target {
	return target{name: name, address: n.public, good: goodToken, request: n.seededRequest(func() int { return rand.IntN(clients) })}
}

// seededRequest asks for a token as some client.
func (n *node) seededRequest(who func() int) func([]byte) []byte {
	before, after := "POST /token HTTP/1.1\r\nHost: "+n.public+"\r\nAuthorization: Basic ",
		"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "+strconv.Itoa(len(grant))+"\r\n\r\n"+grant
	return func(dst []byte) []byte {
		dst = append(dst, before...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(seededID(who())+":"+seedSecret))
		return append(dst, after...)
	}
}
