package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
)

// sortings are what clients can be listed by.
var sortings = []string{"id", "-id", "name", "-name", "created", "-created", "updated", "-updated"}

func newClientList(as *operatorFlag) *cobra.Command {
	var filter admin.ClientFilter
	var suspended, selfRegistered bool
	var most int
	var unused string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List clients: all of them, or those that pass every filter",
		Example: `  writ client list
  writ client list --search billing --sort name
  writ client list --resource https://api.example.com --suspended=false
  writ client list --unused 90d
  writ client list --sort -created --limit 10 --json`,
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&filter.Search, "search", "", "`TEXT` within the name or the ID")
	flags.StringVar(&filter.Resource, "resource", "", "those with a grant of their own for the resource `URI`")
	flags.StringVar(&filter.Role, "role", "", "those that have the role `NAME`")
	flags.StringVar(&filter.AuthMethod, "auth-method", "", "those that authenticate by `METHOD`")
	flags.BoolVar(&suspended, "suspended", false, "those that are suspended; =false: that are not")
	flags.BoolVar(&selfRegistered, "self-registered", false, "those that registered themselves; =false: that did not")
	flags.StringVar(&unused, "unused", "", "those that nobody has used since `TIME`: how long ago, such as 90d,\na date or RFC 3339; younger ones are not among them")
	flags.StringVar(&filter.Sort, "sort", "", "`ORDER`: id, name, created or updated; with a - before it, the\nother way round")
	flags.IntVar(&most, "limit", 0, "`N` clients at most; 0: all")
	complete(cmd, "sort", sortings...)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		filter.Suspended = choice(cmd, "suspended", suspended)
		filter.SelfRegistered = choice(cmd, "self-registered", selfRegistered)
		var err error
		if filter.UnusedSince, err = whenever(unused, time.Now()); err != nil {
			return usageError{fmt.Errorf("--unused: %w", err)}
		}
		api, err := as.connect()
		if err != nil {
			return err
		}
		clients, err := listClients(cmd.Context(), api.API, filter, most)
		if err != nil {
			return err
		}
		rows := [][]string{}
		for _, client := range clients {
			rows = append(rows, []string{client.ClientName, client.ID, listedStatus(client), client.TokenEndpointAuthMethod, when(client.LastUsed), describeGrants(client)})
		}
		return writeList(cmd.OutOrStdout(), *asJSON, clients, []string{"NAME", "CLIENT ID", "STATUS", "METHOD", "LAST USED", "MAY"}, rows)
	}
	return cmd
}

func listClients(ctx context.Context, api *admin.API, filter admin.ClientFilter, most int) (clients []admin.Client, err error) {
	for client, err := range api.Clients(ctx, filter) {
		if err != nil {
			return nil, err
		}
		if clients = append(clients, client); len(clients) == most {
			break
		}
	}
	return clients, nil
}

// choice is what a flag that may be yes, no, or not there says.
func choice(cmd *cobra.Command, flag string, value bool) admin.Choice {
	if !cmd.Flags().Changed(flag) {
		return ""
	}
	return admin.Choice(strconv.FormatBool(value))
}
