package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"time"
)

// idleTimeout ends connections that nobody uses, where the configured transport would keep them for ever: those over a
// certificate that was replaced.
const idleTimeout = 90 * time.Second

// A connection is how issuer and APIs are reached: with one certificate, or with none. A token is bound to the
// certificate of the connection that it came over, and sent over that one, whatever has been rotated since.
type connection struct {
	transport   http.RoundTripper
	certificate *tls.Certificate // nil: none
}

// plainConnection returns the connection of the configured HTTP client, without a certificate.
func plainConnection(base *http.Client) *connection {
	if base == nil || base.Transport == nil {
		return &connection{transport: http.DefaultTransport}
	}
	return &connection{transport: base.Transport}
}

// checkTransport reports whether connections of c can present a certificate.
func (c *connection) checkTransport() error {
	if _, ok := c.transport.(*http.Transport); !ok {
		return errors.New("its Transport must be an *http.Transport, so that it can present a certificate; wrap Source.Client's instead")
	}
	return nil
}

// with returns a connection like c that presents the certificate to whoever asks for one. It shares no connection and no
// TLS session with another: what was negotiated with one certificate must not carry a token that is bound to another.
func (c *connection) with(certificate *tls.Certificate) *connection {
	transport := c.transport.(*http.Transport).Clone() // checkTransport has seen it
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport.TLSClientConfig.ClientSessionCache = nil
	transport.TLSClientConfig.Certificates = nil
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return certificate, nil
	}
	if transport.IdleConnTimeout == 0 {
		transport.IdleConnTimeout = idleTimeout
	}
	return &connection{transport: transport, certificate: certificate}
}

func (c *connection) presents(certificate *tls.Certificate) bool {
	return slices.EqualFunc(c.certificate.Certificate, certificate.Certificate, bytes.Equal)
}

// until returns when a token that came over c is of no more use, if it would have lived longer.
func (c *connection) until(expires time.Time) time.Time {
	if c.certificate != nil && c.certificate.Leaf.NotAfter.Before(expires) {
		return c.certificate.Leaf.NotAfter
	}
	return expires
}

func (c *connection) closeIdle() {
	if closer, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		closer.CloseIdleConnections()
	}
}

// connect returns the connection over the certificate that is the current one.
func (s *server) connect(ctx context.Context) (*connection, error) {
	if s.certificate == nil {
		return s.plain, nil
	}
	certificate, err := s.certificate.current(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connection != nil && s.connection.presents(certificate) {
		return s.connection, nil
	}
	if s.connection != nil {
		s.connection.closeIdle()
	}
	s.connection = s.plain.with(certificate)
	return s.connection, nil
}

// connectionKey is the key of a request's connection in its context. It travels there because what carries requests can be
// wrapped by others, for tracing say, who do not know of it.
type connectionKey struct{}

// A carrier sends requests over the connection that their token is bound to, and others without a certificate: no
// stranger that a redirect leads to needs to know who we are.
type carrier struct{ server *server }

// RoundTrip implements http.RoundTripper.
func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	if bound, ok := r.Context().Value(connectionKey{}).(*connection); ok {
		return bound.transport.RoundTrip(r)
	}
	return c.server.plain.transport.RoundTrip(r)
}

// CloseIdleConnections closes the connections that nobody uses: http.Client calls it.
func (c carrier) CloseIdleConnections() {
	c.server.plain.closeIdle()
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if c.server.connection != nil {
		c.server.connection.closeIdle()
	}
}
