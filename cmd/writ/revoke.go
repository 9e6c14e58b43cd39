package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// A cut says which tokens are to be inactive from now on.
type cut struct {
	client, resource string
	all              bool
	before           string
}

func newRevoke() *cobra.Command {
	var c cut
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Make all tokens of a client, for a resource, or all there are inactive",
		Long: `Make tokens that were issued before a time inactive at introspection, at once. Who may have a
token gets a new one: to stop a client as well, suspend it. An API that only checks signatures
takes the old ones until they expire.`,
		Example: `  writ revoke --client billing
  writ revoke --resource https://api.example.com --issued-before 2027-03-01T12:00:00Z
  writ revoke --all`,
		Args: noArgs,
	}
	var as operatorFlag
	as.flags(cmd)
	cmd.Flags().StringVar(&c.client, "client", "", "those of the client `NAME`")
	cmd.Flags().StringVar(&c.resource, "resource", "", "those for the resource `URI`")
	cmd.Flags().BoolVar(&c.all, "all", false, "all of the issuer, those of operators included")
	cmd.Flags().StringVar(&c.before, "issued-before", "now", "only those from before `TIME`:\n2027-03-01T12:00:00Z, or now")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		before, err := c.time()
		if err != nil {
			return err
		}
		api, err := as.connect()
		if err != nil {
			return err
		}
		ctx, of := cmd.Context(), "of "+c.client
		switch {
		case c.client != "":
			err = api.RevokeClientTokens(ctx, c.client, before)
		case c.resource != "":
			err, of = api.RevokeResourceTokens(ctx, c.resource, before), "for "+c.resource
		default:
			err, of = api.RevokeAllTokens(ctx, before), "of "+api.credential.Issuer
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), map[string]string{"revoked": of, "issued_before": c.before})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "All tokens %s that were issued before %s are inactive.\n", of, c.before)
		return err
	}
	return cmd
}

// time returns the time that was said, the zero time for now, if the rest was said well.
func (c cut) time() (time.Time, error) {
	said := 0
	for _, is := range []bool{c.client != "", c.resource != "", c.all} {
		if is {
			said++
		}
	}
	if said != 1 {
		return time.Time{}, advise(usageError{errors.New("it is not said which tokens")}, "say one of --client NAME, --resource URI, --all")
	}
	if c.before == "now" {
		return time.Time{}, nil
	}
	before, err := time.Parse(time.RFC3339, c.before)
	if err != nil {
		return before, advise(usageError{fmt.Errorf("--issued-before %q is no time", c.before)}, "write it as 2027-03-01T12:00:00Z, or now")
	}
	return before, nil
}
