package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/remotekeys"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// makeDataDirectory makes the directory for its owner alone, and refuses one that others could put files into: a root
// key or a database of their choice among them.
func makeDataDirectory(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("server: data directory: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("server: data directory: %w", err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("server: data directory %s is not a directory, or others can write to it (mode %04o): chmod 700 %s", path, info.Mode().Perm(), path)
	}
	return nil
}

func (s *Server) bind(ctx context.Context) error {
	var err error
	if s.public, err = s.bindOne(ctx, "listen", s.config.Listen, s.config.TLS, s.config.proxies()); err != nil {
		return err
	}
	if s.admin, err = s.bindOne(ctx, "admin.listen", s.config.Admin.Listen, s.config.Admin.TLS, proxies{}); err != nil {
		return err
	}
	if err := s.bindMTLS(ctx); err != nil {
		return err
	}
	s.issuer = s.config.Issuer
	if s.issuer == "" {
		s.issuer = s.public.url(s.config.Listen)
	}
	if s.adminURL = s.config.Admin.URL; s.adminURL == "" {
		s.adminURL = s.admin.url(s.config.Admin.Listen)
	}
	return nil
}

// bindMTLS takes the address of the listener for client certificates, if there is one. It asks for a certificate, and lets the
// authority judge it. A session that is resumed would bring a certificate that was shown before what is trusted now
// (CVE-2025-68121): there are none.
func (s *Server) bindMTLS(ctx context.Context) (err error) {
	m := s.config.MTLS
	if m.Listen == "" {
		return nil
	}
	if s.trust, err = newTrust(m, s.logger, s.now); err != nil {
		return err
	}
	if s.mtls, err = s.bindOne(ctx, "mtls.listen", m.Listen, m.TLS, s.config.mtlsProxies()); err != nil {
		return err
	}
	if config := s.mtls.http.TLSConfig; config != nil {
		config.ClientAuth, config.SessionTicketsDisabled = tls.RequestClientCert, true
		config.VerifyPeerCertificate = boundChain
	}
	if s.mtlsURL = m.URL; s.mtlsURL == "" {
		s.mtlsURL = s.mtls.url(m.Listen)
	}
	return nil
}

// maxChainBytes bounds what a client shows: a certificate of RSA with its chain takes some 8 KiB.
const maxChainBytes = 32 << 10

// boundChain refuses, in the handshake, what would stay in memory for as long as the connection is open. TLS takes 256 KiB,
// and many small certificates in them become 2 MiB of parsed ones, on each of thousands of connections.
func boundChain(chain [][]byte, _ [][]*x509.Certificate) error {
	size := 0
	for _, certificate := range chain {
		size += len(certificate)
	}
	if len(chain) > 1+maxChain || size > maxChainBytes {
		return errors.New("server: the client shows more certificates than a chain needs")
	}
	return nil
}

func (s *Server) bindOne(ctx context.Context, field, address string, files TLSFiles, from proxies) (*listener, error) {
	var pair *certificate
	if files.set() {
		var err error
		if pair, err = newCertificate(files, s.logger, s.now); err != nil {
			return nil, err
		}
	}
	l, err := bind(ctx, address, pair, from, s.config.Limits, s.logger)
	if err != nil {
		return nil, fmt.Errorf("server: %s: %w", field, err)
	}
	s.opened = append(s.opened, l.http, closeQuietly{l}) // a served listener is closed by its server as well
	return l, nil
}

// closeQuietly closes a listener that may be closed already.
type closeQuietly struct{ *listener }

func (c closeQuietly) Close() error {
	_ = c.gate.Close() // a second close says that it was the second
	return nil
}

func (c Config) storeOptions() (sqlstore.Options, error) {
	dsn, err := c.dsn()
	if err != nil {
		return sqlstore.Options{}, fmt.Errorf("server: database_file: %w", err)
	}
	return sqlstore.Options{DSN: dsn, MaxConnections: c.DatabaseConnections, NoMigrate: c.Migrate == "never"}, nil
}

func (s *Server) openStore(ctx context.Context) error {
	options, err := s.config.storeOptions()
	if err != nil {
		return err
	}
	options.Now = s.now
	opened, err := sqlstore.Open(ctx, options)
	if err != nil {
		return err
	}
	s.store = opened
	if s.metrics != nil { // Init has none
		s.metrics.store.tracing = s.tracing
		s.store = watched{opened, s.metrics.store}
	}
	s.opened = append(s.opened, opened)
	return nil
}

// openRing opens the keys with the root key. A root key is made only for a database that has no key at all: made anew
// over sealed ones it would look like a fresh start, and every token in use and every key would be lost (ST-17).
func (s *Server) openRing(ctx context.Context) error {
	path := s.config.rootKeyPath()
	root, err := keyring.LoadRoot(path)
	made := false
	if errors.Is(err, fs.ErrNotExist) {
		sealed, err := s.store.Keys().List(ctx, "", 1)
		if err != nil {
			return fmt.Errorf("server: %w", err)
		}
		if len(sealed) > 0 {
			return fmt.Errorf("server: root key %s is missing, and the database holds keys that were sealed with it: "+
				"put the file back from your copy, or from another node. A new one is never made over existing keys", path)
		}
		if root, err = keyring.CreateRoot(path); err != nil {
			return err
		}
		made = true
		s.logger.Info("root key made: keep a copy away from the database's backups", "file", path)
	} else if err != nil {
		return err
	}
	policy := keyring.Policy{
		Lifetime: s.config.Keys.Lifetime.std(), Announce: s.config.Keys.Announce.std(), MaxTokenTTL: s.config.Tokens.MaxTTL.std(),
	}
	s.ring, err = keyring.Open(ctx, s.store, keyring.Options{Root: root, Now: s.now, Policy: policy})
	if err == nil {
		err = s.firstKey(ctx)
	}
	if !errors.Is(err, keyring.ErrRootKey) {
		return err
	}
	if made { // another node was first with a root key of its own: this one has sealed nothing, and would be in the way
		err = errors.Join(err, os.Remove(path))
	}
	return fmt.Errorf("server: root key %s is not the one that sealed the keys in the database: "+
		"put the right file there, from your copy or from another node: %w", path, err)
}

// firstKey makes what every server needs: the key of the default algorithm and the one that seals. In one order on all nodes, so
// that two with different root keys meet at the first.
func (s *Server) firstKey(ctx context.Context) error {
	for _, algorithm := range []string{jose.ES256, keyring.Sealing} {
		if err := s.ring.Ensure(ctx, algorithm); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) openJournal(ctx context.Context) error {
	signer, err := audit.NewSigner(s.ring.Derive(checkpointPurpose))
	if err != nil {
		return err
	}
	journal, err := audit.Open(s.config.journal(), audit.Options{
		Now: s.now, Observe: s.metrics.journal.observe, Signer: signer, Kept: func(name string) (string, error) { return keptCheckpoint(ctx, s.store, name) },
	})
	if err != nil {
		return err
	}
	s.journal = journal
	s.opened = append(s.opened, journal)
	s.anchor = &anchor{journal: journal, store: s.store, now: s.now, logger: s.logger}
	s.logger.Info("the journal's checkpoints are signed", "journal", journal.Name(), "key", signer.Key(), "ring", journal.HasRing())
	return nil
}

// journal returns the directory of the journal.
func (c Config) journal() string { return filepath.Join(c.Data, "audit") }

func (s *Server) openRegistry(ctx context.Context) error {
	changes := s.store
	if s.authority != nil { // Init has none
		changes = notifying{Store: s.store, changed: s.poll}
	}
	options := registry.Options{
		Issuer: s.issuer, Store: changes, Ring: s.ring, Now: s.now,
		OperatorKey: s.config.fapi2(), Algorithms: s.config.profile().Algorithms,
	}
	if err := s.registrationOptions(&options); err != nil {
		return err
	}
	s.registry = registry.New(options)
	operator, err := s.registry.Bootstrap(ctx)
	switch {
	case err != nil:
		return err
	case operator == nil:
		return s.correctCredential()
	}
	return s.keepOperator(operator)
}

func (s *Server) openAuthority(ctx context.Context) error {
	options, err := s.authorityOptions()
	if err != nil {
		return err
	}
	if s.authority, err = authority.New(ctx, options); err != nil {
		return err
	}
	s.polled.Store(s.now().UnixNano())
	s.uses = &uses{take: s.authority.TakeUses, keep: s.store.NoteUses}
	return nil
}

func (s *Server) authorityOptions() (authority.Options, error) {
	fetching := remotekeys.Options{Now: s.now, Logger: s.logger}
	if s.remoteKeys != nil {
		s.remoteKeys(&fetching)
	}
	s.remote = remotekeys.New(fetching)
	s.opened = append(s.opened, closeFunc(s.remote.Close))
	options := authority.Options{
		Issuer: s.issuer, Store: s.store, Ring: s.ring, Journal: s.journal, Now: s.now,
		Step:     s.tracing.step(),
		Pace:     authority.Pace{Rate: s.config.Limits.ClientRate, Burst: s.config.Limits.ClientBurst},
		TokenTTL: s.config.Tokens.TTL.std(), MaxTokenTTL: s.config.Tokens.MaxTTL.std(),
		Profile: s.config.profile(), MTLS: s.mtlsURL, RemoteKeys: s.remote,
		Registrations: s.config.registrations(), ClientMemory: memoryForClients(),
	}
	if s.trust != nil {
		options.Trust = s.trust.current.Load
	}
	if !s.config.DPoP.RequireNonce {
		return options, nil
	}
	nonces, err := pop.NewNonces(s.ring.Derive("dpop nonce"), s.now) // the same on all nodes
	options.Nonces = nonces
	return options, err
}

// closeFunc is a Close that cannot fail.
type closeFunc func()

// Close calls the function.
func (f closeFunc) Close() error {
	f()
	return nil
}
