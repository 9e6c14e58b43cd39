package resource_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// A show is a certificate that a client can show, with its key.
type show struct {
	tls.Certificate
	thumbprint string
}

// The certificates of the client and of somebody else.
var (
	theShow    = sync.OnceValue(newShow)
	foreigners = sync.OnceValue(newShow)
)

func newShow() show {
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "billing"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return show{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key.(*ecdsa.PrivateKey), Leaf: leaf}, hash(string(der))}
}

func (s show) header() string {
	return ":" + base64.StdEncoding.EncodeToString(s.Leaf.Raw) + ":"
}

// showing is a request whose connection has the certificates.
func showing(token string, shows ...show) *http.Request {
	r := message("", []string{"Bearer " + token}, "")
	r.TLS = &tls.ConnectionState{}
	for _, s := range shows {
		r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, s.Leaf)
	}
	return r
}

func TestS27(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	token := i.mint(changes{"cnf": changes{"x5t#S256": theShow().thumbprint}})
	for range 2 { // the second time the token is remembered
		t.Run("S27, RS-35 the certificate", func(t *testing.T) { expectOK(t, do(reading(v), showing(token, theShow()))) })
		t.Run("S27, RS-35 no certificate", func(t *testing.T) { expectInvalid(t, do(reading(v), showing(token))) })
		t.Run("S27, RS-35 no TLS", func(t *testing.T) { expectInvalid(t, get(v, token)) })
		t.Run("S27, RS-35 another certificate", func(t *testing.T) { expectInvalid(t, do(reading(v), showing(token, foreigners()))) })
		t.Run("S27 the certificate only in the chain of another", func(t *testing.T) {
			expectInvalid(t, do(reading(v), showing(token, foreigners(), theShow())))
		})
	}
	t.Run("S27 a token that is bound to none needs none", func(t *testing.T) {
		expectOK(t, do(reading(v), showing(i.mint(nil), foreigners())))
	})
	t.Run("S27 bearer tokens refused", func(t *testing.T) {
		v := i.verifier(func(c *resource.Config) { c.RequireBound = true })
		expectOK(t, do(reading(v), showing(token, theShow())))
		expectInvalid(t, do(reading(v), showing(i.mint(nil), theShow())))
	})
	t.Run("S27 the program says which certificate", func(t *testing.T) {
		for name, test := range map[string]struct {
			certificate *x509.Certificate
			err         error
			ok          bool
		}{
			"the right one": {theShow().Leaf, nil, true}, "another": {foreigners().Leaf, nil, false}, "none": {nil, nil, false},
			"an error": {theShow().Leaf, errors.New("unsure"), false}, "an empty one": {&x509.Certificate{}, nil, false},
		} {
			v := i.verifier(func(c *resource.Config) {
				c.ClientCertificate = func(*http.Request) (*x509.Certificate, error) { return test.certificate, test.err }
			})
			if got := do(reading(v), showing(token, theShow())); (got.StatusCode == http.StatusOK) != test.ok {
				t.Errorf("%s: got %d", name, got.StatusCode)
			}
		}
	})
	t.Run("S27 over a real connection", func(t *testing.T) { overTLS(t, v, token) })
}

// overTLS holds that a server that asks for certificates is all it takes.
func overTLS(t *testing.T, v *resource.Verifier, token string) {
	server := httptest.NewUnstartedServer(v.Require("read").Func(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	for want, certificates := range map[int][]tls.Certificate{200: {theShow().Certificate}, 401: {foreigners().Certificate}} {
		client := server.Client()
		transport := client.Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = certificates
		r, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		got, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		transport.CloseIdleConnections()
		if got.StatusCode != want {
			t.Errorf("got %d, want %d", got.StatusCode, want)
		}
	}
}

// TestBoth is a token that is bound to a DPoP key and to a certificate: half of the proof is none.
func TestBoth(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	h := i.holder()
	token := h.token(changes{"cnf": changes{"jkt": h.thumbprint, "x5t#S256": theShow().thumbprint}})
	request := func(s []show, proofs ...string) *http.Request {
		r := demonstrate(token, proofs...)
		r.TLS = showing(token, s...).TLS
		return r
	}
	own, foreign := []show{theShow()}, []show{foreigners()}
	for range 2 {
		expectOK(t, do(reading(v), request(own, h.proof(token, nil))))
		t.Run("S27, RS-35 the proof without the certificate", func(t *testing.T) {
			expectDPoP(t, do(reading(v), request(nil, h.proof(token, nil))), badToken)
			expectDPoP(t, do(reading(v), request(foreign, h.proof(token, nil))), badToken)
		})
		t.Run("S31 the certificate without the proof", func(t *testing.T) {
			expectDPoP(t, do(reading(v), request(own)), badProof)
			expectDPoP(t, do(reading(v), request(own, i.holder().proof(token, nil))), badToken)
		})
		t.Run("S29 the certificate with the token as Bearer", func(t *testing.T) {
			expectDPoP(t, do(reading(v), showing(token, theShow())), badToken)
		})
	}
	t.Run("S32 a wrong certificate does not use the proof up", func(t *testing.T) {
		proof := h.proof(token, nil)
		expectDPoP(t, do(reading(v), request(foreign, proof)), badToken)
		expectOK(t, do(reading(v), request(own, proof)))
	})
}

// TestS28 is about a certificate that stands in a header.
func TestS28(t *testing.T) {
	i := newIssuer(t)
	token := i.mint(changes{"cnf": changes{"x5t#S256": theShow().thumbprint}})
	const proxy, stranger = "10.1.2.3:443", "203.0.113.7:50000"
	behind := i.verifier(func(c *resource.Config) {
		c.ClientCertificate = resource.ClientCertHeader(netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8"))
	})
	direct := i.verifier(nil)
	own := theShow().header()
	for _, test := range []struct {
		name    string
		v       *resource.Verifier
		peer    string
		headers []string
		shows   []show // in the connection itself
		ok      bool
	}{
		{"S28, RS-35 a header from the Internet", behind, stranger, []string{own}, nil, false},
		{"S28, RS-35 a header where none is expected", direct, stranger, []string{own}, nil, false},
		{"S28, RS-35 a header where none is expected, from a neighbour", direct, proxy, []string{own}, nil, false},
		{"S28, RS-35 a header beside another certificate", behind, stranger, []string{own}, []show{foreigners()}, false},
		{"S28 a header from the proxy", behind, proxy, []string{own}, nil, true},
		{"S28 a header from the proxy over IPv6", behind, "[fd00::1]:443", []string{own}, nil, true},
		{"S28 a header from the proxy, address mapped into IPv6", behind, "[::ffff:10.1.2.3]:443", []string{own}, nil, true},
		{"S28 a header from a link-local address", behind, "[fe80::1%eth0]:443", []string{own}, nil, false},
		{"S28 a header of a peer without an address", behind, "@", []string{own}, nil, false},
		{"S28 a header of a peer without a port", behind, "10.1.2.3", []string{own}, nil, false},
		{"S28 no header from the proxy, whose own certificate it is", behind, proxy, nil, []show{theShow()}, false},
		{"S28 another certificate from the proxy", behind, proxy, []string{foreigners().header()}, []show{theShow()}, false},
		{"S28 a stranger's own certificate", behind, stranger, nil, []show{theShow()}, true},
		{"S28 two headers", behind, proxy, []string{own, own}, nil, false},
		{"S28 two headers, the forged one first", behind, proxy, []string{own, foreigners().header()}, nil, false},
		{"S28 two headers in one", behind, proxy, []string{own + ", " + own}, nil, false},
		{"S28 with a parameter", behind, proxy, []string{own + ";a=b"}, nil, false},
		{"S28 without colons", behind, proxy, []string{strings.Trim(own, ":")}, nil, false},
		{"S28 with one colon", behind, proxy, []string{own[:len(own)-1]}, nil, false},
		{"S28 a colon alone", behind, proxy, []string{":"}, nil, false},
		{"S28 empty", behind, proxy, []string{""}, nil, false},
		{"S28 nothing between the colons", behind, proxy, []string{"::"}, nil, false},
		{"S28 PEM, escaped", behind, proxy, []string{"-----BEGIN%20CERTIFICATE-----"}, nil, false},
		{"S28 base64url", behind, proxy, []string{":" + base64.RawURLEncoding.EncodeToString(theShow().Leaf.Raw) + ":"}, nil, false},
		{"S28 a blank inside", behind, proxy, []string{own[:9] + " " + own[9:]}, nil, false},
		{"S28 a line break inside", behind, proxy, []string{own[:9] + "\r\n" + own[9:]}, nil, false},
		{"S28 bytes behind the certificate", behind, proxy, []string{":" + base64.StdEncoding.EncodeToString(append(theShow().Leaf.Raw[:len(theShow().Leaf.Raw):len(theShow().Leaf.Raw)], 0)) + ":"}, nil, false},
		{"S28 too large", behind, proxy, []string{":" + strings.Repeat("A", 16<<10) + ":"}, nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := showing(token, test.shows...)
			r.RemoteAddr = test.peer
			r.Header["Client-Cert"] = test.headers
			if got := do(reading(test.v), r); test.ok {
				expectOK(t, got)
			} else {
				expect(t, got, http.StatusUnauthorized, oauth.InvalidToken)
			}
		})
	}
	t.Run("S28 X-Forwarded-For does not make a proxy", func(t *testing.T) {
		r := showing(token)
		r.RemoteAddr = stranger
		r.Header.Set("Client-Cert", own)
		r.Header.Set("X-Forwarded-For", "10.1.2.3")
		expectInvalid(t, do(reading(behind), r))
	})
	t.Run("S28 nobody is trusted by mistake", func(t *testing.T) {
		for _, careless := range [][]netip.Prefix{nil, {netip.MustParsePrefix("0.0.0.0/0")}, {netip.MustParsePrefix("::/0")}, {{}}} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("no panic for %v", careless)
					}
				}()
				resource.ClientCertHeader(careless...)
			}()
		}
	})
}
