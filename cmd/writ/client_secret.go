package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
)

func newClientSecret(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Look after a client's secrets",
		Long: `The secrets that a client authenticates with. Several count at once, so that a client changes
from one to the next without an interruption: rotate, let the client use the new one, and watch
in the list when the former one is not used any more. It ends by itself.`,
		Example: "  writ client secret rotate billing\n  writ client secret list billing",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newClientSecretRotate(as), newClientSecretAdd(as), newClientSecretList(as), newClientSecretRevoke(as), newClientSecretRenew())
	return cmd
}

// secretFlags are what the commands have in common that make a secret.
type secretFlags struct {
	name    string
	expires span
	request string
	out     string
	limit   limitFlags
	json    *bool
}

func (f *secretFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.name, "name", "", "`NAME` for the new secret, such as who gets it")
	cmd.Flags().Var(&f.expires, "expires-in", "how long the new secret counts, such as 90d;\n0: until it is rotated or revoked")
	cmd.Flags().StringVar(&f.out, "out", "", "`FILE` to make with the secret in it, mode 0600, instead of showing it")
	cmd.Flags().StringVar(&f.request, "request-id", "", "`ID` of your choice: the same command with it again\ngives the same secret")
	_ = cmd.MarkFlagFilename("out") // fails only for a flag that is not there
	f.limit.flags(cmd)
	f.json = jsonFlag(cmd)
}

// connect returns the operator, unless the file that the secret is to go into is there already: then nothing is to be made.
func (f *secretFlags) connect(as *operatorFlag) (*operator, error) {
	if _, err := os.Lstat(f.out); f.out != "" && err == nil {
		return nil, advise(fmt.Errorf("%s is there already", f.out), "a secret is never overwritten: name another file, or move this one away")
	}
	return as.connect()
}

// in returns the time that is so far ahead, the zero time for nothing.
func in(ahead span) time.Time {
	if ahead == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(ahead))
}

// show prints the secret this once, or writes it to the file that was named.
func (f *secretFlags) show(out io.Writer, done string, made admin.NewSecret) error {
	if f.out != "" {
		if err := writeNew(newFile{f.out, 0o600, []byte(made.Secret.Reveal() + "\n")}); err != nil {
			return advise(fmt.Errorf("the secret %s was made, and could not be written: %w", made.ID, err),
				"revoke it, and try again: writ client secret revoke "+made.ClientID+" "+made.ID)
		}
	}
	switch {
	case *f.json && f.out != "":
		return writeJSON(out, struct {
			admin.SecretInfo
			Former []admin.SecretInfo `json:"former,omitempty"`
		}{made.SecretInfo, made.Former})
	case *f.json:
		return writeJSON(out, made)
	case f.out != "":
		fmt.Fprintf(out, "%s. The new secret is in %s.\n\n", done, f.out)
	default:
		fmt.Fprintf(out, "%s. The new secret is shown this once; only a hash of it is kept.\n\n", paletteFor(out).bold(done))
	}
	fields := []string{"secret ID", made.ID, "name", made.Name}
	if f.out == "" {
		fields = append(fields, "secret", made.Secret.Reveal())
	}
	if !made.NotBefore.IsZero() {
		fields = append(fields, "counts from", second(made.NotBefore))
	}
	if !made.Expires.IsZero() {
		fields = append(fields, "expires", second(made.Expires))
	}
	fields = append(fields, "good", describeLimit(made.Limit))
	for _, former := range made.Former {
		end := "does not expire"
		if !former.Expires.IsZero() {
			end = "until " + second(former.Expires)
		}
		fields = append(fields, "other secret", former.ID+", "+end)
	}
	return writeFields(out, fields...)
}

func newClientSecretRotate(as *operatorFlag) *cobra.Command {
	var f secretFlags
	var lift bool
	keep := span(24 * time.Hour)
	cmd := &cobra.Command{
		Use:   "rotate NAME",
		Short: "Give a client a new secret, and those that it has an end",
		Long: `Give a client a new secret. Those that it has count for a while longer, so that nothing is
interrupted. A further rotation never cuts off one that is still in use: its end stays.

The new secret is good for no more than those before it: --ttl, --scope and --network say
another ceiling, and --no-limit does without the one that they have.`,
		Example: `  writ client secret rotate billing
  writ client secret rotate billing --keep 7d --out billing.secret
  writ client secret rotate billing --request-id "$CI_JOB_ID" --json`,
		Args: exactArgs("NAME"),
	}
	cmd.Flags().Var(&keep, "keep", "how long the former secrets still count")
	cmd.Flags().BoolVar(&lift, "no-limit", false, "leave the ceiling of the former secrets behind")
	f.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := f.connect(as)
		if err != nil {
			return err
		}
		seconds := keep.seconds()
		rotation := admin.SecretRotation{Name: f.name, Expires: in(f.expires), Keep: &seconds, Limit: f.limit.limit(), LiftLimit: lift}
		made, err := api.RotateSecret(cmd.Context(), args[0], rotation, admin.IdempotencyKey(f.request))
		if err != nil {
			return err
		}
		return f.show(cmd.OutOrStdout(), "Rotated the secret of "+args[0], made)
	}
	return cmd
}

func newClientSecretAdd(as *operatorFlag) *cobra.Command {
	var f secretFlags
	var starts span
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Give a client one more secret, beside those that it has",
		Long: `Give a client one more secret, for instance one for each place where it runs. A client that
authenticates with a key may have one too: it counts from when its method changes.`,
		Example: `  writ client secret add billing --name eu-west --expires-in 90d
  writ client secret add billing --name next --starts-in 24h --out billing.secret
  writ client secret add billing --name laptop --ttl 2m --scope "orders:read" --network 192.0.2.0/24`,
		Args: exactArgs("NAME"),
	}
	cmd.Flags().Var(&starts, "starts-in", "from when on it counts, such as 24h; 0: at once")
	f.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := f.connect(as)
		if err != nil {
			return err
		}
		settings := admin.SecretSettings{Name: f.name, NotBefore: in(starts), Expires: in(f.expires), Limit: f.limit.limit()}
		made, err := api.AddSecret(cmd.Context(), args[0], settings, admin.IdempotencyKey(f.request))
		if err != nil {
			return err
		}
		return f.show(cmd.OutOrStdout(), "Added a secret to "+args[0], made)
	}
	return cmd
}

func newClientSecretList(as *operatorFlag) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list NAME",
		Short:   "List a client's secrets, and who still uses which",
		Example: "  writ client secret list billing",
		Args:    exactArgs("NAME"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = as.lookingAtClient(func(out io.Writer, client admin.Client) error {
		rows := [][]string{}
		for _, s := range client.Secrets {
			rows = append(rows, []string{
				s.ID, orDash(s.Name), moment(s.Created), ends(s.NotBefore), ends(s.Expires), when(s.LastUsed), orDash(s.LastUsedFrom), orDash(s.LastUsedBy),
			})
		}
		heading := []string{"SECRET ID", "NAME", "MADE", "NOT BEFORE", "EXPIRES", "LAST USED", "FROM", "BY"}
		return writeList(out, *asJSON, client.Secrets, heading, rows)
	})
	return cmd
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func newClientSecretRevoke(as *operatorFlag) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "revoke NAME SECRET-ID",
		Short: "Take a secret from a client, at once",
		Long: `Take a secret, by its ID, from a client: nobody gets in with it from now on. Tokens that were
obtained with it stay good until they expire.`,
		Example: "  writ client secret list billing\n  writ client secret revoke billing k3qy5vlzsd",
		Args:    exactArgs("NAME", "SECRET-ID"),
	}
	cmd.Flags().BoolVar(&force, "force", false, "also if it is the last one that the client can authenticate with")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		err = api.RevokeSecret(cmd.Context(), args[0], args[1], force)
		if isConflict(err) {
			return advise(err, "writ client secret rotate "+args[0]+", or --force to lock the client out")
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), map[string]string{"revoked": args[1]})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Revoked the secret %s of %s.\n", args[1], args[0])
		return err
	}
	return cmd
}
