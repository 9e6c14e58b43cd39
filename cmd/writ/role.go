package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/oauth"
)

func newRole() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "role",
		Short:   "Name bundles of scopes",
		Example: "  writ role create clerk --grant \"https://api.example.com:orders:read orders:write\"",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var as operatorFlag
	as.flags(cmd)
	cmd.AddCommand(newRoleCreate(&as), newRoleList(&as))
	return cmd
}

func newRoleCreate(as *operatorFlag) *cobra.Command {
	var settings adminapi.RoleSettings
	var grants []string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a role: a named bundle of scopes on resources",
		Long: `Make a role. Clients that have it may ask for its scopes, get them when they ask for none, and their tokens carry its
name in the claim "roles".`,
		Example: `  writ role create clerk --grant "https://api.example.com=orders:read orders:write" --description "Works on orders"
  writ client create billing --role clerk`,
		Args: exactArgs("NAME"),
	}
	cmd.Flags().StringArrayVar(&grants, "grant", nil, "`RESOURCE=SCOPES`, the scopes separated by spaces; may be repeated")
	cmd.Flags().StringVar(&settings.Description, "description", "", "what it is for")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		settings.Name = args[0]
		for _, text := range grants {
			grant, err := parseGrant(text)
			if err != nil {
				return err
			}
			settings.Grants = append(settings.Grants, grant)
		}
		admin, err := as.connect()
		if err != nil {
			return err
		}
		made, err := admin.CreateRole(cmd.Context(), settings)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), made)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Made role %s. Let a client have it: writ client create NAME --role %s\n", made.Name, made.Name)
		return err
	}
	return cmd
}

func parseGrant(text string) (oauth.Grant, error) {
	i := strings.LastIndexByte(text, '=')
	if i <= 0 || strings.TrimSpace(text[i+1:]) == "" {
		return oauth.Grant{}, usageError{fmt.Errorf("--grant %q: write RESOURCE=SCOPES, such as \"https://api.example.com=orders:read orders:write\"", text)}
	}
	scopes := strings.Fields(text[i+1:])
	return oauth.Grant{Resource: text[:i], Scopes: scopes, Defaults: scopes}, nil
}

func newRoleList(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List roles", Example: "  writ role list", Args: noArgs}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		admin, err := as.connect()
		if err != nil {
			return err
		}
		rows := [][]string{}
		var all []adminapi.Role
		for role, err := range admin.Roles(cmd.Context()) {
			if err != nil {
				return err
			}
			all = append(all, role)
			var parts []string
			for _, grant := range role.Grants {
				parts = append(parts, strings.Join(grant.Scopes, " ")+" at "+grant.Resource)
			}
			rows = append(rows, []string{role.Name, role.Description, strings.Join(parts, "; ")})
		}
		return writeList(cmd.OutOrStdout(), *asJSON, all, []string{"NAME", "DESCRIPTION", "GRANTS"}, rows)
	}
	return cmd
}
