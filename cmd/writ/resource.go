package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/oauth"
)

func newResource() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "resource",
		Short:   "Register and look after protected APIs",
		Example: "  writ resource create https://api.example.com --scope \"orders:read=Look at orders\"\n  writ resource list",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var as operatorFlag
	as.flags(cmd)
	cmd.AddCommand(newResourceCreate(&as), newResourceList(&as), newResourceShow(&as), newResourceDelete(&as))
	return cmd
}

func newResourceCreate(as *operatorFlag) *cobra.Command {
	var settings adminapi.ResourceSettings
	var scopes []string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "create URI",
		Short: "Register a protected API and the scopes it knows",
		Example: `  writ resource create https://api.example.com --scope "orders:read=Look at orders" --scope orders:write
  writ resource create https://ledger.example.com --scope post --algorithm Ed25519 --ttl 1m
  writ resource create https://legacy.example.com --scope read --format opaque`,
		Args: exactArgs("URI"),
	}
	flags := cmd.Flags()
	flags.StringVar(&settings.Name, "name", "", "what people call it")
	flags.StringArrayVar(&scopes, "scope", nil, "scope it knows, `NAME=DESCRIPTION` or NAME; may be repeated")
	flags.StringVar(&settings.Format, "format", "jwt", "its tokens: jwt or opaque")
	flags.StringVar(&settings.Algorithm, "algorithm", "ES256", "signs its tokens: ES256, Ed25519, EdDSA, PS256 or RS256")
	flags.DurationVar(&ttl, "ttl", 0, "life of its tokens, such as 2m; the server's default when 0")
	flags.BoolVar(&settings.MultipleAudiences, "multiple-audiences", false, "let a token name other resources beside it")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		settings.URI, settings.TokenTTLSeconds = args[0], int64(ttl/time.Second)
		for _, scope := range scopes {
			name, description, _ := strings.Cut(scope, "=")
			settings.Scopes = append(settings.Scopes, adminapi.Scope{Name: name, Description: description})
		}
		if len(scopes) == 0 {
			return usageError{fmt.Errorf("say which scopes it knows: --scope \"orders:read=Look at orders\"")}
		}
		admin, err := as.connect()
		if err != nil {
			return err
		}
		made, err := admin.CreateResource(cmd.Context(), settings)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), made)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Registered %s (%s). Let a client have it: writ client create NAME --resource %s --scope %s\n",
			made.URI, describeScopes(made), made.URI, quoted(made.Scopes[0].Name))
		return err
	}
	return cmd
}

func describeScopes(resource adminapi.Resource) string {
	var names []string
	for _, scope := range resource.Scopes {
		names = append(names, scope.Name)
	}
	return strings.Join(names, " ")
}

func newResourceList(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List resources", Example: "  writ resource list", Args: noArgs}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		admin, err := as.connect()
		if err != nil {
			return err
		}
		rows := [][]string{}
		var all []adminapi.Resource
		for resource, err := range admin.Resources(cmd.Context()) {
			if err != nil {
				return err
			}
			all = append(all, resource)
			rows = append(rows, []string{resource.URI, resource.Name, resource.Format, resource.Algorithm, describeScopes(resource)})
		}
		return writeList(cmd.OutOrStdout(), *asJSON, all, []string{"URI", "NAME", "FORMAT", "ALGORITHM", "SCOPES"}, rows)
	}
	return cmd
}

func newResourceShow(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{Use: "show URI", Short: "Show a resource", Example: "  writ resource show https://api.example.com", Args: exactArgs("URI")}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		admin, err := as.connect()
		if err != nil {
			return err
		}
		resource, err := admin.Resource(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), resource)
		}
		return showResource(cmd.OutOrStdout(), resource)
	}
	return cmd
}

func showResource(out io.Writer, resource adminapi.Resource) error {
	ttl := ""
	if resource.TokenTTLSeconds > 0 {
		ttl = (time.Duration(resource.TokenTTLSeconds) * time.Second).String()
	}
	fields := []string{
		"URI", resource.URI, "name", resource.Name, "tokens", resource.Format + ", " + resource.Algorithm, "token life", ttl,
		"created", resource.Created.Local().Format(time.DateTime),
	}
	for _, scope := range resource.Scopes {
		fields = append(fields, "scope", strings.TrimSuffix(scope.Name+": "+scope.Description, ": "))
	}
	return writeFields(out, fields...)
}

func newResourceDelete(as *operatorFlag) *cobra.Command {
	return &cobra.Command{
		Use:     "delete URI",
		Short:   "Delete a resource that no client and no role names any more",
		Example: "  writ resource delete https://api.example.com",
		Args:    exactArgs("URI"),
		RunE: func(cmd *cobra.Command, args []string) error {
			admin, err := as.connect()
			if err != nil {
				return err
			}
			if err := admin.DeleteResource(cmd.Context(), args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "Deleted "+args[0]+".")
			return err
		},
	}
}

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

func newKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Look after the server's signing keys",
		Example: "  writ key list\n  writ key rotate",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var as operatorFlag
	as.flags(cmd)
	cmd.AddCommand(newKeyList(&as), newKeyRotate(&as), newKeyRevoke(&as))
	return cmd
}

func newKeyList(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List signing keys and where they stand", Example: "  writ key list", Args: noArgs}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		admin, err := as.connect()
		if err != nil {
			return err
		}
		keys, err := admin.Keys(cmd.Context())
		if err != nil {
			return err
		}
		rows := [][]string{}
		for _, key := range keys {
			rows = append(rows, []string{key.ID, key.Algorithm, key.Status, moment(key.SignFrom), moment(key.SignUntil), moment(key.DropAt)})
		}
		return writeList(cmd.OutOrStdout(), *asJSON, keys, []string{"KEY ID", "ALGORITHM", "STATUS", "SIGNS FROM", "UNTIL", "PUBLISHED UNTIL"}, rows)
	}
	return cmd
}

func moment(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

func newKeyRotate(as *operatorFlag) *cobra.Command {
	var rotation adminapi.Rotation
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Announce a new signing key",
		Long: `Make a new key. It is published at once and signs when every validator has had time to see it; the old one is published
until its last token is dead. Keys rotate by themselves: this is for when you do not want to wait.`,
		Example: "  writ key rotate\n  writ key rotate --algorithm RS256\n  writ key rotate --now",
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&rotation.Algorithm, "algorithm", "ES256", "whose key to rotate; XC20P for the one that seals opaque tokens")
	cmd.Flags().BoolVar(&rotation.Now, "now", false, "sign with it at once: validators must fetch the key set to know it")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		admin, err := as.connect()
		if err != nil {
			return err
		}
		key, err := admin.RotateKey(cmd.Context(), rotation.Algorithm, rotation.Now)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), key)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Key %s (%s) is published and signs from %s.\n", key.ID, key.Algorithm, moment(key.SignFrom))
		return err
	}
	return cmd
}

func newKeyRevoke(as *operatorFlag) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke KEY-ID",
		Short: "Withdraw a key at once, and with it all its tokens",
		Long: `Withdraw a key that is no longer to be trusted: it signs nothing more and is no longer published, so that its tokens are
refused wherever the key set is fetched again. If it was signing, a new key takes over in the same step.`,
		Example: "  writ key list\n  writ key revoke 5xq7lkcjm2a4o3sd",
		Args:    exactArgs("KEY-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			admin, err := as.connect()
			if err != nil {
				return err
			}
			if err := admin.RevokeKey(cmd.Context(), args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "Revoked "+args[0]+". Its tokens are refused wherever the key set is fetched again.")
			return err
		},
	}
}

// newClientState makes the commands that change whether a client gets tokens.
func newClientState(as *operatorFlag, verb, short string, change func(*adminapi.Caller, context.Context, string) (adminapi.Client, error)) *cobra.Command {
	return &cobra.Command{
		Use:     verb + " NAME",
		Short:   short,
		Example: "  writ client " + verb + " billing",
		Args:    exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			admin, err := as.connect()
			if err != nil {
				return err
			}
			client, err := change(admin.Caller, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), client.ClientName+" ("+client.ID+") is "+status(client)+".")
			return err
		},
	}
}
