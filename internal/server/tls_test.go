package server

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The prober of OP-04 speaks TLS by hand: it offers what Go's own client refuses to.

// hello is a ClientHello (RFC 5246, 7.4.1.2).
type hello struct {
	version      uint16
	suites       []uint16
	compressions []byte
	serverName   string
	fallback     bool
}

func vector(size int, data []byte) []byte {
	length := make([]byte, 8)
	binary.BigEndian.PutUint64(length, uint64(len(data)))
	return append(length[8-size:], data...)
}

func extension(kind uint16, data []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, kind), vector(2, data)...)
}

func (h hello) record() []byte {
	var suites []byte
	for _, suite := range h.suites {
		suites = binary.BigEndian.AppendUint16(suites, suite)
	}
	if h.fallback {
		suites = binary.BigEndian.AppendUint16(suites, 0x5600) // TLS_FALLBACK_SCSV
	}
	compressions := h.compressions
	if compressions == nil {
		compressions = []byte{0}
	}
	extensions := extension(10, vector(2, []byte{0, 23, 0, 29}))                                       // groups: P-256, X25519
	extensions = append(extensions, extension(11, []byte{1, 0})...)                                    // uncompressed points
	extensions = append(extensions, extension(13, vector(2, []byte{4, 3, 8, 4, 4, 1, 2, 3, 2, 1}))...) // signatures, SHA-1 last
	if h.serverName != "" {
		name := append([]byte{0}, vector(2, []byte(h.serverName))...)
		extensions = append(extensions, extension(0, vector(2, name))...)
	}
	body := binary.BigEndian.AppendUint16(nil, h.version)
	body = append(body, make([]byte, 32)...)
	body = append(body, 0) // no session
	body = append(body, vector(2, suites)...)
	body = append(body, vector(1, compressions)...)
	body = append(body, vector(2, extensions)...)
	message := append([]byte{1}, vector(3, body)...)
	return append([]byte{22, 3, 1}, vector(2, message)...)
}

// A greeting is what a server answers to a ClientHello: it goes on, or sends an alert.
type greeting struct {
	accepted    bool
	version     uint16
	suite       uint16
	compression byte
	alert       byte
}

func probe(t *testing.T, address string, h hello) greeting {
	t.Helper()
	connection := dial(t, address)
	if _, err := connection.Write(h.record()); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 5)
	if _, err := io.ReadFull(connection, head); err != nil {
		return greeting{}
	}
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(connection, body); err != nil || len(body) < 2 {
		return greeting{}
	}
	if head[0] == 21 {
		return greeting{alert: body[1]}
	}
	if head[0] != 22 || body[0] != 2 || len(body) < 4+2+32+1 {
		t.Fatalf("neither ServerHello nor alert: %x", append(head, body...))
	}
	session := 4 + 2 + 32
	rest := body[session+1+int(body[session]):]
	return greeting{accepted: true, version: binary.BigEndian.Uint16(body[4:]), suite: binary.BigEndian.Uint16(rest), compression: rest[2]}
}

// encryptedServer is a whole server that speaks TLS.
func encryptedServer(t *testing.T) (*running, *testAuthority) {
	t.Helper()
	authority := newAuthority(t)
	c := testConfig(t)
	c.TLS.Certificate, c.TLS.Key = authority.files(t, "localhost")
	c.MTLS.Listen, c.MTLS.TLS = "127.0.0.1:0", c.TLS
	return start(t, c), authority
}

// TestOP04 also stands for the TLS checks of the OpenID Foundation's modules (fapi2-security-profile-final-ensure-holder-of-key-required).
func TestOP04(t *testing.T) {
	t.Parallel()
	r, authority := encryptedServer(t)
	for name, address := range map[string]string{"public": r.address(), "mtls": r.mtls.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			probeTLS(t, authority, address)
		})
	}
}

func probeTLS(t *testing.T, authority *testAuthority, address string) {
	good := []uint16{0xc02b, 0xc02f, 0xc02c, 0xc030}
	for name, h := range map[string]hello{
		"SSL 3.0":                      {version: 0x0300, suites: good},
		"TLS 1.0":                      {version: 0x0301, suites: append([]uint16{0xc009, 0xc00a, 0xc013, 0xc014, 0x002f, 0x0035}, good...)},
		"TLS 1.1":                      {version: 0x0302, suites: append([]uint16{0xc009, 0xc00a, 0xc013, 0xc014, 0x002f, 0x0035}, good...)},
		"TLS 1.2 CBC":                  {version: 0x0303, suites: []uint16{0xc009, 0xc00a, 0xc013, 0xc014, 0xc023, 0xc024, 0xc027, 0xc028}},
		"TLS 1.2 RSA key exchange":     {version: 0x0303, suites: []uint16{0x002f, 0x0035, 0x003c, 0x009c, 0x009d}},
		"TLS 1.2 RC4":                  {version: 0x0303, suites: []uint16{0x0005, 0xc007, 0xc011}},
		"TLS 1.2 3DES":                 {version: 0x0303, suites: []uint16{0x000a, 0xc012}},
		"TLS 1.2 NULL":                 {version: 0x0303, suites: []uint16{0x0000, 0x0001, 0x003b, 0xc006, 0xc010}},
		"TLS 1.2 export and anonymous": {version: 0x0303, suites: []uint16{0x0003, 0x0018, 0x0034, 0x00a6, 0xc018}},
		"TLS 1.2 ChaCha20":             {version: 0x0303, suites: []uint16{0xcca9, 0xcca8}},
		"TLS 1.2 as a fallback":        {version: 0x0303, suites: good, fallback: true},
		"only deflate":                 {version: 0x0303, suites: good, compressions: []byte{1}},
	} {
		t.Run("OP-04 "+name, func(t *testing.T) {
			got := probe(t, address, h)
			if got.accepted {
				t.Errorf("accepted: version %#x, suite %#x", got.version, got.suite)
			}
			if protocolVersion := byte(70); h.version < 0x0303 && got.alert != protocolVersion {
				t.Errorf("alert %d, want that the version is refused, and not only its suites", got.alert)
			}
		})
	}
	for _, suite := range []uint16{0xc02b, 0xc02c} { // the certificate's key is ECDSA
		t.Run(fmt.Sprintf("OP-04 TLS 1.2 %s is of BCP 195", tls.CipherSuiteName(suite)), func(t *testing.T) {
			got := probe(t, address, hello{version: 0x0303, suites: []uint16{suite}, serverName: "localhost"})
			if !got.accepted || got.version != 0x0303 || got.suite != suite || got.compression != 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
	t.Run("OP-04 compression offered beside none", func(t *testing.T) {
		if got := probe(t, address, hello{version: 0x0303, suites: good, compressions: []byte{1, 0}}); got.accepted && got.compression != 0 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("OP-04 no server name", func(t *testing.T) {
		if got := probe(t, address, hello{version: 0x0303, suites: good}); !got.accepted {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("OP-04 TLS 1.3 is preferred, whatever a client names first", func(t *testing.T) {
		connection, _ := authority.dial(t, address, 0)
		if state := connection.ConnectionState(); state.Version != tls.VersionTLS13 {
			t.Errorf("got %s", tls.VersionName(state.Version))
		}
	})
	t.Run("OP-04 garbage", func(t *testing.T) {
		connection := dial(t, address)
		_, _ = connection.Write(bytes.Repeat([]byte{22, 3, 1, 0xff, 0xff}, 1000))
		if _, err := io.ReadAll(connection); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Error("the connection stays open")
		}
	})
	t.Run("OP-04 renegotiation", func(t *testing.T) { renegotiate(t, authority, address) })
	t.Run("OP-04 KeyUpdate flood", func(t *testing.T) { floodKeyUpdates(t, authority, address) })
	t.Run("OP-04 others are served on", func(t *testing.T) {
		connection, _ := authority.dial(t, address, 0)
		fmt.Fprint(connection, "GET /jwks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if answer, err := io.ReadAll(connection); err != nil || !bytes.Contains(answer, []byte("200 OK")) {
			t.Errorf("got %s, %v", answer, err)
		}
	})
}

// tapped keeps what the server sent in clear.
type tapped struct {
	net.Conn
	read bytes.Buffer
}

func (c *tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Write(p[:n])
	return n, err
}

// tapping is a TLS connection with the secrets that its handshake came to, so that a test can speak on by hand.
type tapping struct {
	wire    *tapped
	secrets map[string][]byte // by label, of a key log
	random  []byte            // the client's
}

// dial makes a TLS connection; version 0 means the best.
func (a *testAuthority) dial(t *testing.T, address string, version uint16) (*tls.Conn, *tapping) {
	t.Helper()
	wire := &tapped{Conn: dial(t, address)}
	var log bytes.Buffer
	config := &tls.Config{RootCAs: a.pool, ServerName: "localhost", KeyLogWriter: &log, MaxVersion: version, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
	connection := tls.Client(wire, config)
	if err := connection.Handshake(); err != nil {
		t.Fatal(err)
	}
	tap := &tapping{wire: wire, secrets: map[string][]byte{}}
	for line := range strings.Lines(log.String()) {
		words := strings.Fields(line)
		tap.random, _ = hex.DecodeString(words[1])
		tap.secrets[words[0]], _ = hex.DecodeString(words[2])
	}
	return connection, tap
}

// renegotiate asks for a second handshake within a TLS 1.2 connection (CVE-2009-3555), by sending a ClientHello encrypted
// with the keys of the first.
func renegotiate(t *testing.T, authority *testAuthority, address string) {
	_, tap := authority.dial(t, address, tls.VersionTLS12)
	serverRandom := tap.wire.read.Bytes()[5+4+2:][:32] // record, handshake header, version
	keys := prf12(tap.secrets["CLIENT_RANDOM"], "key expansion", append(bytes.Clone(serverRandom), tap.random...), 40)
	block, err := aes.NewCipher(keys[:16])
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	send := func(sequence uint64, kind byte, message []byte) {
		t.Helper()
		explicit := binary.BigEndian.AppendUint64(nil, sequence)
		head := []byte{kind, 3, 3}
		additional := binary.BigEndian.AppendUint16(append(bytes.Clone(explicit), head...), uint16(len(message)))
		sealed := aead.Seal(bytes.Clone(explicit), append(bytes.Clone(keys[32:36]), explicit...), message, additional)
		if _, err := tap.wire.Conn.Write(append(head, vector(2, sealed)...)); err != nil {
			t.Fatal(err)
		}
	}
	// A request first, which shows that what this test encrypts is understood. Sequence number 0 was Finished.
	send(1, 23, []byte("GET /jwks HTTP/1.1\r\nHost: x\r\n\r\n"))
	head := make([]byte, 5)
	if _, err := io.ReadFull(tap.wire.Conn, head); err != nil || head[0] != 23 {
		t.Fatalf("no answer to a request: %x %v", head, err)
	}
	if _, err := io.CopyN(io.Discard, tap.wire.Conn, int64(binary.BigEndian.Uint16(head[3:]))); err != nil {
		t.Fatal(err)
	}
	send(2, 22, hello{version: 0x0303, suites: []uint16{0xc02b}}.record()[5:])
	// An alert, or the end: which of them depends on whether a read was waiting. Never a handshake.
	if _, err := io.ReadFull(tap.wire.Conn, head); err == nil && head[0] != 21 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server answered with a record of type %d, %v", head[0], err)
	}
}

// prf12 is the pseudorandom function of TLS 1.2 with SHA-256 (RFC 5246, 5).
func prf12(secret []byte, label string, seed []byte, n int) []byte {
	sum := func(parts ...[]byte) []byte {
		mac := hmac.New(sha256.New, secret)
		for _, part := range parts {
			mac.Write(part)
		}
		return mac.Sum(nil)
	}
	labelled := append([]byte(label), seed...)
	var out []byte
	for a := sum(labelled); len(out) < n; a = sum(a) {
		out = append(out, sum(a, labelled)...)
	}
	return out[:n]
}

// floodKeyUpdates makes the server derive keys again and again (CVE-2026-32283).
func floodKeyUpdates(t *testing.T, authority *testAuthority, address string) {
	connection, tap := authority.dial(t, address, 0)
	if suite := connection.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Fatalf("the test speaks one suite only, and this is %s", tls.CipherSuiteName(suite))
	}
	secret := tap.secrets["CLIENT_TRAFFIC_SECRET_0"]
	expand := func(label string, n int) []byte { // RFC 8446, 7.1
		info := append([]byte{0, byte(n)}, vector(1, []byte("tls13 "+label))...)
		out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), n)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const most = 10_000
	for sent := range most {
		block, err := aes.NewCipher(expand("key", 16))
		if err != nil {
			t.Fatal(err)
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		plain := []byte{24, 0, 0, 1, 0, 22} // KeyUpdate, nothing requested; the last byte is the type of the record
		head := []byte{23, 3, 3, 0, byte(len(plain) + aead.Overhead())}
		record := append(head, aead.Seal(nil, expand("iv", 12), plain, head)...) // sequence 0 under each new key
		if _, err := tap.wire.Conn.Write(record); err != nil {
			t.Logf("closed after %d key updates", sent)
			return
		}
		secret = expand("traffic upd", sha256.Size)
	}
	if _, err := io.ReadAll(tap.wire.Conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("%d key updates in a row are taken", most)
	}
}

// R38: a renewed certificate is taken over while handshakes go on, and half a pair never.
func TestR38(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	var files TLSFiles
	files.Certificate, files.Key = authority.files(t, "localhost")
	log := &logged{}
	clock := &clock{}
	pair, err := newCertificate(files, NewLogger(log, Log{Level: "info", Format: "json"}), clock.now)
	if err != nil {
		t.Fatal(err)
	}
	address := listen(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), pair, Default().Limits)
	serial := func() int64 {
		t.Helper()
		connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: authority.pool, ServerName: "localhost"})
		if err != nil {
			t.Fatalf("handshake: %v", err)
		}
		defer connection.Close()
		return connection.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	write := func(path string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reload := func(wantError string, wantSerial int64) {
		t.Helper()
		err := pair.reload(t.Context())
		if (err == nil) != (wantError == "") || err != nil && !strings.Contains(err.Error(), wantError) {
			t.Errorf("reload: got %v, want %q", err, wantError)
		}
		if got := serial(); got != wantSerial {
			t.Errorf("serial %d is in use, want %d", got, wantSerial)
		}
	}
	until := time.Now().Add(12 * time.Hour)
	newCert, newKey := authority.issue(t, "localhost", 3, until)
	expired, expiredKey := authority.issue(t, "localhost", 4, time.Now().Add(-time.Minute))

	t.Run("R38 nothing changed", func(*testing.T) { reload("", 2) })
	t.Run("R38 the certificate is there, its key not yet", func(*testing.T) { write(files.Certificate, newCert); reload("does not match", 2) })
	t.Run("R38 half a file", func(*testing.T) { write(files.Certificate, newCert[:len(newCert)/2]); reload("failed to find", 2) })
	t.Run("R38 an empty file", func(*testing.T) { write(files.Certificate, nil); reload("failed to find", 2) })
	t.Run("R38 no file", func(t *testing.T) { remove(t, files.Certificate); reload("no such file", 2) })
	t.Run("R38 the whole pair", func(*testing.T) { write(files.Certificate, newCert); write(files.Key, newKey); reload("", 3) })
	t.Run("R38 an expired pair", func(*testing.T) {
		write(files.Certificate, expired)
		write(files.Key, expiredKey)
		reload("expired", 3)
	})
	t.Run("R38 no handshake fails while pairs come and go", func(t *testing.T) {
		done, failed := make(chan struct{}), atomic.Int64{}
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: authority.pool, ServerName: "localhost"})
					if err != nil {
						failed.Add(1)
						continue
					}
					connection.Close()
				}
			})
		}
		for i := range 30 {
			cert, key := authority.issue(t, "localhost", int64(10+i), until)
			write(files.Certificate, cert)
			_ = pair.reload(t.Context()) // between the two writes it does not fit
			write(files.Key, key)
			if err := pair.reload(t.Context()); err != nil {
				t.Error(err)
			}
		}
		close(done)
		group.Wait()
		if failed.Load() > 0 {
			t.Errorf("%d handshakes failed", failed.Load())
		}
		if got := serial(); got != 39 {
			t.Errorf("serial %d is in use, want the last", got)
		}
	})
	t.Run("R38 a certificate that ends is warned of at 21, 7 and 1 days", func(t *testing.T) {
		long, longKey := authority.issue(t, "localhost", 50, time.Now().Add(30*24*time.Hour))
		write(files.Certificate, long)
		write(files.Key, longKey)
		log.bytes.Reset()
		for range 31 {
			for range 3 { // looked at several times a day
				if err := pair.reload(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			clock.add(24 * time.Hour)
		}
		if got := strings.Count(log.String(), "ends soon or has ended"); got != 4 {
			t.Errorf("%d warnings, want 4 with the one after the end:\n%s", got, log)
		}
	})
}

// The loops of a running server find a new certificate by themselves.
func TestCertificateIsReloadedByTheServer(t *testing.T) {
	t.Parallel()
	r, authority := encryptedServer(t)
	cert, key := authority.issue(t, "localhost", 77, time.Now().Add(time.Hour))
	for path, data := range map[string][]byte{r.config.TLS.Certificate: cert, r.config.TLS.Key: key} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		connection, _ := authority.dial(t, r.address(), 0)
		serial := connection.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
		connection.Close()
		if serial == 77 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the old certificate is still in use")
		}
	}
}
