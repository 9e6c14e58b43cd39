package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// limitFor returns a ceiling for a credential of a client as it is kept, if nothing is wrong with it. A scope that the client does
// not have is an error: it would be a word that was mistyped, and the credential good for less than was meant.
func limitFor(ctx context.Context, s store.Store, client store.Client, wanted Limit) (store.Limit, error) {
	var has oauth.Scope
	if len(wanted.Scopes) > 0 {
		var err error
		if has, err = scopesOf(ctx, s, client); err != nil {
			return store.Limit{}, err
		}
	}
	var p problems
	limit := p.limit("limit", wanted, has)
	return limit, invalid(p...)
}

// limit reads a ceiling for a credential of a client that has these scopes.
func (p *problems) limit(field string, wanted Limit, has oauth.Scope) store.Limit {
	p.ttl(field+".token_ttl_seconds", wanted.TokenTTLSeconds)
	if p.unique(field+".scopes", wanted.Scopes, maxGrantScopes) {
		for i, scope := range wanted.Scopes {
			if !has.Has(scope) {
				p.add(at(field+".scopes", i), "the client may not have %s; it may have %s", oauth.SafeText(scope), oauth.SafeText(has.String()))
			}
		}
	}
	networks := plainNetworks(wanted.Networks)
	p.networks(field+".networks", networks)
	return store.Limit{TokenTTL: time.Duration(wanted.TokenTTLSeconds) * time.Second, Scopes: wanted.Scopes, Networks: networks}
}

// scopesOf returns the scopes that a client has by its grants and by its roles, whatever the resource.
func scopesOf(ctx context.Context, s store.Store, client store.Client) (oauth.Scope, error) {
	grants, err := grantsOf(ctx, s, client)
	if err != nil {
		return nil, err
	}
	var scopes oauth.Scope
	for _, grant := range grants {
		scopes = append(scopes, scopes.Missing(grant.Scopes...)...)
	}
	return scopes, nil
}

func limitView(record store.Limit) Limit {
	return Limit{TokenTTLSeconds: int64(record.TokenTTL / time.Second), Scopes: record.Scopes, Networks: record.Networks}
}

func sameLimit(a, b store.Limit) bool {
	same := func(x, y []string) bool {
		x, y = slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y))
		return slices.Equal(x, y)
	}
	return a.TokenTTL == b.TokenTTL && same(a.Scopes, b.Scopes) && same(a.Networks, b.Networks)
}

// errManyLimits is why there is no ceiling that a successor could have from all that it takes the place of.
var errManyLimits = errors.New("those before it have different ceilings")

// inheritedLimit returns the ceiling of what takes the place of others, so that nothing is wider for having been replaced: the
// one that all of them have.
func inheritedLimit(former []store.Limit) (store.Limit, error) {
	for _, other := range former {
		if !sameLimit(former[0], other) {
			return store.Limit{}, errManyLimits
		}
	}
	if len(former) == 0 {
		return store.Limit{}, nil
	}
	return former[0], nil
}

// limitsOfSecrets returns the ceilings of the secrets that a new one takes the place of: those that were not rotated out before,
// if there are any.
func limitsOfSecrets(secrets []store.Secret) []store.Limit {
	var all []store.Limit
	for _, secret := range currentSecrets(secrets) {
		all = append(all, secret.Limit)
	}
	return all
}

// currentSecrets returns the secrets that were not rotated out, or all if there are none such.
func currentSecrets(secrets []store.Secret) []store.Secret {
	var current []store.Secret
	for _, secret := range secrets {
		if secret.Rotated.IsZero() {
			current = append(current, secret)
		}
	}
	if len(current) > 0 {
		return current
	}
	return secrets
}

// limited reports whether a ceiling is one.
func limited(l store.Limit) bool { return !sameLimit(l, store.Limit{}) }

// limitsOfKeys returns the ceilings of a client's keys.
func limitsOfKeys(keys []store.ClientKey) []store.Limit {
	var all []store.Limit
	for _, key := range keys {
		all = append(all, key.Limit)
	}
	return all
}

// rotatedLimit returns the ceiling of the secret of a rotation: what was asked for, and for the rest that of the secrets before
// it, unless that is to be lifted.
func rotatedLimit(ctx context.Context, tx store.Store, record *store.Client, rotation SecretRotation) (store.Limit, error) {
	wanted, err := limitFor(ctx, tx, *record, rotation.Limit)
	if err != nil || rotation.LiftLimit {
		return wanted, err
	}
	former, err := inheritedLimit(limitsOfSecrets(record.Secrets))
	if err != nil {
		return wanted, conflict("the client's secrets have different ceilings, and a rotation puts one secret into the place of all: " +
			"lift the ceiling and say what the new one is, or add a secret and revoke the one that it replaces")
	}
	if wanted.TokenTTL == 0 {
		wanted.TokenTTL = former.TokenTTL
	}
	if len(wanted.Scopes) == 0 {
		wanted.Scopes = former.Scopes
	}
	if len(wanted.Networks) == 0 {
		wanted.Networks = former.Networks
	}
	return wanted, nil
}
