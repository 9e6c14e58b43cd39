package admin

import (
	"context"
	"iter"
	"net/http"

	"github.com/writ-auth/writ/oauth"
)

// CreateRole registers a role.
func (a *API) CreateRole(ctx context.Context, settings RoleSettings, options ...Option) (Role, error) {
	return a.role(ctx, http.MethodPost, "/roles", filledRole(settings), options)
}

// Role returns a role.
func (a *API) Role(ctx context.Context, name string, options ...Option) (Role, error) {
	return a.role(ctx, http.MethodGet, "/roles/"+segment(name), nil, options)
}

func (a *API) role(ctx context.Context, method, path string, body any, options []Option) (Role, error) {
	role, etag, err := tagged[Role](ctx, a, method, path, body, options)
	role.ETag = etag
	return role, err
}

// Roles returns all roles in the order of their names.
func (a *API) Roles(ctx context.Context) iter.Seq2[Role, error] {
	return pages[Role](ctx, a, "/roles", nil)
}

// UpdateRole replaces what is registered about a role, all but its name. What it says no more, its clients cannot get any more.
func (a *API) UpdateRole(ctx context.Context, settings RoleSettings, options ...Option) (Role, error) {
	return a.role(ctx, http.MethodPut, "/roles/"+segment(settings.Name), filledRole(settings), options)
}

// filledRole is filled for a role.
func filledRole(settings RoleSettings) RoleSettings {
	if settings.Grants == nil {
		settings.Grants = []oauth.Grant{}
	}
	return settings
}

// DeleteRole removes a role that no client has.
func (a *API) DeleteRole(ctx context.Context, name string, options ...Option) error {
	return a.order(ctx, http.MethodDelete, "/roles/"+segment(name), nil, options)
}
