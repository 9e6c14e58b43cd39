//go:build unix

package sqlstore_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// TestST11: no clear text over a network, and the server's certificate counts, unless it is said otherwise.
func TestST11(t *testing.T) {
	for name, test := range map[string]struct {
		dsn     string
		refused bool
		tls     string // "none", "verified" or "unverified", of every way to connect; or "either"
	}{
		"ST11 remote, nothing said":          {"postgres://u:p@db.example.com/writ", false, "verified"},
		"ST11 remote address, nothing said":  {"postgres://u:p@192.0.2.1/writ", false, "verified"},
		"ST11 remote by parameter":           {"postgres:///writ?host=db.example.com", false, "verified"},
		"ST11 remote, verify-full":           {"postgresql://u:p@db.example.com/writ?sslmode=verify-full", false, "verified"},
		"ST11 remote, require as written":    {"postgres://u:p@db.example.com/writ?sslmode=require", false, "unverified"},
		"ST11 remote, disable":               {"postgres://u:p@db.example.com/writ?sslmode=disable", true, ""},
		"ST11 remote, allow":                 {"postgres://u:p@db.example.com/writ?sslmode=allow", true, ""},
		"ST11 remote, prefer":                {"postgres://u:p@db.example.com/writ?sslmode=prefer", true, ""},
		"ST11 remote by parameter, disable":  {"postgres://u:p@localhost/writ?sslmode=disable&host=db.example.com", true, ""},
		"ST11 second host remote, disable":   {"postgres://u:p@/writ?sslmode=disable&host=127.0.0.1,db.example.com", true, ""},
		"ST11 second host remote":            {"postgres://u:p@/writ?host=127.0.0.1,db.example.com", false, "verified"},
		"ST11 looks like loopback":           {"postgres://u:p@127.0.0.1.example.com/writ?sslmode=disable", true, ""},
		"ST11 looks like localhost":          {"postgres://u:p@localhost.example.com/writ?sslmode=disable", true, ""},
		"ST11 every interface is not local":  {"postgres://u:p@0.0.0.0/writ?sslmode=disable", true, ""},
		"ST11 loopback":                      {"postgres://u:p@127.0.0.1/writ?sslmode=disable", false, "none"},
		"ST11 loopback, IPv6":                {"postgres://u:p@[::1]/writ?sslmode=disable", false, "none"},
		"ST11 localhost, nothing said":       {"postgres://u:p@localhost/writ", false, "either"},
		"ST11 socket":                        {"postgres:///writ?host=/var/run/postgresql", false, "none"},
		"ST11 socket, disable":               {"postgres:///writ?host=/var/run/postgresql&sslmode=disable", false, "none"},
		"ST11 mode that is none":             {"postgres://u:p@db.example.com/writ?sslmode=verify", true, ""},
		"ST15 the simple protocol":           {"postgres://u:p@localhost/writ?default_query_exec_mode=simple_protocol", true, ""},
		"ST15 another way to send statement": {"postgres://u:p@localhost/writ?default_query_exec_mode=exec", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := sqlstore.PostgresConfig(test.dsn)
			if (err != nil) != test.refused {
				t.Fatalf("got %v, want refused: %t", err, test.refused)
			}
			if err != nil {
				return
			}
			modes := []string{}
			note := func(verified, encrypted bool) {
				switch {
				case !encrypted:
					modes = append(modes, "none")
				case verified:
					modes = append(modes, "verified")
				default:
					modes = append(modes, "unverified")
				}
			}
			note(config.TLSConfig != nil && !config.TLSConfig.InsecureSkipVerify && config.TLSConfig.ServerName == config.Host, config.TLSConfig != nil)
			for _, f := range config.Fallbacks {
				note(f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify && f.TLSConfig.ServerName == f.Host, f.TLSConfig != nil)
			}
			for _, mode := range modes {
				if test.tls != "either" && mode != test.tls {
					t.Errorf("got %v, want each to be %s", modes, test.tls)
				}
			}
		})
	}
}

func TestST11Environment(t *testing.T) {
	t.Setenv("PGSSLMODE", "disable")
	if _, err := sqlstore.PostgresConfig("postgres://u:p@db.example.com/writ"); err == nil {
		t.Error("PGSSLMODE=disable to a remote host: got no error")
	}
	t.Setenv("PGSSLMODE", "")
	t.Setenv("PGHOST", "db.example.com")
	if config, err := sqlstore.PostgresConfig("postgres:///writ"); err != nil || config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify || len(config.Fallbacks) > 0 {
		t.Errorf("PGHOST names a remote host: got %+v, %v, want verify-full", config, err)
	}
}

// TestST11Certificate connects to a server whose certificate is not the right one, and then to the same with the right
// one.
func TestST11Certificate(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	authority := serveTLS(t, dsn, "db.example.com")
	with := func(parameters url.Values) string {
		u := must(url.Parse(dsn))
		u.RawQuery = parameters.Encode()
		return u.String()
	}
	_, unknown := sqlstore.Open(t.Context(), sqlstore.Options{DSN: with(url.Values{"sslmode": {"verify-full"}})})
	_, otherName := sqlstore.Open(t.Context(), sqlstore.Options{DSN: with(url.Values{"sslmode": {"verify-full"}, "sslrootcert": {authority}})})
	for what, err := range map[string]error{"of an authority that nobody knows": unknown, "for another name": otherName} {
		if err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("a certificate %s: got %v, want a refusal because of the certificate", what, err)
		}
	}
	authority = serveTLS(t, dsn, "127.0.0.1")
	open(t, with(url.Values{"sslmode": {"verify-full"}, "sslrootcert": {authority}}))
}

// serveTLS gives the server a new self-signed certificate for the name, and returns the file that vouches for it.
func serveTLS(t *testing.T, dsn, name string) (authority string) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))})
	side := connect(t, dsn)
	var dir string
	if err := side.QueryRowContext(t.Context(), `SHOW data_directory`).Scan(&dir); err != nil {
		t.Fatal(err)
	}
	info := must(os.Stat(filepath.Join(dir, "PG_VERSION")))
	for file, content := range map[string][]byte{"server.crt": certificate, "server.key": private} {
		file = filepath.Join(dir, file)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		owner := info.Sys().(*syscall.Stat_t)
		if err := os.Chown(file, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	side.exec(t, `ALTER SYSTEM SET ssl = on`)
	side.exec(t, `SELECT pg_reload_conf()`)
	waitForCertificate(t, dsn, der)
	authority = filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(authority, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	return authority
}

// waitForCertificate waits until the server, which reads its configuration again in its own time, shows the certificate.
func waitForCertificate(t *testing.T, dsn string, want []byte) {
	t.Helper()
	config := must(pgconn.ParseConfig(dsn))
	var shown []byte
	config.Fallbacks = nil
	config.TLSConfig = &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		shown = s.PeerCertificates[0].Raw
		return nil
	}}
	for deadline := time.Now().Add(sqlstore.Wait); !bytes.Equal(shown, want); {
		if time.Now().After(deadline) {
			t.Fatal("the server does not show its new certificate")
		}
		if conn, err := pgconn.ConnectConfig(t.Context(), config); err == nil {
			_ = conn.Close(t.Context())
		}
	}
}
