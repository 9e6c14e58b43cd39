package server

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFileSetsMTLS(t *testing.T) {
	authority := newAuthority(t)
	cert, key := authority.files(t, "localhost")
	ca, crl := writeFile(t, "ca.pem", string(authority.pem())), writeFile(t, "ca.crl", string(authority.revoke(t, nil, 7)))
	path := writeFile(t, "writ.yaml", fmt.Sprintf(`
profile: fapi2
issuer: https://as.example.com
listen: 127.0.0.1:8080
mtls:
  listen: 0.0.0.0:8443
  url: https://mtls.as.example.com
  tls: {certificate: %q, key: %q}
  client_ca: %q
  client_crl: [%q]
  client_cert_from: [10.0.0.7/32]
dpop: {require_nonce: true}
`, cert, key, ca, crl))
	c, err := Load(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Profile, " ", c.MTLS.Listen, " ", c.MTLS.URL, " ", c.MTLS.ClientCRL, " ", c.MTLS.ClientCertFrom, " ", c.DPoP)
	want := "fapi2 0.0.0.0:8443 https://mtls.as.example.com [" + crl + "] [10.0.0.7/32] {true}"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c, err = Load(path, []string{"WRIT_MTLS_CLIENT_CRL=" + crl + ", " + crl, "WRIT_DPOP_REQUIRE_NONCE=false"}, map[string]string{"profile": "default"})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.MTLS.ClientCRL) != 2 || c.DPoP.RequireNonce || c.Profile != "default" {
		t.Errorf("environment and flags: got %+v", c.MTLS)
	}
}

func TestMTLSConfigIsChecked(t *testing.T) {
	authority := newAuthority(t)
	cert, key := authority.files(t, "localhost")
	good := map[string]string{"mtls.listen": "127.0.0.1:8443", "mtls.tls.certificate": cert, "mtls.tls.key": key}
	if _, err := Load("", nil, good); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		change map[string]string // an empty value takes the setting out
		field  string
		want   string
	}{
		"settings without a listener":           {map[string]string{"mtls.listen": ""}, "mtls.listen", "missing"},
		"proxies without a listener":            {map[string]string{"mtls.listen": "", "mtls.tls.certificate": "", "mtls.tls.key": "", "mtls.client_cert_from": "10.0.0.7/32"}, "mtls.listen", "missing"},
		"on the public listener":                {map[string]string{"mtls.listen": "127.0.0.1:8080"}, "mtls.listen", "another listener"},
		"on the admin listener":                 {map[string]string{"mtls.listen": "127.0.0.1:8081"}, "mtls.listen", "another listener"},
		"no port":                               {map[string]string{"mtls.listen": "127.0.0.1"}, "mtls.listen", "HOST:PORT"},
		"nobody can show a certificate":         {map[string]string{"mtls.tls.certificate": "", "mtls.tls.key": ""}, "mtls.tls.certificate", "client_cert_from"},
		"key without a certificate":             {map[string]string{"mtls.tls.certificate": ""}, "mtls.tls.certificate", "missing"},
		"no URL off loopback":                   {map[string]string{"mtls.listen": "0.0.0.0:8443"}, "mtls.url", "required"},
		"no URL, and the issuer off loopback":   {map[string]string{"issuer": "https://as.example.com"}, "mtls.url", "required"},
		"URL with http":                         {map[string]string{"mtls.url": "http://mtls.example.com"}, "mtls.url", "loopback only"},
		"URL with a query":                      {map[string]string{"mtls.url": "https://mtls.example.com?a=b"}, "mtls.url", "query"},
		"CA-30 proxies that are everybody":      {map[string]string{"mtls.client_cert_from": "0.0.0.0/0"}, "mtls.client_cert_from", "trusts everybody"},
		"CA-35 lists without authorities":       {map[string]string{"mtls.client_crl": cert}, "mtls.client_crl", "requires mtls.client_ca"},
		"a list has an empty member":            {map[string]string{"mtls.client_crl": cert + ",,"}, "mtls.client_crl", "empty member"},
		"a bool is one of two words":            {map[string]string{"dpop.require_nonce": "yes"}, "dpop.require_nonce", "true or false"},
		"a profile that there is not":           {map[string]string{"profile": "fapi"}, "profile", "one of default, fapi2"},
		"CA-14 issuer unset, off loopback":      {map[string]string{"listen": "0.0.0.0:8080", "plain_http_behind": "10.0.0.7/32"}, "issuer", "required"},
		"CA-14 two issuers in one setting":      {map[string]string{"issuer": "https://a.example,https://b.example"}, "issuer", "single slashes"},
		"CA-14 two issuers, separated by space": {map[string]string{"issuer": "https://a.example https://b.example"}, "issuer", "absolute URL"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			flags := maps.Clone(good)
			for path, value := range c.change {
				if flags[path] = value; value == "" {
					delete(flags, path)
				}
			}
			_, err := Load("", nil, flags)
			wantProblem(t, err, c.field, c.want)
		})
	}
	t.Run("CA-14 two issuers in a file", func(t *testing.T) {
		_, err := Load(writeFile(t, "writ.yaml", "issuer: [https://a.example, https://b.example]\n"), nil, nil)
		wantProblem(t, err, "issuer", "single value")
	})
	t.Run("a quoted bool of YAML 1.1", func(t *testing.T) {
		for _, text := range []string{"yes", "True", "on", "1", "[true]"} {
			_, err := Load(writeFile(t, "writ.yaml", "dpop: {require_nonce: "+text+"}\n"), nil, nil)
			wantProblem(t, err, "dpop.require_nonce", "")
		}
	})
}

// TestCA35: what cannot be read must not become trust in nobody, or no revocation.
func TestCA35(t *testing.T) {
	authority, stranger := newAuthority(t), newAuthority(t)
	cert, key := authority.files(t, "localhost")
	ca, list := authority.pem(), authority.revoke(t, nil, 7)
	leaf, _ := authority.issue(t, "leaf", 9, time.Now().Add(time.Hour))
	critical := func(id ...int) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier(id), Critical: true, Value: []byte{0x30, 0}}}
		}
	}
	cases := map[string]struct {
		authorities, list []byte // nil: there is no such file
		field, want       string
	}{
		"authorities: no file":             {nil, list, "mtls.client_ca", "no such file"},
		"authorities: empty":               {[]byte{}, list, "mtls.client_ca", "no PEM block"},
		"authorities: garbage":             {[]byte("\x00\xffgarbage"), list, "mtls.client_ca", "no PEM block"},
		"authorities: garbage within PEM":  {pemOf("CERTIFICATE", []byte("garbage")), list, "mtls.client_ca", "x509"},
		"authorities: a second is broken":  {append(bytes.Clone(ca), "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"...), list, "mtls.client_ca", "2 blocks that begin"},
		"authorities: half a file":         {ca[:len(ca)-40], list, "mtls.client_ca", "1 blocks that begin"},
		"authorities: a key beside":        {append(bytes.Clone(ca), pemOf("PRIVATE KEY", []byte("x"))...), list, "mtls.client_ca", `type "PRIVATE KEY"`},
		"authorities: no authority":        {leaf, list, "mtls.client_ca", "not an authority's"},
		"authorities: larger than is read": {bytes.Repeat([]byte("#"), maxTrustBytes+1), list, "mtls.client_ca", "larger than"},
		"list: no file":                    {ca, nil, "mtls.client_crl", "no such file"},
		"list: empty":                      {ca, []byte{}, "mtls.client_crl", "no PEM block"},
		"list: garbage":                    {ca, []byte("garbage"), "mtls.client_crl", "no PEM block"},
		"list: garbage as DER":             {ca, []byte{0x30, 0x82, 1}, "mtls.client_crl", "x509"},
		"list: a second is broken":         {ca, append(pemList(list), "-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n"...), "mtls.client_crl", "2 blocks that begin"},
		"list: of a stranger":              {ca, stranger.revoke(t, nil, 7), "mtls.client_crl", "no authority in client_ca"},
		"list: signature changed":          {ca, flipped(list), "mtls.client_crl", "no authority in client_ca"},
		"list: a delta":                    {ca, authority.revoke(t, critical(2, 5, 29, 27), 7), "mtls.client_crl", "delta"},
		"list: a part":                     {ca, authority.revoke(t, critical(2, 5, 29, 28), 7), "mtls.client_crl", "part"},
	}
	load := func(t *testing.T, authorities, list []byte) (Config, error) {
		t.Helper()
		dir := t.TempDir()
		flags := map[string]string{
			"mtls.listen": "127.0.0.1:0", "mtls.tls.certificate": cert, "mtls.tls.key": key, "listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0",
			"mtls.client_ca": filepath.Join(dir, "ca.pem"), "mtls.client_crl": filepath.Join(dir, "ca.crl"), "data": filepath.Join(dir, "data"),
		}
		for path, data := range map[string][]byte{flags["mtls.client_ca"]: authorities, flags["mtls.client_crl"]: list} {
			if data != nil {
				rewrite(t, path, data)
			}
		}
		return Load("", nil, flags)
	}
	for name, c := range cases {
		t.Run("CA-35 "+name, func(t *testing.T) {
			config, err := load(t, c.authorities, c.list)
			wantProblem(t, err, c.field, c.want)
			if s, err := New(t.Context(), config, Options{}); err == nil {
				s.Close()
				t.Error("it starts")
			}
			made, err := newTrust(config.MTLS, nil, time.Now)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("without a check before: got %v, %v", made, err)
			}
		})
	}
	for name, list := range map[string][]byte{"DER": list, "PEM": pemList(list), "two of them": append(pemList(list), pemList(list)...)} {
		if _, err := load(t, append([]byte("# the authority\n"), ca...), list); err != nil {
			t.Errorf("a good pair, %s: %v", name, err)
		}
	}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func flipped(data []byte) []byte {
	data = bytes.Clone(data)
	data[len(data)-1] ^= 1
	return data
}

func rewrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
