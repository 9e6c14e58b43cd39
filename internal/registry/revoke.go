package registry

import (
	"context"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// RevokeClientTokens makes all tokens of a client that were issued before a time, now for the zero time, inactive at
// introspection from now on. What was revoked stays so: an earlier time changes nothing. The client can get new tokens.
func (r *Registry) RevokeClientTokens(ctx context.Context, actor Actor, nameOrID string, before time.Time) error {
	_, err := r.changeClient(ctx, actor, nameOrID, func(tx transaction, record *store.Client) (store.Event, error) {
		moved, err := moveUp(&record.NotBefore, before, tx.now)
		return moved.event("client.tokens_revoked"), err
	})
	return err
}

// RevokeResourceTokens is RevokeClientTokens for all tokens for a resource. For the admin API itself it takes no more: it
// takes away no right, as whoever may have such a token gets another one.
func (r *Registry) RevokeResourceTokens(ctx context.Context, actor Actor, uri string, before time.Time) error {
	return r.change(ctx, actor, ResourcesWrite, func(tx transaction) (store.Event, error) {
		record, err := r.ownResource(ctx, tx, uri)
		if err != nil {
			return store.Event{}, err
		}
		return revokeFor(ctx, tx, record, before)
	})
}

// RevokeAllTokens is RevokeClientTokens for all tokens of the issuer, the actor's own among them: each token is for some
// resource.
func (r *Registry) RevokeAllTokens(ctx context.Context, actor Actor, before time.Time) error {
	return r.change(ctx, actor, ResourcesWrite, func(tx transaction) (store.Event, error) {
		var last store.Event
		err := store.Each(ctx, tx.Resources(), func(record store.Resource) error {
			event, err := revokeFor(ctx, tx, record, before)
			if event.Action != "" {
				last = event
			}
			return err
		})
		last.Object = r.issuer
		return last, err
	})
}

func revokeFor(ctx context.Context, tx transaction, record store.Resource, before time.Time) (store.Event, error) {
	moved, err := moveUp(&record.NotBefore, before, tx.now)
	if err != nil || moved.IsZero() {
		return store.Event{}, err
	}
	event := moved.event("resource.tokens_revoked")
	event.Object, record.Updated = record.URI, tx.now
	return event, tx.Resources().Put(ctx, record)
}

// moved is the time to which something was moved, zero if it was not.
type moved struct{ time.Time }

// moveUp moves a time before which tokens do not count to a later one, and never back.
func moveUp(notBefore *time.Time, before, now time.Time) (moved, error) {
	if before.IsZero() {
		before = now
	}
	before = before.UTC().Truncate(time.Microsecond)
	if before.After(now) {
		return moved{}, invalid(Problem{"issued_before", "is ahead: nobody could get a token that counts until then"})
	}
	if !before.After(*notBefore) {
		return moved{}, nil
	}
	*notBefore = before
	return moved{before}, nil
}

// event tells of it; no event if nothing was moved.
func (m moved) event(action string) store.Event {
	if m.IsZero() {
		return store.Event{}
	}
	return store.Event{Action: action, Detail: detail(map[string]time.Time{"issued_before": m.Time})}
}
