package resource

import (
	"net/http"
	"slices"

	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// A Middleware puts a handler behind a rule. It can be called like any func(http.Handler) http.Handler.
type Middleware func(http.Handler) http.Handler

// Func is the middleware applied to a function.
func (m Middleware) Func(handler func(http.ResponseWriter, *http.Request)) http.Handler {
	return m(http.HandlerFunc(handler))
}

// Require lets requests through whose token has all the scopes; FromContext tells the handler what else the token says.
// Scopes are compared whole and case-sensitively. It panics without a scope, or with one that no token can have: to
// accept any token of the audience, say so with RequireAuthOnly.
func (v *Verifier) Require(scopes ...string) Middleware {
	if len(scopes) == 0 {
		panic("resource: Require without a scope; use RequireAuthOnly to accept any token of the audience")
	}
	for _, scope := range scopes {
		if !oauth.ValidScopeToken(scope) {
			panic("resource: Require: not a scope: " + scope)
		}
	}
	return v.protect(rule{scopes: slices.Clone(scopes)})
}

// RequireRole lets requests through whose token has all the roles. It panics without a role.
func (v *Verifier) RequireRole(roles ...string) Middleware {
	if len(roles) == 0 || slices.Contains(roles, "") {
		panic("resource: RequireRole without a role")
	}
	return v.protect(rule{roles: slices.Clone(roles)})
}

// RequireAuthOnly lets every request through whose token is good for the audience, whatever its scope. Use it where
// the handler itself looks at the token.
func (v *Verifier) RequireAuthOnly() Middleware { return v.protect(rule{}) }

// A rule is what a token must have for a handler.
type rule struct {
	scopes oauth.Scope
	roles  []string
}

var (
	errScopes = oauth.Errorf(oauth.InsufficientScope, "the token lacks a scope that this request needs")
	errRoles  = oauth.Errorf(oauth.InsufficientScope, "the token lacks a role that this request needs")
)

func (n rule) check(t *Token) error {
	if len(t.Scope.Missing(n.scopes...)) > 0 {
		return errScopes
	}
	for _, role := range n.roles {
		if !t.HasRole(role) {
			return errRoles
		}
	}
	return nil
}

func (v *Verifier) protect(need rule) Middleware {
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("resource: no handler to protect")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if v.preflight(w, r) {
				return
			}
			given, err := v.credentials(r)
			if err != nil {
				v.refuse(w, r, given.scheme, need, err)
				return
			}
			token, proof, err := v.authorize(r, given, need)
			if err != nil {
				v.refuse(w, r, given.scheme, need, err)
				return
			}
			v.renewNonce(w, proof)
			next.ServeHTTP(w, r.WithContext(withToken(r.Context(), token)))
		})
	}
}

// authorize decides about one request, and returns its DPoP proof if it needed one. What the token may do and who may use
// it is decided anew each time, whoever verified it before (CVE-2021-32701: a cached verdict for one route let requests
// through on another).
func (v *Verifier) authorize(r *http.Request, given credentials, need rule) (*Token, *pop.Proof, error) {
	if err := oneProof(r, given.scheme); err != nil {
		return nil, nil, err
	}
	token, err := v.judge(r.Context(), given.token)
	if err != nil {
		return nil, nil, err
	}
	proof, err := v.prove(r, given, token.bound)
	if err != nil {
		return nil, nil, err
	}
	if tokenInBody(r) {
		return nil, nil, errTokenInBody
	}
	return token, proof, need.check(token)
}
