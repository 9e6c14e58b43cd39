package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"
)

// certificateAuthority is what the certificate of an authority is made from.
func certificateAuthority(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		DNSNames:  []string{fmt.Sprintf("n%d.test", serial)}, // makes each another one for x509, which refuses to meet one twice
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
}

// TestChainOfAStranger: what a chain costs is bounded, whatever a stranger puts into it. Nobody vouches for the chain here;
// x509 says so in other words when it gives up after a hundred signatures.
func TestChainOfAStranger(t *testing.T) {
	loop := certificateAuthority("X", 1)
	key := pairs()["ES384 a"]
	chain := []*x509.Certificate{clientCertificate(t, "client.test", loop, key)}
	for i := range int64(8) {
		chain = append(chain, issue(t, certificateAuthority("X", i+2), loop, key, key))
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: intermediates(chain[1:]), CurrentTime: start,
	})
	if _, plain := errors.AsType[x509.UnknownAuthorityError](err); !plain {
		t.Errorf("got %v, want an end after a few signatures", err)
	}
	if _, plain := errors.AsType[x509.UnknownAuthorityError](allOf(chain)); plain {
		t.Error("x509 needs no bound any more")
	}
}

// allOf verifies a chain with all that is in it.
func allOf(chain []*x509.Certificate) error {
	pool := x509.NewCertPool()
	for _, one := range chain[1:] {
		pool.AddCert(one)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: pool, CurrentTime: start})
	return err
}

// TestChainOfAnExpensiveKey: an authority that a client brings counts only with a key that costs little. One that is trusted
// may have any.
func TestChainOfAnExpensiveKey(t *testing.T) {
	a, _ := traced(t)
	root, rootKey := authorityOf(t)
	between := certificateAuthority("Between", 2)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	must(t, err)
	for name, key := range map[string]crypto.Signer{
		"": pairs()["ES256 b"], " ES384": pairs()["ES384 a"], " PS256": pairs()["PS256 a"],
		"P-521": p521, "huge exponent": hugeExponent(t),
	} {
		issuing := issue(t, between, root, key, rootKey)
		chain := []*x509.Certificate{clientCertificate(t, "client.test", issuing, key), issuing}
		for trusted, want := range map[*x509.Certificate]reason{root: "", issuing: ""} {
			if trusted == root && name != "" && name[0] != ' ' {
				want = reasonCertificateUntrusted
			}
			pool := x509.NewCertPool()
			pool.AddCert(trusted)
			a.trust = func() *Trust { return &Trust{Roots: pool} }
			if got := a.vouchedFor(chain); got != want {
				t.Errorf("a key of %q, trusted is %s: got %q, want %q", name, trusted.Subject, got, want)
			}
		}
	}
}

// TestVouchedLately: a chain is verified once, and never longer believed than it would be if it were verified again.
func TestVouchedLately(t *testing.T) {
	a, _ := traced(t)
	now := start
	a.now = func() time.Time { return now }
	root, rootKey := authorityOf(t)
	template := certificateAuthority("Between", 2)
	template.NotAfter = start.Add(time.Minute)
	issuing := issue(t, template, root, pairs()["ES384 a"], rootKey)
	chain := []*x509.Certificate{clientCertificate(t, "client.test", issuing, pairs()["ES384 a"]), issuing}
	pool := x509.NewCertPool()
	pool.AddCert(root)
	trust := &Trust{Roots: pool}
	a.trust = func() *Trust { return trust }
	for range 2 {
		if got := a.vouchedFor(chain); got != "" {
			t.Fatalf("got %q", got)
		}
	}
	if got := a.vouchedFor(chain[:1]); got != reasonCertificateUntrusted {
		t.Errorf("without the authority between: got %q", got)
	}
	more, large := append(slices.Clone(chain), chain...), slices.Clone(chain)
	for len(more) <= 1+maxIntermediates {
		more = append(more, issuing)
	}
	template.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Value: make([]byte, maxVouchedBytes)}}
	large = append(large, issue(t, template, root, pairs()["ES384 a"], rootKey))
	for _, chain := range [][]*x509.Certificate{more, large} {
		if got := a.vouchedFor(chain); got != "" {
			t.Errorf("with more than is usual: got %q", got)
		}
	}
	*trust = Trust{Roots: x509.NewCertPool()} // which nobody does: only to see that it is not asked
	if got := a.vouchedFor(chain); got != "" {
		t.Errorf("it is verified each time: got %q", got)
	}
	for _, chain := range [][]*x509.Certificate{more, large} {
		if got := a.vouchedFor(chain); got != reasonCertificateUntrusted {
			t.Errorf("what is not usual is remembered: got %q", got)
		}
	}
	revoked := &x509.RevocationList{RawIssuer: issuing.RawSubject, RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: chain[0].SerialNumber}}}
	list := &x509.RevocationList{RawIssuer: issuing.RawSubject, NextUpdate: start.Add(30 * time.Second)}
	for _, test := range []struct {
		name  string
		trust Trust
		after time.Duration
		want  reason
	}{
		{"another trust", Trust{Roots: x509.NewCertPool()}, 0, reasonCertificateUntrusted},
		{"the same roots", Trust{Roots: pool}, 0, ""},
		{"revoked since", Trust{Roots: pool, Revocations: []*x509.RevocationList{revoked}}, 0, reasonCertificateRevoked},
		{"no longer", Trust{Roots: pool}, 0, ""},
		{"with a list", Trust{Roots: pool, Revocations: []*x509.RevocationList{list}}, 0, ""},
		{"the list should have been replaced", Trust{}, 40 * time.Second, reasonRevocationsOld},
		{"the same roots again", Trust{Roots: pool}, 0, ""},
		{"the authority between has expired", Trust{}, time.Minute, reasonCertificateExpired},
	} {
		if test.after == 0 {
			trust = &test.trust
		} else {
			now = now.Add(test.after) // under the Trust that was asked before
		}
		if got := a.vouchedFor(chain); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

// TestRevocationsAreReadOnce: a list can have hundreds of thousands of entries, and all requests find it changed at once.
func TestRevocationsAreReadOnce(t *testing.T) {
	a, _ := traced(t)
	list := &x509.RevocationList{RawIssuer: []byte("CA"), NextUpdate: start.Add(time.Hour)}
	for serial := range int64(20_000) {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(serial)})
	}
	trust := &Trust{Revocations: []*x509.RevocationList{list}}
	var together sync.WaitGroup
	var read sync.Map
	for range 32 {
		together.Go(func() { read.Store(a.revocationsOf(trust), true) })
	}
	together.Wait()
	times := 0
	read.Range(func(any, any) bool { times++; return true })
	if times != 1 {
		t.Errorf("M06 the lists were read %d times, want once", times)
	}
}

// hugeExponent makes an RSA key whose public operation takes four times as long as that of any other.
func hugeExponent(t *testing.T) crypto.Signer {
	t.Helper()
	const exponent = 1<<31 - 1
	for {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		must(t, err)
		one := big.NewInt(1)
		order := new(big.Int).Mul(new(big.Int).Sub(key.Primes[0], one), new(big.Int).Sub(key.Primes[1], one))
		if private := new(big.Int).ModInverse(big.NewInt(exponent), order); private != nil {
			key.E, key.D, key.Precomputed = exponent, private, rsa.PrecomputedValues{}
			key.Precompute()
			return key
		}
	}
}
