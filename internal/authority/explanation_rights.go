package authority

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// tellRights tells what the client may have, and what of it the request missed.
func tellRights(e *Explanation, known *registered) {
	e.Registered["grant types"] = strings.Join(known.GrantTypes, " ")
	for uri, of := range known.decided.grants {
		text := "may have " + of.scopes.String()
		if len(of.defaults) == 0 {
			text += ", no default"
		}
		e.Registered[uri] = text
	}
	var asked []string
	if resource := e.Presented["resource"]; resource != "" {
		asked = strings.Fields(resource)
	}
	switch e.Reason {
	case string(oauth.InvalidTarget):
		diagnoseTarget(e, known, asked)
	case string(oauth.InvalidScope):
		diagnoseScope(e, known, asked)
	}
}

// diagnoseTarget says which resource was meant, perhaps: most are missed by a slash or a capital.
func diagnoseTarget(e *Explanation, known *registered, asked []string) {
	granted := slices.Sorted(maps.Keys(known.decided.grants))
	if len(granted) == 0 {
		e.Remedy = "a grant or a role: the client has been granted no resource"
		return
	}
	if len(asked) == 0 {
		e.Remedy = "resource=" + strings.Join(granted, ", or resource=")
		return
	}
	plain := func(uri string) string { return strings.ToLower(strings.TrimSuffix(uri, "/")) }
	for _, uri := range asked {
		if known.decided.grants[uri] != nil {
			continue
		}
		e.Remedy = uri + " is not granted to it; it may ask for " + strings.Join(granted, ", ")
		for _, other := range granted {
			if plain(other) == plain(uri) {
				e.Remedy = "resource=" + other + ", letter by letter"
			}
		}
		return
	}
	e.Remedy = "one request for each resource"
}

// diagnoseScope says which scope is missing, and where.
func diagnoseScope(e *Explanation, known *registered, asked []string) {
	audience := asked
	if len(audience) == 0 {
		audience = slices.Sorted(maps.Keys(known.decided.grants))
	}
	scope := strings.Fields(e.Presented["scope"])
	if by := ceilingOf(known, e.Presented["credential"]); len(by.Scopes) > 0 {
		e.Registered["credential"] = e.Presented["credential"] + limitText(by)
		beyond := slices.DeleteFunc(slices.Clone(scope), func(name string) bool { return slices.Contains(by.Scopes, name) })
		if len(beyond) > 0 || len(scope) == 0 {
			e.Remedy = "scopes that the credential " + e.Presented["credential"] + " is for: " + strings.Join(by.Scopes, " ") + "; or a credential that is for more"
			return
		}
	}
	if len(scope) == 0 {
		e.Remedy = "scopes by name: the client has no default scopes"
		return
	}
	for _, uri := range audience {
		of := known.decided.grants[uri]
		if of == nil {
			return
		}
		for _, name := range scope {
			switch {
			case !knows(of.resource, name):
				e.Remedy = "the resource " + uri + " has no scope " + name + "; the client may have " + of.scopes.String() + " there"
				e.Commands = append(e.Commands, "writ resource show "+uri)
				return
			case !of.scopes.Has(name):
				e.Remedy = "the scope " + name + " of " + uri + ", granted to the client by itself or by a role; it may have " + of.scopes.String() + " there"
				return
			}
		}
	}
}

// ceilingOf returns the ceiling of a credential that is registered.
func ceilingOf(known *registered, credential string) store.Limit {
	for _, secret := range known.Secrets {
		if secret.ID == credential {
			return secret.Limit
		}
	}
	for _, key := range known.Keys {
		if key.ID == credential {
			return key.Limit
		}
	}
	return store.Limit{}
}

// limitText says what a credential is for, if that is not everything.
func limitText(limit store.Limit) string {
	var parts []string
	if len(limit.Scopes) > 0 {
		parts = append(parts, "for "+strings.Join(limit.Scopes, " "))
	}
	if limit.TokenTTL > 0 {
		parts = append(parts, "for tokens of "+limit.TokenTTL.Round(time.Second).String())
	}
	if len(limit.Networks) > 0 {
		parts = append(parts, "from "+strings.Join(limit.Networks, " "))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (only " + strings.Join(parts, ", ") + ")"
}

// diagnoseNetwork says which networks the caller's address is not in.
func diagnoseNetwork(e *Explanation, known *registered) {
	address := addressOf(e.Remote)
	of := ceilingOf(known, e.Presented["credential"]).Networks
	switch {
	case !within(known.decided.networks, e.Remote):
		e.Remedy = "a request from the client's networks, " + strings.Join(known.Networks, " ") + "; this one came from " + address
	case !within(networksOf(of), e.Remote):
		e.Remedy = "a request from the networks of the credential " + e.Presented["credential"] + ", " + strings.Join(of, " ") + "; this one came from " + address
		e.Commands = commandsFor(rule{commands: []string{listSecrets, listKeys}}, known.Name)
	default:
		e.Remedy = "nothing any more: " + address + " is in the networks that are registered now"
		return
	}
	e.Remedy += ". Where that is a proxy, its address belongs into trusted_proxies: then the address counts that it reports"
}
