package client_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
)

// rsaKey is made once, because that takes a while.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// keyFor returns a key that signs with algorithm when nothing else is said.
func keyFor(algorithm string) crypto.Signer {
	switch algorithm {
	case jose.PS256:
		return rsaKey()
	case jose.EdDSA:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)
	}
	return newKey()
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func keyPEM(key crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})
}

// writeKey returns a file with the key.
func writeKey(t *testing.T, key crypto.Signer) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pem")
	write(t, file, string(keyPEM(key)))
	return file
}

// newCertificate returns a certificate that signs itself, good from an hour ago until notAfter.
func newCertificate(name string, notAfter time.Time) *tls.Certificate {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

func thumbprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// writeCertificate writes certificate and key into two files of directory, in place of what was there.
func writeCertificate(t *testing.T, directory string, c *tls.Certificate) (certificate, key string) {
	t.Helper()
	certificate, key = filepath.Join(directory, "tls.crt"), filepath.Join(directory, "tls.key")
	write(t, certificate, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	write(t, key, string(keyPEM(c.PrivateKey.(crypto.Signer))))
	return certificate, key
}

// A jwt is a JWT that was verified.
type jwt struct {
	header, claims map[string]any
	raw            string
}

// readJWT verifies a compact JWS, with key or else with the one that it brings, and returns what it says.
func readJWT(t *testing.T, compact string, key crypto.PublicKey) jwt {
	t.Helper()
	token, err := jose.Parse(compact)
	if err == nil && key != nil {
		err = token.Verify(jose.Key{Public: key})
	} else if err == nil {
		_, _, err = jose.ParseWithKey(compact)
	}
	if err != nil {
		t.Errorf("JWT %q: %v", compact, err)
		return jwt{header: map[string]any{}, claims: map[string]any{}}
	}
	j := jwt{raw: string(token.Payload)}
	header, _, _ := bytes.Cut([]byte(compact), []byte("."))
	for part, into := range map[string]*map[string]any{
		string(must(base64.RawURLEncoding.DecodeString(string(header)))): &j.header, j.raw: &j.claims,
	} {
		if err := jose.DecodeObject([]byte(part), into); err != nil {
			t.Errorf("JWT %q: %v", part, err)
		}
	}
	return j
}

func (j jwt) text(name string) string {
	text, _ := j.claims[name].(string)
	return text
}

func (j jwt) time(name string) time.Time {
	seconds, _ := j.claims[name].(float64)
	return time.Unix(int64(seconds), 0)
}

// proofs returns the DPoP proofs of requests, verified.
func proofs(t *testing.T, headers []http.Header) []jwt {
	t.Helper()
	var all []jwt
	for _, header := range headers {
		if values := header.Values("DPoP"); len(values) != 1 {
			t.Fatalf("%d DPoP headers, want one", len(values))
		}
		all = append(all, readJWT(t, header.Get("DPoP"), nil))
	}
	return all
}

// wantFresh checks that no jti is there twice.
func wantFresh(t *testing.T, jwts []jwt) {
	t.Helper()
	seen := map[string]bool{}
	for _, j := range jwts {
		if id := j.text("jti"); len(id) < 16 || seen[id] {
			t.Errorf("jti %q is short or was used before", id)
		}
		seen[j.text("jti")] = true
	}
}
