package adminapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// keyData returns the key as the registry takes it.
func keyData(k wire.NewKey) ([]byte, error) {
	if (len(k.JWK) > 0) == (k.PEM != "") {
		return nil, &registry.Error{
			Code: registry.Invalid, Text: "not valid", Problems: []registry.Problem{{Field: "jwk", Text: "must be there, or pem, and not both"}},
		}
	}
	if k.PEM != "" {
		return []byte(k.PEM), nil
	}
	return k.JWK, nil
}

// answer is a response with a body.
type answer[T any] struct{ Body T }

func answered[T any](body T, err error) (*answer[T], error) {
	if err != nil {
		return nil, err
	}
	return &answer[T]{body}, nil
}

// none is a response without one.
type none struct{}

func done(err error) (*none, error) { return nil, err }

// Listed asks for a page.
type Listed struct {
	Cursor string `query:"cursor" minLength:"1" doc:"What next of the page before said; of the same list, with the same filter and order" maxLength:"1024"`
	Limit  int    `query:"limit" doc:"How many at most" minimum:"1" maximum:"500" default:"100"`
}

// paged reads a page of a list behind a cursor.
func paged[T any](l list, in Listed, read func(after string, limit int) ([]T, string, error)) (*answer[wire.Page[T]], error) {
	after, err := l.open(in.Cursor)
	if err != nil {
		return nil, err
	}
	items, next, err := read(after, in.Limit)
	return answered(wire.Page[T]{Items: items, Next: l.seal(next)}, err)
}

// clientsListed asks for a page of clients.
type clientsListed struct {
	wire.ClientFilter
	Listed
}

// sent is a request with a body.
type sent[T any] struct{ Body T }

// created is a request for something new, which may be sent again.
type created[T any] struct {
	Request string `header:"Idempotency-Key" doc:"A text of the caller's choice that no other request has. When the request is sent again with it within 24 hours, by the same caller, nothing more is created, and the answer is that of the first" maxLength:"255"`
	Body    T
}

// OfClient and the like, which are parts of requests, are exported because huma looks into no other embedded struct.
type OfClient struct {
	Client string `path:"client" doc:"The client's ID or name" example:"billing"`
}

type clientSeen struct {
	OfClient
	UnlessMatching
}

// ClientChange names a client that is to be changed.
type ClientChange struct {
	OfClient
	WhenMatching
}

type clientUpdate struct {
	ClientChange
	Body wire.ClientUpdate
}

type ofClientKey struct {
	ClientChange
	Key string `path:"key" doc:"The key's ID or its thumbprint"`
}

type newClientKey struct {
	Request string `header:"Idempotency-Key" doc:"A text of the caller's choice that no other request has. When the request is sent again with it within 24 hours, by the same caller, nothing more is added, and the answer is that of the first" maxLength:"255"`
	ClientChange
	Body wire.NewKey
}

// OfResource names a resource.
type OfResource struct {
	ID string `path:"id" doc:"The base64url of the resource's URI" example:"aHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20"`
}

type resourceSeen struct {
	OfResource
	UnlessMatching
}

// ResourceChange names a resource that is to be changed.
type ResourceChange struct {
	OfResource
	WhenMatching
}

type resourceUpdate struct {
	ResourceChange
	Body wire.ResourceSettings
}

// OfRole names a role.
type OfRole struct {
	Name string `path:"name" doc:"The role's name" example:"orders-reader"`
}

type roleSeen struct {
	OfRole
	UnlessMatching
}

// RoleChange names a role that is to be changed.
type RoleChange struct {
	OfRole
	WhenMatching
}

type roleUpdate struct {
	RoleChange
	Body wire.RoleSettings
}

type ofKey struct {
	ID string `path:"id" doc:"The key's ID"`
}

func (a *api) listClients(ctx context.Context, in *clientsListed) (*answer[wire.Page[wire.Client]], error) {
	return paged(a.list("clients", fmt.Sprintf("%q", in.ClientFilter)), in.Listed, func(after string, limit int) ([]wire.Client, string, error) {
		return a.registry.Clients(ctx, actor(ctx), in.ClientFilter, after, limit)
	})
}

func (a *api) createClient(ctx context.Context, in *created[oauth.ClientMetadata]) (*tagged[wire.Registered], error) {
	made, err := a.registry.Once(in.Request).CreateClient(ctx, actor(ctx), in.Body)
	return withTag(made, made.ETag, http.StatusCreated, err)
}

func (a *api) client(ctx context.Context, in *clientSeen) (*tagged[wire.Client], error) {
	client, err := a.registry.Client(ctx, actor(ctx), in.Client)
	return withTag(client, client.ETag, in.seen(client.ETag), err)
}

func (a *api) updateClient(ctx context.Context, in *clientUpdate) (*tagged[wire.Client], error) {
	client, err := in.in(a.registry).UpdateClient(ctx, actor(ctx), in.Client, in.Body)
	return withTag(client, client.ETag, http.StatusOK, err)
}

func (a *api) deleteClient(ctx context.Context, in *ClientChange) (*none, error) {
	return done(in.in(a.registry).DeleteClient(ctx, actor(ctx), in.Client))
}

func (a *api) suspendClient(ctx context.Context, in *ClientChange) (*tagged[wire.Client], error) {
	client, err := in.in(a.registry).SuspendClient(ctx, actor(ctx), in.Client)
	return withTag(client, client.ETag, http.StatusOK, err)
}

func (a *api) resumeClient(ctx context.Context, in *ClientChange) (*tagged[wire.Client], error) {
	client, err := in.in(a.registry).ResumeClient(ctx, actor(ctx), in.Client)
	return withTag(client, client.ETag, http.StatusOK, err)
}

func (a *api) addClientKey(ctx context.Context, in *newClientKey) (*answer[wire.ClientKey], error) {
	data, err := keyData(in.Body)
	if err != nil {
		return nil, err
	}
	return answered(in.in(a.registry).Once(in.Request).AddClientKey(ctx, actor(ctx), in.Client, data, registry.KeySettings{NotBefore: in.Body.NotBefore, Expires: in.Body.Expires, Limit: in.Body.Limit}))
}

func (a *api) revokeClientKey(ctx context.Context, in *ofClientKey) (*none, error) {
	return done(in.in(a.registry).RevokeClientKey(ctx, actor(ctx), in.Client, in.Key))
}

func (a *api) listResources(ctx context.Context, in *Listed) (*answer[wire.Page[wire.Resource]], error) {
	return paged(a.list("resources", ""), *in, func(after string, limit int) ([]wire.Resource, string, error) {
		return a.registry.Resources(ctx, actor(ctx), after, limit)
	})
}

func (a *api) createResource(ctx context.Context, in *created[wire.ResourceSettings]) (*tagged[wire.Resource], error) {
	made, err := a.registry.Once(in.Request).CreateResource(ctx, actor(ctx), in.Body)
	return withTag(made, made.ETag, http.StatusCreated, err)
}

func (a *api) resource(ctx context.Context, in *resourceSeen) (*tagged[wire.Resource], error) {
	uri, ok := wire.ResourceURI(in.ID)
	if !ok {
		return nil, errNoResource
	}
	found, err := a.registry.Resource(ctx, actor(ctx), uri)
	return withTag(found, found.ETag, in.seen(found.ETag), err)
}

func (a *api) updateResource(ctx context.Context, in *resourceUpdate) (*tagged[wire.Resource], error) {
	uri, ok := wire.ResourceURI(in.ID)
	if !ok {
		return nil, errNoResource
	}
	updated, err := in.in(a.registry).UpdateResource(ctx, actor(ctx), uri, in.Body)
	return withTag(updated, updated.ETag, http.StatusOK, err)
}

func (a *api) deleteResource(ctx context.Context, in *ResourceChange) (*none, error) {
	uri, ok := wire.ResourceURI(in.ID)
	if !ok {
		return nil, errNoResource
	}
	return done(in.in(a.registry).DeleteResource(ctx, actor(ctx), uri))
}

func (a *api) listRoles(ctx context.Context, in *Listed) (*answer[wire.Page[wire.Role]], error) {
	return paged(a.list("roles", ""), *in, func(after string, limit int) ([]wire.Role, string, error) {
		return a.registry.Roles(ctx, actor(ctx), after, limit)
	})
}

func (a *api) createRole(ctx context.Context, in *created[wire.RoleSettings]) (*tagged[wire.Role], error) {
	made, err := a.registry.Once(in.Request).CreateRole(ctx, actor(ctx), in.Body)
	return withTag(made, made.ETag, http.StatusCreated, err)
}

func (a *api) role(ctx context.Context, in *roleSeen) (*tagged[wire.Role], error) {
	role, err := a.registry.Role(ctx, actor(ctx), in.Name)
	return withTag(role, role.ETag, in.seen(role.ETag), err)
}

func (a *api) updateRole(ctx context.Context, in *roleUpdate) (*tagged[wire.Role], error) {
	updated, err := in.in(a.registry).UpdateRole(ctx, actor(ctx), in.Name, in.Body)
	return withTag(updated, updated.ETag, http.StatusOK, err)
}

func (a *api) deleteRole(ctx context.Context, in *RoleChange) (*none, error) {
	return done(in.in(a.registry).DeleteRole(ctx, actor(ctx), in.Name))
}

func (a *api) listKeys(ctx context.Context, _ *struct{}) (*answer[wire.Page[wire.Key]], error) {
	keys, err := a.registry.Keys(ctx, actor(ctx))
	return answered(wire.Page[wire.Key]{Items: keys}, err)
}

func (a *api) rotateKey(ctx context.Context, in *created[wire.Rotation]) (*answer[wire.Key], error) {
	return answered(a.registry.Once(in.Request).RotateKey(ctx, actor(ctx), in.Body.Algorithm, in.Body.Now))
}

func (a *api) revokeKey(ctx context.Context, in *ofKey) (*none, error) {
	return done(a.registry.RevokeKey(ctx, actor(ctx), in.ID))
}

var errNoResource = &registry.Error{Code: registry.NotFound, Text: "there is no such resource: its ID is the base64url of its URI"}
