package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/jose"
)

func newClientKey(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Look after a client's public keys",
		Long: `The public keys that a client's assertions and certificates are checked with. Several count
at once, so that a client changes from one to the next without an interruption: add the new
one, let the client sign with it, revoke the old one when it is not used any more.

A client makes its pair itself: "writ key generate".`,
		Example: "  writ client key list billing\n  writ client key add billing --public-key billing-2.pub",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newClientKeyAdd(as), newClientKeyList(as), newClientKeyRevoke(as))
	return cmd
}

func newClientKeyAdd(as *operatorFlag) *cobra.Command {
	var publicKey, certificate string
	var starts, expires span
	var limit limitFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Give a client one more public key, or certificate of its own",
		Example: `  writ client key add billing --public-key billing-2.pub
  writ client key add billing --public-key billing-2.pub --expires-in 90d
  writ client key add billing --certificate billing-2.crt
  writ client key add billing --public-key billing-2.pub --network 192.0.2.0/24`,
		Args: exactArgs("NAME"),
	}
	cmd.Flags().StringVar(&publicKey, "public-key", "", "`FILE` with the public key: PEM or JWK")
	cmd.Flags().StringVar(&certificate, "certificate", "", "`FILE` with a self-signed certificate (PEM), instead")
	cmd.Flags().Var(&expires, "expires-in", "how long it counts, such as 90d; 0: until it is revoked")
	_ = cmd.MarkFlagFilename("public-key") // fails only for a flag that is not there
	_ = cmd.MarkFlagFilename("certificate")
	cmd.Flags().Var(&starts, "starts-in", "from when on it counts, such as 24h; 0: at once")
	limit.flags(cmd)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := oneKey(publicKey, certificate)
		if err != nil {
			return err
		}
		api, err := as.connect()
		if err != nil {
			return err
		}
		sent := admin.KeyOf(key)
		sent.NotBefore, sent.Expires, sent.Limit = in(starts), in(expires), limit.limit()
		made, err := api.AddClientKey(cmd.Context(), args[0], sent)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), made)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Added the key %s to %s.\n", nameKey(made), args[0])
		return err
	}
	return cmd
}

// oneKey returns the one public key, as a JWK, that a file holds. A private one goes nowhere.
func oneKey(publicKey, certificate string) ([]byte, error) {
	flag, name := "--public-key", publicKey
	if certificate != "" {
		flag, name = "--certificate", certificate
	}
	if (publicKey == "") == (certificate == "") {
		return nil, advise(usageError{errors.New("it takes one key")}, "name its file: --public-key FILE, or --certificate FILE")
	}
	keys, err := readPublic(flag, name)
	switch {
	case err != nil:
		return nil, err
	case len(keys) > 1:
		return nil, fmt.Errorf("%s %s holds %d keys: give one", flag, name, len(keys))
	case certificate == "":
		keys[0].Certificate = nil
	case keys[0].Certificate == nil:
		return nil, fmt.Errorf("%s %s: there is no certificate in it", flag, name)
	}
	return jose.MarshalPublic(keys[0])
}

func newClientKeyList(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list NAME",
		Short:   "List a client's public keys, and when each was last used",
		Example: "  writ client key list billing",
		Args:    exactArgs("NAME"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = as.lookingAtClient(func(out io.Writer, client admin.Client) error {
		if client.JWKSURI != "" && !*asJSON {
			fmt.Fprintf(out, "Its keys are those that it publishes at %s.\n", client.JWKSURI)
			for _, use := range client.Uses {
				fmt.Fprintln(out, use.Credential+", "+lastUse(use.LastUse))
			}
			return nil
		}
		rows := [][]string{}
		for _, key := range client.Keys {
			rows = append(rows, []string{key.ID, key.Algorithm, moment(key.Created), ends(key.Expires), when(key.LastUsed), orDash(key.LastUsedFrom), orDash(key.LastUsedBy)})
		}
		return writeList(out, *asJSON, client.Keys, []string{"KEY ID", "ALGORITHM", "ADDED", "EXPIRES", "LAST USED", "FROM", "BY"}, rows)
	})
	return cmd
}

func ends(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return moment(t)
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return moment(t)
}

func newClientKeyRevoke(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke NAME KEY-ID",
		Short: "Take a public key from a client, at once",
		Long: `Take a public key, by its ID or its thumbprint, from a client: nothing that it signs from now
on is accepted. Tokens that the client has stay good until they expire.`,
		Example: "  writ client key list billing\n  writ client key revoke billing PLdkk0DVZPuTyAYCoXhsjqsFy8kb4MVQnPz1pgOUX4U",
		Args:    exactArgs("NAME", "KEY-ID"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		if err := api.RevokeClientKey(cmd.Context(), args[0], args[1]); err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), map[string]string{"revoked": args[1]})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Revoked the key %s of %s.\n", args[1], args[0])
		return err
	}
	return cmd
}
