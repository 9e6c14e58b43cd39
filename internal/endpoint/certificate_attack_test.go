package endpoint_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
)

// An operator who wants the list of an issuing authority to count must name that authority in client_ca, beside the root. It
// is then trusted by itself, and still ends when the root revokes it.
func TestCertificateOfARevokedAnchor(t *testing.T) {
	s := newCertificateServer(t)
	between := leaf("Issuing CA")
	between.IsCA, between.KeyUsage, between.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
	issuing := &certifier{s.ca.certify(t, between, keyOne()), keyOne()}
	what := leaf("c-mtls")
	what.DNSNames = []string{"c-mtls.test"}
	certificate := issuing.certify(t, what, keyTwo())
	s.shown["alone"] = []*x509.Certificate{certificate}
	s.shown["chain"] = []*x509.Certificate{certificate, issuing.certificate}
	trusts := func(revoked ...*x509.RevocationList) {
		pool := x509.NewCertPool()
		pool.AddCert(s.ca.certificate)
		pool.AddCert(issuing.certificate)
		s.trust.Store(&authority.Trust{Roots: pool, Revocations: revoked})
	}
	until := s.clock.Now().Add(time.Hour)

	t.Run("M06 both authorities are trusted, and nothing is revoked", func(t *testing.T) {
		trusts(s.ca.revoke(t, until), issuing.revoke(t, until))
		s.show(t, "c-mtls", "alone", "")
		s.show(t, "c-mtls", "chain", "")
		s.show(t, "c-mtls", "c-mtls", "")
	})
	t.Run("M06, CA-32 the root has revoked the issuing authority", func(t *testing.T) {
		trusts(s.ca.revoke(t, until, issuing.certificate), issuing.revoke(t, until))
		s.show(t, "c-mtls", "alone", "certificate_revoked")
		s.show(t, "c-mtls", "chain", "certificate_revoked")
		s.show(t, "c-mtls", "c-mtls", "")
	})
	t.Run("M06 the root's list should have been replaced", func(t *testing.T) {
		trusts(s.ca.revoke(t, until.Add(-2*time.Hour)), issuing.revoke(t, until))
		s.show(t, "c-mtls", "alone", "revocations_out_of_date")
	})
}

// An authority that may vouch for some names only vouches for no others, however they are encoded: x509 looks at those in DER.
func TestCertificateOfAConstrainedAuthority(t *testing.T) {
	s := newCertificateServer(t)
	between := leaf("Constrained CA")
	between.IsCA, between.KeyUsage, between.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	between.PermittedDNSDomainsCritical, between.PermittedDNSDomains = true, []string{"c-mtls.test"}
	issuing := &certifier{s.ca.certify(t, between, keyOne()), keyOne()}
	show := func(client string, constructed bool, why string) {
		t.Helper()
		names, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: constructed, Bytes: []byte(client + ".test")}})
		must(t, err)
		what := leaf(client)
		what.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}}
		s.shown["constrained"] = []*x509.Certificate{issuing.certify(t, what, keyTwo()), issuing.certificate}
		s.show(t, client, "constrained", why)
	}
	t.Run("M08 a name that it may vouch for", func(t *testing.T) { show("c-mtls", false, "") })
	t.Run("M08, CA-33 another", func(t *testing.T) { show("c-mtls2", false, "certificate_untrusted") })
	t.Run("M08, CA-33 another, in an encoding that is not DER", func(t *testing.T) { show("c-mtls2", true, "other_certificate") })
}
