package endpoint_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/endpoint"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// serials gives each certificate of a run a number of its own.
var serials atomic.Int64

// leaf is what a client certificate is made from that is good at the time of the tests.
func leaf(name string) *x509.Certificate {
	now := newClock().Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serials.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

// signedByItself makes a certificate of a key by itself.
func signedByItself(t *testing.T, key crypto.Signer, what *x509.Certificate) *x509.Certificate {
	t.Helper()
	return certify(t, what, what, key, key)
}

// certify makes a certificate of a key, signed by an authority's.
func certify(t *testing.T, what, by *x509.Certificate, key, byKey crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, what, by, key.Public(), byKey)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate
}

// A certifier is a certificate authority.
type certifier struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func newCertifier(t *testing.T, name string, key crypto.Signer) *certifier {
	t.Helper()
	what := leaf(name)
	what.IsCA, what.KeyUsage, what.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
	return &certifier{signedByItself(t, key, what), key}
}

// certify makes the certificate of a client.
func (c *certifier) certify(t *testing.T, what *x509.Certificate, key crypto.Signer) *x509.Certificate {
	t.Helper()
	return certify(t, what, c.certificate, key, c.key)
}

// revoke makes a list of revoked certificates.
func (c *certifier) revoke(t *testing.T, until time.Time, revoked ...*x509.Certificate) *x509.RevocationList {
	t.Helper()
	what := &x509.RevocationList{Number: big.NewInt(serials.Add(1)), ThisUpdate: until.Add(-2 * time.Hour), NextUpdate: until}
	for _, one := range revoked {
		what.RevokedCertificateEntries = append(what.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: one.SerialNumber, RevocationTime: until.Add(-3 * time.Hour)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, what, c.certificate, c.key)
	must(t, err)
	list, err := x509.ParseRevocationList(der)
	must(t, err)
	return list
}

// A certificateServer is a server at which a connection shows what the header Shown calls it, as if TLS had asked for it.
type certificateServer struct {
	*server
	shown map[string][]*x509.Certificate
	trust atomic.Pointer[authority.Trust]
	ca    *certifier
}

var errTwoCertificates = errors.New("the proxy names two certificates")

// newCertificateServer has c-mtls, whose certificate has the DNS name c-mtls.test, and c-mtls2 likewise; c-self, whose own
// certificate is "self"; and what newKeyServer has.
func newCertificateServer(t *testing.T, changes ...change) *certificateServer {
	t.Helper()
	s := &certificateServer{ca: newCertifier(t, "Test CA", keyThree()), shown: map[string][]*x509.Certificate{}}
	s.trusts(s.ca)
	s.server = newKeyServer(t, append(changes, func(o *authority.Options) { o.Trust, o.MTLS = s.trust.Load, "https://mtls.example" })...)
	s.certify(t, "c-mtls", func(c *x509.Certificate) { c.DNSNames = []string{"c-mtls.test"} })
	s.certify(t, "c-mtls2", func(c *x509.Certificate) { c.DNSNames = []string{"c-mtls2.test"} })
	s.shown["self"] = []*x509.Certificate{signedByItself(t, keyOne(), leaf("self"))}
	s.add(t, "c-mtls", func(c *store.Client) { c.CertificateRule, c.CertificateValue = "san_dns", "c-mtls.test" })
	s.add(t, "c-mtls2", func(c *store.Client) { c.CertificateRule, c.CertificateValue = "san_dns", "c-mtls2.test" })
	s.add(t, "c-self", func(c *store.Client) {
		c.AuthMethod, c.Keys = oauth.SelfSignedTLSClientAuth, []store.ClientKey{registered(t, "ks", "ES256", keyOne())}
		c.Keys[0].Certificate = s.shown["self"][0].Raw
	})
	s.poll(t)
	handler := endpoint.New(s.authority, endpoint.Options{Certificates: s.certificates})
	s.http = httptest.NewServer(handler)
	t.Cleanup(s.http.Close)
	return s
}

func (s *certificateServer) certificates(r *http.Request) ([]*x509.Certificate, error) {
	names := r.Header.Values("Shown")
	if len(names) > 1 {
		return nil, errTwoCertificates
	}
	return s.shown[r.Header.Get("Shown")], nil
}

func (s *certificateServer) trusts(ca *certifier, revoked ...*x509.RevocationList) {
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	s.trust.Store(&authority.Trust{Roots: pool, Revocations: revoked})
}

// certify puts a certificate of the server's authority among those that can be shown.
func (s *certificateServer) certify(t *testing.T, name string, vary func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	what := leaf(name)
	vary(what)
	certificate := s.ca.certify(t, what, keyTwo())
	s.shown[name] = []*x509.Certificate{certificate}
	return certificate
}

// add adds a client of tls_client_auth.
func (s *certificateServer) add(t *testing.T, id string, vary func(*store.Client)) {
	t.Helper()
	c := store.Client{ID: id, Name: id, AuthMethod: oauth.TLSClientAuth, GrantTypes: []string{oauth.ClientCredentials}}
	c.Grants = []store.Grant{{Resource: resourceA, Scopes: []string{"read"}}}
	vary(&c)
	must(t, s.store.Clients().Insert(t.Context(), c))
}

// show asks for a token as a client, over a connection that shows a certificate.
func (s *certificateServer) show(t *testing.T, client, name string, why string) answer {
	t.Helper()
	status := http.StatusOK
	if why != "" {
		status = http.StatusUnauthorized
	}
	var headers []string
	if name != "" {
		headers = []string{"Shown: " + name}
	}
	return s.exchange(t, "/token", with(ask(), "client_id", client), status, why, headers...)
}
