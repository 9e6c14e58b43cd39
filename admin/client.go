package admin

import (
	"bytes"
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/writ-auth/writ/oauth"
)

// CreateClient registers a client. The answer shows the secret of one that has a secret, this once.
func (a *API) CreateClient(ctx context.Context, metadata oauth.ClientMetadata, options ...Option) (Registered, error) {
	made, etag, err := tagged[Registered](ctx, a, http.MethodPost, "/clients", metadata, options)
	made.ETag = etag
	return made, err
}

// Client returns a client by ID or name.
func (a *API) Client(ctx context.Context, nameOrID string, options ...Option) (Client, error) {
	return a.client(ctx, http.MethodGet, "/clients/"+segment(nameOrID), nil, options)
}

func (a *API) client(ctx context.Context, method, path string, body any, options []Option) (Client, error) {
	client, etag, err := tagged[Client](ctx, a, method, path, body, options)
	client.ETag = etag
	return client, err
}

// Clients returns the clients that pass the filter, in its order, page by page as they are asked for; with the zero filter all
// of them, in the order of their IDs.
func (a *API) Clients(ctx context.Context, filter ClientFilter) iter.Seq2[Client, error] {
	query := url.Values{}
	for name, value := range map[string]string{
		"search": filter.Search, "auth_method": filter.AuthMethod, "resource": filter.Resource, "role": filter.Role,
		"suspended": string(filter.Suspended), "self_registered": string(filter.SelfRegistered), "sort": filter.Sort,
		"unused_since": queryTime(filter.UnusedSince),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return pages[Client](ctx, a, "/clients", query)
}

// UpdateClient replaces what is registered about a client. Its keys stay when the update names neither jwks nor jwks_uri. To
// change one thing, change the metadata of what Client returned, and send it [IfMatch] of its ETag.
func (a *API) UpdateClient(ctx context.Context, nameOrID string, update ClientUpdate, options ...Option) (Client, error) {
	return a.client(ctx, http.MethodPut, "/clients/"+segment(nameOrID), update, options)
}

// SuspendClient stops a client: no new tokens, and those that it has are inactive at introspection.
func (a *API) SuspendClient(ctx context.Context, nameOrID string, options ...Option) (Client, error) {
	return a.client(ctx, http.MethodPost, "/clients/"+segment(nameOrID)+"/suspend", nil, options)
}

// ResumeClient lets a suspended client have tokens again.
func (a *API) ResumeClient(ctx context.Context, nameOrID string, options ...Option) (Client, error) {
	return a.client(ctx, http.MethodPost, "/clients/"+segment(nameOrID)+"/resume", nil, options)
}

// DeleteClient removes a client. Its ID is never given to another.
func (a *API) DeleteClient(ctx context.Context, nameOrID string, options ...Option) error {
	return a.order(ctx, http.MethodDelete, "/clients/"+segment(nameOrID), nil, options)
}

// KeyOf returns a public key, a JWK or PEM, as AddClientKey sends it. Keep private keys from it: it sends what it is given.
func KeyOf(key []byte) NewKey {
	if start := bytes.TrimLeft(key, " \t\r\n"); len(start) > 0 && start[0] == '{' {
		return NewKey{JWK: key}
	}
	return NewKey{PEM: string(key)}
}

// AddClientKey gives a client one more public key.
func (a *API) AddClientKey(ctx context.Context, nameOrID string, key NewKey, options ...Option) (ClientKey, error) {
	return call[ClientKey](ctx, a, http.MethodPost, "/clients/"+segment(nameOrID)+"/keys", key, options)
}

// RevokeClientKey takes a key, by its ID or its thumbprint, from a client. An ID that cannot stand in a path, because it has
// a slash, needs the thumbprint.
func (a *API) RevokeClientKey(ctx context.Context, nameOrID, key string, options ...Option) error {
	return a.order(ctx, http.MethodDelete, "/clients/"+segment(nameOrID)+"/keys/"+segment(key), nil, options)
}
