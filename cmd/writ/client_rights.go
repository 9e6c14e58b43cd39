package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/oauth"
)

// rightsFlags say what a client that there is may ask for from now on.
type rightsFlags struct {
	grants, removedGrants []string // RESOURCE=SCOPES; URIs
	roles, removedRoles   []string // names
}

func (f *rightsFlags) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.grants, "grant", nil, "`RESOURCE=SCOPES`: all scopes that it has there by itself from now on,\nseparated by spaces; may be repeated")
	flags.StringArrayVar(&f.removedGrants, "remove-grant", nil, "`URI` of a resource on which it has nothing by itself any more")
	flags.StringArrayVar(&f.roles, "role", nil, "role that it has as well, by `NAME`; may be repeated")
	flags.StringArrayVar(&f.removedRoles, "remove-role", nil, "role that it has no more, by `NAME`; may be repeated")
}

// apply puts what was said into metadata.
func (f *rightsFlags) apply(m *oauth.ClientMetadata) error {
	for _, uri := range f.removedGrants {
		i := slices.IndexFunc(m.Grants, func(g oauth.Grant) bool { return g.Resource == uri })
		if i < 0 {
			return advise(errors.New("--remove-grant "+steady(uri)+": the client has none of its own there"), "see: writ client show "+argument(m.ClientName))
		}
		m.Grants = slices.Delete(slices.Clone(m.Grants), i, i+1)
	}
	for _, text := range f.grants {
		grant, err := parseGrant(text)
		if err != nil {
			return err
		}
		m.Grants = withGrant(m.Grants, grant)
	}
	for _, name := range f.removedRoles {
		i := slices.Index(m.Roles, name)
		if i < 0 {
			return advise(errors.New("--remove-role "+steady(name)+": the client does not have it"), "see: writ client show "+argument(m.ClientName))
		}
		m.Roles = slices.Delete(slices.Clone(m.Roles), i, i+1)
	}
	for _, name := range f.roles {
		if !slices.Contains(m.Roles, name) {
			m.Roles = append(slices.Clone(m.Roles), name)
		}
	}
	return nil
}

// withGrant puts a grant into the place of the one for the same resource. What did not come by default before does not from now
// on, and its claims stay.
func withGrant(grants []oauth.Grant, grant oauth.Grant) []oauth.Grant {
	grants = slices.Clone(grants)
	i := slices.IndexFunc(grants, func(g oauth.Grant) bool { return g.Resource == grant.Resource })
	if i < 0 {
		return append(grants, grant)
	}
	old := grants[i]
	chosen := func(scope string) bool {
		return slices.Contains(old.Scopes, scope) && !slices.Contains(old.Defaults, scope)
	}
	if len(old.Defaults) == 0 {
		chosen = func(string) bool { return true }
	}
	grants[i].Scopes, grants[i].Defaults = grant.Scopes, slices.DeleteFunc(slices.Clone(grant.Scopes), chosen)
	return grants
}

// writeLostScopes says which scopes a client used lately and can get no more.
func writeLostScopes(out io.Writer, before, after admin.Client, now time.Time) {
	for _, scope := range before.ScopeUses {
		left := slices.ContainsFunc(after.ScopeUses, func(s admin.ScopeUse) bool { return s.Scope == scope.Scope && s.Resource == scope.Resource })
		if !left && scope.LastUsed.After(now.Add(-scopeWindow)) {
			fmt.Fprintf(out, "\nIt used %s at %s %s, and can get it no more.\n", steady(scope.Scope), steady(scope.Resource), ago(now.Sub(scope.LastUsed)))
		}
	}
}
