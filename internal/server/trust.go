package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/authority"
)

// A trust is who vouches for client certificates and what they have revoked: files that are read again when their content
// changes. Certificates are checked at each request and not in the handshake, so that a change counts for the next request
// of a connection that is open already (CA-36). Files that cannot be used leave what was there before.
type trust struct {
	authorities string
	lists       []string
	logger      *slog.Logger
	now         func() time.Time

	current atomic.Pointer[authority.Trust]

	// Of reload alone, which one goroutine calls:
	sum    [sha256.Size]byte // of the content that current was made from
	warned bool              // that a list is out of date
}

// newTrust reads the files. It returns nil if none are configured, and refuses what cannot be used: an empty file must not
// become trust in nobody, or in everybody (CA-35).
func newTrust(m MTLS, logger *slog.Logger, now func() time.Time) (*trust, error) {
	if m.ClientCA == "" {
		return nil, nil
	}
	t := &trust{authorities: m.ClientCA, lists: m.ClientCRL, logger: logger, now: now}
	return t, t.reload(context.Background())
}

// reload takes over what is in the files, if it has changed and can be used as a whole.
func (t *trust) reload(context.Context) error {
	content, err := readTrusted(t.authorities)
	if err != nil {
		return fmt.Errorf("server: client_ca: %w", err)
	}
	hash := sha256.New()
	hash.Write(content)
	var lists [][]byte
	for _, path := range t.lists {
		list, err := readTrusted(path)
		if err != nil {
			return fmt.Errorf("server: client_crl: %w", err)
		}
		lists = append(lists, list)
		fmt.Fprintf(hash, "\x00%d\x00", len(list))
		hash.Write(list)
	}
	sum := [sha256.Size]byte(hash.Sum(nil))
	if sum == t.sum {
		t.warn()
		return nil
	}
	made, err := t.parse(content, lists)
	if err != nil {
		return err
	}
	if t.current.Swap(made) != nil {
		t.logger.Info("authorities of client certificates reloaded", "file", t.authorities, "revoked", len(t.lists))
	}
	t.sum, t.warned = sum, false
	t.warn()
	return nil
}

func (t *trust) parse(content []byte, lists [][]byte) (*authority.Trust, error) {
	authorities, err := parseAuthorities(content)
	if err != nil {
		return nil, fmt.Errorf("server: client_ca: %s: %w", t.authorities, err)
	}
	made := &authority.Trust{Roots: x509.NewCertPool()}
	for _, certificate := range authorities {
		made.Roots.AddCert(certificate)
	}
	for i, list := range lists {
		revocations, err := parseLists(list, authorities)
		if err != nil {
			return nil, fmt.Errorf("server: client_crl: %s: %w", t.lists[i], err)
		}
		made.Revocations = append(made.Revocations, revocations...)
	}
	return made, nil
}

// warn says once that a list is out of date: what was revoked since is not in it, so nobody is let in on it.
func (t *trust) warn() {
	for _, list := range t.current.Load().Revocations {
		if t.warned || t.now().Before(list.NextUpdate) {
			continue
		}
		t.warned = true
		t.logger.Warn("a revocation list is out of date: certificates of its authority are refused until it is replaced", "issuer", list.Issuer.String(), "until", list.NextUpdate)
	}
}

// maxTrustBytes bounds a file of authorities or revocations: some 200 000 revoked certificates.
const maxTrustBytes = 8 << 20

func readTrusted(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxTrustBytes+1))
	if err == nil && len(data) > maxTrustBytes {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("larger than " + Size(maxTrustBytes).String())}
	}
	return data, err
}

// blocks returns what is in the PEM blocks of a file, which must all be of one type. encoding/pem skips a block that is
// broken: then a revocation list would be missing without a word.
func blocks(data []byte, kind string) ([][]byte, error) {
	begun := bytes.Count(data, []byte("-----BEGIN "))
	var found [][]byte
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != kind {
			return nil, fmt.Errorf("holds a block of type %q, not %q", block.Type, kind)
		}
		found, data = append(found, block.Bytes), rest
	}
	if len(found) != begun {
		return nil, fmt.Errorf("has %d blocks that begin and %d that can be read", begun, len(found))
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("holds no PEM block of type %q", kind)
	}
	return found, nil
}

func parseAuthorities(data []byte) ([]*x509.Certificate, error) {
	found, err := blocks(data, "CERTIFICATE")
	if err != nil {
		return nil, err
	}
	var authorities []*x509.Certificate
	for _, der := range found {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		if !certificate.BasicConstraintsValid || !certificate.IsCA {
			return nil, fmt.Errorf("the certificate of %q is not an authority's", certificate.Subject)
		}
		authorities = append(authorities, certificate)
	}
	return authorities, nil
}

// parseLists reads the revocation lists in a file, PEM or DER.
func parseLists(data []byte, authorities []*x509.Certificate) ([]*x509.RevocationList, error) {
	found := [][]byte{data}
	if len(data) == 0 || data[0] != 0x30 { // DER begins with a SEQUENCE
		var err error
		if found, err = blocks(data, "X509 CRL"); err != nil {
			return nil, err
		}
	}
	var lists []*x509.RevocationList
	for _, der := range found {
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, err
		}
		if err := usable(list, authorities); err != nil {
			return nil, err
		}
		lists = append(lists, list)
	}
	return lists, nil
}

// usable holds a list to what makes it the whole truth about an authority: signed by it, complete, and dated. A delta, or a
// part, says so in a critical extension (RFC 5280, 5.2.4 and 5.2.5).
func usable(list *x509.RevocationList, authorities []*x509.Certificate) error {
	for _, extension := range list.Extensions {
		if extension.Critical {
			return fmt.Errorf("the list of %q is a delta or a part (extension %s); give the complete one", list.Issuer, extension.Id)
		}
	}
	if list.NextUpdate.IsZero() {
		return fmt.Errorf("the list of %q does not say how long it is good", list.Issuer)
	}
	signed := func(certificate *x509.Certificate) bool {
		return bytes.Equal(certificate.RawSubject, list.RawIssuer) && list.CheckSignatureFrom(certificate) == nil
	}
	if !slices.ContainsFunc(authorities, signed) {
		return errors.New("no authority in client_ca has signed the list of " + list.Issuer.String())
	}
	return nil
}
