package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// CreateRole registers a role.
func (r *Registry) CreateRole(ctx context.Context, actor Actor, settings RoleSettings) (Role, error) {
	var record store.Role
	err := r.change(ctx, actor, RolesWrite, func(tx transaction) (store.Event, error) {
		again, err := r.once("create role", actor, r.request).again(ctx, tx, settings, tx.now)
		if err != nil {
			return store.Event{}, err
		}
		if again {
			if record, err = tx.Roles().Get(ctx, settings.Name); errors.Is(err, store.ErrNotFound) {
				err = errGone
			}
			return store.Event{}, err
		}
		if err := checkRole(ctx, tx, settings); err != nil {
			return store.Event{}, err
		}
		record = store.Role{
			Name: settings.Name, Description: settings.Description, Grants: toGrants(settings.Grants),
			Created: tx.now, Updated: tx.now,
		}
		if err := tx.ceiling(r.adminScopesIn(record.Grants)); err != nil {
			return store.Event{}, err
		}
		err = tx.Roles().Insert(ctx, record)
		if errors.Is(err, store.ErrExists) {
			err = conflict("a role named %s exists already", settings.Name)
		}
		return store.Event{Action: "role.created", Object: settings.Name, Detail: detail(settings)}, err
	})
	if err != nil {
		return Role{}, err
	}
	return roleView(record), nil
}

func checkRole(ctx context.Context, s store.Store, settings RoleSettings) error {
	var named []string
	for _, grant := range settings.Grants {
		named = append(named, grant.Resource)
	}
	registered, err := lookUp(ctx, s, named, nil)
	if err != nil {
		return err
	}
	var p problems
	p.name("name", settings.Name)
	p.text("description", settings.Description)
	p.grants(settings.Grants, registered.resources)
	return invalid(p...)
}

// Role returns a role.
func (r *Registry) Role(ctx context.Context, actor Actor, name string) (Role, error) {
	if err := r.read(ctx, actor, RolesRead); err != nil {
		return Role{}, err
	}
	record, err := r.store.Roles().Get(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		err = notFound("role", name)
	}
	return roleView(record), wrap(err)
}

// Roles returns roles in the order of their names, up to limit of them, behind after; and the name to go on behind, "" at
// the end.
func (r *Registry) Roles(ctx context.Context, actor Actor, after string, limit int) ([]Role, string, error) {
	if err := r.read(ctx, actor, RolesRead); err != nil {
		return nil, "", err
	}
	limit, err := checkLimit(limit)
	if err != nil {
		return nil, "", err
	}
	if after != "" && !validName(after) {
		return nil, "", invalid(Problem{"after", "is not the name of a role"})
	}
	records, err := r.store.Roles().List(ctx, after, limit+1)
	if err != nil {
		return nil, "", wrap(err)
	}
	records, next := page(records, limit)
	roles := make([]Role, 0, len(records))
	for _, record := range records {
		roles = append(roles, roleView(record))
	}
	return roles, next, nil
}

// DeleteRole removes a role that no client has.
func (r *Registry) DeleteRole(ctx context.Context, actor Actor, name string) error {
	return r.change(ctx, actor, RolesWrite, func(tx transaction) (store.Event, error) {
		if _, err := r.ownRole(ctx, tx, name); err != nil {
			return store.Event{}, err
		}
		err := store.Each(ctx, tx.Clients(), func(client store.Client) error {
			if slices.Contains(client.Roles, name) {
				return conflict("the client %s has the role", client.Name)
			}
			return nil
		})
		if err != nil {
			return store.Event{}, err
		}
		return store.Event{Action: "role.deleted", Object: name}, tx.Roles().Delete(ctx, name)
	})
}

func roleView(record store.Role) Role {
	grants := fromGrants(record.Grants)
	if grants == nil {
		grants = []oauth.Grant{}
	}
	role := Role{
		RoleSettings: RoleSettings{Name: record.Name, Description: record.Description, Grants: grants},
		Created:      record.Created, Updated: record.Updated,
	}
	role.ETag = etagOf(role)
	return role
}
