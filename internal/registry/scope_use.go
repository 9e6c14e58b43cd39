package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/writ-auth/writ/internal/store"
)

// scopeUses returns each scope that a client may have, in the order in which it comes by them, and when it last got it. A
// role that is gone grants nothing.
func scopeUses(ctx context.Context, s store.Store, client store.Client, uses []store.Use) ([]ScopeUse, error) {
	found := scopeList{at: map[scopeOf]int{}, uses: map[scopeOf]store.Use{}}
	for _, use := range uses {
		if resource, scope, of := use.Scope(); of {
			found.uses[scopeOf{resource, scope}] = use
		}
	}
	found.add(client.Grants, "")
	for _, name := range client.Roles {
		role, err := s.Roles().Get(ctx, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		found.add(role.Grants, name)
	}
	return found.list, nil
}

// scopeOf names a scope of a resource.
type scopeOf struct{ resource, scope string }

// A scopeList gathers the scopes of grants, each scope of a resource once.
type scopeList struct {
	uses map[scopeOf]store.Use
	list []ScopeUse
	at   map[scopeOf]int // where in the list
}

// add adds what comes by a role, "" for what the client has itself.
func (l *scopeList) add(grants []store.Grant, role string) {
	for _, grant := range grants {
		for _, scope := range grant.Scopes {
			item := l.item(scopeOf{grant.Resource, scope})
			item.Default = item.Default || slices.Contains(grant.Defaults, scope)
			if role != "" && !slices.Contains(item.Roles, role) {
				item.Roles = append(item.Roles, role)
			}
		}
	}
}

func (l *scopeList) item(of scopeOf) *ScopeUse {
	i, found := l.at[of]
	if !found {
		i = len(l.list)
		l.at[of] = i
		use := l.uses[of]
		l.list = append(l.list, ScopeUse{Resource: of.resource, Scope: of.scope, LastUsed: use.Last, LastUsedFrom: use.Remote})
	}
	return &l.list[i]
}
