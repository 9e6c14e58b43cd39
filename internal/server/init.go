package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// Initialized says what Init made or found.
type Initialized struct {
	Issuer       string `json:"issuer"`
	Data         string `json:"data"`
	RootKey      string `json:"root_key"`
	OperatorFile string `json:"operator_file"`
	// OperatorID and OperatorSecret are those of an operator who was made now; empty otherwise. An operator with a key has no
	// secret, and the key is in the file alone.
	OperatorID     string `json:"operator_id,omitempty"`
	OperatorSecret string `json:"operator_secret,omitempty"`
}

// Init makes what New makes at the very first start, without taking an address: data directory, schema, root key, first
// keys, first operator. What is there already stays as it is; newOperator gives the first operator a new secret, or in
// profile fapi2 a new key, all the same, for whoever has lost it but has the server's data in hand.
func Init(ctx context.Context, config Config, newOperator bool) (Initialized, error) {
	if err := config.Validate(); err != nil {
		return Initialized{}, err
	}
	s := &Server{config: config, logger: slog.New(slog.DiscardHandler), now: time.Now}
	defer s.Close()
	var err error
	if s.issuer, s.adminURL, err = config.ownURLs(); err != nil {
		return Initialized{}, err
	}
	if err := makeDataDirectory(config.Data); err != nil {
		return Initialized{}, err
	}
	for _, step := range []func(context.Context) error{s.openStore, s.openRing, s.openRegistry} {
		if err := step(ctx); err != nil {
			return Initialized{}, err
		}
	}
	if newOperator && s.madeOperator == nil {
		operator, err := s.registry.ResetOperator(ctx)
		if err != nil {
			return Initialized{}, err
		}
		if err := s.keepOperator(&operator); err != nil {
			return Initialized{}, err
		}
	}
	made := Initialized{
		Issuer: s.issuer, Data: config.Data, RootKey: config.rootKeyPath(), OperatorFile: filepath.Join(config.Data, "operator.json"),
	}
	if s.madeOperator != nil {
		made.OperatorID, made.OperatorSecret = s.madeOperator.ID, s.madeOperator.Secret.Reveal()
	}
	return made, nil
}

// ownURLs returns issuer and admin URL as they will be, which takes fixed ports.
func (c Config) ownURLs() (issuer, admin string, err error) {
	_, port, _ := net.SplitHostPort(c.Listen) // validated
	_, adminPort, _ := net.SplitHostPort(c.Admin.Listen)
	if port == "0" && c.Issuer == "" || adminPort == "0" && c.Admin.URL == "" {
		return "", "", fmt.Errorf("server: with port 0 the addresses are known only when the server runs: name the ports")
	}
	if issuer = c.Issuer; issuer == "" {
		issuer = ownURL(c.Listen, port, c.TLS.set())
	}
	if admin = c.Admin.URL; admin == "" {
		admin = ownURL(c.Admin.Listen, adminPort, c.Admin.TLS.set())
	}
	return issuer, admin, nil
}

// Migrate brings the schema of the configured database up to date and returns how it stands; with statusOnly it changes
// nothing.
func Migrate(ctx context.Context, config Config, statusOnly bool) (sqlstore.Schema, error) {
	options, err := config.storeOptions()
	if err != nil {
		return sqlstore.Schema{}, err
	}
	if statusOnly {
		return sqlstore.Status(ctx, options)
	}
	if err := makeDataDirectory(config.Data); err != nil {
		return sqlstore.Schema{}, err
	}
	return sqlstore.Migrate(ctx, options)
}
