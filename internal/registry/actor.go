package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// The scopes of the admin API.
const (
	ClientsRead    = "clients:read"
	ClientsWrite   = "clients:write"
	ResourcesRead  = "resources:read"
	ResourcesWrite = "resources:write"
	RolesRead      = "roles:read"
	RolesWrite     = "roles:write"
	KeysRead       = "keys:read"
	KeysRotate     = "keys:rotate"
	AuditRead      = "audit:read"
)

// adminScopes are all of them, with what they allow.
var adminScopes = []Scope{
	{Name: ClientsRead, Description: "List clients and look at them"},
	{Name: ClientsWrite, Description: "Create, change, suspend and delete clients"},
	{Name: ResourcesRead, Description: "List resources and look at them"},
	{Name: ResourcesWrite, Description: "Create and delete resources"},
	{Name: RolesRead, Description: "List roles and look at them"},
	{Name: RolesWrite, Description: "Create and delete roles"},
	{Name: KeysRead, Description: "List signing keys"},
	{Name: KeysRotate, Description: "Rotate and revoke signing keys"},
	{Name: AuditRead, Description: "Read and verify what happened and what was changed"},
}

// AdminScopes returns the names of the admin API's scopes.
func AdminScopes() oauth.Scope {
	var names oauth.Scope
	for _, scope := range adminScopes {
		names = append(names, scope.Name)
	}
	return names
}

// An Actor is who asks for a change: the operator's client, as its verified access token describes it. What the token
// says is checked against what is registered now, so that a revoked token and a suspended operator can do nothing more,
// although the token is still good by itself.
type Actor struct {
	ID      string      // the client's
	Scopes  oauth.Scope // of the token
	TokenID string      // "" means that revocation is not looked at
	Issued  time.Time   // when the token was

	Remote    string // address that the request came from; stands in the events, as does the next
	RequestID string

	system bool
}

// System returns the actor that is the server itself, which may do everything; name stands in the events. It is for
// what a server does when it starts, never for a request.
func System(name string) Actor { return Actor{ID: name, Scopes: AdminScopes(), system: true} }

// authorize checks that the actor has the scope, by its token and by its registration, and returns all admin scopes for
// which both hold.
func (r *Registry) authorize(ctx context.Context, s store.Store, actor Actor, scope string) (oauth.Scope, error) {
	power := actor.Scopes
	if !actor.system {
		current, err := r.current(ctx, s, actor)
		if err != nil {
			return nil, err
		}
		power = slices.DeleteFunc(slices.Clone(power), func(name string) bool { return !current.Has(name) })
	}
	if !power.Has(scope) {
		return nil, forbidden(scope, "this needs the scope "+scope+" of the admin API")
	}
	return power, nil
}

// Allow returns nil if the actor has the scope, for what is not kept in the registry.
func (r *Registry) Allow(ctx context.Context, actor Actor, scope string) error {
	return r.read(ctx, actor, scope)
}

// FindClientID returns the ID of the client with an ID or a name, NotFound if there is none.
func FindClientID(ctx context.Context, s store.Store, nameOrID string) (string, error) {
	record, err := findClient(ctx, s, nameOrID)
	return record.ID, err
}

// errDead is the answer to a token that was good once.
var errDead = &Error{Code: Unauthorized, Text: "the token counts no more: it was revoked, or its client was suspended or deleted"}

// current returns the admin scopes that the actor's client has now.
func (r *Registry) current(ctx context.Context, s store.Store, actor Actor) (oauth.Scope, error) {
	client, err := s.Clients().Get(ctx, actor.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, errDead
	case err != nil:
		return nil, err
	case client.Suspended:
		return nil, errDead
	case actor.Issued.Before(client.NotBefore):
		return nil, errDead
	}
	admin, err := s.Resources().Get(ctx, r.admin)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if actor.Issued.Before(admin.NotBefore) {
		return nil, errDead
	}
	if actor.TokenID != "" {
		_, err := s.Revocations().Get(ctx, actor.TokenID)
		if err == nil {
			return nil, errDead
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	return r.grantedTo(ctx, s, client)
}

// adminScopesOf returns the admin scopes that it takes to lay hands on a client: those that it has, or all of them for
// one that introspects for the admin API, and so sees every operator's tokens.
func (r *Registry) adminScopesOf(ctx context.Context, s store.Store, client store.Client) (oauth.Scope, error) {
	if slices.Contains(client.ResourceServerFor, r.admin) {
		return AdminScopes(), nil
	}
	return r.grantedTo(ctx, s, client)
}

// grantedTo returns the admin scopes that a client has, by its grants and by its roles.
func (r *Registry) grantedTo(ctx context.Context, s store.Store, client store.Client) (oauth.Scope, error) {
	grants, err := grantsOf(ctx, s, client)
	return r.adminScopesIn(grants), err
}

// grantsOf returns what a client is granted, by itself and by its roles. A role that is gone grants nothing.
func grantsOf(ctx context.Context, s store.Store, client store.Client) ([]store.Grant, error) {
	grants := slices.Clone(client.Grants)
	for _, name := range client.Roles {
		role, err := s.Roles().Get(ctx, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		grants = append(grants, role.Grants...)
	}
	return grants, nil
}

func (r *Registry) adminScopesIn(grants []store.Grant) oauth.Scope {
	var scopes oauth.Scope
	for _, grant := range grants {
		if grant.Resource == r.admin {
			scopes = append(scopes, scopes.Missing(grant.Scopes...)...)
			scopes = append(scopes, scopes.Missing(grant.Defaults...)...)
		}
	}
	return scopes
}

// ceiling refuses to hand out, or to lay hands on, admin scopes that the actor does not hold: who may only register
// clients must not register an administrator (CVE-2025-5999), nor change one.
func (t transaction) ceiling(scopes oauth.Scope) error {
	if missing := t.power.Missing(scopes...); len(missing) > 0 {
		return forbidden(missing.String(), "nobody can give, change or take away admin scopes without holding them: "+missing.String())
	}
	return nil
}
