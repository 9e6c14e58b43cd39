package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// clientName is the DNS name in the certificate of the client that an authority vouches for.
const clientName = "bench.example"

// A pki is the keys and certificates of a run.
type pki struct {
	authorities *x509.CertPool
	server      []tls.Certificate
	clientKey   *ecdsa.PrivateKey // signs assertions and DPoP proofs
	vouched     tls.Certificate   // of a client, by the authority
	selfSigned  tls.Certificate   // of a client, by itself
}

// makePKI writes them into a directory: ca.crt, and NAME.crt and NAME.key of server, vouched, self-signed and client, with
// the public half of the last in client.pub.
func makePKI(dir string) error {
	authority, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	encoded, err := x509.CreateCertificate(rand.Reader, ca, ca, authority.Public(), authority)
	if err != nil {
		return err
	}
	err = writePEM(filepath.Join(dir, "ca.crt"), "CERTIFICATE", encoded)
	for i, name := range []string{"server", "vouched", "self-signed", "client"} {
		err = errors.Join(err, makePair(dir, name, int64(i+2), ca, authority))
	}
	return err
}

// makePair makes a key and a certificate for it.
func makePair(dir, name string, serial int64, ca *x509.Certificate, authority crypto.Signer) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames: []string{clientName}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	if name == "self-signed" {
		ca, authority = template, key
	}
	encoded, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), authority)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(dir, name+".crt"), "CERTIFICATE", encoded),
		writePEM(filepath.Join(dir, name+".key"), "PRIVATE KEY", private),
		writePEM(filepath.Join(dir, name+".pub"), "PUBLIC KEY", public))
}

func writePEM(path, kind string, content []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600)
}

func loadPKI(dir string) (*pki, error) {
	known := &pki{authorities: x509.NewCertPool()}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	known.authorities.AppendCertsFromPEM(ca)
	pairs := map[string]tls.Certificate{}
	for _, name := range []string{"server", "vouched", "self-signed", "client"} {
		path := filepath.Join(dir, name)
		if pairs[name], err = tls.LoadX509KeyPair(path+".crt", path+".key"); err != nil {
			return nil, err
		}
	}
	known.server, known.vouched, known.selfSigned = []tls.Certificate{pairs["server"]}, pairs["vouched"], pairs["self-signed"]
	known.clientKey = pairs["client"].PrivateKey.(*ecdsa.PrivateKey)
	return known, nil
}
