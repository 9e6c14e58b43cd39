package remotekeys_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/remotekeys"
)

// Where the tests' hosts are said to be. Nothing is ever sent there: see host.dial.
const (
	name   = "keys.example.com"
	public = "8.8.8.8"
	uri    = "https://8.8.8.8/jwks"
)

// An authority vouches for hosts. Its certificates are good at any time that a synctest bubble may have.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

var trusted = sync.OnceValue(newAuthority)

func newAuthority() *authority {
	key := newECDSA()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	certificate := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return &authority{certificate, key, pool}
}

// issue returns a certificate for name and public, after change has had its way with it.
func (a *authority) issue(change func(*x509.Certificate)) tls.Certificate {
	key := newECDSA()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, IPAddresses: []net.IP{net.ParseIP(public)},
		NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	return tls.Certificate{Certificate: [][]byte{must(x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key))}, PrivateKey: key}
}

var ordinary = sync.OnceValue(func() tls.Certificate { return trusted().issue(func(*x509.Certificate) {}) })

func newECDSA() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// A host is a client's web server: on loopback, and reached as the public one it says it is.
type host struct {
	listener net.Listener
	requests atomic.Int64
	handler  atomic.Pointer[http.HandlerFunc]

	mu     sync.Mutex // guards what follows
	dialed []string   // what was to be connected to
	down   bool
}

// newHost serves handler with a certificate that is as it should be.
func newHost(t testing.TB, handler http.HandlerFunc) *host {
	t.Helper()
	return newTLSHost(t, &tls.Config{Certificates: []tls.Certificate{ordinary()}}, handler)
}

func newTLSHost(t testing.TB, config *tls.Config, handler http.HandlerFunc) *host {
	t.Helper()
	h := &host{listener: must(net.Listen("tcp", "127.0.0.1:0"))}
	h.handler.Store(&handler)
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.requests.Add(1)
			(*h.handler.Load())(w, r)
		}),
		ReadHeaderTimeout: time.Minute, TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(h.listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return h
}

// serves replaces what the host answers with a body.
func (h *host) serves(body []byte, header ...string) {
	handler := answer(body, header...)
	h.handler.Store(&handler)
}

func answer(body []byte, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for pair := range slices.Chunk(header, 2) {
			w.Header().Set(pair[0], pair[1])
		}
		_, _ = w.Write(body)
	}
}

// dial leads to the host, whatever the address.
func (h *host) dial(ctx context.Context, network, address string) (net.Conn, error) {
	h.mu.Lock()
	h.dialed = append(h.dialed, address)
	down := h.down
	h.mu.Unlock()
	if down {
		return nil, errors.New("down")
	}
	return new(net.Dialer).DialContext(ctx, network, h.listener.Addr().String())
}

func (h *host) dials() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.dialed)
}

func (h *host) goDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

// A clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// cache returns a Cache that trusts the tests' authority and connects to h.
func (h *host) cache(t testing.TB, change func(*remotekeys.Options)) *remotekeys.Cache {
	t.Helper()
	options := remotekeys.Options{Roots: trusted().pool, DialForTests: h.dial}
	if change != nil {
		change(&options)
	}
	c := remotekeys.New(options)
	t.Cleanup(c.Close)
	return c
}

// published is a key set of new ES256 keys with these IDs.
func published(ids ...string) []byte {
	var keys []jose.Key
	for _, id := range ids {
		keys = append(keys, jose.Key{ID: id, Algorithm: jose.ES256, Public: newECDSA().Public()})
	}
	return must(jose.MarshalJWKS(keys))
}

// expectKeys wants these key IDs.
func expectKeys(t *testing.T, c *remotekeys.Cache, uri string, want ...string) {
	t.Helper()
	keys, err := c.Keys(t.Context(), uri)
	var got []string
	for _, key := range keys {
		got = append(got, key.ID)
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got keys %q (%v), want %q", got, err, want)
	}
}

// expectFailure wants this error and no other word.
func expectFailure(t *testing.T, c *remotekeys.Cache, uri, want string) {
	t.Helper()
	keys, err := c.Keys(t.Context(), uri)
	if want = "remotekeys: jwks_uri " + want; err == nil || err.Error() != want || keys != nil {
		t.Errorf("%s: got %d keys and %v, want %s", uri, len(keys), err, want)
	}
}
