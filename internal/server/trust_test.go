package server

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

// TestTrustIsReloaded: whole, or not at all.
func TestTrustIsReloaded(t *testing.T) {
	one, two := newAuthority(t), newAuthority(t)
	m := MTLS{ClientCA: writeFile(t, "ca.pem", string(one.pem())), ClientCRL: []string{writeFile(t, "ca.crl", string(one.revoke(t, nil, 7)))}}
	log, clock := &logged{}, &clock{}
	trust, err := newTrust(m, NewLogger(log, Log{Level: "info", Format: "json"}), clock.now)
	if err != nil {
		t.Fatal(err)
	}
	vouches := func(a *testAuthority) bool {
		leaf, err := x509.ParseCertificate(a.client(t, "leaf", 5, nil).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.Verify(x509.VerifyOptions{Roots: trust.current.Load().Roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		return err == nil
	}
	revoked := func() (serials []int64) {
		for _, list := range trust.current.Load().Revocations {
			for _, entry := range list.RevokedCertificateEntries {
				serials = append(serials, entry.SerialNumber.Int64())
			}
		}
		return serials
	}
	reload := func(want string) {
		t.Helper()
		if err := trust.reload(t.Context()); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("reload: got %v, want %q", err, want)
		}
	}
	t.Run("CA-35 a bad new file leaves what was there", func(t *testing.T) {
		for _, bad := range [][]byte{nil, []byte("garbage"), one.pem()[:100]} {
			rewrite(t, m.ClientCA, bad)
			reload("block")
			rewrite(t, m.ClientCA, one.pem())
			rewrite(t, m.ClientCRL[0], bad)
			reload("block")
			rewrite(t, m.ClientCRL[0], one.revoke(t, nil, 7))
			if !vouches(one) || len(revoked()) != 1 {
				t.Errorf("after %q: vouched for %t, revoked %v", bad, vouches(one), revoked())
			}
		}
		remove(t, m.ClientCA)
		reload("no such file")
	})
	t.Run("CA-36 both together", func(t *testing.T) {
		rewrite(t, m.ClientCA, two.pem())
		reload("no authority in client_ca") // the list is still the other's
		if !vouches(one) || vouches(two) {
			t.Error("half of the change counts")
		}
		rewrite(t, m.ClientCRL[0], pemList(two.revoke(t, nil, 8, 9)))
		reload("")
		if vouches(one) || !vouches(two) || len(revoked()) != 2 {
			t.Errorf("the change does not count: revoked %v", revoked())
		}
		if got := strings.Count(log.String(), "reloaded"); got != 1 {
			t.Errorf("%d lines in the log, want 1", got)
		}
	})
	t.Run("one warning when a list is out of date", func(t *testing.T) {
		clock.add(2 * time.Hour)
		reload("")
		reload("")
		if got := strings.Count(log.String(), "out of date"); got != 1 {
			t.Errorf("%d warnings, want 1", got)
		}
	})
}
