package server

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// The headers in which a proxy passes a client certificate on (RFC 9440, 2).
const (
	headerClientCert      = "Client-Cert"
	headerClientCertChain = "Client-Cert-Chain"
)

// foreignCertHeaders are those that other servers read certificates from. Nothing here does; they are removed so that nothing ever can.
var foreignCertHeaders = []string{"X-Client-Cert", "X-Ssl-Client-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "Ssl-Client-Cert"}

// stripCertificates removes the certificates that a request claims in its header, unless it comes from one of the proxies
// that may pass them on: anyone can write down the certificate of somebody else (CVE-2026-46579).
func stripCertificates(from []netip.Prefix) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range foreignCertHeaders { // names as net/http keeps them
				delete(r.Header, name)
			}
			if !among(from, peerOf(r, meterOf(r))) {
				delete(r.Header, headerClientCert)
				delete(r.Header, headerClientCertChain)
			}
			next.ServeHTTP(w, r)
		})
	}
}

func among(prefixes []netip.Prefix, address netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(address) })
}

// certificatesFrom returns what reads the chain that a client has shown: from the header if the peer is a proxy that passes
// certificates on, else from TLS. What such a proxy itself shows in TLS is the proxy's, and no client's.
//
// A header that can be read in two ways is an error and not a choice (CA-31).
func certificatesFrom(proxies []netip.Prefix) func(*http.Request) ([]*x509.Certificate, error) {
	return func(r *http.Request) ([]*x509.Certificate, error) {
		if among(proxies, peerOf(r, meterOf(r))) {
			return forwardedCertificates(r.Header)
		}
		if r.TLS == nil {
			return nil, nil
		}
		return r.TLS.PeerCertificates, nil
	}
}

// maxChain bounds the certificates behind the first one.
const maxChain = 8

func forwardedCertificates(header http.Header) ([]*x509.Certificate, error) {
	leaf, chain := header.Values(headerClientCert), header.Values(headerClientCertChain)
	if len(leaf) > 1 || len(chain) > 1 {
		return nil, errors.New("more than one Client-Cert header")
	}
	if len(leaf) == 0 {
		if len(chain) > 0 {
			return nil, errors.New("a Client-Cert-Chain header without Client-Cert")
		}
		return nil, nil
	}
	members := leaf
	if len(chain) == 1 {
		members = append(slices.Clone(members), strings.Split(chain[0], ",")...)
	}
	if len(members) > 1+maxChain {
		return nil, fmt.Errorf("more than %d certificates in Client-Cert-Chain", maxChain)
	}
	var certificates []*x509.Certificate
	for _, member := range members {
		certificate, err := forwardedCertificate(member)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	return certificates, nil
}

// forwardedCertificate reads a byte sequence (RFC 9651, 3.3.5), in its one canonical spelling and without parameters.
func forwardedCertificate(member string) (*x509.Certificate, error) {
	encoded, ended := strings.CutSuffix(strings.Trim(member, " \t"), ":")
	encoded, begun := strings.CutPrefix(encoded, ":")
	der, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !begun || !ended || err != nil || len(der) == 0 {
		return nil, errors.New("a Client-Cert header that is no byte sequence")
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("a Client-Cert header that holds no certificate: %w", err)
	}
	return certificate, nil
}
