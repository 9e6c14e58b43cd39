package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/internal/server"
)

func newDoctor() *cobra.Command {
	var from configuration
	var address string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at a server and name what is to be mended",
		Long: `Look at everything that a configuration names, and at the server that runs with it: clock, issuer,
metadata, key set, TLS and how long its certificates count, data directory, root key, room on the
disk, journal, database, signing keys, credentials of clients that end within 30, 7 or 1 days, and
the profile. Each finding comes with the command that mends it. Nothing is changed.

Run it on the server's machine as the user of the server, with its configuration; without one the
server is that of ./writ-data, or of writ dev in ./.writ-dev. With --url a server is looked at from
outside, as its clients see it.

Exit codes: 0 nothing to mend, 1 findings, 2 put wrongly.`,
		Example: "  writ doctor --config /etc/writ/writ.yaml\n  writ doctor --url https://auth.example.com\n  writ doctor --json",
		Args:    noArgs,
	}
	from.flags(cmd)
	cmd.Flags().StringVar(&address, "url", "", "look from outside at the server with this issuer `URL`")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if address != "" && (from.file != "" || len(from.set) > 0) {
			return advise(usageError{errors.New("--url looks from outside, where no configuration is")}, "leave out --config and --set, or --url")
		}
		result := diagnosed{OK: true}
		if address != "" {
			result.Checks = server.DiagnoseIssuer(cmd.Context(), address)
		} else {
			if from.none() && onlyDev() {
				from.set = []string{"data=" + devDirectory}
			}
			config, err := from.load()
			if err != nil {
				return err
			}
			result.Checks = server.Diagnose(cmd.Context(), config)
		}
		for _, one := range result.Checks {
			result.OK = result.OK && one.Healthy()
		}
		write := result.write
		if *asJSON {
			write = func(out io.Writer) error { return writeJSON(out, result) }
		}
		if err := write(cmd.OutOrStdout()); err != nil || result.OK {
			return err
		}
		return silentError{errors.New("there is something to mend")}
	}
	return cmd
}

// diagnosed is what writ doctor found.
type diagnosed struct {
	OK     bool               `json:"ok"`
	Checks []server.Diagnosis `json:"checks"`
}

func (d diagnosed) write(out io.Writer) error {
	colour := paletteFor(out)
	marks := map[string]string{
		server.DiagnosisOK: colour.green("ok     "), server.DiagnosisWarning: colour.yellow("warning"),
		server.DiagnosisFailed: colour.red("failed "), server.DiagnosisSkipped: colour.dim("skipped"),
	}
	width := 0
	for _, one := range d.Checks {
		width = max(width, len(one.Check))
	}
	for _, one := range d.Checks {
		fmt.Fprintf(out, "%s  %-*s  %s\n", marks[one.State], width, one.Check, one.Text)
		if one.Remedy != "" {
			fmt.Fprintf(out, "%*s  %s\n", len("warning")+2+width, "", colour.bold("-> "+one.Remedy))
		}
	}
	findings := 0
	for _, one := range d.Checks {
		if !one.Healthy() {
			findings++
		}
	}
	text := "\nNothing is to be mended.\n"
	if findings > 0 {
		text = fmt.Sprintf("\nTo be mended: %d.\n", findings)
	}
	_, err := io.WriteString(out, text)
	return err
}
