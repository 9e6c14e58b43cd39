package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/oauth"
)

// A roleEdit is what writ role update changes.
type roleEdit struct {
	grants      []string // RESOURCE=SCOPES
	removed     []string // URIs
	description string
}

func newRoleUpdate(as *operatorFlag) *cobra.Command {
	var edit roleEdit
	cmd := &cobra.Command{
		Use:   "update NAME",
		Short: "Change what a role may do, for all clients that have it",
		Long: `Change what a role may do, for all clients that have it. What is not named stays as it is.

--grant says all scopes that the role has on that resource from now on. What it has no more,
its clients cannot get any more; tokens that they have stay good until they expire.`,
		Example: `  writ role update clerk --grant "https://api.example.com=orders:read"
  writ role update clerk --remove-grant https://old.example.com --description "Clerks"`,
		Args: exactArgs("NAME"),
	}
	cmd.Flags().StringArrayVar(&edit.grants, "grant", nil, "`RESOURCE=SCOPES`, the scopes separated by spaces; may be repeated")
	cmd.Flags().StringArrayVar(&edit.removed, "remove-grant", nil, "`URI` of a resource on which it may do nothing any more")
	cmd.Flags().StringVar(&edit.description, "description", "", "what it is for, a `TEXT`")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().NFlag() == 0 {
			return errNothingToChange(cmd)
		}
		api, err := as.connect()
		if err != nil {
			return err
		}
		role, err := edit.send(cmd.Context(), api.API, args[0], cmd.Flags().Changed("description"))
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), role)
		}
		return showRole(cmd.OutOrStdout(), role)
	}
	return cmd
}

// send changes the role if it is still what it was when it was read.
func (e *roleEdit) send(ctx context.Context, api *admin.API, name string, described bool) (admin.Role, error) {
	role, err := api.Role(ctx, name)
	if err != nil {
		return role, err
	}
	settings := role.RoleSettings
	if described {
		settings.Description = e.description
	}
	for _, uri := range e.removed {
		i := slices.IndexFunc(settings.Grants, func(g oauth.Grant) bool { return g.Resource == uri })
		if i < 0 {
			return role, advise(errors.New("--remove-grant "+uri+": the role has none there"), "see: writ role show "+name)
		}
		settings.Grants = slices.Delete(settings.Grants, i, i+1)
	}
	for _, text := range e.grants {
		grant, err := parseGrant(text)
		if err != nil {
			return role, err
		}
		i := slices.IndexFunc(settings.Grants, func(g oauth.Grant) bool { return g.Resource == grant.Resource })
		if i < 0 {
			settings.Grants = append(settings.Grants, grant)
			continue
		}
		settings.Grants[i].Scopes, settings.Grants[i].Defaults = grant.Scopes, grant.Defaults
	}
	return api.UpdateRole(ctx, settings, admin.IfMatch(role.ETag))
}

func showRole(out io.Writer, role admin.Role) error {
	fields := []string{"name", role.Name, "description", role.Description}
	for _, grant := range role.Grants {
		fields = append(fields, "may", fmt.Sprintf("%s at %s", strings.Join(grant.Scopes, " "), grant.Resource))
	}
	return writeFields(out, fields...)
}
