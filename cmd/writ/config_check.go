package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/internal/server"
)

func newConfigCheck() *cobra.Command {
	var from configuration
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Name every mistake in a configuration",
		Long: `Name every mistake in a configuration. With profile fapi2 the database is read as well, and
every client and resource that would be refused is named, with the command that mends it. It
is read and not changed, and may be in use by a server.`,
		Example: "  writ config check --config writ.yaml\n  writ config check --config writ.yaml --set profile=fapi2",
		Args:    noArgs,
	}
	from.flags(cmd)
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		config, err := from.load()
		if problems := server.Problems(nil); err != nil && *asJSON && errors.As(err, &problems) {
			return errors.Join(writeJSON(cmd.OutOrStdout(), checked{Problems: problems, Findings: []server.Finding{}}), silentError{err})
		}
		if err != nil {
			return err
		}
		found, unread := server.CheckProfile(cmd.Context(), config)
		result := checked{OK: len(found) == 0, Problems: server.Problems{}, Findings: append([]server.Finding{}, found...)}
		if unread != nil {
			result.Unread = unread.Error()
		}
		if *asJSON {
			err = writeJSON(cmd.OutOrStdout(), result)
		} else {
			err = result.write(cmd.OutOrStdout(), config)
		}
		if err == nil && !result.OK {
			return silentError{errors.New("not everything passes the profile")}
		}
		return err
	}
	return cmd
}

// checked is what writ config check found.
type checked struct {
	OK       bool             `json:"ok"`
	Problems server.Problems  `json:"problems"`
	Findings []server.Finding `json:"findings"`
	Unread   string           `json:"unread,omitempty"` // why the database could not be read
}

func (c checked) write(out io.Writer, config server.Config) error {
	issuer := config.Issuer
	if issuer == "" {
		issuer = "made from listen, " + config.Listen
	}
	fmt.Fprintln(out, "The configuration is sound. Issuer: "+issuer)
	if c.Unread != "" {
		fmt.Fprintln(out, "Whether clients and resources pass the profile could not be checked: "+c.Unread)
		return nil
	}
	if len(c.Findings) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nProfile %s would refuse:\n\n", config.Profile)
	for _, f := range c.Findings {
		if _, err := fmt.Fprintf(out, "  %s %s\n      %s\n      %s\n", f.Kind, f.Name, f.Text, f.Remedy); err != nil {
			return err
		}
	}
	return nil
}
