package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/writ-auth/writ/oauth"
)

// MaxDeclaredBody bounds the JSON of a declaration in bytes: some 8 000 clients.
const MaxDeclaredBody = 4 << 20

// PlanDeclared returns what ApplyDeclared would do, and what that would break by recorded use. Nothing is changed.
func (a *API) PlanDeclared(ctx context.Context, wish Declaration) (DeclaredPlan, error) {
	return call[DeclaredPlan](ctx, a, http.MethodPost, "/declared/plan", filledDeclaration(wish), nil)
}

// ApplyDeclared makes the registry what is declared, all of it or nothing.
func (a *API) ApplyDeclared(ctx context.Context, wish Declaration) (DeclaredPlan, error) {
	return call[DeclaredPlan](ctx, a, http.MethodPost, "/declared/apply", filledDeclaration(wish), nil)
}

// Import takes over what another authorization server knew, all of it or nothing.
func (a *API) Import(ctx context.Context, wanted Import) (ImportResult, error) {
	return call[ImportResult](ctx, a, http.MethodPost, "/import", filledImport(wanted), nil)
}

// Export returns what is registered as a state, in the order of names and without secrets: applying it changes nothing. The
// admin API, whose URI is admin, and the client with the ID self, who exports, belong to the server, and are left out. So are
// the clients that registered themselves: they come and go without a file.
func (a *API) Export(ctx context.Context, admin, self string) (DeclaredState, error) {
	state := DeclaredState{Resources: []ResourceSettings{}, Roles: []RoleSettings{}, Clients: []DeclaredClient{}}
	for resource, err := range a.Resources(ctx) {
		if err != nil {
			return state, err
		}
		if resource.URI != admin {
			slices.SortFunc(resource.Scopes, byName(func(s Scope) string { return s.Name }))
			state.Resources = append(state.Resources, resource.ResourceSettings)
		}
	}
	for role, err := range a.Roles(ctx) {
		if err != nil {
			return state, err
		}
		sortGrants(role.Grants)
		state.Roles = append(state.Roles, role.RoleSettings)
	}
	for client, err := range a.Clients(ctx, ClientFilter{}) {
		if err != nil {
			return state, err
		}
		if client.ID != self && client.Registration == nil {
			state.Clients = append(state.Clients, declaredOf(client))
		}
	}
	slices.SortFunc(state.Resources, byName(func(r ResourceSettings) string { return r.URI }))
	slices.SortFunc(state.Roles, byName(func(r RoleSettings) string { return r.Name }))
	slices.SortFunc(state.Clients, byName(func(c DeclaredClient) string { return c.ClientName }))
	return state, nil
}

// declaredOf returns what a file says about a client. What only its former method needs ends with that, and is left out.
func declaredOf(client Client) DeclaredClient {
	m := client.ClientMetadata
	if m.TokenEndpointAuthMethod != oauth.PrivateKeyJWT && m.TokenEndpointAuthMethod != oauth.SelfSignedTLSClientAuth {
		m.JWKS, m.JWKSURI = nil, ""
	}
	if m.TokenEndpointAuthMethod != oauth.PrivateKeyJWT {
		m.TokenEndpointAuthSigningAlg = ""
	}
	if m.TokenEndpointAuthMethod != oauth.TLSClientAuth {
		m.TLSClientAuthSubjectDN, m.TLSClientAuthSANDNS, m.TLSClientAuthSANURI = "", "", ""
		m.TLSClientAuthSANIP, m.TLSClientAuthSANEmail = "", ""
	}
	sortGrants(m.Grants)
	slices.Sort(m.Roles)
	slices.Sort(m.ResourceServerFor)
	declared := DeclaredClient{ClientMetadata: m, Suspended: client.Suspended}
	var secrets, keys []Limit
	bySecret := m.TokenEndpointAuthMethod == oauth.ClientSecretBasic || m.TokenEndpointAuthMethod == oauth.ClientSecretPost
	for _, secret := range client.Secrets {
		if bySecret && secret.Rotated.IsZero() {
			secrets = append(secrets, secret.Limit)
		}
	}
	if m.JWKS != nil {
		for _, key := range client.Keys {
			keys = append(keys, key.Limit)
		}
	}
	declared.SecretLimit, declared.KeyLimit = commonLimit(secrets), commonLimit(keys)
	return declared
}

// commonLimit returns the ceiling that all of some credentials have; nil if they have none or different ones, which a file says
// nothing about.
func commonLimit(limits []Limit) *Limit {
	if len(limits) == 0 {
		return nil
	}
	text := func(l Limit) string {
		slices.Sort(l.Scopes)
		slices.Sort(l.Networks)
		return fmt.Sprintf("%d %q %q", l.TokenTTLSeconds, l.Scopes, l.Networks)
	}
	first := text(limits[0])
	for _, limit := range limits {
		if text(limit) != first {
			return nil
		}
	}
	if first == text(Limit{}) {
		return nil
	}
	return &limits[0]
}

func sortGrants(grants []oauth.Grant) {
	slices.SortFunc(grants, byName(func(g oauth.Grant) string { return g.Resource }))
	for _, grant := range grants {
		slices.Sort(grant.Scopes)
		slices.Sort(grant.Defaults)
	}
}

func byName[T any](name func(T) string) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(name(a), name(b)) }
}

// filledDeclaration is filled for all that is declared.
func filledDeclaration(wish Declaration) Declaration {
	wish.State.Resources, wish.State.Roles = filledAll(wish.State.Resources, filled), filledAll(wish.State.Roles, filledRole)
	return wish
}

func filledImport(wanted Import) Import {
	wanted.Resources, wanted.Roles = filledAll(wanted.Resources, filled), filledAll(wanted.Roles, filledRole)
	return wanted
}

// filledAll leaves a list that is nil as it is: it is a section that nothing is said about.
func filledAll[T any](list []T, fill func(T) T) []T {
	list = slices.Clone(list)
	for i := range list {
		list[i] = fill(list[i])
	}
	return list
}
