package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// Bounds on what is registered. They keep a record, and the work of a token request, small.
const (
	maxName        = 64
	maxGrants      = 64
	maxGrantScopes = 64
	maxRoles       = 64
	maxText        = 256
	maxTokenTTL    = 24 * 60 * 60 // seconds
)

// problems gathers what is wrong, field by field.
type problems []Problem

func (p *problems) add(field, format string, values ...any) {
	*p = append(*p, Problem{field, fmt.Sprintf(format, values...)})
}

// known is what a registration may name.
type known struct {
	resources map[string]store.Resource
	roles     map[string]store.Role
}

// withDefaults fills in what RFC 7591, 2 lets a client leave out. A client of Writ has no use for the RFC's other default,
// the authorization code grant. What can be written in several ways is from here on written as it is kept.
func withDefaults(m oauth.ClientMetadata) oauth.ClientMetadata {
	if m.TokenEndpointAuthMethod == "" {
		m.TokenEndpointAuthMethod = oauth.ClientSecretBasic
	}
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []string{oauth.ClientCredentials}
	}
	m.Networks, m.Claims, m.Grants = plainNetworks(m.Networks), plainClaims(m.Claims), plainGrants(m.Grants)
	return m
}

// checkClient validates metadata against what is registered now. What is wrong with how the client authenticates was found
// before.
func (r *Registry) checkClient(ctx context.Context, s store.Store, m oauth.ClientMetadata, found problems) error {
	named := slices.Clone(m.ResourceServerFor)
	for _, grant := range m.Grants {
		named = append(named, grant.Resource)
	}
	registered, err := lookUp(ctx, s, named, m.Roles)
	if err != nil {
		return err
	}
	return invalid(append(validateClient(m, registered), found...)...)
}

// lookUp reads the resources and roles that a registration names, those that exist.
func lookUp(ctx context.Context, s store.Store, resources, roles []string) (known, error) {
	found := known{map[string]store.Resource{}, map[string]store.Role{}}
	for _, uri := range resources[:min(len(resources), 2*maxGrants)] {
		resource, err := s.Resources().Get(ctx, uri)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return found, err
		}
		if err == nil {
			found.resources[uri] = resource
		}
	}
	for _, name := range roles[:min(len(roles), maxRoles)] {
		role, err := s.Roles().Get(ctx, name)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return found, err
		}
		if err == nil {
			found.roles[name] = role
		}
	}
	return found, nil
}

// validateClient returns everything that is wrong with metadata, but for keys and certificates.
func validateClient(m oauth.ClientMetadata, registered known) problems {
	var p problems
	p.name("client_name", m.ClientName)
	if !slices.Contains(AuthMethods, m.TokenEndpointAuthMethod) {
		p.add("token_endpoint_auth_method", "must be one of %s", strings.Join(AuthMethods, ", "))
	}
	for i, grantType := range m.GrantTypes {
		if grantType != oauth.ClientCredentials {
			p.add(at("grant_types", i), "must be %s", oauth.ClientCredentials)
		}
	}
	p.unique("grant_types", m.GrantTypes, 1)
	p.ownGrants(m.Grants, registered.resources)
	if p.unique("roles", m.Roles, maxRoles) {
		for i, name := range m.Roles {
			if _, exists := registered.roles[name]; !exists {
				p.add(at("roles", i), "there is no role %s", oauth.SafeText(name))
			}
		}
	}
	if p.unique("resource_server_for", m.ResourceServerFor, maxGrants) {
		for i, uri := range m.ResourceServerFor {
			if _, exists := registered.resources[uri]; !exists {
				p.add(at("resource_server_for", i), "there is no resource %s", oauth.SafeText(uri))
			}
		}
	}
	p.ttl("token_ttl_seconds", m.TokenTTLSeconds)
	p.reuse(m, registered.resources)
	p.networks("networks", m.Networks)
	p.claims("claims", m.Claims)
	return p
}

// reuse checks for how long a client may get the same token. Who gets one that was made before must have half of its life left:
// with a longer time, what is registered would not be what happens, as authority sees to that in any case.
func (p *problems) reuse(m oauth.ClientMetadata, resources map[string]store.Resource) {
	shortest := int64(maxTokenTTL)
	if m.TokenTTLSeconds > 0 {
		shortest = min(shortest, m.TokenTTLSeconds)
	}
	for _, grant := range m.Grants {
		if resource, exists := resources[grant.Resource]; exists && resource.TokenTTL > 0 {
			shortest = min(shortest, int64(resource.TokenTTL/time.Second))
		}
	}
	if m.TokenReuseSeconds < 0 || m.TokenReuseSeconds > shortest/2 {
		p.add("token_reuse_seconds", "must be 0 to %d, half of the life of the client's tokens", shortest/2)
	}
}

func at(field string, i int) string { return fmt.Sprintf("%s[%d]", field, i) }

func (p *problems) name(field, name string) {
	if !validName(name) {
		p.add(field, "must be 1 to %d characters of A-Z a-z 0-9 . _ - and begin with a letter or digit", maxName)
	}
}

// validName reports whether a name can stand in a path and on a command line as it is: not ".." and not "-flag".
func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return name != "" && len(name) <= maxName
}

// unique checks the length of a list and that nothing is in it twice. It reports whether the list is short enough to look
// at its values.
func (p *problems) unique(field string, values []string, most int) bool {
	if len(values) > most {
		p.add(field, "has more than %d values", most)
		return false
	}
	for i, value := range values {
		if slices.Contains(values[:i], value) {
			p.add(at(field, i), "is there twice")
		}
	}
	return true
}

// ownGrants is grants for those of a client, which may have static claims.
func (p *problems) ownGrants(grants []oauth.Grant, resources map[string]store.Resource) {
	plain := slices.Clone(grants)
	for i := range plain {
		plain[i].Claims = nil
	}
	p.grants(plain, resources)
	for i, grant := range grants[:min(len(grants), maxGrants)] {
		p.claims(at("grants", i)+".claims", grant.Claims)
	}
}

// grants checks that grants name what exists.
func (p *problems) grants(grants []oauth.Grant, resources map[string]store.Resource) {
	if len(grants) > maxGrants {
		p.add("grants", "has more than %d values", maxGrants)
		return
	}
	for i, grant := range grants {
		field := at("grants", i)
		if slices.ContainsFunc(grants[:i], func(g oauth.Grant) bool { return g.Resource == grant.Resource }) {
			p.add(field+".resource", "is there twice")
		}
		if len(grant.Claims) > 0 {
			p.add(field+".claims", "belongs to a client: many have the same role or token, and would all be said to be the same")
		}
		resource, exists := resources[grant.Resource]
		if !exists {
			p.add(field+".resource", "there is no resource %s", oauth.SafeText(grant.Resource))
		}
		if len(grant.Scopes) == 0 {
			p.add(field+".scopes", "names no scope")
		}
		if p.unique(field+".scopes", grant.Scopes, maxGrantScopes) && exists {
			p.scopes(field+".scopes", grant.Scopes, resource)
		}
		if !p.unique(field+".default_scopes", grant.Defaults, maxGrantScopes) {
			continue
		}
		for j, scope := range grant.Defaults {
			if !slices.Contains(grant.Scopes, scope) {
				p.add(at(field+".default_scopes", j), "is not among the grant's scopes")
			}
		}
	}
}

func (p *problems) scopes(field string, scopes []string, resource store.Resource) {
	for i, name := range scopes {
		if !slices.ContainsFunc(resource.Scopes, func(s store.Scope) bool { return s.Name == name }) {
			p.add(at(field, i), "%s has no scope %s", resource.URI, oauth.SafeText(name))
		}
	}
}

func (p *problems) ttl(field string, seconds int64) {
	if seconds < 0 || seconds > maxTokenTTL {
		p.add(field, "must be 0 to %d", maxTokenTTL)
	}
}

// text checks what people read: no control character, which could end a line or colour a terminal.
func (p *problems) text(field, text string) {
	if len(text) > maxText {
		p.add(field, "is longer than %d bytes", maxText)
		return
	}
	if slices.ContainsFunc([]rune(text), unprintable) {
		p.add(field, "has a character that cannot be printed")
	}
}
