package registry

import (
	"context"
	"errors"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// goes returns when a client that registered itself is to go if it is not used before; the zero time for never. Its time begins
// anew with every use and every change, so that one that was suspended has it again when it is resumed.
func goes(record store.Client, uses []store.Use) time.Time {
	used := time.Time{}
	for _, use := range uses {
		if use.Last.After(used) {
			used = use.Last
		}
	}
	from, within := record.Updated, record.Registration.Idle
	switch {
	case used.After(from):
		from = used
	case used.IsZero() && record.Registration.FirstUse > 0 && (within == 0 || record.Registration.FirstUse < within):
		within = record.Registration.FirstUse
	}
	if within == 0 {
		return time.Time{}
	}
	return from.Add(within)
}

// goesLater is how much longer than promised a client stays. Uses are written behind, and a node that cannot reach the store
// issues tokens for a while (authority.MaxStale): none that is in use must go.
const goesLater = time.Hour

// keepExpired is how long an initial access token is kept that has expired: an operator wants to see why nobody gets in.
const keepExpired = 30 * 24 * time.Hour

// SweepRegistrations deletes the clients that registered themselves and were not used in time, and the initial access tokens
// that expired long ago. Suspended clients stay: an operator has something in mind with them. It is background work of the
// server, and returns how many clients it deleted.
func (r *Registry) SweepRegistrations(ctx context.Context) (int, error) {
	deleted := 0
	err := store.EachDueAtEase(ctx, r.store, r.moment(), func(client store.Client) error {
		if !over(client, nil, r.moment()) { // if it was used, it goes later
			return nil
		}
		uses, err := r.store.Uses(ctx, client.ID)
		if err != nil || !over(client, uses, r.moment()) { // or each that is in use would have all who write wait, every hour
			return err
		}
		gone, err := r.sweepRegistered(ctx, client.ID)
		if gone {
			deleted++
		}
		return err
	})
	if err != nil {
		return deleted, wrap(err)
	}
	return deleted, wrap(store.Each(ctx, r.store.InitialTokens(), func(token store.InitialToken) error {
		if r.moment().Before(token.Expires.Add(keepExpired)) {
			return nil
		}
		return r.change(ctx, System(sweeper), ClientsWrite, func(tx transaction) (store.Event, error) {
			event := store.Event{Action: "initial_token.swept", Object: token.ID, Detail: detail(initialTokenView(token))}
			err := tx.InitialTokens().Delete(ctx, token.ID)
			if errors.Is(err, store.ErrNotFound) {
				return store.Event{}, nil // by another node
			}
			return event, err
		})
	}))
}

// sweepRegistered deletes a client if it still is to go, and reports whether it did.
func (r *Registry) sweepRegistered(ctx context.Context, id string) (gone bool, err error) {
	err = r.change(ctx, System(sweeper), ClientsWrite, func(tx transaction) (store.Event, error) {
		gone = false
		record, err := tx.Clients().Get(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return store.Event{}, nil // by another node, or by an operator
		}
		if err != nil {
			return store.Event{}, err
		}
		uses, err := tx.Uses(ctx, id)
		if err != nil || !over(record, uses, tx.now) {
			return store.Event{}, err
		}
		gone = true
		return store.Event{Action: "client.unused", Object: id, Detail: registrationDetail(record, "", Visit{})}, deleteClient(ctx, tx, id)
	})
	return gone && err == nil, err
}

// over reports whether a client registered itself and is to be deleted now.
func over(record store.Client, uses []store.Use, now time.Time) bool {
	if !record.SelfRegistered() || record.Suspended {
		return false
	}
	end := goes(record, uses)
	return !end.IsZero() && now.After(end.Add(goesLater))
}
