package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// A certificate is a pair of files that is read again when its content changes. A handshake never waits for a file, and a
// pair that does not fit, as while it is being replaced, leaves the one before in use.
type certificate struct {
	files  TLSFiles
	logger *slog.Logger
	now    func() time.Time

	current atomic.Pointer[tls.Certificate]

	// Of reload alone, which one goroutine calls:
	sum    [sha256.Size]byte // of the content that current was made from
	warned int               // days of the last warning about the end
}

func newCertificate(files TLSFiles, logger *slog.Logger, now func() time.Time) (*certificate, error) {
	c := &certificate{files: files, logger: logger, now: now}
	return c, c.reload(context.Background())
}

// reload takes over what is in the files, if it has changed and is a pair. It compares content and not times: a restored
// or mounted file may be new and older.
func (c *certificate) reload(context.Context) error {
	certPEM, err := os.ReadFile(c.files.Certificate)
	if err != nil {
		return fmt.Errorf("server: certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(c.files.Key)
	if err != nil {
		return fmt.Errorf("server: certificate: %w", err)
	}
	content := sha256.New()
	content.Write(certPEM)
	content.Write([]byte{0})
	content.Write(keyPEM)
	sum := [sha256.Size]byte(content.Sum(nil))
	if sum == c.sum {
		c.warn()
		return nil
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return fmt.Errorf("server: certificate: %s: %w", c.files.Certificate, err)
	}
	if c.now().After(pair.Leaf.NotAfter) && c.current.Load() != nil {
		return fmt.Errorf("server: certificate: %s: expired on %s; the one before stays in use", c.files.Certificate, pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	if c.current.Swap(&pair) != nil {
		c.logger.Info("certificate reloaded", "file", c.files.Certificate, "until", pair.Leaf.NotAfter)
	}
	c.sum, c.warned = sum, 0
	c.warn()
	return nil
}

// warn says that the certificate ends soon: 21, 7 and 1 days before, and when it has ended.
func (c *certificate) warn() {
	leaf := c.current.Load().Leaf
	days := warningDays(leaf, c.now())
	if days == 0 || days == c.warned {
		return
	}
	c.warned = days
	c.logger.Warn("certificate ends soon or has ended", "file", c.files.Certificate, "until", leaf.NotAfter)
}

// warningDays returns the step of the warning that is due: 21, 7, 1, -1 for an ended one, 0 for none.
func warningDays(leaf *x509.Certificate, now time.Time) int {
	left := leaf.NotAfter.Sub(now)
	for _, days := range []int{1, 7, 21} {
		switch {
		case left < 0:
			return -1
		case left < time.Duration(days)*24*time.Hour:
			return days
		}
	}
	return 0
}

// config is what a listener speaks: TLS 1.3, and TLS 1.2 with the four suites that RFC 9325, 4.2 recommends (FAPI 2.0,
// 5.2.2: and no other). Go itself never renegotiates, compresses, or falls back.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if pair := c.current.Load(); pair != nil {
				return pair, nil
			}
			return nil, errors.New("server: no certificate")
		},
		NextProtos: []string{"h2", "http/1.1"},
	}
}
