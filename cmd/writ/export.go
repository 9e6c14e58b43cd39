package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
)

func newExport() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write resources, roles and clients as a file for writ apply",
		Long: `Write resources, roles and clients as a file for writ plan and writ apply. It has no secrets,
is the same each time, and applying it changes nothing. The admin API and the operator that
exports are left out: they belong to the server. So are clients that registered themselves:
they come and go without a file, and writ apply --prune leaves them alone.`,
		Example: "  writ export > registry.yaml\n  writ export -f registry.yaml",
		Args:    noArgs,
	}
	var as operatorFlag
	as.flags(cmd)
	cmd.Flags().StringVarP(&path, "file", "f", "", "write to this new `FILE`, instead of standard output")
	_ = cmd.MarkFlagFilename("file", "yaml", "yml") // fails only for a flag that is not there
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := as.connect()
		if err != nil {
			return err
		}
		state, err := api.Export(cmd.Context(), strings.TrimSuffix(api.credential.Issuer, "/")+admin.Path, api.credential.ClientID)
		if err != nil {
			return err
		}
		text, err := exportText(fileOf(state), *asJSON)
		if err != nil || path == "" {
			_, writing := cmd.OutOrStdout().Write(text)
			return errors.Join(err, writing)
		}
		return writeExport(path, text)
	}
	return cmd
}

// exportText writes a file, as YAML or as JSON, which is YAML as well.
func exportText(file registryFile, asJSON bool) ([]byte, error) {
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil || asJSON {
		return append(text, '\n'), err
	}
	text, err = yamlOf(text)
	return append([]byte("# Written by writ export. Secrets are not in it, and what is left out has its default: see docs/declared-state.md\n"), text...), err
}

// writeExport makes a file, and overwrites none: it may have comments, and references to secrets.
func writeExport(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return advise(fmt.Errorf("%s is there already", path), "see what is different with: writ plan -f "+argument(path)+"; or write to another file")
	}
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
