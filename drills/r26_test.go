//go:build drills

package drills

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDrillR26 holds on to a server with five thousand connections: a third sends its header a byte at a time, a third its
// body, a third does not take its answer.
func TestDrillR26(t *testing.T) {
	d := begin(t, "R26", "5000 sockets of one address: slow headers, slow bodies, slow reading: valid requests of others 100 % served, p99 < 2x (of 2.5 ms at least); at most a quarter of the connections for one address")
	const sockets, room = 5000, 2048
	network := newNamespace(t, "10.99.0.1/32", "10.99.0.2/32", "10.99.0.3/32")
	n := newNode(t, "writ", fmt.Sprint("WRIT_LIMITS_CONNECTIONS=", room)).inMemory()
	network.holds(n)
	trusted := n.secure(t, "10.99.0.1", "8443")
	n.dial = keepAlive(64, network.dialFrom(""))
	n.dial.Transport.(*http.Transport).TLSClientConfig = trusted
	n.start()
	o := operate(t, n, n)
	o.resource(api, "ES256")
	client := o.client("billing", api, nil)
	honest := keepAlive(64, network.dialFrom("10.99.0.3"))
	honest.Transport.(*http.Transport).TLSClientConfig = trusted
	ask := func(int) answer { return send(honest, n.tokenOf(client)) }
	calm := during(200, ask, func() { time.Sleep(3 * time.Second) })

	attack := n.holdOn(network, trusted, sockets)
	time.Sleep(2 * time.Second)
	most := 0
	busy := during(200, ask, func() {
		for range 20 {
			time.Sleep(250 * time.Millisecond)
			most = max(most, n.descriptors())
		}
	})
	opened := attack()
	d.note("sockets", opened)
	d.want("valid_not_200", busy.bad("200"), busy.bad("200") == 0)
	d.note("valid_p99_before", calm.percentile(.99))
	d.want("valid_p99", busy.percentile(.99), busy.percentile(.99) < 2*max(calm.percentile(.99), 2500*time.Microsecond))
	d.want("most_descriptors", most, most < room/4+200)
	d.note("refused_connections", n.metric("writ_http_connections_refused_total"))
}

// secure gives a node a certificate for an address, and returns who trusts it.
func (n *node) secure(t *testing.T, host, port string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.ParseIP(host)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n.public = net.JoinHostPort(host, port)
	n.issuer = "https://" + n.public
	n.env = append(n.env, "WRIT_TLS_CERTIFICATE="+filepath.Join(dir, "tls.crt"), "WRIT_TLS_KEY="+filepath.Join(dir, "tls.key"))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return &tls.Config{RootCAs: pool}
}

// descriptors counts the open files of a node.
func (n *node) descriptors() int {
	all, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.process.Process.Pid))
	return len(all)
}

// holdOn opens connections and keeps them busy with next to nothing, until the function that it returns is called.
func (n *node) holdOn(network *namespace, trusted *tls.Config, sockets int) (stop func() int) {
	over, opened := make(chan struct{}), make(chan int, 1)
	go func() {
		count := 0
		_ = network.in(func() error {
			dialer := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 99, 0, 2)}}
			for i := range sockets {
				select {
				case <-over:
					return nil
				default:
				}
				c, err := dialer.Dial("tcp", n.public)
				if err != nil {
					continue
				}
				count++
				go hold(c, trusted, i, over)
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		opened <- count
	}()
	return func() int { close(over); return <-opened }
}

// hold keeps one connection.
func hold(c net.Conn, trusted *tls.Config, i int, over <-chan struct{}) {
	defer c.Close()
	begin := map[int]string{
		0: "GET /jwks HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		1: "POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000\r\n\r\n",
		2: "GET /jwks HTTP/1.1\r\nHost: x\r\n\r\n",
	}[i%3]
	if i%2 == 0 { // the other half does not even finish its handshake
		secure := tls.Client(c, &tls.Config{RootCAs: trusted.RootCAs, ServerName: "10.99.0.1"})
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if secure.Handshake() != nil {
			return
		}
		_ = c.SetDeadline(time.Time{})
		c = secure
	}
	if _, err := c.Write([]byte(begin)); err != nil {
		return
	}
	for range time.Tick(time.Second) {
		select {
		case <-over:
			return
		default:
		}
		if _, err := c.Write([]byte("a")); err != nil {
			return
		}
	}
}
