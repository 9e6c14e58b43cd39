package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// A Certificate is a TLS client certificate with its private key (RFC 8705). As Config.Credential it authenticates the
// client, by tls_client_auth or self_signed_tls_client_auth; as Config.Certificate it accompanies another credential. Either
// way the token may be bound to it, and Transport presents it to the API too. It is safe for concurrent use, and prints
// and marshals as REDACTED.
type Certificate struct {
	load func(context.Context) (*tls.Certificate, error)
	wait bool // load may wait for somebody: New does not call it
}

// CertificateFile returns the certificate, with its chain, and the private key in two PEM files, which can be the same
// one. They are read again for each token request: whoever rotates the certificate replaces the files, and the client
// follows. A token goes on over the certificate that it was issued for. New fails when the files cannot be read; later a
// token request does.
func CertificateFile(certificate, key string) *Certificate {
	files := &certificateFiles{certificate: certificate, key: key}
	return &Certificate{load: func(context.Context) (*tls.Certificate, error) { return files.pair() }}
}

// CertificateFunc returns the certificate that source returns: for keys in an HSM, or a workload API such as SPIFFE's.
// source is called for each token request, which waits for it; New does not call it. It must be safe for concurrent use.
func CertificateFunc(source func(context.Context) (*tls.Certificate, error)) *Certificate {
	return &Certificate{load: source, wait: true}
}

// certificateFiles remembers what was read last.
type certificateFiles struct {
	certificate, key string

	mu  sync.Mutex
	sum [sha256.Size]byte // of what was in the files; guarded by mu
	was *tls.Certificate  // guarded by mu
}

func (f *certificateFiles) pair() (*tls.Certificate, error) {
	certificate, err := readFile("certificate file", f.certificate)
	if err != nil {
		return nil, err
	}
	key, err := readFile("certificate key file", f.key)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.Sum256(bytes.Join([][]byte{certificate, key}, []byte{0}))
	if f.was != nil && sum == f.sum {
		return f.was, nil
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate file %s with key file %s: %w", f.certificate, f.key, err)
	}
	f.was, f.sum = &pair, sum
	return f.was, nil
}

// current returns the certificate as it is now, with its leaf parsed. One that has expired is an error here, because the
// server would only end the handshake and not say why.
func (c *Certificate) current(ctx context.Context) (*tls.Certificate, error) {
	if c == nil || c.load == nil {
		return nil, errMissing
	}
	pair, err := c.load(ctx)
	switch {
	case err != nil:
		return nil, err
	case pair == nil || len(pair.Certificate) == 0 || pair.PrivateKey == nil:
		return nil, errors.New("the certificate or its key is missing")
	}
	if pair.Leaf == nil {
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		parsed := *pair
		parsed.Leaf, pair = leaf, &parsed
	}
	if end := pair.Leaf.NotAfter; time.Now().After(end) {
		return nil, fmt.Errorf("the certificate expired at %s", end.UTC().Format(time.RFC3339))
	}
	return pair, nil
}

func (*Certificate) methods() []string {
	return []string{oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth}
}

func (c *Certificate) check(string) error {
	if c != nil && c.wait && c.load != nil {
		return nil
	}
	_, err := c.current(context.Background())
	return err
}

// attach says who the client is (RFC 8705, 2): the certificate is presented by the connection.
func (*Certificate) attach(request *tokenRequest) error {
	request.form.Set("client_id", request.clientID)
	return nil
}

// Format prints REDACTED for every verb.
func (*Certificate) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs REDACTED.
func (*Certificate) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText writes REDACTED into JSON and every other encoding.
func (*Certificate) MarshalText() ([]byte, error) { return []byte(redacted), nil }
