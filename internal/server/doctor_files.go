package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/keyring"
)

// Free space in bytes below which the journal is in danger, and below which its refusals are only counted.
const (
	lowSpace  = 1 << 30
	lastSpace = 64 << 20
)

func (d *doctor) dataDirectory() {
	const check = "data directory"
	path := d.config.Data
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.add(check, DiagnosisFailed, path+" is not there", "writ serve makes it; or name another one: writ doctor --set data=DIRECTORY")
		return
	case err != nil:
		d.add(check, DiagnosisFailed, err.Error(), "run as the user that the server runs as")
		return
	case !info.IsDir():
		d.add(check, DiagnosisFailed, path+" is not a directory", "writ doctor --set data=DIRECTORY")
		return
	case info.Mode().Perm()&0o077 != 0:
		d.add(check, DiagnosisFailed, fmt.Sprintf("others can look into %s (mode %04o)", path, info.Mode().Perm()), "chmod 700 "+path)
	default:
		d.ok(check, path+" is for its owner alone")
	}
	d.operator()
	d.space(path)
}

func (d *doctor) operator() {
	path := filepath.Join(d.config.Data, "operator.json")
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		d.add("operator", DiagnosisFailed, fmt.Sprintf("others can read the operator's credential (mode %04o)", info.Mode().Perm()), "chmod 600 "+path)
	}
}

func (d *doctor) space(path string) {
	free, known := audit.FreeSpace(path)
	text := fmt.Sprintf("%d MiB are free", free>>20)
	switch {
	case !known:
		d.skip("disk", "the free space cannot be told here")
	case free < lastSpace:
		d.add("disk", DiagnosisFailed, text+": refusals are only counted, and soon no token leaves", "make room below "+path)
	case free < lowSpace:
		d.add("disk", DiagnosisWarning, text, "make room below "+path)
	default:
		d.ok("disk", text)
	}
}

func (d *doctor) rootKey() {
	const check = "root key"
	path := d.config.rootKeyPath()
	_, err := keyring.LoadRoot(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.add(check, DiagnosisFailed, path+" is not there", "put it back from your copy, or from another node; only a first start makes it: writ serve")
	case err != nil:
		d.add(check, DiagnosisFailed, err.Error(), "chmod 600 "+path)
	default:
		d.ok(check, path)
	}
}

// maxVerified is how large a journal is read as a whole here.
const maxVerified = 256 << 20

func (d *doctor) journal() {
	const check = "journal"
	path := filepath.Join(d.config.Data, "audit")
	entries, err := os.ReadDir(path)
	if err != nil {
		d.add(check, DiagnosisFailed, err.Error(), "the first start makes it: writ serve; else run as the user that the server runs as")
		return
	}
	size := int64(0)
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			size += info.Size()
		}
	}
	if size > maxVerified {
		d.skip(check, fmt.Sprintf("%d MiB are too much to verify here", size>>20))
		return
	}
	report, err := audit.Verify(path, audit.Known{})
	switch {
	case err != nil:
		d.add(check, DiagnosisFailed, err.Error(), "look at the files in "+path)
	case len(report.Breaks) > 0:
		d.add(check, DiagnosisFailed, fmt.Sprintf("the chain does not hold: %d places, the first: %v", len(report.Breaks), report.Breaks[0]),
			"keep a copy of "+path+" as evidence, and find out who changed it")
	default:
		d.ok(check, fmt.Sprintf("lines that follow from each other: %d, in files: %d", report.Lines, report.Files))
	}
}

// certificates looks at the pairs of the listeners.
func (d *doctor) certificates() {
	for _, listener := range []struct {
		name  string
		files TLSFiles
	}{{"tls", d.config.TLS}, {"admin.tls", d.config.Admin.TLS}, {"mtls.tls", d.config.MTLS.TLS}} {
		if !listener.files.set() {
			continue
		}
		pair, err := tls.LoadX509KeyPair(listener.files.Certificate, listener.files.Key)
		if err != nil {
			d.add(listener.name, DiagnosisFailed, err.Error(), "writ config check")
			continue
		}
		renew := "renew " + listener.files.Certificate + ": the server reads it again by itself"
		if !d.expiry(listener.name, "the certificate", pair.Leaf.NotAfter, renew) {
			d.ok(listener.name, "the certificate counts until "+pair.Leaf.NotAfter.UTC().Format(time.DateOnly))
		}
	}
}

// clientAuthorities looks at what vouches for client certificates.
func (d *doctor) clientAuthorities() {
	const check = "mtls.client_ca"
	m := d.config.MTLS
	if m.ClientCA == "" {
		return
	}
	made, err := newTrust(m, slog.New(slog.DiscardHandler), func() time.Time { return d.now })
	if err != nil {
		d.add(check, DiagnosisFailed, err.Error(), "writ config check")
		return
	}
	told := false
	for _, list := range made.current.Load().Revocations {
		told = d.outdated(list) || told
	}
	content, err := readTrusted(m.ClientCA)
	if err != nil {
		d.add(check, DiagnosisFailed, err.Error(), "writ config check")
		return
	}
	authorities, err := parseAuthorities(content)
	if err != nil {
		d.add(check, DiagnosisFailed, err.Error(), "writ config check")
		return
	}
	for _, one := range authorities {
		told = d.expiry(check, "the authority "+one.Subject.String(), one.NotAfter, "replace it in "+m.ClientCA) || told
	}
	if !told {
		d.ok(check, fmt.Sprintf("%d authorities, %d revocation lists", len(authorities), len(m.ClientCRL)))
	}
}

func (d *doctor) outdated(list *x509.RevocationList) bool {
	if list.NextUpdate.IsZero() || d.now.Before(list.NextUpdate) {
		return false
	}
	d.add("mtls.client_crl", DiagnosisFailed, "the revocation list of "+list.Issuer.String()+" is out of date: its clients are refused",
		"fetch the current one: the server reads it again by itself")
	return true
}
