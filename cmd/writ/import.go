package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/importer"
)

func newImport() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import",
		Short:   "Take over clients from another authorization server",
		Example: "  writ import hydra hydra_client.json --dry-run\n  writ import keycloak realm.json --audience orders-api=https://api.example.com",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var as operatorFlag
	as.flags(cmd)
	cmd.AddCommand(newImportHydra(&as), newImportKeycloak(&as))
	return cmd
}

func newImportHydra(as *operatorFlag) *cobra.Command {
	return newImportFrom(as, importer.Hydra, &cobra.Command{
		Use:   "hydra FILE",
		Short: "Take over clients from Ory Hydra",
		Long: `Take over the machines' clients of Ory Hydra, with their IDs, scopes, audiences, keys and
secrets; all of it, or nothing. It can be done again: what is there already stays as it is.

FILE (- is standard input) is the rows of the table hydra_client as a JSON array, which has
the hashes of the secrets, so that clients go on with those they have:

  psql -At -c "select json_agg(c) from hydra_client c" "$HYDRA_DSN" > hydra_client.json

or what GET /admin/clients answers, which has not: then each needs a new secret.
What does not map is in the report. Look at it first, with --dry-run.`,
		Example: `  writ import hydra hydra_client.json --dry-run
  writ import hydra hydra_client.json --resource https://api.example.com`,
		Args: exactArgs("FILE"),
	})
}

func newImportKeycloak(as *operatorFlag) *cobra.Command {
	return newImportFrom(as, importer.Keycloak, &cobra.Command{
		Use:   "keycloak FILE",
		Short: "Take over clients from a realm of Keycloak",
		Long: `Take over the clients of a realm that have a service account, with their IDs, keys and secrets,
the client roles and client scopes that they have as scopes, and the realm roles that stand
for client roles as roles; all of it, or nothing. It can be done again: what is there already
stays as it is.

FILE (- is standard input) is what kc.sh export --realm NAME --file FILE has written. The
secrets in it are in clear: keep it to yourself, and delete it. Only hashes leave this command.
What does not map is in the report. Look at it first, with --dry-run.`,
		Example: `  writ import keycloak realm.json --dry-run
  writ import keycloak realm.json --audience orders-api=https://api.example.com`,
		Args: exactArgs("FILE"),
	})
}

// newImportFrom gives a command that imports its flags and its work.
func newImportFrom(as *operatorFlag, read func([]byte, importer.Options) (importer.Plan, error), cmd *cobra.Command) *cobra.Command {
	var options importer.Options
	flags := cmd.Flags()
	named := flags.StringArray("audience", nil, "what is called NAME there is the resource URI here, as `NAME=URI`;\nmay be repeated")
	flags.StringVar(&options.Resource, "resource", "", "`URI` of the resource for scopes that come with no audience")
	dry := flags.Bool("dry-run", false, "show what would be done, and change nothing")
	asJSON := jsonFlag(cmd)
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"json"}, cobra.ShellCompDirectiveFilterFileExt
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if options.Audiences, err = readAudiences(*named); err != nil {
			return err
		}
		data, err := readExport(cmd.InOrStdin(), args[0])
		if err != nil {
			return err
		}
		plan, err := read(data, options)
		if err != nil {
			return fmt.Errorf("%s: %s", args[0], strings.TrimPrefix(err.Error(), "importer: "))
		}
		plan.Wanted.DryRun = *dry
		api, err := as.connect()
		if err != nil {
			return err
		}
		result, err := api.Import(cmd.Context(), plan.Wanted)
		if err != nil {
			return adviseImport(err)
		}
		return writeImport(cmd.OutOrStdout(), *asJSON, result, plan.Report)
	}
	return cmd
}

func readAudiences(named []string) (map[string]string, error) {
	audiences := map[string]string{}
	for _, text := range named {
		name, uri, ok := strings.Cut(text, "=")
		if !ok || name == "" || uri == "" {
			return nil, advise(usageError{fmt.Errorf("--audience %s is not NAME=URI", text)}, "such as: --audience orders-api=https://api.example.com")
		}
		audiences[name] = uri
	}
	return audiences, nil
}

// readExport reads a file, or standard input.
func readExport(in io.Reader, name string) ([]byte, error) {
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, importer.MaxBytes+1))
	if err == nil && len(data) > importer.MaxBytes {
		err = fmt.Errorf("%s is larger than %d MiB", name, importer.MaxBytes>>20)
	}
	return data, err
}

// adviseImport says what to do about an import that was refused: of it, nothing was done.
func adviseImport(err error) error {
	problem, refused := errors.AsType[*admin.Problem](err)
	switch {
	case refused && problem.Status == http.StatusRequestEntityTooLarge:
		return advise(err, "split the file: an import is one request of 1 MiB at most, which is some 2000 clients")
	case refused && problem.Status == http.StatusBadRequest:
		return advise(err, "nothing was imported: take out of the file what is named, or change it there, and do it again")
	}
	return err
}

// writeImport shows what was done and what was not.
func writeImport(out io.Writer, asJSON bool, result admin.ImportResult, report []importer.Finding) error {
	if asJSON {
		return writeJSON(out, struct {
			admin.ImportResult
			Report []importer.Finding `json:"report"`
		}{result, append([]importer.Finding{}, report...)})
	}
	rows := [][]string{}
	for _, item := range result.Items {
		id := item.ID
		if item.Name != "" && item.Name != item.ID {
			id += " (" + item.Name + ")"
		}
		rows = append(rows, []string{item.Kind, id, item.Outcome, item.Note})
	}
	if err := writeSection(out, rows, []string{"KIND", "ID", "OUTCOME", "NOTE"}, "There is nothing in it to import."); err != nil {
		return err
	}
	rows = rows[:0]
	for _, finding := range report {
		rows = append(rows, []string{finding.Kind, finding.ID, finding.Outcome, finding.Text})
	}
	fmt.Fprintln(out)
	if err := writeSection(out, rows, []string{"KIND", "ID", "REPORT", "WHAT"}, "Everything in it has a place here."); err != nil {
		return err
	}
	if result.DryRun {
		_, err := fmt.Fprintln(out, "\nThis was a dry run: nothing was changed.")
		return err
	}
	return nil
}

func writeSection(out io.Writer, rows [][]string, heading []string, none string) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(out, none)
		return err
	}
	return writeTable(out, heading, rows)
}
