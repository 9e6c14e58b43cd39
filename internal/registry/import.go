package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// What became of something that was to be imported.
const (
	ImportCreated   = "created"
	ImportExtended  = "extended"  // a resource that was there got scopes
	ImportUnchanged = "unchanged" // it was there, and is the same
	ImportKept      = "kept"      // it was there, is another than wanted, and stays as it is
)

// errDryRun ends the transaction of an import that is to change nothing.
var errDryRun = errors.New("registry: dry run")

// Import takes over resources, roles and clients in one transaction, each with its event. What exists already is left as it
// is, so that an import can be repeated, and one that was cut off be made whole; only a resource gets the scopes that it
// lacks. An actor needs the scope for each kind that is made, and can give no admin scope that they do not hold.
func (r *Registry) Import(ctx context.Context, actor Actor, wanted Import) (ImportResult, error) {
	var done *importing
	err := r.change(ctx, actor, ClientsWrite, func(tx transaction) (store.Event, error) {
		done = &importing{registry: r, transaction: tx, actor: actor, taken: map[string]string{}}
		if err := done.all(ctx, wanted); err != nil {
			return store.Event{}, err
		}
		if wanted.DryRun {
			return store.Event{}, errDryRun
		}
		return store.Event{}, nil // each thing has its own
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return ImportResult{}, err
	}
	return ImportResult{Items: done.items, DryRun: wanted.DryRun}, nil
}

// importing is one import on its way.
type importing struct {
	transaction
	registry *Registry
	actor    Actor
	taken    map[string]string // the IDs of clients by their names, and by themselves
	items    []ImportItem
	problems problems
}

func (i *importing) all(ctx context.Context, wanted Import) error {
	i.items = []ImportItem{}
	err := store.Each(ctx, i.Clients(), func(client store.Client) error {
		i.taken[client.Name], i.taken[client.ID] = client.ID, client.ID
		return nil
	})
	if err != nil {
		return err
	}
	for n, settings := range wanted.Resources {
		if err := i.resource(ctx, at("resources", n), resourceDefaults(settings)); err != nil {
			return err
		}
	}
	for n, settings := range wanted.Roles {
		if err := i.role(ctx, at("roles", n), settings); err != nil {
			return err
		}
	}
	for n, client := range wanted.Clients {
		if err := i.client(ctx, at("clients", n), client); err != nil {
			return err
		}
	}
	return invalid(i.problems...)
}

// done notes what became of something, and puts down the event of what was changed.
func (i *importing) done(ctx context.Context, item ImportItem, event store.Event) error {
	i.items = append(i.items, item)
	if event.Action == "" {
		return nil
	}
	event.Object = item.ID
	return i.Append(ctx, i.actor.did(event, i.now))
}

// wrong takes over what is wrong with one thing, by the field that it has in the whole, and hands on any other error.
func (i *importing) wrong(field string, err error) error {
	refusal, ours := errors.AsType[*Error](err)
	if !ours || refusal.Code == Forbidden || refusal.Code == Unauthorized {
		return err
	}
	for _, p := range refusal.Problems {
		i.problems.add(field+"."+p.Field, "%s", p.Text)
	}
	if len(refusal.Problems) == 0 {
		i.problems.add(field, "%s", refusal.Text)
	}
	return nil
}

// needs refuses to make what the actor has no scope for.
func (i *importing) needs(scope string) error {
	if !i.power.Has(scope) {
		return forbidden(scope, "this import needs the scope "+scope+" of the admin API as well")
	}
	return nil
}

func (i *importing) resource(ctx context.Context, field string, settings ResourceSettings) error {
	item := ImportItem{Kind: "resource", ID: settings.URI}
	if err := invalid(i.registry.validateResource(settings)...); err != nil {
		return i.wrong(field, err)
	}
	have, err := i.Resources().Get(ctx, settings.URI)
	switch {
	case errors.Is(err, store.ErrNotFound):
		if err := i.needs(ResourcesWrite); err != nil {
			return err
		}
		if settings.Format != store.FormatJWT || settings.Algorithm != defaultAlgorithm {
			// Another one needs a key, and to make it takes longer than a transaction may.
			i.problems.add(field, "can be imported only with %s tokens that %s signs: register it first", store.FormatJWT, defaultAlgorithm)
			return nil
		}
		item.Outcome = ImportCreated
		if err := i.Resources().Insert(ctx, resourceRecord(settings, i.now)); err != nil {
			return err
		}
		return i.done(ctx, item, store.Event{Action: "resource.created", Detail: detail(settings)})
	case err != nil:
		return err
	}
	return i.extend(ctx, field, item, have, settings.Scopes)
}

// extend gives a resource the scopes that it lacks. Nobody has them by that.
func (i *importing) extend(ctx context.Context, field string, item ImportItem, have store.Resource, scopes []Scope) error {
	var added []string
	for _, scope := range scopes {
		if !slices.ContainsFunc(have.Scopes, func(s store.Scope) bool { return s.Name == scope.Name }) {
			added = append(added, scope.Name)
			have.Scopes = append(have.Scopes, store.Scope(scope))
		}
	}
	item.Outcome = ImportUnchanged
	if len(added) == 0 {
		return i.done(ctx, item, store.Event{})
	}
	if have.URI == i.registry.admin {
		i.problems.add(field, "is the admin API, which has no scope %s", oauth.SafeText(added[0]))
		return nil
	}
	if err := i.needs(ResourcesWrite); err != nil {
		return err
	}
	settings := resourceView(have).ResourceSettings
	if err := invalid(i.registry.validateResource(settings)...); err != nil {
		return i.wrong(field, err)
	}
	item.Outcome, item.Note = ImportExtended, "new scopes: "+strings.Join(added, " ")
	have.Updated = i.now
	if err := i.Resources().Put(ctx, have); err != nil {
		return err
	}
	return i.done(ctx, item, store.Event{Action: "resource.updated", Detail: detail(settings)})
}

func (i *importing) role(ctx context.Context, field string, settings RoleSettings) error {
	item := ImportItem{Kind: "role", ID: settings.Name, Outcome: ImportUnchanged}
	if err := checkRole(ctx, i, settings); err != nil {
		return i.wrong(field, err)
	}
	record := store.Role{
		Name: settings.Name, Description: settings.Description, Grants: toGrants(settings.Grants), Created: i.now, Updated: i.now,
	}
	if have, err := i.Roles().Get(ctx, settings.Name); err == nil {
		if differs := differences(roleView(have).RoleSettings, roleView(record).RoleSettings); differs != "" {
			item.Outcome, item.Note = ImportKept, "differs in "+differs
		}
		return i.done(ctx, item, store.Event{})
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err := i.needs(RolesWrite); err != nil {
		return err
	}
	if err := i.ceiling(i.registry.adminScopesIn(record.Grants)); err != nil {
		return err
	}
	item.Outcome = ImportCreated
	if err := i.Roles().Insert(ctx, record); err != nil {
		return err
	}
	return i.done(ctx, item, store.Event{Action: "role.created", Detail: detail(settings)})
}

// usedID is what a client's ID is remembered by for good, so that nobody gets it a second time.
func usedID(id string) string { return "client:" + id }

// retireID sees to it that no import gives the ID of a client that is deleted to another (PRODUCT: IDs are never reissued).
func retireID(ctx context.Context, tx store.Store, id string) error {
	err := tx.UseOnce(ctx, usedID(id), time.Time{})
	if errors.Is(err, store.ErrExists) {
		return nil // it came by an import
	}
	if err != nil {
		return fmt.Errorf("retire the ID: %w", err)
	}
	return nil
}
