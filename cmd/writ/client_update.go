package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
)

func newClientUpdate(as *operatorFlag) *cobra.Command {
	var auth authentication
	var said saidFlags
	var rights rightsFlags
	var keep span
	var ttl, reuse time.Duration
	cmd := &cobra.Command{
		Use:   "update NAME",
		Short: "Change what a client may ask for, and how it authenticates",
		Long: `Change what a client may ask for, how it authenticates, where it may ask from, and what its
tokens are bound to and say. What is not named stays as it is.

--grant says all scopes that the client has on that resource by itself from now on. What it has
no more it cannot get any more; tokens that it has stay good until they expire. "writ client
show" says which scopes it uses, and "writ plan" what a change would break.

A request from outside of the networks is refused as one with a wrong secret is. The address
that counts is that of the connection, or the one that a proxy of trusted_proxies reports:
behind another proxy, every client has the address of the proxy.

When the method changes, --keep-former lets the one before count as well for that long, so
that a client moves from a secret to a key without an interruption: "writ client show" says
when each was last used. Without it the one before ends at once. Later it moves that end, and
--keep-former 0 ends it now.`,
		Example: `  writ client update billing --grant "https://api.example.com=orders:read" --role clerk
  writ client update billing --remove-grant https://old.example.com --remove-role boss
  writ client update billing --public-key billing.pub --keep-former 24h
  writ client update billing --keep-former 0
  writ client update billing --dpop
  writ client update billing --dpop=false --ttl 2m
  writ client update billing --reuse-tokens 60s
  writ client update billing --network 192.0.2.0/24 --network 2001:db8::/32
  writ client update billing --claim tenant='"acme"'`,
		Args: exactArgs("NAME"),
	}
	auth.flags(cmd, "what a new key or certificate is for, or as before")
	rights.flags(cmd)
	cmd.Flags().Var(&keep, "keep-former", "how long the method before counts as well, such as 24h or 7d")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "longest life of its tokens, such as 2m; 0: the resource's")
	said.flags(cmd)
	reuseFlag(cmd.Flags(), &reuse)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().NFlag() == 0 {
			return errNothingToChange(cmd)
		}
		api, err := as.connect()
		if err != nil {
			return err
		}
		before, err := api.Client(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		update := admin.ClientUpdate{ClientMetadata: before.ClientMetadata}
		if err := errors.Join(auth.apply(&update.ClientMetadata), said.apply(&update.ClientMetadata), rights.apply(&update.ClientMetadata)); err != nil {
			return err
		}
		if cmd.Flags().Changed("ttl") {
			update.TokenTTLSeconds = int64(ttl / time.Second)
		}
		if cmd.Flags().Changed("reuse-tokens") {
			update.TokenReuseSeconds = int64(reuse / time.Second)
		}
		changed := update.TokenEndpointAuthMethod != before.TokenEndpointAuthMethod
		switch {
		case keep > 0:
			update.KeepFormerUntil = time.Now().Add(time.Duration(keep))
		case cmd.Flags().Changed("keep-former") && !changed:
			update.KeepFormerUntil = time.Unix(1, 0) // over: it ends now
		}
		client, err := api.UpdateClient(cmd.Context(), before.ID, update, admin.IfMatch(before.ETag))
		if err != nil {
			return err
		}
		if err := showClient(cmd.OutOrStdout(), *asJSON, client); err != nil || *asJSON {
			return err
		}
		writeLostScopes(cmd.OutOrStdout(), before, client, time.Now())
		if note := leftOutside(client); note != "" && len(said.networks) > 0 {
			fmt.Fprintln(cmd.OutOrStdout(), "\n"+note)
		}
		if client.FormerMethod == "" {
			return nil
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nBoth methods count. When the former one is not used any more, as writ client show %[1]s tells:\n\n"+
			"  writ client update %[1]s --keep-former 0\n", client.ClientName)
		return err
	}
	return cmd
}
