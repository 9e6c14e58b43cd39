package admin

import (
	"context"
	"iter"
	"net/http"

	"github.com/writ-auth/writ/admin/wire"
)

// CreateResource registers a resource.
func (a *API) CreateResource(ctx context.Context, settings ResourceSettings, options ...Option) (Resource, error) {
	return a.resource(ctx, http.MethodPost, "/resources", filled(settings), options)
}

// Resource returns a resource.
func (a *API) Resource(ctx context.Context, uri string, options ...Option) (Resource, error) {
	return a.resource(ctx, http.MethodGet, "/resources/"+wire.ResourceID(uri), nil, options)
}

func (a *API) resource(ctx context.Context, method, path string, body any, options []Option) (Resource, error) {
	resource, etag, err := tagged[Resource](ctx, a, method, path, body, options)
	resource.ETag = etag
	return resource, err
}

// Resources returns all resources in the order of their URIs.
func (a *API) Resources(ctx context.Context) iter.Seq2[Resource, error] {
	return pages[Resource](ctx, a, "/resources", nil)
}

// UpdateResource replaces what is registered about a resource, all but its URI. A scope that a client or a role has cannot be
// taken away.
func (a *API) UpdateResource(ctx context.Context, settings ResourceSettings, options ...Option) (Resource, error) {
	return a.resource(ctx, http.MethodPut, "/resources/"+wire.ResourceID(settings.URI), filled(settings), options)
}

// filled returns settings whose JSON has a list, if an empty one, where the API wants one: it takes no null.
func filled(settings ResourceSettings) ResourceSettings {
	if settings.Scopes == nil {
		settings.Scopes = []Scope{}
	}
	return settings
}

// DeleteResource removes a resource that no grant and no role names.
func (a *API) DeleteResource(ctx context.Context, uri string, options ...Option) error {
	return a.order(ctx, http.MethodDelete, "/resources/"+wire.ResourceID(uri), nil, options)
}
