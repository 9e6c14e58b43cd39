package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/writ-auth/writ/internal/jose"
)

// pki DIR makes an authority in a directory, ca.crt, and what it vouches for: server.crt for this machine, billing.crt for
// the client billing.example.com, and other.crt for another one; each with its key.
func pki(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	issue := func(name string, template *x509.Certificate) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		ts.Check(err)
		if name == "ca" {
			key = caKey
		}
		template.SerialNumber = big.NewInt(time.Now().UnixNano())
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), caKey)
		ts.Check(err)
		private, _, err := encodePEM(key)
		ts.Check(err)
		ts.Check(os.WriteFile(filepath.Join(dir, name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
		ts.Check(os.WriteFile(filepath.Join(dir, name+".key"), private, 0o600))
	}
	issue("ca", authority)
	issue("server", &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	for _, name := range []string{"billing", "other"} {
		issue(name, &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, DNSNames: []string{name + ".example.com"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
	}
}

// assertion KEY FILE CLIENT ISSUER signs a client assertion, as a platform does that gives its programs one.
func assertion(ts *testscript.TestScript, _ bool, args []string) {
	signer, err := jose.ParseSigner([]byte(ts.ReadFile(args[0])), "")
	ts.Check(err)
	now := time.Now().Unix()
	payload, err := json.Marshal(map[string]any{"iss": args[2], "sub": args[2], "aud": args[3], "jti": rand.Text(), "iat": now, "exp": now + 60})
	ts.Check(err)
	signed, err := signer.Sign("JWT", payload)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(signed+"\n"), 0o600))
}
