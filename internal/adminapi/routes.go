package adminapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/writ-auth/writ/internal/registry"
)

// A route is one operation and the scope it needs.
type route struct {
	method  string
	path    string // below Prefix
	scope   string
	status  int // when it went well
	id      string
	summary string
	add     func(*api, huma.Operation)
}

// routes are all routes that need a token.
var routes = []route{
	{http.MethodGet, "/clients", registry.ClientsRead, 200, "listClients", "List clients", on((*api).listClients)},
	{http.MethodPost, "/clients", registry.ClientsWrite, 201, "createClient", "Register a client", on((*api).createClient)},
	{http.MethodGet, "/clients/{client}", registry.ClientsRead, 200, "getClient", "Look at a client", on((*api).client)},
	{http.MethodPut, "/clients/{client}", registry.ClientsWrite, 200, "updateClient", "Replace what is registered about a client; its method and its keys stay when they are not named", on((*api).updateClient)},
	{http.MethodDelete, "/clients/{client}", registry.ClientsWrite, 204, "deleteClient", "Delete a client", on((*api).deleteClient)},
	{http.MethodPost, "/clients/{client}/suspend", registry.ClientsWrite, 200, "suspendClient", "Suspend a client", on((*api).suspendClient)},
	{http.MethodPost, "/clients/{client}/resume", registry.ClientsWrite, 200, "resumeClient", "Resume a suspended client", on((*api).resumeClient)},
	{http.MethodPost, "/clients/{client}/revoke-tokens", registry.ClientsWrite, 204, "revokeClientTokens", "Make a client's tokens from before a time inactive", on((*api).revokeClientTokens)},
	{http.MethodPost, "/clients/{client}/keys", registry.ClientsWrite, 201, "addClientKey", "Give a client one more public key", on((*api).addClientKey)},
	{http.MethodDelete, "/clients/{client}/keys/{key}", registry.ClientsWrite, 204, "revokeClientKey", "Take a public key from a client", on((*api).revokeClientKey)},
	{http.MethodPost, "/clients/{client}/secrets", registry.ClientsWrite, 201, "addClientSecret", "Give a client one more secret", on((*api).addClientSecret)},
	{http.MethodPost, "/clients/{client}/secrets/rotate", registry.ClientsWrite, 201, "rotateClientSecret", "Give a client a new secret, and those that it has an end", on((*api).rotateClientSecret)},
	{http.MethodDelete, "/clients/{client}/secrets/{secret}", registry.ClientsWrite, 204, "revokeClientSecret", "Take a secret from a client, at once", on((*api).revokeClientSecret)},
	{http.MethodPost, "/declared/plan", registry.ClientsRead, 200, "planDeclared", "What it would take to make the registry what a file says, and what that would break; also needs resources:read and roles:read for those sections", on((*api).planDeclared)},
	{http.MethodPost, "/declared/apply", registry.ClientsWrite, 200, "applyDeclared", "Make the registry what a file says, all of it or nothing; also needs resources:write and roles:write for what changes of those", on((*api).applyDeclared)},
	{http.MethodGet, "/resources", registry.ResourcesRead, 200, "listResources", "List resources", on((*api).listResources)},
	{http.MethodPost, "/resources", registry.ResourcesWrite, 201, "createResource", "Register a resource", on((*api).createResource)},
	{http.MethodGet, "/resources/{id}", registry.ResourcesRead, 200, "getResource", "Look at a resource", on((*api).resource)},
	{http.MethodPut, "/resources/{id}", registry.ResourcesWrite, 200, "updateResource", "Replace what is registered about a resource; a scope that somebody has stays", on((*api).updateResource)},
	{http.MethodDelete, "/resources/{id}", registry.ResourcesWrite, 204, "deleteResource", "Delete a resource that nothing names", on((*api).deleteResource)},
	{http.MethodPost, "/resources/{id}/revoke-tokens", registry.ResourcesWrite, 204, "revokeResourceTokens", "Make the tokens for a resource from before a time inactive", on((*api).revokeResourceTokens)},
	{http.MethodPost, "/revoke-tokens", registry.ResourcesWrite, 204, "revokeAllTokens", "Make all tokens from before a time inactive", on((*api).revokeAllTokens)},
	{http.MethodGet, "/roles", registry.RolesRead, 200, "listRoles", "List roles", on((*api).listRoles)},
	{http.MethodPost, "/roles", registry.RolesWrite, 201, "createRole", "Create a role", on((*api).createRole)},
	{http.MethodGet, "/roles/{name}", registry.RolesRead, 200, "getRole", "Look at a role", on((*api).role)},
	{http.MethodPut, "/roles/{name}", registry.RolesWrite, 200, "updateRole", "Replace what is registered about a role", on((*api).updateRole)},
	{http.MethodDelete, "/roles/{name}", registry.RolesWrite, 204, "deleteRole", "Delete a role that no client has", on((*api).deleteRole)},
	{http.MethodGet, "/initial-access-tokens", registry.ClientsRead, 200, "listInitialTokens", "List the tokens with which clients register themselves", on((*api).listInitialTokens)},
	{http.MethodPost, "/initial-access-tokens", registry.ClientsWrite, 201, "createInitialToken", "Make a token with which clients register themselves", on((*api).createInitialToken)},
	{http.MethodGet, "/initial-access-tokens/{token}", registry.ClientsRead, 200, "getInitialToken", "Look at an initial access token", on((*api).initialToken)},
	{http.MethodDelete, "/initial-access-tokens/{token}", registry.ClientsWrite, 204, "revokeInitialToken", "Revoke an initial access token; the clients that came with it stay", on((*api).revokeInitialToken)},
	{http.MethodPost, "/import", registry.ClientsWrite, 200, "import", "Take over clients, roles and resources of another server: all of it, or nothing", on((*api).importAll)},
	{http.MethodGet, "/refusals/{id}", registry.ClientsRead, 200, "explainRefusal", "Tell why a request was refused, by the ID in its answer", on((*api).explain)},
	{http.MethodGet, "/keys", registry.KeysRead, 200, "listKeys", "List signing keys", on((*api).listKeys)},
	{http.MethodPost, "/keys/rotate", registry.KeysRotate, 201, "rotateKey", "Announce a new key, or let it sign at once", on((*api).rotateKey)},
	{http.MethodPost, "/keys/{id}/revoke", registry.KeysRotate, 204, "revokeKey", "Withdraw a key at once: its tokens are dead", on((*api).revokeKey)},
	{http.MethodGet, "/audit", registry.AuditRead, 200, "listAudit", "Read what happened and what was changed", on((*api).listAudit)},
	{http.MethodGet, "/audit/verification", registry.AuditRead, 200, "verifyAudit", "Verify that nothing of it was changed or removed", on((*api).verifyAudit)},
}

// allowed returns the methods that a path knows: those of the pattern that fits it best, as another one takes its last part
// for the name of something.
func allowed(path string) string {
	var methods []string
	best := -1
	for _, route := range routes {
		literal, fits := route.fit(path)
		if !fits || literal < best {
			continue
		}
		if literal > best {
			best, methods = literal, nil
		}
		methods = append(methods, route.method)
		if route.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// fit reports whether a path is one of the route, and how many of its parts the route names.
func (r route) fit(path string) (literal int, fits bool) {
	named, given := strings.Split(r.path, "/"), strings.Split(path, "/")
	if len(named) != len(given) {
		return 0, false
	}
	for i, part := range named {
		switch {
		case part == given[i]:
			literal++
		case !strings.HasPrefix(part, "{"):
			return 0, false
		}
	}
	return literal, true
}

// pattern is how the mux knows the route.
func (r route) pattern() string { return r.method + " " + Prefix + r.path }

func (r route) operation() huma.Operation {
	return huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, DefaultStatus: r.status, MaxBodyBytes: bodyLimit(r.id) + 1,
		// The body is here already (server.receive). A deadline for it, which huma sets by itself, would end what is asked for instead: net/http
		// reads on beside the handler, takes the end of its time for that of the client, and calls off this request and all that follow on the connection.
		BodyReadTimeout: -1,
		Description:     "Needs the scope `" + r.scope + "`.", Security: []map[string][]string{{"token": {r.scope}}},
	}
}

// on makes a handler that huma can register, and turns its errors into problems.
func on[I, O any](handle func(*api, context.Context, *I) (*O, error)) func(*api, huma.Operation) {
	return func(a *api, operation huma.Operation) {
		huma.Register(a.huma, operation, func(ctx context.Context, in *I) (*O, error) {
			out, err := handle(a, ctx, in)
			if err != nil {
				return nil, a.problem(ctx, err)
			}
			return out, nil
		})
	}
}
