package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/oauth"
)

// registration is what writ client create is told.
type registration struct {
	resource, scope, defaults string
	auth                      authentication
	roles, serves             []string
	ttl, reuse                time.Duration
	said                      saidFlags
	env                       string
}

func newClientCreate(as *operatorFlag) *cobra.Command {
	var r registration
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Register a client; its secret, if it has one, is shown this once",
		Long: `Register a client that may ask for scopes of a resource, or that has roles. It proves who it
is by a secret, which is shown this once; by a key, of which only the public half is given
(private_key_jwt); or by a certificate (tls_client_auth, self_signed_tls_client_auth).

With --env FILE the client's variables are written to a file (mode 0600) for a shell to
source, and the secret is not shown. Beside the public half in NAME.pub or NAME.crt, the
private one in NAME.key is found by itself.`,
		Example: `  writ client create billing --resource https://api.example.com --scope "orders:read"
  writ client create billing --role clerk --env billing.env
  writ client create orders-api --resource-server https://api.example.com   # to introspect
  writ client create billing --role clerk --public-key billing.pub --dpop
  writ client create billing --role clerk --network 192.0.2.0/24 --claim tenant='"acme"'
  writ client create billing --role clerk --jwks-uri https://billing.example.com/jwks.json
  writ client create billing --role clerk --san-dns billing.example.com --bind-certificate`,
		Args: exactArgs("NAME"),
	}
	flags := cmd.Flags()
	flags.StringVar(&r.resource, "resource", "", "`URI` of the resource that it may ask tokens for")
	flags.StringVar(&r.scope, "scope", "", "`SCOPES` of the resource that it may have, separated by spaces")
	flags.StringVar(&r.defaults, "default-scope", "", "`SCOPES` when it asks for none: all of them, or \"-\" for none")
	flags.StringArrayVar(&r.roles, "role", nil, "role that it has, by `NAME`; may be repeated")
	flags.StringArrayVar(&r.serves, "resource-server", nil, "`URI` of a resource whose API introspects as it; may be repeated")
	r.auth.flags(cmd, "what its key or certificate is for, else a secret")
	flags.DurationVar(&r.ttl, "ttl", 0, "longest life of its tokens, such as 2m; 0: the resource's")
	r.said.flags(cmd)
	reuseFlag(flags, &r.reuse)
	flags.StringVar(&r.env, "env", "", "write its variables, any secret included, to this `FILE`")
	_ = cmd.MarkFlagFilename("env") // fails only for a flag that is not there
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		metadata, err := r.metadata(args[0])
		if err != nil {
			return err
		}
		if err := r.checkEnv(); err != nil {
			return err
		}
		api, err := as.connect()
		if err != nil {
			return err
		}
		made, err := api.CreateClient(cmd.Context(), metadata)
		if err != nil {
			return err
		}
		issuer := api.credential.Issuer
		out := cmd.OutOrStdout()
		switch {
		case r.env != "":
			return r.keep(out, *asJSON, made, issuer)
		case *asJSON:
			return writeJSON(out, made)
		}
		return r.show(out, made, issuer)
	}
	return cmd
}

func (r *registration) metadata(name string) (oauth.ClientMetadata, error) {
	metadata := oauth.ClientMetadata{
		ClientName: name, Roles: r.roles, ResourceServerFor: r.serves, TokenTTLSeconds: int64(r.ttl / time.Second),
		TokenReuseSeconds: int64(r.reuse / time.Second),
	}
	if err := errors.Join(r.auth.apply(&metadata), r.said.apply(&metadata)); err != nil {
		return metadata, err
	}
	switch {
	case r.resource != "" && r.scope != "":
		metadata.Grants = []oauth.Grant{{Resource: r.resource, Scopes: strings.Fields(r.scope), Defaults: r.defaultScopes()}}
	case r.resource != "" || r.scope != "":
		return metadata, advise(usageError{errors.New("--resource and --scope go together")}, `such as: --resource https://api.example.com --scope "orders:read"`)
	case len(r.roles) == 0 && len(r.serves) == 0:
		return metadata, advise(usageError{errors.New("it is not said what the client may ask for")}, `such as: --resource https://api.example.com --scope "orders:read", or --role clerk`)
	}
	return metadata, nil
}

func (r *registration) defaultScopes() []string {
	switch r.defaults {
	case "":
		return strings.Fields(r.scope)
	case "-":
		return nil
	}
	return strings.Fields(r.defaults)
}

// checkEnv finds out whether the file can be written before there is a secret that would be lost.
func (r *registration) checkEnv() error {
	if r.env == "" {
		return nil
	}
	probe, err := os.CreateTemp(filepath.Dir(r.env), ".new-*")
	if err != nil {
		return err
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	if info, statErr := os.Stat(r.env); statErr == nil && info.IsDir() {
		err = errors.Join(err, fmt.Errorf("--env %s is a directory", r.env))
	}
	return err
}
