package endpoint_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// leaf is a client certificate that is good at the time of the tests.
func leaf(name string) *x509.Certificate {
	now := newClock().Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
}

// signedByItself makes a certificate of a key by itself.
func signedByItself(t *testing.T, key crypto.Signer, what *x509.Certificate) *x509.Certificate {
	t.Helper()
	return issue(t, what, what, key, key)
}

// issue makes a certificate of a key, signed by an authority's.
func issue(t *testing.T, what, authority *x509.Certificate, key, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, what, authority, key.Public(), by)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate
}
