package main

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"time"

	"github.com/spf13/pflag"
)

// A certificateSubject says whose a certificate is and for how long.
type certificateSubject struct {
	name                string
	dns, uri, ip, email []string
	days                int
}

func (s *certificateSubject) flags(flags *pflag.FlagSet) {
	flags.StringVar(&s.name, "subject", "", "common `NAME` in the certificate's subject")
	flags.StringArrayVar(&s.dns, "san-dns", nil, "DNS `NAME` in the certificate; may be repeated")
	flags.StringArrayVar(&s.uri, "san-uri", nil, "`URI` in the certificate, such as a SPIFFE ID; may be repeated")
	flags.StringArrayVar(&s.ip, "san-ip", nil, "IP `ADDRESS` in the certificate; may be repeated")
	flags.StringArrayVar(&s.email, "san-email", nil, "mail `ADDRESS` in the certificate; may be repeated")
	flags.IntVar(&s.days, "days", 365, "how many `DAYS` the certificate is good")
}

// given returns the name of a flag of the certificate's that was set, or "".
func (s *certificateSubject) given(flags *pflag.FlagSet) string {
	for _, name := range []string{"subject", "san-dns", "san-uri", "san-ip", "san-email", "days"} {
		if flags.Changed(name) {
			return name
		}
	}
	return ""
}

// maxDays bounds a certificate's life: what is older than ten years is not known by anybody any more.
const maxDays = 3653

func (s *certificateSubject) selfSigned(key crypto.Signer) (*x509.Certificate, error) {
	template, err := s.template(time.Now())
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (s *certificateSubject) template(now time.Time) (*x509.Certificate, error) {
	if s.days < 1 || s.days > maxDays {
		return nil, usageError{fmt.Errorf("--days %d: take 1 to %d", s.days, maxDays)}
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: s.name}, DNSNames: s.dns, EmailAddresses: s.email,
		NotBefore: now.Add(-time.Minute), NotAfter: now.AddDate(0, 0, s.days),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	for _, text := range s.uri {
		uri, err := url.Parse(text)
		if err != nil || !uri.IsAbs() {
			return nil, usageError{fmt.Errorf("--san-uri %q is not an absolute URI", text)}
		}
		template.URIs = append(template.URIs, uri)
	}
	for _, text := range s.ip {
		ip := net.ParseIP(text)
		if ip == nil {
			return nil, usageError{fmt.Errorf("--san-ip %q is not an IP address", text)}
		}
		template.IPAddresses = append(template.IPAddresses, ip)
	}
	if s.name == "" && len(s.dns)+len(s.uri)+len(s.ip)+len(s.email) == 0 {
		return nil, advise(usageError{errors.New("it is not said whose the certificate is")}, "such as: --san-dns billing.example.com, or --subject billing")
	}
	return template, nil
}

// thumbprint is the "x5t#S256" of the pair's certificate (RFC 8705, 3.1).
func (p keyPair) thumbprint() string {
	sum := sha256.Sum256(p.public.Certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func encodeCertificate(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
}

// encodePEM writes both halves of a key as everything that reads keys can read them (PKCS #8, PKIX).
func encodePEM(key crypto.Signer) (private, public []byte, err error) {
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	known, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: known}), nil
}
