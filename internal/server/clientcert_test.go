package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// sequence is a certificate as RFC 9440 writes it.
func sequence(der []byte) string { return ":" + base64.StdEncoding.EncodeToString(der) + ":" }

// seen sends a request through the middleware of the listener for client certificates and returns what the endpoints
// behind it are told, and the header that they see. The proxy is 192.0.2.7.
func seen(t *testing.T, peer string, header http.Header, shown ...*x509.Certificate) (chain []*x509.Certificate, passed http.Header, err error) {
	t.Helper()
	f, _ := newFront(Default().Limits)
	f.chains = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}
	handler := f.public(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		chain, err = certificatesFrom(f.chains)(r)
		passed = r.Header
	}))
	w := get(t, handler, func(r *http.Request) {
		r.RemoteAddr, r.Header = peer+":4711", header
		if shown != nil {
			r.TLS = &tls.ConnectionState{PeerCertificates: shown}
		}
	})
	if w.Code != http.StatusOK {
		t.Fatalf("the front answered %d %s", w.Code, w.Body)
	}
	return chain, passed, err
}

func TestCertificateOfAProxy(t *testing.T) {
	authority := newAuthority(t)
	leaf := authority.client(t, "billing.example", 5, nil).Certificate[0]
	issuer := authority.certificate.Raw
	proxys, err := x509.ParseCertificate(authority.client(t, "proxy.example", 6, nil).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	const proxy = "192.0.2.7"
	t.Run("leaf and chain", func(t *testing.T) {
		chain, _, err := seen(t, proxy, http.Header{"Client-Cert": {sequence(leaf)}, "Client-Cert-Chain": {sequence(issuer) + ", " + sequence(issuer)}}, proxys)
		if err != nil || len(chain) != 3 || string(chain[0].Raw) != string(leaf) || string(chain[1].Raw) != string(issuer) {
			t.Errorf("got %d certificates, %v", len(chain), err)
		}
	})
	t.Run("CA-30 the certificate of the proxy itself is no client's", func(t *testing.T) {
		if chain, _, err := seen(t, proxy, http.Header{}, proxys); chain != nil || err != nil {
			t.Errorf("got %d certificates, %v", len(chain), err)
		}
	})
	t.Run("CA-30 a proxy cannot name another header", func(t *testing.T) {
		for _, name := range []string{"X-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "Client_Cert"} {
			header := http.Header{}
			header.Set(name, sequence(leaf))
			if chain, _, err := seen(t, proxy, header); chain != nil || err != nil {
				t.Errorf("%s: got %d certificates, %v", name, len(chain), err)
			}
		}
	})
	good := sequence(leaf)
	padded := leaf // as long as its base64 needs padding
	for name := "a"; len(padded)%3 == 0; name += "a" {
		padded = authority.client(t, name, 7, nil).Certificate[0]
	}
	for name, header := range map[string]http.Header{
		"two headers":                         {"Client-Cert": {good, good}},
		"two headers, of different clients":   {"Client-Cert": {good, sequence(issuer)}},
		"two members in one header":           {"Client-Cert": {good + ", " + good}},
		"two chains":                          {"Client-Cert": {good}, "Client-Cert-Chain": {sequence(issuer), sequence(issuer)}},
		"a chain without a leaf":              {"Client-Cert-Chain": {sequence(issuer)}},
		"a chain with an empty member":        {"Client-Cert": {good}, "Client-Cert-Chain": {sequence(issuer) + ","}},
		"an empty chain":                      {"Client-Cert": {good}, "Client-Cert-Chain": {""}},
		"a chain that is too long":            {"Client-Cert": {good}, "Client-Cert-Chain": {strings.Repeat(sequence(issuer)+",", maxChain) + sequence(issuer)}},
		"an empty header":                     {"Client-Cert": {""}},
		"an empty byte sequence":              {"Client-Cert": {"::"}},
		"one colon":                           {"Client-Cert": {":"}},
		"no colons":                           {"Client-Cert": {strings.Trim(good, ":")}},
		"a colon missing":                     {"Client-Cert": {strings.TrimSuffix(good, ":")}},
		"parameters":                          {"Client-Cert": {good + ";a=1"}},
		"a string":                            {"Client-Cert": {`"` + strings.Trim(good, ":") + `"`}},
		"without padding":                     {"Client-Cert": {":" + base64.RawStdEncoding.EncodeToString(padded) + ":"}},
		"base64url":                           {"Client-Cert": {":" + base64.URLEncoding.EncodeToString([]byte{0xff, 0xff, 0xff}) + ":"}},
		"garbage behind the certificate":      {"Client-Cert": {sequence(append(append([]byte(nil), leaf...), 0, 0, 0))}},
		"no certificate":                      {"Client-Cert": {sequence([]byte("garbage"))}},
		"PEM":                                 {"Client-Cert": {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}))}},
		"PEM as nginx escapes it":             {"Client-Cert": {url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})))}},
		"XFCC of Envoy with two elements":     {"Client-Cert": {`Hash=ab;Subject="CN=a",Hash=cd;Subject="CN=b"`}},
		"a byte sequence with a space inside": {"Client-Cert": {": " + strings.TrimPrefix(good, ":")}},
	} {
		t.Run("CA-31 "+name, func(t *testing.T) {
			if chain, _, err := seen(t, proxy, header); err == nil || chain != nil {
				t.Errorf("got %d certificates, %v, want an error", len(chain), err)
			}
		})
	}
}

// What everybody else claims in the header is ignored and gone.
func TestCertificateHeaderOfAStranger(t *testing.T) {
	authority := newAuthority(t)
	victim := sequence(authority.client(t, "billing.example", 5, nil).Certificate[0])
	own, err := x509.ParseCertificate(authority.client(t, "stranger.example", 6, nil).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Client-Cert", "Client-Cert-Chain", "X-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "ssl-client-cert"} {
		for _, peer := range []string{"192.0.2.8", "127.0.0.1", "[2001:db8::1]"} {
			t.Run("CA-30, M12 "+name+" from "+peer, func(t *testing.T) {
				header := func() http.Header {
					h := http.Header{"X-Forwarded-For": {"192.0.2.7"}, "Forwarded": {"for=192.0.2.7"}}
					h.Set(name, victim)
					return h
				}
				chain, passed, err := seen(t, peer, header())
				if chain != nil || err != nil || passed.Get(name) != "" {
					t.Errorf("without a certificate: got %d certificates, %v, header %q", len(chain), err, passed.Get(name))
				}
				chain, _, err = seen(t, peer, header(), own)
				if err != nil || len(chain) != 1 || chain[0] != own {
					t.Errorf("with its own certificate: got %d certificates, %v", len(chain), err)
				}
			})
		}
	}
	t.Run("CA-30 the admin listener has none", func(t *testing.T) {
		f, _ := newFront(Default().Limits)
		var passed string
		handler := f.admin(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = r.Header.Get("Client-Cert") }))
		get(t, handler, func(r *http.Request) { r.RemoteAddr = "127.0.0.1:1"; r.Header.Set("Client-Cert", victim) })
		if passed != "" {
			t.Errorf("the header is passed on: %q", passed)
		}
	})
}

// Without TLS of its own the listener speaks to its proxies and this machine only.
func TestMTLSBehindAProxy(t *testing.T) {
	c := Default()
	c.MTLS.ClientCertFrom = []netip.Prefix{netip.MustParsePrefix("192.0.2.7/32")}
	f, _ := newFront(c.Limits)
	f.proxies, f.chains = c.mtlsProxies(), c.MTLS.ClientCertFrom
	handler := f.public(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for name, c := range map[string]struct {
		peer, scheme string
		want         int
	}{
		"the proxy":                         {"192.0.2.7", "", 200},
		"the proxy, of a request over TLS":  {"192.0.2.7", "https", 200},
		"the proxy, of a request in clear":  {"192.0.2.7", "http", 403},
		"this machine":                      {"127.0.0.1", "", 200},
		"CA-30 a stranger in plain HTTP":    {"192.0.2.8", "", 403},
		"CA-30 a stranger that says it was": {"192.0.2.8", "https", 403},
	} {
		t.Run(name, func(t *testing.T) {
			w := get(t, handler, func(r *http.Request) {
				r.RemoteAddr = c.peer + ":1"
				if c.scheme != "" {
					r.Header.Set("X-Forwarded-Proto", c.scheme)
				}
			})
			if w.Code != c.want {
				t.Errorf("got %d, want %d", w.Code, c.want)
			}
		})
	}
}
