package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/oauth"
)

func newClient() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "client",
		Short:   "Register and look after clients",
		Example: "  writ client create billing --resource https://api.example.com --scope \"orders:read\"\n  writ client list",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var as operatorFlag
	as.flags(cmd)
	cmd.AddCommand(newClientCreate(&as), newClientList(&as), newClientShow(&as), newClientUpdate(&as), newClientKey(&as), newClientSecret(&as), newClientDelete(&as),
		newClientState(&as, "suspend", "Suspend a client: no new tokens, and those it has are inactive", (*admin.API).SuspendClient),
		newClientState(&as, "resume", "Let a suspended client have tokens again", (*admin.API).ResumeClient))
	return cmd
}

// describeGrants says in a line what a client may do.
func describeGrants(client admin.Client) string {
	parts := describeGrantList(client.Grants)
	for _, role := range client.Roles {
		parts = append(parts, "role "+role)
	}
	for _, uri := range client.ResourceServerFor {
		parts = append(parts, "introspect for "+uri)
	}
	return strings.Join(parts, "; ")
}

// describeGrantList says in a few words each what grants hold; many scopes are only counted.
func describeGrantList(grants []oauth.Grant) []string {
	var parts []string
	for _, grant := range grants {
		scopes := strings.Join(grant.Scopes, " ")
		if len(grant.Scopes) > 4 {
			scopes = fmt.Sprintf("%d scopes", len(grant.Scopes))
		}
		parts = append(parts, scopes+" at "+grant.Resource)
	}
	return parts
}

func status(client admin.Client) string {
	if client.Suspended {
		return "suspended"
	}
	return "active"
}

// listedStatus says in a list as well how a client came to be that no operator registered.
func listedStatus(client admin.Client) string {
	if client.Registration != nil {
		return status(client) + ", self-registered"
	}
	return status(client)
}

func newClientDelete(as *operatorFlag) *cobra.Command {
	return newDelete(as, &cobra.Command{
		Use:     "delete NAME",
		Short:   "Delete a client: its tokens are inactive, its ID is never given out again",
		Example: "  writ client delete billing",
		Args:    exactArgs("NAME"),
	}, (*admin.API).DeleteClient)
}

// newClientState makes the commands that change whether a client gets tokens.
func newClientState(as *operatorFlag, verb, short string, change func(*admin.API, context.Context, string, ...admin.Option) (admin.Client, error)) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " NAME", Short: short, Example: "  writ client " + verb + " billing", Args: exactArgs("NAME")}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		client, err := change(api.API, cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), client)
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), client.ClientName+" ("+client.ID+") is "+status(client)+".")
		return err
	}
	return cmd
}
