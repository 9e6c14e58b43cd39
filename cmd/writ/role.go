package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/oauth"
)

func newRole() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "role",
		Short:   "Name bundles of scopes",
		Example: "  writ role create clerk --grant \"https://api.example.com=orders:read orders:write\"\n  writ role list",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var as operatorFlag
	as.flags(cmd)
	cmd.AddCommand(newRoleCreate(&as), newRoleList(&as), newRoleShow(&as), newRoleUpdate(&as), newRoleDelete(&as))
	return cmd
}

func newRoleCreate(as *operatorFlag) *cobra.Command {
	var settings admin.RoleSettings
	var grants []string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a role: a named bundle of scopes on resources",
		Long: `Make a role. Clients that have it may ask for its scopes, get them when they ask for none,
and their tokens carry its name in the claim "roles".`,
		Example: `  writ role create clerk --grant "https://api.example.com=orders:read orders:write"
  writ client create billing --role clerk`,
		Args: exactArgs("NAME"),
	}
	cmd.Flags().StringArrayVar(&grants, "grant", nil, "`RESOURCE=SCOPES`, the scopes separated by spaces; may be repeated")
	cmd.Flags().StringVar(&settings.Description, "description", "", "what it is for, a `TEXT`")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		settings.Name = args[0]
		if len(grants) == 0 {
			return advise(usageError{errors.New("it is not said what the role may do")}, `such as: --grant "https://api.example.com=orders:read orders:write"`)
		}
		for _, text := range grants {
			grant, err := parseGrant(text)
			if err != nil {
				return err
			}
			settings.Grants = append(settings.Grants, grant)
		}
		api, err := as.connect()
		if err != nil {
			return err
		}
		made, err := api.CreateRole(cmd.Context(), settings)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), made)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Made role %s.\n\nLet a client have it:\n\n  writ client update NAME --role %s\n", made.Name, made.Name)
		return err
	}
	return cmd
}

func parseGrant(text string) (oauth.Grant, error) {
	i := strings.LastIndexByte(text, '=')
	if i <= 0 || strings.TrimSpace(text[i+1:]) == "" {
		return oauth.Grant{}, advise(usageError{fmt.Errorf("--grant %q is not RESOURCE=SCOPES", text)}, `such as: --grant "https://api.example.com=orders:read orders:write"`)
	}
	scopes := strings.Fields(text[i+1:])
	return oauth.Grant{Resource: text[:i], Scopes: scopes, Defaults: scopes}, nil
}

func newRoleList(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List roles", Example: "  writ role list", Args: noArgs}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		rows := [][]string{}
		var all []admin.Role
		for role, err := range api.Roles(cmd.Context()) {
			if err != nil {
				return err
			}
			all = append(all, role)
			rows = append(rows, []string{role.Name, role.Description, strings.Join(describeGrantList(role.Grants), "; ")})
		}
		return writeList(cmd.OutOrStdout(), *asJSON, all, []string{"NAME", "DESCRIPTION", "GRANTS"}, rows)
	}
	return cmd
}

func newRoleShow(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{Use: "show NAME", Short: "Show a role", Example: "  writ role show clerk", Args: exactArgs("NAME")}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		role, err := api.Role(cmd.Context(), args[0])
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

func newRoleDelete(as *operatorFlag) *cobra.Command {
	return newDelete(as, &cobra.Command{
		Use:     "delete NAME",
		Short:   "Delete a role that no client has any more",
		Example: "  writ role delete clerk",
		Args:    exactArgs("NAME"),
	}, (*admin.API).DeleteRole)
}
