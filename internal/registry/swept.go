package registry

import (
	"context"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// swept is what a client no longer has because it was over.
type swept struct {
	FormerMethod string  `json:"former_method,omitempty"`
	Secrets      []ended `json:"secrets,omitempty"`
	Keys         []ended `json:"keys,omitempty"`
}

// An ended secret or key.
type ended struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Expires time.Time `json:"expires,omitzero"` // without it, it went with the former method
}

// prune takes away what is over by now: the former method with what only it needs, secrets and keys. None of it was accepted any
// more. It returns what that was.
func prune(record *store.Client, now time.Time) swept {
	before := *record
	over := func(expires time.Time) bool { return !expires.IsZero() && !expires.After(now) }
	if record.FormerMethod != "" {
		endFormer(record, usedBy(record), now)
		dropUnused(record)
	}
	record.Secrets = slices.DeleteFunc(slices.Clone(record.Secrets), func(s store.Secret) bool { return over(s.Expires) })
	record.Keys = slices.DeleteFunc(slices.Clone(record.Keys), func(k store.ClientKey) bool { return over(k.Expires) })
	return difference(before, *record)
}

func difference(before, after store.Client) (gone swept) {
	if before.FormerMethod != after.FormerMethod {
		gone.FormerMethod = before.FormerMethod
	}
	for _, s := range before.Secrets {
		if !slices.ContainsFunc(after.Secrets, func(left store.Secret) bool { return left.ID == s.ID }) {
			gone.Secrets = append(gone.Secrets, ended{s.ID, s.Name, s.Expires})
		}
	}
	for _, k := range before.Keys {
		if !slices.ContainsFunc(after.Keys, func(left store.ClientKey) bool { return left.ID == k.ID }) {
			gone.Keys = append(gone.Keys, ended{ID: k.ID, Expires: k.Expires})
		}
	}
	return gone
}

func (s swept) any() bool { return s.FormerMethod != "" || len(s.Secrets)+len(s.Keys) > 0 }

// tell puts down what was swept from a client, in the transaction that writes the client without it: no credential goes
// without a record, whatever it was that wrote.
func (s swept) tell(ctx context.Context, tx store.Store, clientID string, now time.Time) error {
	if !s.any() {
		return nil
	}
	return tx.Append(ctx, store.Event{Time: now, Actor: sweeper, Action: "client.swept", Object: clientID, Detail: detail(s)})
}

// sweeper is who takes away what is over, in the history.
const sweeper = "sweep"
