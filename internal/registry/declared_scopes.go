package registry

import (
	"slices"

	"github.com/writ-auth/writ/internal/store"
)

// rights are the scopes that a client may have, and whether each comes when none is asked for.
type rights map[scopeOf]bool

// rightsOf returns what the grants of a client and of its roles come to among some resources and roles. What no resource
// knows comes to nothing.
func rightsOf(client store.Client, among known) rights {
	all := rights{}
	all.add(client.Grants, among)
	for _, name := range client.Roles {
		all.add(among.roles[name].Grants, among)
	}
	return all
}

func (r rights) add(grants []store.Grant, among known) {
	for _, grant := range grants {
		for _, scope := range grant.Scopes {
			known := func(s store.Scope) bool { return s.Name == scope }
			if slices.ContainsFunc(among.resources[grant.Resource].Scopes, known) {
				of := scopeOf{grant.Resource, scope}
				r[of] = r[of] || slices.Contains(grant.Defaults, scope)
			}
		}
	}
}

// recordsScopes reports whether it is known which scopes a client uses. Of one that nobody has asked for a token since
// scopes are noted, it is not.
func recordsScopes(uses []store.Use) bool {
	return slices.ContainsFunc(uses, func(u store.Use) bool { _, _, scope := u.Scope(); return scope })
}

// lostScopes returns what a client used lately and could not get any more, or not by default, the latest use first.
func lostScopes(name string, uses []store.Use, was, is rights) []DeclaredImpact {
	var lost []DeclaredImpact
	for _, use := range uses {
		resource, scope, found := use.Scope()
		of := scopeOf{resource, scope}
		byDefault, had := was[of]
		stillByDefault, has := is[of]
		if !found || !had || has && (stillByDefault || !byDefault) {
			continue
		}
		text := "loses " + scope + " of " + resource
		if has {
			text = "does not get " + scope + " of " + resource + " any more unless it asks for it"
		}
		lost = append(lost, DeclaredImpact{
			Client: name, Text: text, Resource: resource, Scope: scope, LastUse: lastUseOf(use),
		})
	}
	slices.SortStableFunc(lost, func(a, b DeclaredImpact) int { return b.LastUsed.Compare(a.LastUsed) })
	return lost
}
