package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/writ-auth/writ/internal/registry"
)

// correctCredential makes operator.json say where this server is, when issuer or admin address were others at an earlier
// start: the command line finds the server by it. It makes no file, and leaves alone one that is not ours.
func (s *Server) correctCredential() error {
	data, err := os.ReadFile(filepath.Join(s.config.Data, "operator.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("server: operator: %w", err)
	}
	var kept Credential
	if err := json.Unmarshal(data, &kept); err != nil || kept.ClientID == "" || kept.Issuer == s.issuer && kept.Admin == s.adminURL {
		return nil
	}
	kept.Issuer, kept.Admin = s.issuer, s.adminURL
	_, err = writeCredential(s.config.Data, kept)
	return err
}

// keepOperator writes the credential of an operator who was just made to operator.json.
func (s *Server) keepOperator(operator *registry.NewOperator) error {
	s.madeOperator = operator
	path, err := writeCredential(s.config.Data, Credential{
		Issuer: s.issuer, Admin: s.adminURL, ClientID: operator.ID,
		ClientSecret: operator.Secret.Reveal(), PrivateKey: json.RawMessage(operator.PrivateKey.Reveal()),
	})
	if err != nil {
		return err
	}
	s.logger.Info("first operator made: its credential is in a file", "file", path)
	return nil
}

// A Credential is the content of operator.json: who an operator is, and where. It has a secret or a key: with a key, the
// operator authenticates by private_key_jwt, and gets only tokens that are bound to a DPoP key.
type Credential struct {
	Issuer       string          `json:"issuer"`
	Admin        string          `json:"admin"`
	ClientID     string          `json:"client_id"`
	ClientSecret string          `json:"client_secret,omitempty"`
	PrivateKey   json.RawMessage `json:"private_key,omitempty"` // a JWK
}

// writeCredential writes operator.json, whole or not at all, and for its owner alone.
func writeCredential(dir string, c Credential) (string, error) {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return "", fmt.Errorf("server: operator: %w", err)
	}
	path := filepath.Join(dir, "operator.json")
	file, err := os.CreateTemp(dir, "operator-*.json") // mode 0600
	if err != nil {
		return "", fmt.Errorf("server: operator: %w", err)
	}
	_, err = file.Write(append(data, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("server: operator: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return path, nil
}
