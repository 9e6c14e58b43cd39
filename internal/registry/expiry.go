package registry

import (
	"context"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// An Expiry is a secret or a key of a client that comes to its end, without what it is.
type Expiry struct {
	ClientID, ClientName string
	Kind                 string // "secret" or "key"
	ID, Name             string
	Expires              time.Time
	Rotated              time.Time // when a rotation put another in its place; zero for one that is current
	Last                 bool      // no other one of the client, of which it accepts the kind, counts longer
	LastUse
}

// eachDue is a way through the clients that are due by a time.
type eachDue = func(context.Context, store.Store, time.Time, func(store.Client) error) error

// Expiring calls tell for every secret and key that expires within a time from now, but for those of clients that are
// suspended, and for secrets that were rotated out and that nobody uses any more: they end as they should. each is
// store.EachDue, or store.EachDueAtEase where nobody waits for it.
func (r *Registry) Expiring(ctx context.Context, each eachDue, within time.Duration, tell func(Expiry)) error {
	now := r.moment()
	soon := func(expires time.Time) bool { return expires.After(now) && !expires.After(now.Add(within)) }
	var ending []store.Client
	var ids []string
	err := each(ctx, r.store, now.Add(within), func(client store.Client) error {
		if !client.Suspended && len(expiringOf(client, soon)) > 0 {
			ending, ids = append(ending, client), append(ids, client.ID)
		}
		return nil
	})
	if err != nil {
		return wrap(err)
	}
	uses, err := usesOf(ctx, r.store, ids)
	if err != nil {
		return wrap(err)
	}
	for _, client := range ending {
		found := expiringOf(client, soon)
		for _, secret := range client.Secrets {
			if !secret.Rotated.IsZero() && !stillUsed(&secret, uses[client.ID], now) {
				delete(found, secret.ID)
			}
		}
		for _, expiry := range found {
			expiry.LastUse = lastUse(uses[client.ID], expiry.ID, time.Time{})
			expiry.Last = expiry.Expires.Equal(lastEnd(client))
			tell(expiry)
		}
	}
	return nil
}

// expiringOf returns the secrets and keys of a client that expire soon, by their IDs.
func expiringOf(client store.Client, soon func(time.Time) bool) map[string]Expiry {
	found := map[string]Expiry{}
	for _, secret := range client.Secrets {
		if soon(secret.Expires) {
			found[secret.ID] = Expiry{ClientID: client.ID, ClientName: client.Name, Kind: "secret", ID: secret.ID, Name: secret.Name, Expires: secret.Expires, Rotated: secret.Rotated}
		}
	}
	for _, key := range client.Keys {
		if soon(key.Expires) {
			found[key.ID] = Expiry{ClientID: client.ID, ClientName: client.Name, Kind: "key", ID: key.ID, Expires: key.Expires}
		}
	}
	return found
}

// lastEnd returns when the last of the credentials ends that a client authenticates with; zero for never.
func lastEnd(client store.Client) time.Time {
	var ends []time.Time
	if accepts(&client, usesSecrets) {
		for _, secret := range client.Secrets {
			ends = append(ends, secret.Expires)
		}
	}
	if accepts(&client, usesKeys) {
		for _, key := range client.Keys {
			ends = append(ends, key.Expires)
		}
	}
	if len(ends) == 0 || slices.ContainsFunc(ends, time.Time.IsZero) {
		return time.Time{}
	}
	return slices.MaxFunc(ends, time.Time.Compare)
}
