package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// A mutual is a whole server with a listener for client certificates. The proxy there believes is elsewhere.
type mutual struct {
	*running
	servers, clients *testAuthority
}

func startMutual(t *testing.T, change func(*Config)) mutual {
	t.Helper()
	m := mutual{servers: newAuthority(t), clients: newAuthority(t)}
	c := testConfig(t)
	c.MTLS.Listen = "127.0.0.1:0"
	c.MTLS.TLS.Certificate, c.MTLS.TLS.Key = m.servers.files(t, "localhost")
	c.MTLS.ClientCA = writeFile(t, "clients.pem", string(m.clients.pem()))
	c.MTLS.ClientCRL = []string{writeFile(t, "clients.crl", string(m.clients.revoke(t, nil, 66)))}
	c.MTLS.ClientCertFrom = []netip.Prefix{netip.MustParsePrefix(elsewhere + "/32")}
	if change != nil {
		change(&c)
	}
	m.running = start(t, c)
	return m
}

// caller returns an HTTP client that connects from an address and shows a certificate, if it is given one.
func (m mutual) caller(t *testing.T, from string, shown ...tls.Certificate) *http.Client {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{
		RootCAs: m.servers.pool,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if len(shown) == 0 {
				return &tls.Certificate{}, nil
			}
			return &shown[0], nil // whoever the server says it wants
		},
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// ask sends a token request with a client_id and returns the status and the answer.
func (m mutual) askAt(t *testing.T, base string, caller *http.Client, client registry.Registered, header http.Header) (int, map[string]any) {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {client.ID}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header.Clone()
	if request.Header == nil {
		request.Header = http.Header{}
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := caller.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

func (m mutual) wantToken(t *testing.T, caller *http.Client, client registry.Registered, header http.Header) {
	t.Helper()
	if status, answer := m.askAt(t, m.MTLSURL(), caller, client, header); status != http.StatusOK {
		t.Errorf("got %d %v, want a token", status, answer)
	}
}

func (m mutual) wantInvalidClient(t *testing.T, caller *http.Client, client registry.Registered, header http.Header) {
	t.Helper()
	if status, answer := m.askAt(t, m.MTLSURL(), caller, client, header); status != http.StatusUnauthorized || answer["error"] != "invalid_client" {
		t.Errorf("got %d %v, want invalid_client", status, answer)
	}
}

// newCertified registers a client whose certificate has a DNS name.
func (m mutual) newCertified(t *testing.T, name string) registry.Registered {
	t.Helper()
	return m.newClient(t, name, func(metadata *oauth.ClientMetadata) {
		metadata.TokenEndpointAuthMethod, metadata.TLSClientAuthSANDNS = oauth.TLSClientAuth, name+".example"
	})
}

func TestMutualTLS(t *testing.T) {
	t.Parallel()
	m := startMutual(t, nil)
	client := m.newCertified(t, "billing")
	signed := func(change func(*x509.Certificate)) tls.Certificate {
		return m.clients.client(t, "billing.example", 5, change)
	}
	t.Run("M15 the aliases are published and work", func(t *testing.T) { m.checkAliases(t, client, signed(nil)) })
	t.Run("M01 no certificate", func(t *testing.T) { m.wantInvalidClient(t, m.caller(t, here), client, nil) })
	stranger := newAuthority(t).client(t, "billing.example", 5, nil)
	t.Run("M04 right subject, an authority that is not trusted", func(t *testing.T) {
		m.wantInvalidClient(t, m.caller(t, here, stranger), client, nil)
	})
	t.Run("M04 right subject, and the trusted authority sent along", func(t *testing.T) {
		withChain := stranger
		withChain.Certificate = append(withChain.Certificate, m.clients.certificate.Raw)
		m.wantInvalidClient(t, m.caller(t, here, withChain), client, nil)
	})
	for name, change := range map[string]func(*x509.Certificate){
		"M05, CA-32 expired":             func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
		"M05, CA-32 not yet valid":       func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
		"CA-32 for servers only":         func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		"CA-32 an authority's own":       func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign },
		"M06, CA-32 revoked":             func(c *x509.Certificate) { c.SerialNumber.SetInt64(66) },
		"another name":                   func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} },
		"the name as a common name only": func(c *x509.Certificate) { c.DNSNames, c.Subject = nil, pkix.Name{CommonName: "billing.example"} },
	} {
		t.Run(name, func(t *testing.T) { m.wantInvalidClient(t, m.caller(t, here, signed(change)), client, nil) })
	}
	t.Run("the public listener never hears of a certificate", func(t *testing.T) {
		status, answer := m.askAt(t, m.base(), m.caller(t, here, signed(nil)), client, nil)
		if status != http.StatusUnauthorized {
			t.Errorf("got %d %v", status, answer)
		}
	})
}

// checkAliases finds the listener as a client does, and gets a token from it.
func (m mutual) checkAliases(t *testing.T, client registry.Registered, shown tls.Certificate) {
	t.Helper()
	caller := m.caller(t, here, shown)
	response, err := caller.Get(m.base() + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var metadata oauth.Metadata
	if err := json.NewDecoder(response.Body).Decode(&metadata); err != nil {
		t.Fatal(err)
	}
	aliases := metadata.MTLSEndpointAliases
	if aliases == nil || aliases.TokenEndpoint != m.MTLSURL()+"/token" || !strings.HasPrefix(m.MTLSURL(), "https://") {
		t.Fatalf("aliases are %+v, the listener is %s", aliases, m.MTLSURL())
	}
	for address, form := range map[string]url.Values{
		aliases.TokenEndpoint:         {"grant_type": {"client_credentials"}},
		aliases.IntrospectionEndpoint: {"token": {"no such token"}},
		aliases.RevocationEndpoint:    {"token": {"no such token"}},
	} {
		form.Set("client_id", client.ID)
		response, err := caller.PostForm(address, form)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s answered %d %s", address, response.StatusCode, body)
		}
	}
}

// TestForwardedCertificate: the header counts from the proxy alone.
func TestForwardedCertificate(t *testing.T) {
	t.Parallel()
	m := startMutual(t, nil)
	client := m.newCertified(t, "billing")
	der := m.clients.client(t, "billing.example", 5, nil).Certificate[0]
	proxy := m.clients.client(t, "proxy.example", 6, nil)
	t.Run("from the proxy", func(t *testing.T) {
		m.wantToken(t, m.caller(t, elsewhere), client, http.Header{"Client-Cert": {sequence(der)}})
		m.wantToken(t, m.caller(t, elsewhere, proxy), client, http.Header{"Client-Cert": {sequence(der)}})
	})
	t.Run("CA-31 two headers from the proxy", func(t *testing.T) {
		m.wantInvalidClient(t, m.caller(t, elsewhere), client, http.Header{"Client-Cert": {sequence(der), sequence(der)}})
	})
	t.Run("CA-31 two members from the proxy", func(t *testing.T) {
		m.wantInvalidClient(t, m.caller(t, elsewhere), client, http.Header{"Client-Cert": {sequence(der) + ", " + sequence(der)}})
	})
	t.Run("M01 none from the proxy", func(t *testing.T) { m.wantInvalidClient(t, m.caller(t, elsewhere), client, nil) })
	block := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for name, text := range map[string]string{"RFC 9440": sequence(der), "PEM, escaped": url.QueryEscape(block), "PEM in one line": strings.ReplaceAll(block, "\n", " "), "XFCC": `Cert="` + url.QueryEscape(block) + `";By=x`} {
		for _, field := range []string{"Client-Cert", "X-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert"} {
			header := http.Header{"X-Forwarded-For": {elsewhere}}
			header.Set(field, text)
			t.Run("CA-30, M12 "+field+" with "+name, func(t *testing.T) {
				m.wantInvalidClient(t, m.caller(t, here), client, header)
				if status, answer := m.askAt(t, m.base(), m.caller(t, elsewhere), client, header); status != http.StatusUnauthorized {
					t.Errorf("the public listener answered %d %v", status, answer)
				}
			})
		}
	}
}

// TestCA36: what was once shown, and what was once trusted, is not carried over.
func TestCA36(t *testing.T) {
	t.Parallel()
	m := startMutual(t, nil)
	client := m.newCertified(t, "billing")
	shown, other := m.clients.client(t, "billing.example", 5, nil), newAuthority(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run("CA-36 no session is resumed, "+tls.VersionName(version), func(t *testing.T) {
			config := &tls.Config{RootCAs: m.servers.pool, ServerName: "localhost", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
			for _, certificates := range [][]tls.Certificate{nil, {shown}, {shown}} {
				config.Certificates = certificates
				connection := m.handshake(t, config)
				if connection.ConnectionState().DidResume {
					t.Error("a session was resumed")
				}
			}
		})
	}
	kept, replaced := m.caller(t, here, shown), m.caller(t, here, other.client(t, "billing.example", 5, nil))
	t.Run("CA-36 trusted before the change", func(t *testing.T) {
		m.wantToken(t, kept, client, nil)
		m.wantInvalidClient(t, replaced, client, nil)
	})
	t.Run("CA-35 a bad new file leaves the old ones", func(t *testing.T) {
		rewrite(t, m.config.MTLS.ClientCA, []byte("garbage"))
		m.waitLog(t, "no PEM block")
		m.wantToken(t, kept, client, nil)
		m.wantInvalidClient(t, replaced, client, nil)
	})
	t.Run("CA-36 the change counts for connections that are open", func(t *testing.T) {
		rewrite(t, m.config.MTLS.ClientCRL[0], other.revoke(t, nil, 66))
		rewrite(t, m.config.MTLS.ClientCA, other.pem())
		m.waitLog(t, "authorities of client certificates reloaded")
		m.wantInvalidClient(t, kept, client, nil)
		m.wantToken(t, replaced, client, nil)
	})
	t.Run("M06 revoked while the connection is open", func(t *testing.T) {
		rewrite(t, m.config.MTLS.ClientCRL[0], other.revoke(t, nil, 5))
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if status, _ := m.askAt(t, m.MTLSURL(), replaced, client, nil); status == http.StatusUnauthorized {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("it still authenticates")
			}
		}
	})
}

// TestLargeChain: what a client shows stays in memory until its connection ends, so that it must be small.
func TestLargeChain(t *testing.T) {
	t.Parallel()
	m := startMutual(t, nil)
	client := m.newCertified(t, "billing")
	large := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 1}, Value: make([]byte, maxChainBytes)}}
	}
	for name, test := range map[string]struct {
		shown  tls.Certificate
		copies int
		good   bool
	}{
		"nine certificates":       {m.clients.client(t, "billing.example", 5, nil), 9, true},
		"ten certificates":        {m.clients.client(t, "billing.example", 5, nil), 10, false},
		"a certificate of 32 KiB": {m.clients.client(t, "billing.example", 5, large), 1, false},
	} {
		leaf := test.shown.Certificate[0]
		for len(test.shown.Certificate) < test.copies {
			test.shown.Certificate = append(test.shown.Certificate, leaf)
		}
		caller := m.caller(t, here, test.shown)
		if test.good {
			m.wantToken(t, caller, client, nil)
			continue
		}
		if response, err := caller.Get(m.MTLSURL() + "/token"); err == nil {
			_ = response.Body.Close()
			t.Errorf("%s: the handshake succeeds", name)
		}
	}
}

// handshake makes a connection and a request, after which a session ticket would have come.
func (m mutual) handshake(t *testing.T, config *tls.Config) *tls.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	raw, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", m.mtls.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := io.WriteString(raw, "GET /jwks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(raw); err != nil {
		t.Fatal(err)
	}
	return raw.(*tls.Conn)
}

// waitLog waits until the log says something.
func (r *running) waitLog(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(r.log.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the log never says %q", text)
		}
	}
}
