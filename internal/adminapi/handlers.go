package adminapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// What the API speaks of is what the registry speaks of.
type (
	// A Client is what an operator sees of one.
	Client = registry.Client
	// Registered is a new client with its secret, if it has one, which is shown this once.
	Registered = registry.Registered
	// A ClientUpdate is everything that is registered about a client, anew.
	ClientUpdate = registry.ClientUpdate
	// A ClientKey is one of the public keys of a client.
	ClientKey = registry.ClientKey
	// A LastUse says when a credential was last good for something.
	LastUse = registry.LastUse
	// ResourceSettings are what an operator says about a resource.
	ResourceSettings = registry.ResourceSettings
	// A Scope is something that a client can be allowed to do at a resource.
	Scope = registry.Scope
	// RoleSettings are what an operator says about a role.
	RoleSettings = registry.RoleSettings
	// A Role is a named bundle of scopes on resources.
	Role = registry.Role
	// A Key is one key of the ring, without its private half.
	Key = registry.Key
)

// A Resource is a registered resource with the ID that its path has.
type Resource struct {
	ID string `json:"id" doc:"Names the resource in paths: the base64url of its URI" example:"aHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20"`
	registry.Resource
}

// A Page is a part of a list.
type Page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty" doc:"The value of after for the next page; left out on the last one"`
}

// A Rotation asks for a new key.
type Rotation struct {
	Algorithm string `json:"algorithm" doc:"The algorithm whose key is rotated; XC20P for the keys that seal opaque tokens" example:"ES256"`
	Now       bool   `json:"now,omitempty" doc:"Sign with the new key at once: validators that keep the key set refuse its tokens until they fetch it again"`
}

// NewKey is a public key for a client. Exactly one of JWK and PEM is there.
type NewKey struct {
	JWK       json.RawMessage `json:"jwk,omitempty" doc:"The public key as a JWK (RFC 7517); excludes pem"`
	PEM       string          `json:"pem,omitempty" doc:"The public key, or a certificate, in PEM; excludes jwk"`
	NotBefore time.Time       `json:"not_before,omitzero" doc:"When it begins to count; left out: at once"`
	Expires   time.Time       `json:"expires,omitzero" doc:"When it stops counting; left out: never"`
}

// data returns the key as the registry takes it.
func (k NewKey) data() ([]byte, error) {
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

// listed asks for a page.
type listed struct {
	After string `query:"after" doc:"What next of the page before said" maxLength:"700"`
	Limit int    `query:"limit" doc:"How many at most" minimum:"1" maximum:"500" default:"100"`
}

func paged[T any](items []T, next string, err error) (*answer[Page[T]], error) {
	return answered(Page[T]{items, next}, err)
}

// sent is a request with a body.
type sent[T any] struct{ Body T }

type ofClient struct {
	Client string `path:"client" doc:"The client's ID or name" example:"billing"`
}

type clientUpdate struct {
	Client string `path:"client" doc:"The client's ID or name" example:"billing"`
	Body   registry.ClientUpdate
}

type ofClientKey struct {
	Client string `path:"client" doc:"The client's ID or name" example:"billing"`
	Key    string `path:"key" doc:"The key's ID or its thumbprint"`
}

type newClientKey struct {
	Client string `path:"client" doc:"The client's ID or name" example:"billing"`
	Body   NewKey
}

type ofResource struct {
	ID string `path:"id" doc:"The base64url of the resource's URI" example:"aHR0cHM6Ly9hcGkuZXhhbXBsZS5jb20"`
}

type ofRole struct {
	Name string `path:"name" doc:"The role's name" example:"orders-reader"`
}

type ofKey struct {
	ID string `path:"id" doc:"The key's ID"`
}

func (a *api) listClients(ctx context.Context, in *listed) (*answer[Page[Client]], error) {
	return paged(a.registry.Clients(ctx, actor(ctx), in.After, in.Limit))
}

func (a *api) createClient(ctx context.Context, in *sent[oauth.ClientMetadata]) (*answer[Registered], error) {
	return answered(a.registry.CreateClient(ctx, actor(ctx), in.Body))
}

func (a *api) client(ctx context.Context, in *ofClient) (*answer[Client], error) {
	return answered(a.registry.Client(ctx, actor(ctx), in.Client))
}

func (a *api) updateClient(ctx context.Context, in *clientUpdate) (*answer[Client], error) {
	return answered(a.registry.UpdateClient(ctx, actor(ctx), in.Client, in.Body))
}

func (a *api) deleteClient(ctx context.Context, in *ofClient) (*none, error) {
	return done(a.registry.DeleteClient(ctx, actor(ctx), in.Client))
}

func (a *api) suspendClient(ctx context.Context, in *ofClient) (*answer[Client], error) {
	return answered(a.registry.SuspendClient(ctx, actor(ctx), in.Client))
}

func (a *api) resumeClient(ctx context.Context, in *ofClient) (*answer[Client], error) {
	return answered(a.registry.ResumeClient(ctx, actor(ctx), in.Client))
}

func (a *api) addClientKey(ctx context.Context, in *newClientKey) (*answer[ClientKey], error) {
	data, err := in.Body.data()
	if err != nil {
		return nil, err
	}
	return answered(a.registry.AddClientKey(ctx, actor(ctx), in.Client, data, in.Body.NotBefore, in.Body.Expires))
}

func (a *api) revokeClientKey(ctx context.Context, in *ofClientKey) (*none, error) {
	return done(a.registry.RevokeClientKey(ctx, actor(ctx), in.Client, in.Key))
}

func (a *api) listResources(ctx context.Context, in *listed) (*answer[Page[Resource]], error) {
	after := ""
	if in.After != "" {
		var ok bool
		if after, ok = resourceURI(in.After); !ok {
			return nil, &registry.Error{
				Code: registry.Invalid, Text: "not valid", Problems: []registry.Problem{{Field: "after", Text: "is not the ID of a resource"}},
			}
		}
	}
	found, next, err := a.registry.Resources(ctx, actor(ctx), after, in.Limit)
	resources := make([]Resource, 0, len(found))
	for _, resource := range found {
		resources = append(resources, withID(resource))
	}
	if next != "" {
		next = resourceID(next)
	}
	return paged(resources, next, err)
}

func (a *api) createResource(ctx context.Context, in *sent[ResourceSettings]) (*answer[Resource], error) {
	made, err := a.registry.CreateResource(ctx, actor(ctx), in.Body)
	return answered(withID(made), err)
}

func (a *api) resource(ctx context.Context, in *ofResource) (*answer[Resource], error) {
	uri, ok := resourceURI(in.ID)
	if !ok {
		return nil, errNoResource
	}
	found, err := a.registry.Resource(ctx, actor(ctx), uri)
	return answered(withID(found), err)
}

func (a *api) deleteResource(ctx context.Context, in *ofResource) (*none, error) {
	uri, ok := resourceURI(in.ID)
	if !ok {
		return nil, errNoResource
	}
	return done(a.registry.DeleteResource(ctx, actor(ctx), uri))
}

func (a *api) listRoles(ctx context.Context, in *listed) (*answer[Page[Role]], error) {
	return paged(a.registry.Roles(ctx, actor(ctx), in.After, in.Limit))
}

func (a *api) createRole(ctx context.Context, in *sent[RoleSettings]) (*answer[Role], error) {
	return answered(a.registry.CreateRole(ctx, actor(ctx), in.Body))
}

func (a *api) role(ctx context.Context, in *ofRole) (*answer[Role], error) {
	return answered(a.registry.Role(ctx, actor(ctx), in.Name))
}

func (a *api) deleteRole(ctx context.Context, in *ofRole) (*none, error) {
	return done(a.registry.DeleteRole(ctx, actor(ctx), in.Name))
}

func (a *api) listKeys(ctx context.Context, _ *struct{}) (*answer[Page[Key]], error) {
	keys, err := a.registry.Keys(ctx, actor(ctx))
	return paged(keys, "", err)
}

func (a *api) rotateKey(ctx context.Context, in *sent[Rotation]) (*answer[Key], error) {
	return answered(a.registry.RotateKey(ctx, actor(ctx), in.Body.Algorithm, in.Body.Now))
}

func (a *api) revokeKey(ctx context.Context, in *ofKey) (*none, error) {
	return done(a.registry.RevokeKey(ctx, actor(ctx), in.ID))
}

var errNoResource = &registry.Error{Code: registry.NotFound, Text: "there is no such resource: its ID is the base64url of its URI"}

// resourceID returns what a resource is called in a path: a URI has slashes, and an encoded slash means something else to
// every proxy.
func resourceID(uri string) string { return base64.RawURLEncoding.EncodeToString([]byte(uri)) }

func resourceURI(id string) (string, bool) {
	uri, err := base64.RawURLEncoding.Strict().DecodeString(id)
	return string(uri), err == nil
}

func withID(found registry.Resource) Resource { return Resource{resourceID(found.URI), found} }
