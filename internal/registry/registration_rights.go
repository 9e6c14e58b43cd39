package registry

import (
	"context"
	"slices"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// standing returns what of a ceiling there still is: a resource, or a scope of it, may be gone since the token was made.
func (r *Registry) standing(ctx context.Context, s store.Store, ceiling []store.Grant) ([]store.Grant, error) {
	var named []string
	for _, grant := range ceiling {
		named = append(named, grant.Resource)
	}
	registered, err := lookUp(ctx, s, named, nil)
	if err != nil {
		return nil, err
	}
	var left []store.Grant
	for _, grant := range ceiling {
		resource := registered.resources[grant.Resource]
		grant = keep(grant, func(scope string) bool {
			return slices.ContainsFunc(resource.Scopes, func(s store.Scope) bool { return s.Name == scope })
		})
		if len(grant.Scopes) > 0 {
			left = append(left, grant)
		}
	}
	return left, nil
}

// keep returns a grant with those of its scopes that are wanted.
func keep(grant store.Grant, wanted func(string) bool) store.Grant {
	without := func(scopes []string) []string {
		return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return !wanted(scope) })
	}
	grant.Scopes, grant.Defaults = without(grant.Scopes), without(grant.Defaults)
	return grant
}

// choose returns what of a ceiling a client wants. RFC 7591 has one list of scopes for all resources, and Writ grants scopes of
// resources: `scope` takes each scope wherever the ceiling has it. The member `grants`, which is Writ's own, says it by
// resource; `scope` beside it selects among those. What is not in the ceiling is refused and not dropped (RG-02): a client must
// not believe that it has it. Nothing named is all there is.
func (p *problems) choose(ceiling []store.Grant, w wish) []store.Grant {
	chosen := ceiling
	if w.has["grants"] {
		chosen = p.chooseGrants(ceiling, w.metadata.Grants)
	}
	if w.scope == "" {
		return chosen
	}
	wanted, err := oauth.ParseScope(w.scope)
	if err != nil {
		p.add("scope", "is not a list of at most %d scopes with a space between", oauth.MaxScopeTokens)
		return nil
	}
	for _, scope := range wanted {
		if !slices.ContainsFunc(chosen, func(g store.Grant) bool { return slices.Contains(g.Scopes, scope) }) {
			p.add("scope", "%s is not among what may be had", scope)
		}
	}
	var left []store.Grant
	for _, grant := range chosen {
		if grant = keep(grant, wanted.Has); len(grant.Scopes) > 0 {
			left = append(left, grant)
		}
	}
	return left
}

func (p *problems) chooseGrants(ceiling []store.Grant, wanted []oauth.Grant) []store.Grant {
	if len(wanted) == 0 || len(wanted) > maxGrants {
		p.add("grants", "must have 1 to %d values", maxGrants)
		return nil
	}
	var chosen []store.Grant
	for i, grant := range wanted {
		field := at("grants", i)
		found := slices.IndexFunc(ceiling, func(g store.Grant) bool { return g.Resource == grant.Resource })
		if found < 0 {
			p.add(field+".resource", "is not among what may be had")
			continue
		}
		for j, scope := range grant.Scopes[:min(len(grant.Scopes), maxGrantScopes)] {
			if !slices.Contains(ceiling[found].Scopes, scope) {
				p.add(at(field+".scopes", j), "is not among what may be had")
			}
		}
		part := keep(ceiling[found], oauth.Scope(grant.Scopes).Has)
		if grant.Defaults != nil {
			part.Defaults = grant.Defaults // validateClient holds them to the scopes
		}
		chosen = append(chosen, part)
	}
	return chosen
}
