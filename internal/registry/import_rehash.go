package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// rehasher is who replaces hashes, in the history.
const rehasher = "rehash"

// precision is that of the times that are kept; noEnd is the time that never comes.
const precision = time.Microsecond

var noEnd time.Time

// ReplaceHashes puts a hash of ours in the place of one that came with an import, for each secret that still has the old one:
// what an operator changed meanwhile stays as it is. It is background work of the server.
func (r *Registry) ReplaceHashes(ctx context.Context, changes []store.SecretChange) error {
	return r.change(ctx, System(rehasher), ClientsWrite, func(tx transaction) (store.Event, error) {
		for _, change := range changes {
			if err := replaceHash(ctx, tx, change); err != nil {
				return store.Event{}, err
			}
		}
		return store.Event{}, nil
	})
}

func replaceHash(ctx context.Context, tx transaction, change store.SecretChange) error {
	record, err := tx.Clients().Get(ctx, change.ClientID)
	if errors.Is(err, store.ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	same := func(s store.Secret) bool { return s.ID == change.SecretID && s.Hash == change.Old }
	at := slices.IndexFunc(record.Secrets, same)
	if at < 0 {
		return nil
	}
	record.Secrets[at].Hash = change.New
	if err := tx.Clients().Put(ctx, record); err != nil {
		return err
	}
	function, _, _ := strings.Cut(change.New, ":")
	return tx.Append(ctx, store.Event{
		Time: tx.now, Actor: rehasher, Action: "client.secret_rehashed", Object: record.ID,
		Detail: detail(struct {
			Secret   string `json:"secret"`
			Function string `json:"function"`
		}{change.SecretID, function}),
	})
}
