package registry

import (
	"context"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// maxSecrets bounds the secrets of a client: each is compared with what a request presents.
const maxSecrets = 16

// DefaultKeep is how long a rotation lets the former secrets count when nothing else is said.
const DefaultKeep = 24 * time.Hour

// A SecretRotation says how a client comes to its next secret.
type SecretRotation struct {
	Name      string
	Expires   time.Time     // of the new one; zero: never
	Keep      time.Duration // how long the former ones still count
	Limit     Limit         // of the new one; what is left out of it stays as the former ones have it
	LiftLimit bool          // the ceiling of the former ones does not go over
}

// AddSecret gives a client one more secret, beside those that it has. A client that authenticates with a key may have one as
// well: it counts from when its method changes. With a request ID, see once.
func (r *Registry) AddSecret(ctx context.Context, actor Actor, nameOrID string, settings SecretSettings, request string) (NewSecret, error) {
	once := r.once("add", actor, request)
	return r.giveSecret(ctx, actor, nameOrID, once, "client.secret_added", func(tx transaction, record *store.Client) (store.Secret, error) {
		made, err := newSecretRecord(record, settings, tx.now)
		if err != nil {
			return made, err
		}
		made.Limit, err = limitFor(ctx, tx, *record, settings.Limit)
		return made, err
	})
}

// RotateSecret gives a client a new secret, and those that it has an end, Keep from now. An end that a secret has is never
// moved to later, nor by a further rotation to earlier while the secret is still in use: see stillUsed. The ceiling of the former
// ones goes over to the new one, but for what the rotation says instead.
func (r *Registry) RotateSecret(ctx context.Context, actor Actor, nameOrID string, rotation SecretRotation, request string) (NewSecret, error) {
	once := r.once("rotate", actor, request)
	return r.giveSecret(ctx, actor, nameOrID, once, "client.secret_rotated", func(tx transaction, record *store.Client) (store.Secret, error) {
		if rotation.Keep < 0 || rotation.Keep > maxOverlap {
			return store.Secret{}, invalid(Problem{"keep_seconds", "must be 0 to 366 days"})
		}
		if len(record.Secrets) == 0 {
			return store.Secret{}, conflict("the client has no secret that could be rotated: add one")
		}
		made, err := newSecretRecord(record, SecretSettings{Name: rotation.Name, Expires: rotation.Expires}, tx.now)
		if err != nil {
			return store.Secret{}, err
		}
		if made.Limit, err = rotatedLimit(ctx, tx, record, rotation); err != nil {
			return store.Secret{}, err
		}
		uses, err := tx.Uses(ctx, record.ID)
		if err != nil {
			return store.Secret{}, err
		}
		record.Secrets = slices.Clone(record.Secrets)
		for i := range record.Secrets {
			rotateOut(&record.Secrets[i], uses, tx.now, rotation.Keep)
		}
		return made, nil
	})
}

// giveSecret adds the secret that draft describes to a client.
func (r *Registry) giveSecret(ctx context.Context, actor Actor, nameOrID string, once once, action string,
	draft func(transaction, *store.Client) (store.Secret, error),
) (NewSecret, error) {
	if err := checkRequest(once.request); err != nil {
		return NewSecret{}, err
	}
	var made NewSecret
	client, err := r.changeClient(ctx, actor, nameOrID, func(tx transaction, record *store.Client) (store.Event, error) {
		if known, found := once.find(record); found {
			text, err := once.repeat(record.ID, known)
			made = NewSecret{ClientID: record.ID, SecretInfo: secretInfo(known, nil), Secret: text}
			return store.Event{}, err
		}
		secret, err := draft(tx, record)
		if err != nil {
			return store.Event{}, err
		}
		text := once.text(record.ID, secret.ID)
		secret.Hash, secret.Request = store.HashSecret(text.Reveal()), once.mark(record.ID)
		record.Secrets = append(record.Secrets, secret)
		made = NewSecret{ClientID: record.ID, SecretInfo: secretInfo(secret, nil), Secret: text}
		return store.Event{Action: action, Detail: detail(made.SecretInfo)}, nil
	})
	if err != nil {
		return NewSecret{}, err
	}
	made.Former = slices.DeleteFunc(client.Secrets, func(s SecretInfo) bool { return s.ID == made.ID })
	return made, nil
}

// newSecretRecord returns a further secret for a client, all but its hash.
func newSecretRecord(record *store.Client, settings SecretSettings, now time.Time) (store.Secret, error) {
	made := store.Secret{
		ID: newSecretID(), Name: settings.Name, Created: now,
		NotBefore: settings.NotBefore.UTC().Truncate(time.Microsecond), Expires: settings.Expires.UTC().Truncate(time.Microsecond),
	}
	var p problems
	if made.Name != "" {
		p.name("name", made.Name)
	}
	p.validity(made.NotBefore, made.Expires, now)
	if err := invalid(p...); err != nil {
		return made, err
	}
	if len(record.Secrets) >= maxSecrets {
		return made, conflict("the client has %d secrets, which is the most: revoke one first", len(record.Secrets))
	}
	if made.Name != "" && slices.ContainsFunc(record.Secrets, func(s store.Secret) bool { return s.Name == made.Name }) {
		return made, conflict("the client has a secret named %s already", made.Name)
	}
	return made, nil
}

// validity checks when a credential begins and ends.
func (p *problems) validity(notBefore, expires, now time.Time) {
	switch {
	case expires.IsZero():
	case !expires.After(now):
		p.add("expires", "is over already")
	case !notBefore.Before(expires):
		p.add("not_before", "is not before expires")
	}
}

// rotateOut gives a secret its end when another takes its place.
func rotateOut(secret *store.Secret, uses []store.Use, now time.Time, keep time.Duration) {
	end := now.Add(keep)
	if !secret.Rotated.IsZero() && stillUsed(secret, uses, now) {
		return
	}
	if secret.Rotated.IsZero() {
		secret.Rotated = now
	}
	if secret.Expires.IsZero() || end.Before(secret.Expires) {
		secret.Expires = end
	}
}

// noteInterval is how coarse the uses are that the authority notes: of a credential, one a minute. noteDelay is, with
// room, how much later at most a use is to be read, after that minute.
const (
	noteInterval = time.Minute
	noteDelay    = time.Minute
)

// stillUsed reports whether a secret that was rotated out is in use by somebody who counts on the end that it was given: its
// last use that is written down is from after the rotation, or from so short a time before it that a use after it would
// not be written down; or the rotation was so lately that a use since may not be written down yet.
func stillUsed(secret *store.Secret, uses []store.Use, now time.Time) bool {
	if now.Before(secret.Rotated.Add(noteInterval + noteDelay)) {
		return true
	}
	return lastUse(uses, secret.ID, secret.Created).LastUsed.After(secret.Rotated.Add(-noteInterval))
}

// RevokeSecret takes a secret from a client: it counts no more at once. Tokens that were obtained with it stay good until
// they expire. The last secret that a client can authenticate with stays, unless force is set, so that nobody locks it out by
// mistake.
func (r *Registry) RevokeSecret(ctx context.Context, actor Actor, nameOrID, id string, force bool) error {
	_, err := r.changeClient(ctx, actor, nameOrID, func(tx transaction, record *store.Client) (store.Event, error) {
		i := slices.IndexFunc(record.Secrets, func(s store.Secret) bool { return s.ID == id })
		if i < 0 {
			return store.Event{}, notFound("secret", id)
		}
		revoked := record.Secrets[i]
		record.Secrets = slices.Delete(slices.Clone(record.Secrets), i, i+1)
		counts := func(s store.Secret) bool { return !tx.now.Before(s.NotBefore) } // those that expired were pruned
		if !force && usesSecrets(record.AuthMethod) && !slices.ContainsFunc(record.Secrets, counts) {
			return store.Event{}, conflict("this is the last secret that the client can authenticate with: rotate it, or say that it is to go by force")
		}
		return store.Event{Action: "client.secret_revoked", Detail: detail(secretInfo(revoked, nil))}, nil
	})
	return err
}
