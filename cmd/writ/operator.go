package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/server"
)

// operatorFile is where a server leaves the first operator's credential, in its data directory.
const operatorFile = "operator.json"

// operatorVariable names the file of the operator that commands speak as.
const operatorVariable = "WRIT_OPERATOR_FILE"

// An operatorFlag says as whom a command speaks to the admin API.
type operatorFlag struct{ file string }

func (o *operatorFlag) flags(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&o.file, "operator", "", "`FILE` with the operator's credential ("+operatorVariable+");\nelse that of ./writ-data or ./.writ-dev")
	_ = cmd.MarkPersistentFlagFilename("operator", "json") // fails only for a flag that is not there
}

// newDelete gives a command that deletes what is named its work.
func newDelete(as *operatorFlag, cmd *cobra.Command, remove func(*admin.API, context.Context, string, ...admin.Option) error) *cobra.Command {
	return newOrder(as, cmd, "deleted", "Deleted %s.\n", remove)
}

// newOrder gives a command that has one argument and answers nothing its work, and what it says when that is done.
func newOrder(as *operatorFlag, cmd *cobra.Command, done, text string, order func(*admin.API, context.Context, string, ...admin.Option) error) *cobra.Command {
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		operator, err := as.connect()
		if err != nil {
			return err
		}
		if err := order(operator.API, cmd.Context(), args[0]); err != nil {
			return err
		}
		if *asJSON {
			return writeJSON(cmd.OutOrStdout(), map[string]string{done: args[0]})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), text, args[0])
		return err
	}
	return cmd
}

// An operator is someone who speaks to the admin API of a running server. The CLI never opens the database itself.
type operator struct {
	*admin.API

	credential server.Credential
	source     *client.Source
}

// connect returns the operator that a command is to speak as.
func (o *operatorFlag) connect() (*operator, error) {
	path := orEnvironment(o.file, operatorVariable)
	if path == "" {
		for _, dir := range []string{dataDirectory, devDirectory} {
			if _, err := os.Stat(filepath.Join(dir, operatorFile)); err == nil {
				path = filepath.Join(dir, operatorFile)
				break
			}
		}
	}
	if path == "" {
		return nil, advise(errors.New("there is no operator's credential here"),
			"start a server in this directory with `writ serve` or `writ dev`, or name the file: --operator FILE")
	}
	credential, err := readOperator(path)
	if err != nil {
		return nil, err
	}
	return newOperator(credential)
}

func readOperator(path string) (server.Credential, error) {
	var credential server.Credential
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return credential, advise(fmt.Errorf("there is no operator's credential in %s", path),
			"a server makes it at its first start; if it was lost: writ init --new-operator, with the server stopped")
	}
	if err != nil {
		return credential, err
	}
	if err := json.Unmarshal(data, &credential); err != nil || credential.Issuer == "" || credential.Admin == "" || credential.ClientID == "" {
		return credential, fmt.Errorf("%s is not an operator's credential", path)
	}
	return credential, nil
}

// newOperator returns an operator. To it the admin API is a protected resource of the issuer, like any other. One with a
// key has its tokens bound to another one, which is made anew for each command.
func newOperator(credential server.Credential) (*operator, error) {
	config := client.Config{
		Issuer: credential.Issuer, ClientID: credential.ClientID, Credential: client.Secret(credential.ClientSecret),
		Resource:   strings.TrimSuffix(credential.Issuer, "/") + admin.Path,
		AllowHosts: []string{hostOf(credential.Admin)},
	}
	if len(credential.PrivateKey) > 0 {
		key, err := client.ParsePrivateKey(credential.PrivateKey)
		if err != nil {
			return nil, err
		}
		config.Credential, config.DPoP = key, true
	}
	source, err := client.New(config)
	if err != nil {
		return nil, err
	}
	api, err := admin.New(admin.Config{URL: credential.Admin, HTTPClient: source.Client()})
	if err != nil {
		return nil, err
	}
	return &operator{api, credential, source}, nil
}

// isConflict reports whether the admin API refused what is there already.
func isConflict(err error) bool {
	problem, refused := errors.AsType[*admin.Problem](err)
	return refused && problem.Status == http.StatusConflict
}

func hostOf(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}
