package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/oauth"
)

// renewal is what writ client secret renew is told.
type renewal struct {
	issuer, clientID, file string
	older                  span
}

func newClientSecretRenew() *cobra.Command {
	var r renewal
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "As a client, renew the own secret in a file",
		Long: `As the client itself, and not as an operator, get the next secret in the place of the one in a
file, and replace the file. An operator must have allowed it to the client, once: writ client
update NAME --may-rotate-secret.

The former secret counts for 24 hours more, for others who have it. FILE.rotation, beside the
file, keeps what an interrupted renewal needs: the same command goes on with it, and no secret
is lost. With --older-than the command can run as often as you like, such as from cron.`,
		Example: `  writ client secret renew --file billing.secret --client billing-4fk2p9qz7a
  writ client secret renew --older-than 30d   # all from the environment`,
		Args: noArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&r.issuer, "issuer", "", "`URL` of the issuer (WRIT_ISSUER)")
	flags.StringVar(&r.clientID, "client", "", "`ID` of the client (WRIT_CLIENT_ID)")
	flags.StringVar(&r.file, "file", "", "`FILE` with the secret (WRIT_CLIENT_SECRET_FILE)")
	flags.Var(&r.older, "older-than", "do nothing unless the file is at least so old, such as 30d")
	_ = cmd.MarkFlagFilename("file") // fails only for a flag that is not there
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		source, err := r.source()
		if err != nil {
			return err
		}
		info, err := os.Stat(r.file)
		if err != nil {
			return err
		}
		age := time.Since(info.ModTime())
		renew := age >= time.Duration(r.older)
		if renew {
			if err := source.RotateSecret(cmd.Context()); err != nil {
				return explainRenewal(err)
			}
		}
		out := cmd.OutOrStdout()
		switch {
		case *asJSON:
			return writeJSON(out, map[string]any{"file": r.file, "renewed": renew})
		case renew:
			_, err = fmt.Fprintf(out, "Renewed the secret in %s. The former one counts for 24 hours more.\n", r.file)
		default:
			_, err = fmt.Fprintf(out, "Nothing to do: the secret in %s is from %s.\n", r.file, moment(info.ModTime()))
		}
		return err
	}
	return cmd
}

// source returns the client whose secret is in the file, whatever else the environment says that it proves itself with.
func (r *renewal) source() (*client.Source, error) {
	if r.file == "" {
		r.file = os.Getenv("WRIT_CLIENT_SECRET_FILE")
	}
	if r.file == "" {
		return nil, advise(usageError{errors.New("it is not said which file")}, "such as: --file billing.secret, or WRIT_CLIENT_SECRET_FILE")
	}
	for _, name := range credentials {
		if name != "WRIT_AUTH_METHOD" {
			if err := os.Unsetenv(name); err != nil {
				return nil, err
			}
		}
	}
	want := wanted{issuer: r.issuer, clientID: r.clientID}
	if err := os.Setenv("WRIT_CLIENT_SECRET_FILE", r.file); err != nil {
		return nil, err
	}
	config, err := want.config()
	if err != nil {
		return nil, advise(err, "set WRIT_ISSUER and WRIT_CLIENT_ID, or say --issuer and --client")
	}
	config.Credential = client.RotatingSecretFile(r.file, 24*time.Hour) // its age is judged here
	return client.New(config)
}

// explainRenewal says what to do next.
func explainRenewal(err error) error {
	switch {
	case errors.Is(err, oauth.UnauthorizedClient):
		return advise(err, "an operator can allow it: writ client update NAME --may-rotate-secret")
	case errors.Is(err, oauth.InvalidClient):
		return advise(err, "the secret in the file counts no more: an operator can make another, writ client secret rotate NAME --out FILE")
	case errors.Is(err, oauth.InvalidRequest):
		return advise(err, "if the other copy is not yours, tell an operator: writ client secret list NAME")
	}
	return err
}
