package resource

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/writ-auth/writ/internal/pop"
)

// checkCertificate returns nil if the client of a request showed the certificate with the thumbprint that its token is
// bound to (RFC 8705, 3). The thumbprint is all that counts: who issued the certificate, and to whom, was the
// authorization server's business.
func (v *Verifier) checkCertificate(r *http.Request, thumbprint string) error {
	certificate, err := v.certificate(r)
	switch {
	case err != nil:
		return errUnreadable.Because(err)
	case certificate == nil || len(certificate.Raw) == 0:
		return errNoShow
	case pop.CertificateThumbprint(certificate) != thumbprint:
		return errWrongShow
	}
	return nil
}

// TLSCertificate returns the certificate of the request's own TLS connection, or nil. It is what a Verifier does whose
// Config.ClientCertificate is nil.
func TLSCertificate(r *http.Request) (*x509.Certificate, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	return r.TLS.PeerCertificates[0], nil
}

// The reasons for not believing a Client-Cert header.
var (
	errManyCertificates = errors.New("resource: more than one Client-Cert header")
	errBadCertificate   = errors.New("resource: the Client-Cert header is not a certificate (RFC 9440, 2.2)")
	errLargeCertificate = errors.New("resource: the Client-Cert header is larger than 16 KiB")
)

const maxCertificateHeader = 16 << 10

// ClientCertHeader is a Config.ClientCertificate for an API behind proxies that end TLS and hand the client's certificate
// on in the header Client-Cert (RFC 9440). It is read in requests from the trusted addresses and from nowhere else: anybody
// can copy a certificate into a header, and only whoever ended TLS knows that the client has its key. The proxy must
// replace the header in every request, also with nothing when the client shows no certificate.
//
// A request from another address has the certificate of its own connection, and the header in it means nothing. One from a
// trusted address has the certificate in its header or none, never the one that the proxy itself may have shown.
//
// The address is that of r.RemoteAddr: middleware that replaces it with what a header says must stand behind the Verifier.
// ClientCertHeader panics without an address, or with a prefix of no bits, which would trust everybody.
func ClientCertHeader(trusted ...netip.Prefix) func(*http.Request) (*x509.Certificate, error) {
	for _, prefix := range trusted {
		if !prefix.IsValid() || prefix.Bits() == 0 {
			panic("resource: ClientCertHeader: " + prefix.String() + " is not the address of a proxy")
		}
	}
	if len(trusted) == 0 {
		panic("resource: ClientCertHeader without the address of a proxy")
	}
	trusted = slices.Clone(trusted)
	return func(r *http.Request) (*x509.Certificate, error) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		address := peer.Addr().Unmap().WithZone("")
		if err != nil || !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(address) }) {
			return TLSCertificate(r)
		}
		return headerCertificate(r.Header.Values("Client-Cert"))
	}
}

// headerCertificate reads a Client-Cert header: one byte sequence without parameters (RFC 9440, 2.2; RFC 9651, 3.3.5).
func headerCertificate(values []string) (*x509.Certificate, error) {
	switch {
	case len(values) == 0:
		return nil, nil
	case len(values) > 1:
		return nil, errManyCertificates // whose would it be?
	case len(values[0]) > maxCertificateHeader:
		return nil, errLargeCertificate
	}
	encoded, opened := strings.CutPrefix(values[0], ":")
	encoded, closed := strings.CutSuffix(encoded, ":")
	if !opened || !closed || strings.ContainsAny(encoded, "\r\n") { // which the decoder would skip
		return nil, errBadCertificate
	}
	der, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errBadCertificate
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errBadCertificate
	}
	return certificate, nil
}
