package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// PlanDeclared returns what ApplyDeclared would do, and what that would break by recorded use. It needs to read each kind
// that is declared, and clients in any case.
func (r *Registry) PlanDeclared(ctx context.Context, actor Actor, wish Declaration) (DeclaredPlan, error) {
	for _, scope := range scopesFor(wish.State, ClientsRead, ResourcesRead, RolesRead) {
		if err := r.read(ctx, actor, scope); err != nil {
			return DeclaredPlan{}, err
		}
	}
	d, err := r.draft(ctx, r.store, actor, wish)
	if err != nil {
		return DeclaredPlan{}, wrap(err)
	}
	if err := d.readUses(ctx, r.store); err != nil {
		return DeclaredPlan{}, wrap(err)
	}
	plan := d.plan()
	for i, change := range d.changes {
		if plan.Changes[i].Impact, err = d.impact(ctx, r.store, change); err != nil {
			return DeclaredPlan{}, wrap(err)
		}
	}
	return plan, nil
}

// scopesFor returns the scopes that it takes for the sections of a state: that of clients, and those of what else is there.
func scopesFor(s DeclaredState, clients, resources, roles string) []string {
	scopes := []string{clients}
	if s.Resources != nil {
		scopes = append(scopes, resources)
	}
	if s.Roles != nil {
		scopes = append(scopes, roles)
	}
	return scopes
}

// ApplyDeclared makes the registry what a file says, all of it or nothing, and returns what it did. The actor needs the
// scopes to write what changes, clients in any case, and every admin scope that a change gives, changes or takes away. With a
// fingerprint it does what that plan said, or is a Conflict.
func (r *Registry) ApplyDeclared(ctx context.Context, actor Actor, wish Declaration) (DeclaredPlan, error) {
	if err := r.prepareDeclared(ctx, actor, wish); err != nil {
		return DeclaredPlan{}, wrap(err)
	}
	var plan DeclaredPlan
	err := r.change(ctx, actor, ClientsWrite, func(tx transaction) (store.Event, error) {
		d, err := r.draft(ctx, tx, actor, wish)
		if err != nil {
			return store.Event{}, err
		}
		plan = d.plan()
		if wish.Fingerprint != "" && wish.Fingerprint != plan.Fingerprint {
			return store.Event{}, conflict("the registry, or what is declared, is not what the plan was made from: plan again")
		}
		if err := d.allowed(tx.power); err != nil {
			return store.Event{}, err
		}
		return store.Event{}, d.write(ctx, tx, actor)
	})
	if err != nil {
		return DeclaredPlan{}, err
	}
	return plan, nil
}

// prepareDeclared makes the first keys of algorithms that are new, when the actor may do all of it. It is ahead of the
// transaction: RSA keys take their time.
func (r *Registry) prepareDeclared(ctx context.Context, actor Actor, wish Declaration) error {
	power, err := r.authorize(ctx, r.store, actor, ClientsWrite)
	if err != nil {
		return err
	}
	for i, client := range wish.State.Clients {
		if client.SecretPending {
			return invalid(Problem{at("state.clients", i) + ".secret", "is not at hand: it takes the secret to apply"})
		}
	}
	d, err := r.draft(ctx, r.store, actor, wish)
	if err != nil {
		return err
	}
	if err := d.allowed(power); err != nil {
		return err
	}
	for _, settings := range d.keyed {
		if err := r.ensureKey(ctx, settings); err != nil {
			return err
		}
	}
	return nil
}

// draft reads what is registered, and returns how it differs from what is declared.
func (r *Registry) draft(ctx context.Context, s store.Store, actor Actor, wish Declaration) (*draft, error) {
	current := known{map[string]store.Resource{}, map[string]store.Role{}}
	err := store.Each(ctx, s.Resources(), func(resource store.Resource) error {
		current.resources[resource.URI] = resource
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = store.Each(ctx, s.Roles(), func(role store.Role) error {
		current.roles[role.Name] = role
		return nil
	})
	if err != nil {
		return nil, err
	}
	d := newDraft(r, actor.ID, wish, current)
	d.resources()
	d.roles()
	if err := d.look(ctx, s); err != nil {
		return nil, err
	}
	d.clients()
	return d, invalid(d.problems...)
}

// write does what the draft says. Each object has one event.
func (d *draft) write(ctx context.Context, tx transaction, actor Actor) error {
	for _, change := range d.changes {
		if err := change.write(ctx, tx); err != nil {
			return fmt.Errorf("%s %s: %w", change.Kind, change.Name, err)
		}
		if err := tx.Append(ctx, actor.did(change.event, tx.now)); err != nil {
			return err
		}
	}
	return nil
}

// allowed refuses a draft that takes a scope which the actor does not hold (CVE-2025-5999): the scope to write a kind, and the
// admin scopes that are given, changed or taken away.
func (d *draft) allowed(power oauth.Scope) error {
	for _, change := range d.changes {
		if !power.Has(change.scope) {
			return forbidden(change.scope, change.Kind+" "+oauth.SafeText(change.Name)+": this needs the scope "+change.scope+" of the admin API")
		}
		err := (transaction{power: power}).ceiling(change.admin)
		if refusal, refused := errors.AsType[*Error](err); refused {
			refusal.Text = change.Kind + " " + oauth.SafeText(change.Name) + ": " + refusal.Text
			return refusal
		}
	}
	return nil
}

// plan returns what a caller sees of a draft.
func (d *draft) plan() DeclaredPlan {
	plan := DeclaredPlan{Fingerprint: d.fingerprint(), Changes: []DeclaredChange{}}
	for _, change := range d.changes {
		plan.Changes = append(plan.Changes, change.DeclaredChange)
		for _, scope := range append(oauth.Scope{change.scope}, change.admin...) {
			if !slices.Contains(plan.Needs, scope) {
				plan.Needs = append(plan.Needs, scope)
			}
		}
	}
	slices.Sort(plan.Needs)
	return plan
}
