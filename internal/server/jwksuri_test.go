package server

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/remotekeys"
	"github.com/writ-auth/writ/oauth"
)

// A publisher is the web server of clients that publish their keys. It is on loopback; the server under test takes it for
// a public address, to which nothing is ever sent.
type publisher struct {
	*httptest.Server

	mu      sync.Mutex // guards what follows
	keys    []jose.Key
	down    bool
	fetches int
}

const publicAddress = "8.8.8.8"

func newPublisher(t *testing.T, vouching *testAuthority) *publisher {
	t.Helper()
	p := &publisher{}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.fetches++
		body, err := jose.MarshalJWKS(p.keys)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
	}))
	certificate := vouching.client(t, "keys.example", 7, func(c *x509.Certificate) {
		c.IPAddresses, c.ExtKeyUsage = []net.IP{net.ParseIP(publicAddress)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	p.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	if down || address != publicAddress+":443" {
		return nil, errors.New("nobody is there")
	}
	return new(net.Dialer).DialContext(ctx, network, p.Listener.Addr().String())
}

// publish replaces the keys, whose IDs are their places.
func (p *publisher) publish(t *testing.T, keys ...crypto.Signer) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = nil
	for _, key := range keys {
		id, err := jose.Thumbprint(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		p.keys = append(p.keys, jose.Key{ID: id, Algorithm: jose.ES256, Public: key.Public()})
	}
}

func (p *publisher) set(down bool) (fetches int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	return p.fetches
}

// TestJWKSURI: a client's keys come from where the client publishes them.
func TestJWKSURI(t *testing.T) {
	t.Parallel()
	vouching := newAuthority(t)
	p := newPublisher(t, vouching)
	r := startWith(t, testConfig(t), Options{remoteKeys: func(o *remotekeys.Options) { o.Roots, o.DialForTests = vouching.pool, p.dial }})
	newKey := func() crypto.Signer {
		key, err := jose.GenerateKey(jose.ES256)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	register := func(t *testing.T, name string) keyed {
		made := r.newClient(t, name, func(m *oauth.ClientMetadata) {
			m.TokenEndpointAuthMethod, m.JWKSURI = oauth.PrivateKeyJWT, "https://"+publicAddress+"/"+name
		})
		return keyed{made.ID, newKey()}
	}
	expect := func(t *testing.T, client keyed, want int) {
		t.Helper()
		if status, code, _ := r.ask(t, client.assertion(t, r.issuer), ""); status != want || want != http.StatusOK && code != "invalid_client" {
			t.Errorf("got %d %s, want %d", status, code, want)
		}
	}
	client := register(t, "published")
	p.publish(t, client.key)
	t.Run("private_key_jwt by jwks_uri", func(t *testing.T) {
		expect(t, client, http.StatusOK)
		expect(t, client, http.StatusOK)
		expect(t, keyed{client.id, newKey()}, http.StatusUnauthorized)
	})
	t.Run("J43 rotated", func(t *testing.T) {
		other := register(t, "rotated")
		next := newKey()
		p.publish(t, other.key)
		expect(t, other, http.StatusOK)
		p.publish(t, next)
		expect(t, keyed{other.id, next}, http.StatusOK)
		expect(t, other, http.StatusUnauthorized)
	})
	t.Run("RG-22 unknown keys cost one fetch a minute", func(t *testing.T) {
		other := register(t, "flooded")
		p.publish(t, other.key)
		expect(t, other, http.StatusOK)
		before := p.set(false)
		for range 10 {
			expect(t, keyed{other.id, newKey()}, http.StatusUnauthorized)
		}
		if got := p.set(false) - before; got != 1 {
			t.Errorf("%d fetches, want one", got)
		}
	})
	t.Run("J44 down", func(t *testing.T) {
		p.set(true)
		expect(t, client, http.StatusOK)
		expect(t, register(t, "unheard"), http.StatusUnauthorized)
		if said := r.log.String(); !strings.Contains(said, "client's keys not renewed") {
			t.Error("the log does not say that keys cannot be had")
		}
	})
}
