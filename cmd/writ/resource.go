package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
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
	cmd.AddCommand(newResourceCreate(&as), newResourceList(&as), newResourceShow(&as), newResourceUpdate(&as), newResourceDelete(&as))
	return cmd
}

func newResourceCreate(as *operatorFlag) *cobra.Command {
	var settings admin.ResourceSettings
	var scopes []string
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "create URI",
		Short: "Register a protected API and the scopes it knows",
		Example: `  writ resource create https://api.example.com --scope "orders:read=Look at orders"
  writ resource create https://ledger.example.com --scope post --algorithm Ed25519 --ttl 1m
  writ resource create https://legacy.example.com --scope read --format opaque`,
		Args: exactArgs("URI"),
	}
	flags := cmd.Flags()
	flags.StringVar(&settings.Name, "name", "", "what people call it, a `TEXT`")
	flags.StringArrayVar(&scopes, "scope", nil, "scope it knows, `NAME=DESCRIPTION` or NAME; may be repeated")
	flags.StringVar(&settings.Format, "format", "jwt", "`FORMAT` of its tokens: jwt or opaque")
	flags.StringVar(&settings.Algorithm, "algorithm", "ES256", "`ALG` that signs its tokens: ES256, Ed25519, EdDSA, PS256, RS256\n")
	complete(cmd, "format", "jwt", "opaque")
	complete(cmd, "algorithm", "ES256", "Ed25519", "EdDSA", "PS256", "RS256")
	flags.DurationVar(&ttl, "ttl", 0, "life of its tokens, such as 2m; the server's default when 0")
	flags.BoolVar(&settings.MultipleAudiences, "multiple-audiences", false, "let a token name other resources beside it")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		settings.URI, settings.TokenTTLSeconds = args[0], int64(ttl/time.Second)
		for _, scope := range scopes {
			name, description, _ := strings.Cut(scope, "=")
			settings.Scopes = append(settings.Scopes, admin.Scope{Name: name, Description: description})
		}
		if len(scopes) == 0 {
			return advise(usageError{errors.New("it is not said which scopes the API knows")}, `such as: --scope "orders:read=Look at orders"`)
		}
		api, err := as.connect()
		if err != nil {
			return err
		}
		made, err := api.CreateResource(cmd.Context(), settings)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), made)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Registered %s with %s.\n\nLet a client have it:\n\n  writ client create NAME --resource %s --scope %s\n",
			made.URI, describeScopes(made), made.URI, quoted(made.Scopes[0].Name))
		return err
	}
	return cmd
}

func describeScopes(resource admin.Resource) string {
	if len(resource.Scopes) > 4 {
		return fmt.Sprintf("%d scopes", len(resource.Scopes))
	}
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
		api, err := as.connect()
		if err != nil {
			return err
		}
		rows := [][]string{}
		var all []admin.Resource
		for resource, err := range api.Resources(cmd.Context()) {
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
	cmd := &cobra.Command{
		Use: "show URI", Short: "Show a resource", Example: "  writ resource show https://api.example.com", Args: exactArgs("URI"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		resource, err := api.Resource(cmd.Context(), args[0])
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

func showResource(out io.Writer, resource admin.Resource) error {
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
	return newDelete(as, &cobra.Command{
		Use:     "delete URI",
		Short:   "Delete a resource that no client and no role names any more",
		Example: "  writ resource delete https://api.example.com",
		Args:    exactArgs("URI"),
	}, (*admin.API).DeleteResource)
}
