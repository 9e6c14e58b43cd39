package remotekeys_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/remotekeys"
	"golang.org/x/net/dns/dnsmessage"
)

const notPublic = "leads to an address that is not public"

// A bystander is a listener inside that nobody may connect to.
type bystander struct {
	net.Listener
	seen atomic.Int64
}

func newBystander(t *testing.T, network, address string) *bystander {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	b := &bystander{Listener: listener}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := b.Accept()
			if err != nil {
				return
			}
			b.seen.Add(1)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return b
}

func (b *bystander) port() string { _, port, _ := net.SplitHostPort(b.Addr().String()); return port }

// untouched connects once itself, so that all connections made before have been counted, and says whether there were any.
func (b *bystander) untouched(t *testing.T) {
	t.Helper()
	before := b.seen.Load()
	conn, err := net.Dial(b.Addr().Network(), b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Read(make([]byte, 1)) // until it is accepted and closed
	_ = conn.Close()
	if after := b.seen.Load(); before != 0 || after != 1 {
		t.Errorf("%d connections to %s, want none but the test's own", after-1, b.Addr())
	}
}

func TestURI(t *testing.T) {
	h := newHost(t, answer(published("a")))
	c := h.cache(t, nil)
	for row, uris := range map[string][]string{
		"RG-13 scheme, user info, port": {
			"http://" + public + "/", "gopher://" + public + "/", "file:///etc/passwd", "https://user:pw@" + public + "/", "https://" + public + ":22/",
			uri + "#f", "",
		},
		"RG-16 other spellings of an address": {
			"https://2130706433/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.1/", "https://" + name + "./", "https://kеys.example.com/",
		},
	} {
		t.Run(row, func(t *testing.T) {
			for _, uri := range uris {
				if keys, err := c.Keys(t.Context(), uri); err == nil || keys != nil {
					t.Errorf("%q: got keys", uri)
				}
				if c.Renew(t.Context(), uri) {
					t.Errorf("%q was fetched", uri)
				}
			}
		})
	}
	if got := h.dials(); got != nil {
		t.Errorf("connected to %q", got)
	}
}

// TestInside has listeners where clients would have us connect to. The Cache connects as in production.
func TestInside(t *testing.T) {
	b := newBystander(t, "tcp4", "127.0.0.1:0")
	real := func(t *testing.T, change func(*remotekeys.Options)) *remotekeys.Cache {
		return new(host).cache(t, func(o *remotekeys.Options) { o.DialForTests = nil; change(o) })
	}
	t.Run("RG-14 hosts inside", func(t *testing.T) {
		c := real(t, func(*remotekeys.Options) {})
		for _, inside := range []string{"127.0.0.1", "localhost", "[::1]", "0.0.0.0", "169.254.169.254", "10.0.0.1", "metadata.google.internal"} {
			expectFailure(t, c, "https://"+inside+":"+b.port()+"/", "has a host that is not on the public internet")
		}
	})
	t.Run("RG-14 names that lead inside", func(t *testing.T) {
		for _, inside := range []string{"127.0.0.1", "::1", "0.0.0.0", "169.254.169.254", "10.0.0.1"} {
			c := real(t, func(o *remotekeys.Options) { o.Resolver = newNameServer(t, []string{inside}).resolver() })
			expectFailure(t, c, "https://"+name+":"+b.port()+"/", notPublic)
		}
	})
	t.Run("RG-14 the socket refuses as well", func(t *testing.T) {
		for _, to := range []string{b.Addr().String(), "[::1]:" + b.port(), "0.0.0.0:" + b.port()} {
			if conn, err := remotekeys.Connect(t.Context(), to); err == nil {
				_ = conn.Close()
				t.Errorf("connected to %s", to)
			} else if !strings.Contains(err.Error(), notPublic) {
				t.Errorf("%s: %v, want that it is not public", to, err)
			}
		}
	})
	b.untouched(t)
	t.Run("the switch for tests connects", func(t *testing.T) { // else the listener would have proved nothing
		c := real(t, func(o *remotekeys.Options) { o.AllowPrivateAddressesForTests = true })
		expectFailure(t, c, "https://127.0.0.1:"+b.port()+"/", "has a host that does not answer over TLS 1.2 or 1.3")
		if b.seen.Load() == 0 {
			t.Error("the listener has seen nobody")
		}
	})
}

func TestNames(t *testing.T) {
	h := newHost(t, answer(published("a")))
	t.Run("RG-15 addresses that lead inside", func(t *testing.T) {
		for _, inside := range []string{
			"::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "fe80::1", "100.64.0.1", "198.18.0.1",
			"192.0.0.192", "240.0.0.1",
		} {
			c := h.cache(t, func(o *remotekeys.Options) { o.Resolver = newNameServer(t, []string{inside}).resolver() })
			expectFailure(t, c, "https://"+name+"/", notPublic)
		}
		c := h.cache(t, nil)
		for _, literal := range []string{"[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]", "100.64.0.1", "192.0.0.192"} {
			expectFailure(t, c, "https://"+literal+"/", "has a host that is not on the public internet")
		}
	})
	t.Run("RG-17 one address inside among public ones", func(t *testing.T) {
		for _, answers := range [][]string{{public, "127.0.0.1"}, {"127.0.0.1", public}, {public, "::1"}} {
			c := h.cache(t, func(o *remotekeys.Options) { o.Resolver = newNameServer(t, answers).resolver() })
			expectFailure(t, c, "https://"+name+"/", notPublic)
		}
	})
	if got := h.dials(); got != nil {
		t.Errorf("RG-15, RG-17 connected to %q", got)
	}
	t.Run("no such host", func(t *testing.T) {
		c := h.cache(t, func(o *remotekeys.Options) { o.Resolver = newNameServer(t, nil).resolver() })
		expectFailure(t, c, "https://"+name+"/", "has a host that is not found")
	})
	t.Run("a host with silent addresses", func(t *testing.T) {
		h := newHost(t, answer(published("a")))
		h.goDown(true)
		c := h.cache(t, func(o *remotekeys.Options) {
			o.Resolver = newNameServer(t, []string{"8.8.4.4", "8.8.8.8", "1.1.1.1", "1.0.0.1"}).resolver()
		})
		expectFailure(t, c, "https://"+name+"/", "has a host that cannot be connected to")
		if got := h.dials(); len(got) != 3 {
			t.Errorf("tried %q, want three", got)
		}
	})
}

// TestRebinding answers with a public address first and then with loopback.
func TestRebinding(t *testing.T) {
	b := newBystander(t, "tcp4", "127.0.0.1:0")
	h := newHost(t, answer(published("a")))
	names := newNameServer(t, []string{public}, []string{"127.0.0.1"})
	clock := newClock()
	c := h.cache(t, func(o *remotekeys.Options) { o.Resolver, o.Now = names.resolver(), clock.Now })
	at := "https://" + name + ":" + b.port() + "/"
	t.Run("RG-17 the connection goes where was looked at", func(t *testing.T) {
		expectKeys(t, c, at, "a")
		if got, want := h.dials(), []string{public + ":" + b.port()}; !slices.Equal(got, want) {
			t.Errorf("connected to %q, want %q", got, want)
		}
		if got := names.questions(dnsmessage.TypeA); got != 1 {
			t.Errorf("the name was asked for %d times, want once", got)
		}
	})
	t.Run("RG-17 the next fetch is refused", func(t *testing.T) {
		if c.Renew(t.Context(), at) {
			t.Error("fetched from loopback")
		}
		expectKeys(t, c, at, "a") // the last good set
		if got := h.dials(); len(got) != 1 {
			t.Errorf("connected to %q", got)
		}
	})
	b.untouched(t)
}

func TestRedirects(t *testing.T) {
	b := newBystander(t, "tcp4", "127.0.0.1:0")
	h := newHost(t, nil)
	for name, to := range map[string]struct {
		status   int
		location string
	}{
		"RG-18 302 to http on loopback": {http.StatusFound, "http://" + b.Addr().String() + "/"},
		"RG-18 302 chain":               {http.StatusFound, "/again"},
		"RG-18 307 to another host":     {http.StatusTemporaryRedirect, "https://1.1.1.1/"},
		"RG-18 308 to itself":           {http.StatusPermanentRedirect, uri},
	} {
		t.Run(name, func(t *testing.T) {
			before := h.requests.Load()
			redirect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to.location, to.status) })
			h.handler.Store(&redirect)
			expectFailure(t, h.cache(t, nil), uri, "is answered with status 3xx")
			if got := h.requests.Load() - before; got != 1 {
				t.Errorf("%d requests, want one", got)
			}
		})
	}
	b.untouched(t)
	for _, got := range h.dials() {
		if got != public+":443" {
			t.Errorf("RG-18 connected to %s", got)
		}
	}
}

// TestProxy relies on TestMain, which has a proxy in the environment.
func TestProxy(t *testing.T) {
	if from, err := http.ProxyFromEnvironment(must(http.NewRequest(http.MethodGet, uri, nil))); err != nil || from.String() != proxy {
		t.Fatalf("the environment's proxy is %v (%v), want %s", from, err, proxy)
	}
	h := newHost(t, answer(published("a")))
	t.Run("RG-19 the environment's proxy is ignored", func(t *testing.T) {
		expectKeys(t, h.cache(t, nil), uri, "a")
		if got, want := h.dials(), []string{public + ":443"}; !slices.Equal(got, want) {
			t.Errorf("connected to %q, want %q", got, want)
		}
	})
}

func TestTLS(t *testing.T) {
	const untrusted = "has a host whose certificate is not accepted"
	for name, c := range map[string]struct {
		config *tls.Config
		want   string
	}{
		"RG-23 unknown authority": {with(newAuthority().issue(func(*x509.Certificate) {})), untrusted},
		"RG-23 wrong name": {with(trusted().issue(func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{"other.example.com"}, nil
		})), untrusted},
		"RG-23 expired": {with(trusted().issue(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), untrusted},
		"RG-23 for clients only": {with(trusted().issue(func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})), untrusted},
		"RG-23 TLS 1.1": {&tls.Config{
			Certificates: []tls.Certificate{ordinary()}, MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11,
		}, "has a host that does not answer over TLS 1.2 or 1.3"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTLSHost(t, c.config, answer(published("a")))
			expectFailure(t, h.cache(t, nil), uri, c.want)
			if h.requests.Load() != 0 {
				t.Error("a request was sent")
			}
		})
	}
	t.Run("TLS 1.2 is enough", func(t *testing.T) {
		config := with(ordinary())
		config.MaxVersion = tls.VersionTLS12
		expectKeys(t, newTLSHost(t, config, answer(published("a"))).cache(t, nil), uri, "a")
	})
}

func with(certificate tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
}
