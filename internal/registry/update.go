package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// UpdateResource replaces what is registered about a resource, all but its URI: what is left out has its default again. A scope
// that somebody has stays: nobody should lose a right by an edit of something else. The admin API is the server's own matter.
func (r *Registry) UpdateResource(ctx context.Context, actor Actor, uri string, settings ResourceSettings) (Resource, error) {
	settings = resourceDefaults(settings)
	if err := r.read(ctx, actor, ResourcesWrite); err != nil {
		return Resource{}, err
	}
	var p problems
	if settings.URI != uri {
		p.add("uri", "cannot be changed")
	}
	if err := invalid(append(p, r.validateResource(settings)...)...); err != nil {
		return Resource{}, err
	}
	if err := r.ensureKey(ctx, settings); err != nil { // ahead of the transaction, see CreateResource
		return Resource{}, wrap(err)
	}
	var record store.Resource
	err := r.change(ctx, actor, ResourcesWrite, func(tx transaction) (store.Event, error) {
		old, err := r.ownResource(ctx, tx, uri)
		if err != nil {
			return store.Event{}, err
		}
		if uri == r.admin {
			return store.Event{}, conflict("the admin API's own resource is what the server makes it")
		}
		record = resourceRecord(settings, tx.now)
		record.Created, record.NotBefore = old.Created, old.NotBefore
		if err := scopesFree(ctx, tx, uri, scopesLost(old, record)); err != nil {
			return store.Event{}, err
		}
		return store.Event{Action: "resource.updated", Object: uri, Detail: detail(settings)}, tx.Resources().Put(ctx, record)
	})
	if err != nil {
		return Resource{}, err
	}
	return resourceView(record), nil
}

// ownResource finds a resource that is to be changed, if it is what the actor thinks.
func (r *Registry) ownResource(ctx context.Context, tx transaction, uri string) (store.Resource, error) {
	record, err := tx.Resources().Get(ctx, uri)
	if errors.Is(err, store.ErrNotFound) {
		return record, notFound("resource", uri)
	}
	if err != nil {
		return record, err
	}
	return record, r.unchanged("resource", uri, resourceView(record).ETag)
}

func scopesLost(was, is store.Resource) oauth.Scope {
	var left, lost oauth.Scope
	for _, scope := range is.Scopes {
		left = append(left, scope.Name)
	}
	for _, scope := range was.Scopes {
		lost = append(lost, left.Missing(scope.Name)...)
	}
	return lost
}

// maxNamed bounds how many are named who stand in the way.
const maxNamed = 5

// scopesFree refuses to take scopes away that a role or a client has, and names some who do.
func scopesFree(ctx context.Context, s store.Store, uri string, lost oauth.Scope) error {
	if len(lost) == 0 {
		return nil
	}
	var holders []string
	has := func(grant store.Grant) bool {
		return grant.Resource == uri && slices.ContainsFunc(grant.Scopes, lost.Has)
	}
	err := store.Each(ctx, s.Roles(), func(role store.Role) error {
		if slices.ContainsFunc(role.Grants, has) {
			holders = append(holders, "the role "+role.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for query := (store.ClientQuery{Resource: uri, Limit: MaxLimit}); ; {
		clients, err := s.FindClients(ctx, query)
		if err != nil {
			return err
		}
		for _, client := range clients {
			if slices.ContainsFunc(client.Grants, has) {
				holders = append(holders, "the client "+client.Name)
			}
			query.After = store.ClientPosition{ID: client.ID}
		}
		if len(clients) < MaxLimit {
			return inUseBy(holders, uri, lost)
		}
	}
}

func inUseBy(holders []string, uri string, lost oauth.Scope) error {
	if len(holders) == 0 {
		return nil
	}
	named, have := strings.Join(holders[:min(len(holders), maxNamed)], ", "), "have"
	if n := len(holders) - maxNamed; n > 0 {
		named += fmt.Sprintf(" and %d more", n)
	}
	if len(holders) == 1 {
		have = "has"
	}
	return conflict("%s of %s cannot be taken away: %s %s it; take it away there first", strings.Join(lost, " "), uri, named, have)
}

// UpdateRole replaces what is registered about a role, all but its name. What it says no more, its clients cannot get any more.
func (r *Registry) UpdateRole(ctx context.Context, actor Actor, name string, settings RoleSettings) (Role, error) {
	var record store.Role
	err := r.change(ctx, actor, RolesWrite, func(tx transaction) (store.Event, error) {
		old, err := r.ownRole(ctx, tx, name)
		if err != nil {
			return store.Event{}, err
		}
		if settings.Name != name {
			return store.Event{}, invalid(Problem{"name", "cannot be changed"})
		}
		if err := checkRole(ctx, tx, settings); err != nil {
			return store.Event{}, err
		}
		record = store.Role{
			Name: name, Description: settings.Description, Grants: toGrants(settings.Grants), Created: old.Created, Updated: tx.now,
		}
		if err := tx.ceiling(r.adminScopesIn(record.Grants)); err != nil {
			return store.Event{}, err
		}
		return store.Event{Action: "role.updated", Object: name, Detail: detail(settings)}, tx.Roles().Put(ctx, record)
	})
	if err != nil {
		return Role{}, err
	}
	return roleView(record), nil
}

// ownRole finds a role that the actor may change: one that gives no more admin scopes than the actor has; and if it is what
// the actor thinks.
func (r *Registry) ownRole(ctx context.Context, tx transaction, name string) (store.Role, error) {
	record, err := tx.Roles().Get(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return record, notFound("role", name)
	}
	if err != nil {
		return record, err
	}
	if err := tx.ceiling(r.adminScopesIn(record.Grants)); err != nil {
		return record, err
	}
	return record, r.unchanged("role", name, roleView(record).ETag)
}
