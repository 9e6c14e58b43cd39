package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// A registryFile is what writ plan and writ apply read and writ export writes. docs/registry.schema.json is made of it.
type registryFile struct {
	Resources []admin.ResourceSettings `json:"resources,omitzero" doc:"The protected APIs, without the admin API. Left out: they stay as they are"`
	Roles     []admin.RoleSettings     `json:"roles,omitzero" doc:"Bundles of scopes. Left out: they stay as they are"`
	Clients   []fileClient             `json:"clients,omitzero" doc:"The machines that ask for tokens. Left out: they stay as they are"`
}

// A fileClient is a client in a file, where its secret can only be referred to.
type fileClient struct {
	oauth.ClientMetadata
	Suspended bool             `json:"suspended,omitempty" doc:"Whether the client gets no tokens and its tokens are inactive"`
	Secret    *secretReference `json:"secret,omitempty" doc:"Where the client's secret is found when the file is applied; left out: its secrets stay as they are"`

	SecretLimit *admin.Limit `json:"secret_limit,omitempty" doc:"What each of the client's secrets is good for at most, but for those that were rotated out, which stay as they are; {}: all that the client may have. Left out: they stay as they are"`
	KeyLimit    *admin.Limit `json:"key_limit,omitempty" doc:"What each of the keys in jwks is good for at most; {}: all that the client may have. Left out: they stay as they are"`
}

// A secretReference says where a secret is. Exactly one of the two is there.
type secretReference struct {
	Env  string `json:"env,omitempty" doc:"Name of the environment variable that has it" example:"BILLING_SECRET" pattern:"^[A-Za-z_][A-Za-z0-9_]*$"`
	File string `json:"file,omitempty" doc:"Path of the file that has it, from where writ is run" example:"/run/secrets/billing"`
}

// maxSecretFile bounds a file with a secret.
const maxSecretFile = 4 << 10

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

var errNotAtHand = errors.New("is not at hand")

// read returns the secret. It is in no error.
func (s *secretReference) read() (admin.Secret, error) {
	switch {
	case (s.Env == "") == (s.File == ""):
		return "", errors.New("must be one of {env: NAME} and {file: PATH}: a secret itself does not belong into the file")
	case s.Env != "" && !variableName.MatchString(s.Env):
		return "", errors.New("env must be the name of a variable")
	case s.Env != "":
		if text := os.Getenv(s.Env); text != "" {
			return admin.Secret(text), nil
		}
		return "", fmt.Errorf("%w: the environment has no %s; set it, or name a file: {file: PATH}", errNotAtHand, s.Env)
	}
	file, err := os.Open(s.File)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%w: there is no file %s; make it, or name a variable: {env: NAME}", errNotAtHand, s.File)
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	switch text := strings.TrimRight(string(data), "\r\n"); {
	case err != nil:
		return "", err
	case len(data) > maxSecretFile:
		return "", fmt.Errorf("%s is larger than %d bytes: it holds more than a secret", s.File, maxSecretFile)
	case text == "":
		return "", fmt.Errorf("%w: %s is empty", errNotAtHand, s.File)
	default:
		return admin.Secret(text), nil
	}
}

// A declaredFile is a file with the declaration that it makes.
type declaredFile struct {
	*yamlFile
	admin.Declaration
	pending []string // what to say about secrets that are not at hand
}

// readDeclared reads a file, "-" for standard input, with the secrets that it refers to.
func readDeclared(cmd *cobra.Command, path string) (*declaredFile, error) {
	if path == "" {
		return nil, advise(usageError{errors.New("it is not said which file")}, "such as: "+cmd.CommandPath()+" -f registry.yaml; writ export writes one")
	}
	text, err := readText(cmd.InOrStdin(), path)
	if err != nil {
		return nil, err
	}
	var wanted registryFile
	file := &declaredFile{yamlFile: readYAML(path, text, &wanted)}
	if len(file.problems) == 0 && wanted.Resources == nil && wanted.Roles == nil && wanted.Clients == nil {
		file.refuse("", "declares nothing: it needs resources, roles or clients")
	}
	file.State = admin.DeclaredState{Resources: wanted.Resources, Roles: wanted.Roles}
	if wanted.Clients != nil {
		file.State.Clients = make([]admin.DeclaredClient, 0, len(wanted.Clients))
	}
	for i, client := range wanted.Clients {
		file.client(fmt.Sprintf("clients[%d]", i), client)
	}
	return file, file.err()
}

func (f *declaredFile) client(path string, client fileClient) {
	declared := admin.DeclaredClient{
		ClientMetadata: client.ClientMetadata, Suspended: client.Suspended, SecretLimit: client.SecretLimit, KeyLimit: client.KeyLimit,
	}
	if _, err := jose.ParsePublic(client.JWKS); len(client.JWKS) > 0 && errors.Is(err, jose.ErrPrivate) {
		f.refuse(path+".jwks", "holds a private key, which must stay where it is: give the public half")
	}
	if client.Secret != nil {
		secret, err := client.Secret.read()
		switch {
		case errors.Is(err, errNotAtHand):
			declared.SecretPending = true
			f.pending = append(f.pending, path+".secret "+err.Error())
		case err != nil:
			f.refuse(path+".secret", err.Error())
		}
		declared.Secret = secret
	}
	f.State.Clients = append(f.State.Clients, declared)
}

// complete refuses a file with secrets that are not at hand: none is invented, and none is left out.
func (f *declaredFile) complete() error {
	for _, text := range f.pending {
		at, why, _ := strings.Cut(text, " ")
		f.refuse(at, why)
	}
	return f.err()
}

// where says of what the server refused where it stands in the file.
func (f *declaredFile) where(err error) error {
	problem, refused := errors.AsType[*admin.Problem](err)
	if !refused || len(problem.Errors) == 0 {
		return err
	}
	for _, field := range problem.Errors {
		f.refuse(strings.TrimPrefix(field.Location, "body.state."), field.Message)
	}
	return f.err()
}

func readText(in io.Reader, path string) (string, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, admin.MaxDeclaredBody+1))
	if err == nil && len(data) > admin.MaxDeclaredBody {
		err = advise(fmt.Errorf("%s is larger than %d MiB", path, admin.MaxDeclaredBody>>20), "put some of the clients into another file, and apply both without --prune")
	}
	return string(data), err
}

// fileOf returns a state as a file has it.
func fileOf(state admin.DeclaredState) registryFile {
	file := registryFile{Resources: state.Resources, Roles: state.Roles, Clients: make([]fileClient, 0, len(state.Clients))}
	for _, client := range state.Clients {
		if string(client.JWKS) == "null" {
			client.JWKS = nil
		}
		file.Clients = append(file.Clients, fileClient{
			ClientMetadata: client.ClientMetadata, Suspended: client.Suspended, SecretLimit: client.SecretLimit, KeyLimit: client.KeyLimit,
		})
	}
	return file
}
