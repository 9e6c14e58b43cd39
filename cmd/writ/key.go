package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
)

func newKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Look after the server's signing keys; make a key pair for a client",
		Long: `The server's keys, which sign its tokens, and the one command about a client's own key:
"generate", which needs no server. Which keys a client has is told and changed by
"writ client key".`,
		Example: "  writ key list\n  writ key rotate\n  writ key generate --out billing.key --public-out billing.pub",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var as operatorFlag
	as.flags(cmd)
	cmd.AddCommand(newKeyGenerate(), newKeyList(&as), newKeyRotate(&as), newKeyRevoke(&as))
	return cmd
}

func newKeyList(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List signing keys and where they stand", Example: "  writ key list", Args: noArgs}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		keys, err := api.Keys(cmd.Context())
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
	var rotation admin.Rotation
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Announce a new signing key",
		Long: `Make a new key. It is published at once and signs when every validator has had time to see
it; the old one is published until its last token is dead. Keys rotate by themselves: this
is for when you do not want to wait.`,
		Example: "  writ key rotate\n  writ key rotate --algorithm RS256\n  writ key rotate --now",
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&rotation.Algorithm, "algorithm", "ES256", "`ALG` whose key to rotate; XC20P seals opaque tokens\n")
	complete(cmd, "algorithm", "ES256", "Ed25519", "EdDSA", "PS256", "RS256", "XC20P")
	cmd.Flags().BoolVar(&rotation.Now, "now", false, "sign with it at once: APIs must fetch the key set to know it")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		key, err := api.RotateKey(cmd.Context(), rotation)
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
	return newOrder(as, &cobra.Command{
		Use:   "revoke KEY-ID",
		Short: "Withdraw a key at once, and with it all its tokens",
		Long: `Withdraw a key that is no longer to be trusted: it signs nothing more and is no longer
published, so that its tokens are refused wherever the key set is fetched again. If it was
signing, a new key takes over in the same step.`,
		Example: "  writ key list\n  writ key revoke 5xq7lkcjm2a4o3sd",
		Args:    exactArgs("KEY-ID"),
	}, "revoked", "Revoked %s. Its tokens are refused wherever the key set is fetched again.\n", (*admin.API).RevokeKey)
}
