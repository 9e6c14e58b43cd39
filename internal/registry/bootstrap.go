package registry

import (
	"context"
	"errors"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// Operator is the name of the first operator's client.
const Operator = "operator"

// A NewOperator is the first operator's client with what it authenticates with: a secret, or with Options.OperatorKey a key.
type NewOperator struct {
	Registered
	PrivateKey PrivateKey `json:"-"`
}

// Bootstrap makes the admin API's resource and the first operator, who has all its scopes, and returns the operator with
// the secret, or with Options.OperatorKey the private key; nil when the resource exists already. It runs at every start: an operator who was deleted or cut down later
// stays so. To an admin API from an earlier version it adds the scopes that are new, and gives them to a first operator who had
// all there were; whoever had less has not become more powerful by an upgrade.
func (r *Registry) Bootstrap(ctx context.Context) (*NewOperator, error) {
	if err := r.ring.Ensure(ctx, jose.ES256); err != nil {
		return nil, wrap(err)
	}
	var operator *NewOperator
	actor := System("bootstrap")
	err := r.change(ctx, actor, ResourcesWrite, func(tx transaction) (store.Event, error) {
		operator = nil
		settings := resourceDefaults(ResourceSettings{URI: r.admin, Name: "Writ admin API", Scopes: adminScopes})
		err := tx.Resources().Insert(ctx, resourceRecord(settings, tx.now))
		if errors.Is(err, store.ErrExists) {
			return r.extend(ctx, tx)
		}
		if err != nil {
			return store.Event{}, err
		}
		event := store.Event{Time: tx.now, Actor: actor.ID, Action: "resource.created", Object: r.admin, Detail: detail(settings)}
		if err := tx.Append(ctx, event); err != nil {
			return store.Event{}, err
		}
		made, event, err := r.putOperator(ctx, tx)
		operator = &made
		return event, err
	})
	if err != nil {
		return nil, err
	}
	return operator, nil
}

// extend adds what is new to the admin API's resource, and to the first operator's grant.
func (r *Registry) extend(ctx context.Context, tx transaction) (store.Event, error) {
	known, err := tx.Resources().Get(ctx, r.admin)
	if err != nil {
		return store.Event{}, err
	}
	var before oauth.Scope
	for _, scope := range known.Scopes {
		before = append(before, scope.Name)
	}
	added := before.Missing(AdminScopes()...)
	if len(added) == 0 {
		return store.Event{}, nil
	}
	for _, scope := range adminScopes {
		if added.Has(scope.Name) {
			known.Scopes = append(known.Scopes, store.Scope(scope))
		}
	}
	known.Updated = tx.now
	if err := tx.Resources().Put(ctx, known); err != nil {
		return store.Event{}, err
	}
	event := store.Event{
		Time: tx.now, Actor: System("bootstrap").ID, Action: "resource.updated", Object: r.admin, Detail: detail(map[string]oauth.Scope{"added": added}),
	}
	if err := tx.Append(ctx, event); err != nil {
		return store.Event{}, err
	}
	return r.extendOperator(ctx, tx, before, added)
}

func (r *Registry) extendOperator(ctx context.Context, tx transaction, before, added oauth.Scope) (store.Event, error) {
	record, err := findClient(ctx, tx, Operator)
	if errors.Is(err, NotFound) {
		return store.Event{}, nil
	}
	if err != nil {
		return store.Event{}, err
	}
	extended := false
	for i, grant := range record.Grants {
		had := oauth.Scope(grant.Scopes)
		if grant.Resource != r.admin || len(had.Missing(before...)) > 0 {
			continue
		}
		extended = true
		record.Grants[i].Scopes = append(grant.Scopes, had.Missing(added...)...)
		if defaults := oauth.Scope(grant.Defaults); len(defaults.Missing(before...)) == 0 {
			record.Grants[i].Defaults = append(grant.Defaults, defaults.Missing(added...)...)
		}
	}
	if !extended {
		return store.Event{}, nil
	}
	record.Updated = tx.now
	event := store.Event{Action: "client.updated", Object: record.ID, Detail: detail(settingsOf(record))}
	return event, tx.Clients().Put(ctx, record)
}

// ResetOperator gives the first operator a new secret, or with Options.OperatorKey a new key, in the place of all old ones,
// and all admin scopes, or makes it anew. It is the way back in for whoever has the server's data in hand, never for a request.
func (r *Registry) ResetOperator(ctx context.Context) (NewOperator, error) {
	var operator NewOperator
	err := r.change(ctx, System("reset"), ClientsWrite, func(tx transaction) (event store.Event, err error) {
		operator, event, err = r.putOperator(ctx, tx)
		return event, err
	})
	if err != nil {
		return NewOperator{}, err
	}
	return operator, nil
}

// putOperator makes the operator's client, or makes it whole again.
func (r *Registry) putOperator(ctx context.Context, tx transaction) (NewOperator, store.Event, error) {
	event := store.Event{Action: "operator.reset"}
	record, err := findClient(ctx, tx, Operator)
	missing := errors.Is(err, NotFound)
	if err != nil && !missing {
		return NewOperator{}, event, err
	}
	if missing {
		event.Action = "client.created"
		record = store.Client{ID: newID(Operator), Created: tx.now}
		describe(&record, withDefaults(oauth.ClientMetadata{ClientName: Operator}))
	}
	scopes := AdminScopes()
	grants := []store.Grant{{Resource: r.admin, Scopes: scopes, Defaults: scopes}}
	for _, grant := range record.Grants {
		if grant.Resource != r.admin {
			grants = append(grants, grant)
		}
	}
	record.Grants, record.Suspended, record.Updated = grants, false, tx.now
	operator, err := r.credential(&record, tx.now)
	if err != nil {
		return NewOperator{}, event, err
	}
	event.Object, event.Detail = record.ID, detail(settingsOf(record))
	if missing {
		err = tx.Clients().Insert(ctx, record)
	} else {
		err = tx.Clients().Put(ctx, record)
	}
	operator.Client = clientView(record, nil)
	return operator, event, err
}

// credential gives the operator's record a new secret or key in the place of every other way to authenticate, and returns
// it.
func (r *Registry) credential(record *store.Client, now time.Time) (NewOperator, error) {
	record.FormerMethod, record.FormerUntil, record.Secrets, record.Keys, record.JWKSURI = "", time.Time{}, nil, nil, ""
	record.SigningAlgorithm, record.CertificateBound, record.DPoPBound = "", false, r.operatorKey
	if r.operatorKey {
		record.AuthMethod = oauth.PrivateKeyJWT
		key, private, err := newOperatorKey(now)
		record.Keys = []store.ClientKey{key}
		dropUnused(record)
		return NewOperator{PrivateKey: private}, err
	}
	if !usesSecrets(record.AuthMethod) {
		record.AuthMethod = oauth.ClientSecretBasic
	}
	dropUnused(record)
	secret := newSecret()
	record.Secrets = []store.Secret{{ID: newSecretID(), Hash: store.HashSecret(secret.Reveal()), Created: now}}
	return NewOperator{Registered: Registered{Secret: secret}}, nil
}

func newOperatorKey(now time.Time) (store.ClientKey, PrivateKey, error) {
	pair, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		return store.ClientKey{}, "", err
	}
	private, err := jose.MarshalPrivate(pair, jose.ES256)
	if err != nil {
		return store.ClientKey{}, "", err
	}
	key, err := clientKey(jose.Key{Algorithm: jose.ES256, Public: pair.Public()}, "")
	key.Created = now
	return key, PrivateKey(private), err
}
