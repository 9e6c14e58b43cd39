package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
)

// errNothingToChange is the answer to an update that says nothing.
func errNothingToChange(cmd *cobra.Command) error {
	return advise(usageError{errors.New("it is not said what to change")}, "see: "+cmd.CommandPath()+" --help")
}

// A resourceEdit is what writ resource update changes.
type resourceEdit struct {
	settings admin.ResourceSettings
	ttl      time.Duration
	add      []string // NAME=DESCRIPTION
	remove   []string
}

func newResourceUpdate(as *operatorFlag) *cobra.Command {
	var edit resourceEdit
	cmd := &cobra.Command{
		Use:   "update URI",
		Short: "Change what is registered about a protected API",
		Long: `Change what is registered about a protected API. What is not named stays as it is.

A scope that a client or a role has cannot be taken away: the answer names some who have it.`,
		Example: `  writ resource update https://api.example.com --add-scope "orders:ship=Send orders out"
  writ resource update https://api.example.com --remove-scope orders:ship --ttl 2m`,
		Args: exactArgs("URI"),
	}
	flags := cmd.Flags()
	flags.StringVar(&edit.settings.Name, "name", "", "what people call it, a `TEXT`")
	flags.StringArrayVar(&edit.add, "add-scope", nil, "one more scope, `NAME=DESCRIPTION` or NAME, or a new description\nof one that it knows; may be repeated")
	flags.StringArrayVar(&edit.remove, "remove-scope", nil, "`NAME` of a scope that it knows no more; may be repeated")
	flags.StringVar(&edit.settings.Format, "format", "", "`FORMAT` of its tokens: jwt or opaque")
	flags.StringVar(&edit.settings.Algorithm, "algorithm", "", "`ALG` that signs its tokens: ES256, Ed25519, EdDSA, PS256, RS256\n")
	complete(cmd, "format", "jwt", "opaque")
	complete(cmd, "algorithm", "ES256", "Ed25519", "EdDSA", "PS256", "RS256")
	flags.DurationVar(&edit.ttl, "ttl", 0, "life of its tokens, such as 2m; the server's default when 0")
	flags.BoolVar(&edit.settings.MultipleAudiences, "multiple-audiences", false, "let a token name other resources beside it")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().NFlag() == 0 {
			return errNothingToChange(cmd)
		}
		api, err := as.connect()
		if err != nil {
			return err
		}
		resource, err := edit.send(cmd.Context(), api.API, args[0], cmd.Flags().Changed)
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

// send changes the resource if it is still what it was when it was read.
func (e *resourceEdit) send(ctx context.Context, api *admin.API, uri string, changed func(flag string) bool) (admin.Resource, error) {
	resource, err := api.Resource(ctx, uri)
	if err != nil {
		return resource, err
	}
	settings := resource.ResourceSettings
	for flag, set := range map[string]func(){
		"name":               func() { settings.Name = e.settings.Name },
		"format":             func() { settings.Format = e.settings.Format },
		"algorithm":          func() { settings.Algorithm = e.settings.Algorithm },
		"ttl":                func() { settings.TokenTTLSeconds = int64(e.ttl / time.Second) },
		"multiple-audiences": func() { settings.MultipleAudiences = e.settings.MultipleAudiences },
	} {
		if changed(flag) {
			set()
		}
	}
	if settings.Scopes, err = e.scopes(settings.Scopes); err != nil {
		return resource, err
	}
	return api.UpdateResource(ctx, settings, admin.IfMatch(resource.ETag))
}

func (e *resourceEdit) scopes(known []admin.Scope) ([]admin.Scope, error) {
	for _, name := range e.remove {
		i := slices.IndexFunc(known, func(s admin.Scope) bool { return s.Name == name })
		if i < 0 {
			return nil, advise(errors.New("--remove-scope "+name+": it has no such scope"), "see: writ resource show URI")
		}
		known = slices.Delete(known, i, i+1)
	}
	for _, text := range e.add {
		name, description, _ := strings.Cut(text, "=")
		scope := admin.Scope{Name: name, Description: description}
		if i := slices.IndexFunc(known, func(s admin.Scope) bool { return s.Name == name }); i >= 0 {
			known[i] = scope
			continue
		}
		known = append(known, scope)
	}
	return known, nil
}
