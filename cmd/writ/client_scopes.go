package main

import (
	"strings"
	"time"

	"github.com/writ-auth/writ/admin"
)

// scopeWindow is how far back a use says that a scope is needed: what happens once a quarter is in it, with room.
const scopeWindow = 90 * 24 * time.Hour

// describeScopeUses says which of the scopes that a client may have it got lately, and which not, in names and values.
func describeScopeUses(client admin.Client, now time.Time) []string {
	var used, unused []string
	for _, scope := range client.ScopeUses {
		text := scope.Scope + " at " + scope.Resource
		if scope.LastUsed.After(now.Add(-scopeWindow)) {
			used = append(used, "used", text+", last "+moment(scope.LastUsed)+origin(scope))
			continue
		}
		unused = append(unused, "not used", text+", "+idle(scope, client.Created, now)+origin(scope))
	}
	return append(used, unused...)
}

// idle says for how long nothing is known of a use. Of a client that is younger than the window, that means less.
func idle(scope admin.ScopeUse, created, now time.Time) string {
	switch {
	case !scope.LastUsed.IsZero():
		return "in the last 90 days; last " + moment(scope.LastUsed)
	case created.After(now.Add(-scopeWindow)):
		return "since the client was registered " + ago(now.Sub(created))
	}
	return "in the last 90 days"
}

// origin says why the client has a scope, when that is not just a grant of its own that must be asked for.
func origin(scope admin.ScopeUse) string {
	text := ""
	if scope.Default {
		text += ", by default"
	}
	if len(scope.Roles) > 0 {
		text += ", by role " + strings.Join(scope.Roles, " and ")
	}
	return text
}
