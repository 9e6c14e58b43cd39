package importer

import (
	"maps"
	"slices"
	"strings"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// rights returns what a client may ask for: scopes for the client roles of its service account and for its client scopes; and
// roles for the realm roles that stand for client roles.
func (k *keycloak) rights(c keycloakClient) (grants, []string) {
	var allowed grants
	user := k.userOf(c.ClientID)
	for _, api := range slices.Sorted(maps.Keys(user.ClientRoles)) {
		for _, role := range user.ClientRoles[api] {
			k.clientRole(&allowed, c.ClientID, api, role)
		}
	}
	for _, name := range c.DefaultScopes {
		k.clientScopes(&allowed, c, name, true)
	}
	for _, name := range c.OptionalScopes {
		k.clientScopes(&allowed, c, name, false)
	}
	var roles []string
	for _, name := range slices.Sorted(slices.Values(user.RealmRoles)) {
		if role := k.realmRole(c.ClientID, name); role != "" {
			roles = append(roles, role)
		}
	}
	for _, group := range user.Groups {
		k.report("client", c.ClientID, Lost, "the roles that it has by the group %s", group)
	}
	return allowed, roles
}

// clientRole grants the scopes that a client role comes to: its own, and those of the roles that it is composed of.
func (k *keycloak) clientRole(allowed *grants, id, api, role string) {
	for _, right := range k.expand(api, role) {
		if reason := k.grant(allowed, right, true); reason != "" {
			k.report("client", id, Lost, "the role %s of %s: %s", right.role, right.api, reason)
		}
	}
}

// A right is a client role of an API.
type right struct{ api, role, description string }

// grant grants a right as a scope, or says why it cannot.
func (k *keycloak) grant(allowed *grants, r right, byDefault bool) string {
	uri := k.resource(r.api)
	switch {
	case slices.Contains(ownClients, r.api):
		return "it is one of Keycloak itself"
	case uri == "":
		return "say which resource " + r.api + " is with --audience " + r.api + "=URI"
	case !validScope(r.role):
		return "it has a character that scopes cannot have, or is too long"
	}
	k.scope(uri, r.role, r.description)
	allowed.add(uri, r.role, byDefault)
	return ""
}

// expand returns a client role and all client roles that it is composed of, each once: they may go round in circles.
func (k *keycloak) expand(api, name string) []right {
	var found []right
	var visit func(api, name string)
	visit = func(api, name string) {
		if slices.ContainsFunc(found, func(r right) bool { return r.api == api && r.role == name }) {
			return
		}
		roles := k.realm.Roles.Client[api]
		at := slices.IndexFunc(roles, func(r keycloakRole) bool { return r.Name == name })
		if at < 0 {
			found = append(found, right{api, name, ""})
			return
		}
		found = append(found, right{api, name, roles[at].Description})
		for _, api := range slices.Sorted(maps.Keys(roles[at].Composites.Client)) {
			for _, name := range roles[at].Composites.Client[api] {
				visit(api, name)
			}
		}
	}
	visit(api, name)
	return found
}

// realmRole makes a role of a realm role that is composed of client roles, and returns what it is called here, or "".
func (k *keycloak) realmRole(id, name string) string {
	if name == "default-roles-"+strings.ToLower(k.realm.Realm) || slices.Contains(ownRoles, name) {
		return "" // general says so
	}
	role, allowed := k.roleOf(name), grants(nil)
	for _, right := range k.below(name) {
		if reason := k.grant(&allowed, right, true); reason != "" {
			k.report("role", name, Lost, "the role %s of %s: %s", right.role, right.api, reason)
		}
	}
	kept := nameOf(name)
	if len(allowed) == 0 || kept == "" {
		k.report("client", id, Lost, "the realm role %s: it stands for no role of an API, so there is nothing that it allows here", name)
		return ""
	}
	if !slices.ContainsFunc(k.Wanted.Roles, func(r registry.RoleSettings) bool { return r.Name == kept }) {
		if kept != name {
			k.report("role", name, Changed, "it is called %s", kept)
		}
		k.Wanted.Roles = append(k.Wanted.Roles, registry.RoleSettings{Name: kept, Description: role.Description, Grants: []oauth.Grant(allowed)})
	}
	return kept
}

func (k *keycloak) roleOf(name string) keycloakRole {
	at := slices.IndexFunc(k.realm.Roles.Realm, func(r keycloakRole) bool { return r.Name == name })
	if at < 0 {
		return keycloakRole{Name: name}
	}
	return k.realm.Roles.Realm[at]
}

// below returns the client roles that a realm role comes to, also by way of other realm roles.
func (k *keycloak) below(name string) []right {
	var found []right
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		composites := k.roleOf(name).Composites
		for _, api := range slices.Sorted(maps.Keys(composites.Client)) {
			for _, role := range composites.Client[api] {
				found = append(found, k.expand(api, role)...)
			}
		}
		for _, other := range composites.Realm {
			visit(other)
		}
	}
	visit(name)
	return found
}

// clientScopes grants a client scope at the resources that it, or the client, puts into "aud".
func (k *keycloak) clientScopes(allowed *grants, c keycloakClient, name string, byDefault bool) {
	if slices.Contains(ownScopes, name) {
		return // general says so
	}
	scope := k.clientScope(name)
	named := audiences(scope.ProtocolMappers)
	if len(named) == 0 {
		named = audiences(c.ProtocolMappers)
	}
	if len(named) == 0 && k.options.Resource != "" {
		named = []string{k.options.Resource}
	}
	if len(named) == 0 {
		k.report("client", c.ClientID, Lost, "the client scope %s: no audience comes with it; say which resource it is for with --resource URI", name)
	}
	for _, audience := range named {
		if reason := k.grant(allowed, right{audience, name, scope.Description}, byDefault); reason != "" {
			k.report("client", c.ClientID, Lost, "the client scope %s at %s: %s", name, audience, reason)
		}
	}
	for _, mapper := range scope.ProtocolMappers {
		if mapper.Kind != audienceMapper {
			k.report("scope", name, Lost, "the protocol mapper %s (%s)", mapper.Name, mapper.Kind)
		}
	}
}
