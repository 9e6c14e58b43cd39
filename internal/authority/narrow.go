package authority

import (
	"net/url"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// narrow decides audience, scope and roles: never more than the client may have, than the resource knows, or than was
// asked for. It is pure.
func narrow(client *client, resources []string, scope string) (*Authorization, error) {
	audience, err := audienceOf(client, resources)
	if err != nil {
		return nil, err
	}
	granted, err := scopeOf(client, audience, scope)
	if err != nil {
		return nil, err
	}
	first := client.grants[audience[0]].resource
	authorization := &Authorization{
		ClientID: client.ID, Audience: audience, Scope: granted, Format: first.Format, Algorithm: first.Algorithm,
		Claims: client.grants[audience[0]].claims,
	}
	for _, role := range client.grants[audience[0]].roles {
		if mayShow(client, audience, granted, role) {
			authorization.Roles = append(authorization.Roles, role)
		}
	}
	return authorization, nil
}

// mayShow reports whether a role may stand in a token: at every resource of the audience it grants something, and the
// token has all that it grants. Else a resource that asks for the role would take it for a right that nobody gave there,
// or that the client left out when it asked for less.
func mayShow(client *client, audience []string, granted oauth.Scope, role string) bool {
	for _, uri := range audience {
		bundle := client.grants[uri].bundles[role]
		if len(bundle) == 0 || len(granted.Missing(bundle...)) > 0 {
			return false
		}
	}
	return true
}

// audienceOf returns the resources that the token is for: those asked for, or the only one that the client has
// (RFC 8707, 2; RFC 9068, 3). Identifiers are compared byte by byte.
func audienceOf(client *client, resources []string) ([]string, error) {
	var audience []string
	for _, uri := range resources {
		if err := checkResource(uri); err != nil {
			return nil, err
		}
		if client.grants[uri] == nil {
			return nil, oauth.Errorf(oauth.InvalidTarget, "the client may not ask for this resource; compare its URI letter by letter")
		}
		if !slices.Contains(audience, uri) {
			audience = append(audience, uri)
		}
	}
	switch {
	case len(audience) == 1:
		return audience, nil
	case len(audience) > 1:
		return audience, mayShare(client, audience)
	case len(client.grants) == 1:
		for uri := range client.grants {
			audience = append(audience, uri)
		}
		return audience, nil
	case len(client.grants) == 0:
		return nil, oauth.Errorf(oauth.InvalidTarget, "the client has been granted no resource")
	}
	return nil, oauth.Errorf(oauth.InvalidTarget, "the client has several resources: name one with the parameter resource")
}

// checkResource refuses what is not an absolute URI without a fragment (RFC 8707, 2).
func checkResource(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() || u.Fragment != "" || len(uri) > 512 {
		return oauth.Errorf(oauth.InvalidTarget, "resource is not an absolute URI without a fragment")
	}
	return nil
}

// mayShare allows one token for several resources only where the client and every resource were told so, and where one
// token can serve all: whoever receives it could use it at the others (RFC 9700, 2.3).
func mayShare(client *client, audience []string) error {
	first := client.grants[audience[0]].resource
	for _, uri := range audience {
		resource := client.grants[uri].resource
		if !client.MultipleAudiences || !resource.MultipleAudiences {
			return oauth.Errorf(oauth.InvalidTarget, "one token for several resources is not allowed here: ask for one each")
		}
		if client.grants[uri].claims != client.grants[audience[0]].claims {
			return oauth.Errorf(oauth.InvalidTarget, "these resources are told different things about the client: ask for one token each")
		}
		if resource.Format != first.Format || resource.Algorithm != first.Algorithm {
			return oauth.Errorf(oauth.InvalidTarget, "these resources take different kinds of tokens: ask for one each")
		}
	}
	return nil
}

// scopeOf returns the scope that is granted: what was asked for, or the defaults, and all of it or nothing.
func scopeOf(client *client, audience []string, requested string) (oauth.Scope, error) {
	scope, err := oauth.ParseScope(requested)
	if err != nil {
		return nil, err
	}
	if len(scope) == 0 {
		for _, uri := range audience {
			scope = append(scope, scope.Missing(client.grants[uri].defaults...)...)
		}
		if len(scope) == 0 {
			return nil, oauth.Errorf(oauth.InvalidScope, "no scope was asked for and the client has no default, or none with this credential")
		}
	}
	for _, token := range scope {
		if !client.limit.allows(token) {
			return nil, beyondCredential(token)
		}
		if !mayHave(client, audience, token) {
			return nil, oauth.Errorf(oauth.InvalidScope, "the client may not have this scope: "+oauth.SafeText(token))
		}
	}
	return scope, nil
}

// mayHave reports whether a scope may stand in a token for an audience: some resource of it knows the scope, and the
// client was granted it by each one that does. Otherwise a right on one API would become one on its neighbour, which
// happens to use the same word (RFC 9068, 3).
func mayHave(client *client, audience []string, token string) bool {
	found := false
	for _, uri := range audience {
		if !knows(client.grants[uri].resource, token) {
			continue
		}
		if !client.grants[uri].scopes.Has(token) {
			return false
		}
		found = true
	}
	return found
}

// lifetime is the shortest that client, resources and server ask for.
func (a *Authority) lifetime(client *client, audience []string) time.Duration {
	lifetime := a.maxTokenTTL
	if client.TokenTTL > 0 {
		lifetime = min(lifetime, client.TokenTTL)
	}
	for _, uri := range audience {
		lifetime = min(lifetime, a.lifetimeAt(client.grants[uri].resource))
	}
	return lifetime
}

func (a *Authority) lifetimeAt(resource store.Resource) time.Duration {
	if resource.TokenTTL > 0 {
		return resource.TokenTTL
	}
	return a.tokenTTL
}
