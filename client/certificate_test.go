package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/oauth"
)

// A tlsBench is an issuer with an alias for clients with certificates, an API, and another host, all over TLS. It keeps
// who was shown which certificate. Tokens say in their value which certificate they are bound to.
type tlsBench struct {
	issuer, alias, api, other *httptest.Server

	mu    sync.Mutex
	shown []string // "token c1", "api c1 token-of-c1": by whom, which certificate, which token
	names map[string]string
	next  time.Duration // how long tokens live
}

func newTLSBench(t *testing.T) *tlsBench {
	t.Helper()
	b := &tlsBench{names: map[string]string{}, next: 300 * time.Second}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{
			"issuer": b.issuer.URL, "token_endpoint": b.issuer.URL + "/token",
			"mtls_endpoint_aliases": map[string]string{"token_endpoint": b.alias.URL + "/mtls/token"},
		})
	})
	mux.HandleFunc("/token", b.token("front"))
	b.issuer = b.start(t, mux, tls.NoClientCert)
	b.alias = b.start(t, b.token("alias"), tls.RequestClientCert)
	b.api = b.start(t, http.HandlerFunc(b.resource), tls.RequestClientCert)
	b.other = b.start(t, http.HandlerFunc(b.resource), tls.RequestClientCert)
	return b
}

func (b *tlsBench) start(t *testing.T, handler http.Handler, auth tls.ClientAuthType) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: auth}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// note remembers a request, and returns the name of the certificate that came with it.
func (b *tlsBench) note(who string, r *http.Request) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := "none"
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		name = b.names[thumbprint(r.TLS.PeerCertificates[0].Raw)]
	}
	b.shown = append(b.shown, strings.TrimSpace(who+" "+name+" "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")))
	return name
}

func (b *tlsBench) token(who string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := b.note(who, r)
		if r.FormValue("client_id") != clientID {
			refuse(401, "invalid_client", "no client_id")(w, r)
			return
		}
		reply(w, http.StatusOK, map[string]any{"access_token": "token-of-" + name, "token_type": "Bearer", "expires_in": b.next.Seconds()})
	}
}

func (b *tlsBench) resource(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/away" {
		http.Redirect(w, r, b.other.URL, http.StatusFound)
		return
	}
	b.note("api", r)
}

// named gives a new certificate a name.
func (b *tlsBench) named(name string, notAfter time.Time) *tls.Certificate {
	certificate := newCertificate(name, notAfter)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names[thumbprint(certificate.Certificate[0])] = name
	return certificate
}

func (b *tlsBench) config(credential client.Credential) client.Config {
	pool := x509.NewCertPool()
	pool.AddCert(b.issuer.Certificate()) // that of all of them
	return client.Config{
		Issuer: b.issuer.URL, ClientID: clientID, Credential: credential, Resource: b.api.URL,
		HTTPClient: &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(8), MinVersion: tls.VersionTLS12},
		}},
	}
}

func (b *tlsBench) source(t *testing.T, c client.Config) *client.Source {
	t.Helper()
	s := source(t, c)
	t.Cleanup(s.Client().CloseIdleConnections)
	return s
}

func (b *tlsBench) wantShown(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.shown, want) {
		t.Errorf("shown: %q, want %q", b.shown, want)
	}
	b.shown = nil
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour) }

// TestCertificate checks where a certificate is presented and which token goes with it (RFC 8705).
func TestCertificate(t *testing.T) {
	t.Parallel()
	t.Run("authenticates at the alias, and goes with the token", func(t *testing.T) {
		b := newTLSBench(t)
		for _, method := range []string{"", oauth.TLSClientAuth, oauth.SelfSignedTLSClientAuth} {
			c := b.config(client.CertificateFile(writeCertificate(t, t.TempDir(), b.named("c1", tomorrow()))))
			c.AuthMethod = method
			wantStatus(t, b.source(t, c).Client(), b.api.URL, 200)
			b.wantShown(t, "alias c1", "api c1 token-of-c1")
		}
	})
	t.Run("accompanies another credential", func(t *testing.T) {
		b := newTLSBench(t)
		c := b.config(client.PrivateKey(newKey()))
		c.Certificate = client.CertificateFile(writeCertificate(t, t.TempDir(), b.named("c1", tomorrow())))
		wantStatus(t, b.source(t, c).Client(), b.api.URL, 200)
		b.wantShown(t, "alias c1", "api c1 token-of-c1")
	})
	t.Run("without one the alias is left alone", func(t *testing.T) {
		b := newTLSBench(t)
		wantStatus(t, b.source(t, b.config(client.PrivateKey(newKey()))).Client(), b.api.URL, 200)
		b.wantShown(t, "front none", "api none token-of-none")
	})
	t.Run("a configured token endpoint is the one", func(t *testing.T) {
		b := newTLSBench(t)
		c := b.config(client.CertificateFile(writeCertificate(t, t.TempDir(), b.named("c1", tomorrow()))))
		c.TokenEndpoint = b.alias.URL + "/other"
		wantStatus(t, b.source(t, c).Client(), b.api.URL, 200)
		b.wantShown(t, "alias c1", "api c1 token-of-c1")
	})
	t.Run("is not shown where a redirect leads to", func(t *testing.T) {
		b := newTLSBench(t)
		c := b.config(client.CertificateFile(writeCertificate(t, t.TempDir(), b.named("c1", tomorrow()))))
		wantStatus(t, b.source(t, c).Client(), b.api.URL+"/away", 200)
		b.wantShown(t, "alias c1", "api none")
	})
	t.Run("goes through a Base that wraps", func(t *testing.T) {
		b := newTLSBench(t)
		c := b.config(client.CertificateFile(writeCertificate(t, t.TempDir(), b.named("c1", tomorrow()))))
		s := b.source(t, c)
		wrapper := &counter{next: s.Client().Transport.(*client.Transport).Base}
		wantStatus(t, &http.Client{Transport: &client.Transport{Source: s, Base: wrapper}}, b.api.URL, 200)
		wantStatus(t, &http.Client{Transport: &client.Transport{Source: s}}, b.api.URL, 200)
		b.wantShown(t, "alias c1", "api c1 token-of-c1", "api c1 token-of-c1")
		if wrapper.n != 1 {
			t.Errorf("the wrapper saw %d requests, want 1", wrapper.n)
		}
	})
	t.Run("a token ends with the certificate", func(t *testing.T) {
		b := newTLSBench(t)
		end := time.Now().Add(100 * time.Second).Truncate(time.Second)
		c := b.config(client.CertificateFile(writeCertificate(t, t.TempDir(), b.named("c1", end))))
		if got := token(t, b.source(t, c)).Expires; !got.Equal(end) {
			t.Errorf("token expires at %v, want %v", got, end)
		}
	})
	t.Run("a server that refuses it says so", refusedCertificate)
}

// counter counts requests.
type counter struct {
	next http.RoundTripper
	n    int
}

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n++
	return c.next.RoundTrip(r)
}

func refusedCertificate(t *testing.T) {
	b := newTLSBench(t)
	strict := b.start(t, b.token("strict"), tls.RequireAndVerifyClientCert)
	c := b.config(client.CertificateFile(writeCertificate(t, t.TempDir(), b.named("c1", tomorrow()))))
	c.TokenEndpoint = strict.URL
	_, err := b.source(t, c).Token(t.Context())
	wantError(t, err, "the server refuses the client's certificate: check that there is one")
	b.wantShown(t)
}

// TestRotatedCertificate holds row C12 for certificates: the files are read for each token request, and each token goes
// over the certificate that it is bound to, whatever lies on disk.
func TestRotatedCertificate(t *testing.T) {
	t.Parallel()
	t.Run("C12 certificate files rotated on disk", func(t *testing.T) {
		b := newTLSBench(t)
		directory := t.TempDir()
		s := b.source(t, b.config(client.CertificateFile(writeCertificate(t, directory, b.named("c1", tomorrow())))))
		first := token(t, s)
		wantStatus(t, s.Client(), b.api.URL, 200)
		writeCertificate(t, directory, b.named("c2", tomorrow()))
		wantStatus(t, s.Client(), b.api.URL, 200)
		s.Invalidate(first)
		wantStatus(t, s.Client(), b.api.URL, 200)
		b.wantShown(t, "alias c1", "api c1 token-of-c1", "api c1 token-of-c1", "alias c2", "api c2 token-of-c2")

		other, err := s.With(b.api.URL+"/other", "")
		if err != nil {
			t.Fatal(err)
		}
		writeCertificate(t, directory, b.named("c3", tomorrow()))
		wantStatus(t, other.Client(), b.api.URL+"/other", 200)
		wantStatus(t, s.Client(), b.api.URL, 200) // its token is still bound to the one before
		b.wantShown(t, "alias c3", "api c3 token-of-c3", "api c2 token-of-c2")
	})
	t.Run("C12 certificate that a function gives", func(t *testing.T) {
		b := newTLSBench(t)
		certificates := []*tls.Certificate{b.named("c1", tomorrow()), b.named("c2", tomorrow())}
		certificates[1].Leaf = nil // as older code makes them
		s := b.source(t, b.config(client.CertificateFunc(func(context.Context) (*tls.Certificate, error) { return certificates[0], nil })))
		wantStatus(t, s.Client(), b.api.URL, 200)
		certificates = certificates[1:]
		s.Invalidate(token(t, s))
		wantStatus(t, s.Client(), b.api.URL, 200)
		b.wantShown(t, "alias c1", "api c1 token-of-c1", "alias c2", "api c2 token-of-c2")
	})
	t.Run("C12 files that do not belong together", func(t *testing.T) {
		b := newTLSBench(t)
		directory := t.TempDir()
		certificate, key := writeCertificate(t, directory, b.named("c1", tomorrow()))
		s := b.source(t, b.config(client.CertificateFile(certificate, key)))
		first := token(t, s)
		write(t, key, string(keyPEM(newKey())))
		s.Invalidate(first)
		_, err := s.Token(t.Context())
		wantError(t, err, "certificate: certificate file "+certificate, "private key does not match")
		b.wantShown(t, "alias c1")
	})
}

// TestCertificateConfig checks what New says about certificates.
func TestCertificateConfig(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	certificate, key := writeCertificate(t, directory, newCertificate("c", tomorrow()))
	expired, expiredKey := writeCertificate(t, t.TempDir(), newCertificate("c", time.Now().Add(-time.Minute)))
	both := filepath.Join(directory, "both.pem")
	write(t, both, string(must(os.ReadFile(certificate)))+string(must(os.ReadFile(key))))
	good := client.CertificateFile(certificate, key)
	for name, c := range map[string]struct {
		change func(*client.Config)
		want   string // empty: no error
	}{
		"files":              {func(c *client.Config) { c.Credential = good }, ""},
		"one file":           {func(c *client.Config) { c.Credential = client.CertificateFile(both, both) }, ""},
		"the same twice":     {func(c *client.Config) { c.Credential, c.Certificate = good, good }, ""},
		"two":                {func(c *client.Config) { c.Credential, c.Certificate = good, client.CertificateFile(certificate, key) }, "Certificate: is another one than the Credential"},
		"with a secret":      {func(c *client.Config) { c.Certificate = good }, ""},
		"with an assertion":  {func(c *client.Config) { c.Credential, c.Certificate = client.PrivateKey(newKey()), good }, ""},
		"no certificate":     {func(c *client.Config) { c.Credential = client.CertificateFile("/no/such", key) }, "Credential: certificate file: open /no/such"},
		"no key":             {func(c *client.Config) { c.Certificate = client.CertificateFile(certificate, "/no/such") }, "Certificate: certificate key file: open /no/such"},
		"not a certificate":  {func(c *client.Config) { c.Credential = client.CertificateFile(key, key) }, "Credential: certificate file " + key},
		"expired":            {func(c *client.Config) { c.Credential = client.CertificateFile(expired, expiredKey) }, "Credential: the certificate expired at "},
		"nil":                {func(c *client.Config) { c.Credential = (*client.Certificate)(nil) }, "Credential: is missing"},
		"function":           {func(c *client.Config) { c.Credential = client.CertificateFunc(notCalled) }, ""},
		"function, nil":      {func(c *client.Config) { c.Credential = client.CertificateFunc(nil) }, "Credential: is missing"},
		"method of secrets":  {func(c *client.Config) { c.Credential, c.AuthMethod = good, oauth.ClientSecretBasic }, "use tls_client_auth or self_signed_tls_client_auth"},
		"foreign transport":  {func(c *client.Config) { c.Credential, c.HTTPClient = good, &http.Client{Transport: network{}} }, "HTTPClient: its Transport must be an *http.Transport"},
		"HTTP client's own":  {func(c *client.Config) { c.Credential, c.HTTPClient = good, &http.Client{Transport: &http.Transport{}} }, ""},
		"HTTP client's none": {func(c *client.Config) { c.Credential, c.HTTPClient = good, &http.Client{} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			config := config(nil)
			config.HTTPClient = nil
			c.change(&config)
			_, err := client.New(config)
			if c.want == "" && err != nil {
				t.Errorf("error %v, want none", err)
			}
			if c.want != "" {
				wantError(t, err, "client: ", c.want)
			}
		})
	}
}

func notCalled(context.Context) (*tls.Certificate, error) { panic("New waits for the certificate") }

// TestCertificateFuncFails checks that what a function gives is looked at before it is used.
func TestCertificateFuncFails(t *testing.T) {
	t.Parallel()
	b := newTLSBench(t)
	whole := newCertificate("c", tomorrow())
	for want, c := range map[string]*tls.Certificate{
		"the workload API is down":                 nil,
		"the certificate or its key is missing":    {Certificate: whole.Certificate},
		"the certificate or its key is missing ":   {PrivateKey: newKey()},
		"certificate: x509: malformed certificate": {Certificate: [][]byte{{1}}, PrivateKey: newKey()},
		"the certificate expired at 20":            newCertificate("c", time.Now().Add(-time.Minute)),
	} {
		_, err := b.source(t, b.config(client.CertificateFunc(func(context.Context) (*tls.Certificate, error) {
			if c == nil {
				return nil, errors.New(want)
			}
			return c, nil
		}))).Token(t.Context())
		wantError(t, err, strings.TrimSpace(want))
	}
	b.wantShown(t)
}

// TestAliasOfMetadata checks that a credential does not follow metadata to an alias without TLS.
func TestAliasOfMetadata(t *testing.T) {
	t.Parallel()
	i, _, s := start(t)
	i.metadata = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{
			"issuer": issuerURL, "token_endpoint": issuerURL + "/token",
			"mtls_endpoint_aliases": map[string]string{"token_endpoint": "http://mtls.as.example/token"},
		})
	}
	_, err := s.Token(t.Context())
	wantError(t, err, "the token_endpoint of mtls_endpoint_aliases", "is not https")
}
