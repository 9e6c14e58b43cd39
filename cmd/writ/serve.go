package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/internal/server"
)

// configuration says where a command finds the server's configuration.
type configuration struct {
	file string
	set  []string
}

func (c *configuration) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&c.file, "config", "c", "", "configuration `FILE` (WRIT_CONFIG); none is fine")
	cmd.Flags().StringArrayVar(&c.set, "set", nil, "setting `NAME=VALUE`, before environment and file; may be repeated")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // fails only for a flag that is not there
}

// none reports whether nothing says what the configuration or its data directory is.
func (c *configuration) none() bool {
	return c.file == "" && len(c.set) == 0 && os.Getenv("WRIT_CONFIG") == "" && os.Getenv("WRIT_DATA") == ""
}

func (c *configuration) load() (server.Config, error) {
	flags := map[string]string{}
	for _, setting := range c.set {
		name, value, found := strings.Cut(setting, "=")
		if !found {
			return server.Config{}, usageError{fmt.Errorf("--set %q is not NAME=VALUE, such as tokens.ttl=10m", setting)}
		}
		flags[name] = value
	}
	config, err := server.Load(orEnvironment(c.file, "WRIT_CONFIG"), os.Environ(), flags)
	if err != nil {
		return config, advise(err, "what can be set: writ config doc")
	}
	return config, nil
}

func newServe(left *work) *cobra.Command {
	var from configuration
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: `Run the authorization server until it is interrupted: the OAuth endpoints on one listener,
the admin API on another.

Without a configuration it keeps everything in ./writ-data and listens on loopback. At the
very first start it makes the root key, the signing keys and the first operator, whose
credential is left in DATA/operator.json.`,
		Example: `  writ serve
  writ serve --config /etc/writ/writ.yaml
  writ serve --set listen=127.0.0.1:9000 --set tokens.ttl=2m`,
		Args: noArgs,
	}
	from.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := from.load()
		if err != nil {
			return err
		}
		ctx, logger := cmd.Context(), server.NewLogger(cmd.ErrOrStderr(), config.Log)
		*left = func() error { return serve(ctx, config, logger) }
		return nil
	}
	return cmd
}

// serve runs a server until the context ends.
func serve(ctx context.Context, config server.Config, logger *slog.Logger) error {
	defer paceCollector(os.Getenv("GOGC"), os.Getenv("GOMEMLIMIT"))()
	running, err := server.New(ctx, config, server.Options{Logger: logger, Version: version})
	if ctx.Err() != nil && err != nil {
		return nil // interrupted before it was ready
	}
	if err != nil {
		return err
	}
	return running.Run(ctx)
}

func newInit() *cobra.Command {
	var from configuration
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Prepare a server: data directory, root key, first operator",
		Long: `Prepare what "writ serve" needs, without serving: the data directory, the root key, the
database's schema, the signing keys, and the first operator. Where everything is there
already, nothing changes.`,
		Example: "  writ init\n  writ init --config /etc/writ/writ.yaml",
		Args:    noArgs,
	}
	from.flags(cmd)
	newOperator := cmd.Flags().Bool("new-operator", false, "give the first operator a new credential, for a lost one")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := from.load()
		if err != nil {
			return err
		}
		made, err := server.Init(cmd.Context(), config, *newOperator)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if *asJSON {
			return writeJSON(out, made)
		}
		if made.OperatorID == "" {
			fmt.Fprintln(out, "Everything is there already; nothing was changed.")
			return writeFields(out, "data", made.Data, "root key", made.RootKey, "operator", made.OperatorFile)
		}
		title := "Ready. The operator's credential is shown this once; it is in the file below too, for the CLI."
		if made.OperatorSecret == "" {
			title = "Ready. The operator proves who it is with a key, which is in the file below and nowhere else."
		}
		fmt.Fprintln(out, title)
		fmt.Fprintln(out)
		err = writeFields(out, "issuer", made.Issuer, "data", made.Data, "root key", made.RootKey+"   keep a copy away from the database's backups",
			"operator", made.OperatorID, "secret", made.OperatorSecret, "file", made.OperatorFile)
		fmt.Fprintln(out, "\nNext: writ serve"+from.hint())
		return err
	}
	return cmd
}

// hint repeats how the configuration was named.
func (c *configuration) hint() string {
	if c.file == "" {
		return ""
	}
	return " --config " + c.file
}

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check and explain the server's configuration",
		Example: "  writ config check --config writ.yaml\n  writ config doc",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheck(), newConfigDoc())
	return cmd
}

func newConfigDoc() *cobra.Command {
	return &cobra.Command{
		Use:     "doc",
		Short:   "Print every setting, what it means and its default",
		Example: "  writ config doc",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), server.Doc())
			return err
		},
	}
}

func newMigrate() *cobra.Command {
	var from configuration
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date",
		Long: `Bring the database's schema up to date, or say how it stands. "writ serve" does this by
itself; run it apart where the server's database role may not change tables.`,
		Example: "  writ migrate --config writ.yaml --status\n  writ migrate --config writ.yaml",
		Args:    noArgs,
	}
	from.flags(cmd)
	status := cmd.Flags().Bool("status", false, "say how the schema stands and change nothing")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := from.load()
		if err != nil {
			return err
		}
		schema, err := server.Migrate(cmd.Context(), config, *status)
		if err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), map[string]any{
				"version": schema.Version, "binary": schema.Binary, "pending": schema.Pending(), "fits": schema.Fits() == nil,
			})
		}
		state := "up to date"
		switch {
		case schema.Pending():
			state = "behind: run writ migrate"
		case schema.Fits() != nil:
			state = schema.Fits().Error()
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "The database has schema %d, this binary %d: %s.\n", schema.Version, schema.Binary, state)
		return err
	}
	return cmd
}
