package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"math/big"
	"time"
)

// The reasons for which no authority vouches for a certificate.
const (
	reasonNoTrust              reason = "no_trust"
	reasonCertificateUntrusted reason = "certificate_untrusted"
	reasonCertificateExpired   reason = "certificate_expired"
	reasonCertificateUsage     reason = "certificate_usage"
	reasonCertificateAuthority reason = "certificate_of_an_authority"
	reasonCertificateRevoked   reason = "certificate_revoked"
	reasonRevocationsOld       reason = "revocations_out_of_date"
)

// maxIntermediates bounds what a stranger's chain may cost to verify. An authority further down, or one that is not affordable,
// can be named in client_ca.
const maxIntermediates = 4

// vouchedFor returns why no authority vouches for the first certificate of a chain as a client's now, or "". No Trust, and
// one without roots, vouch for nobody: without them, x509 would take the authorities of the operating system.
func (a *Authority) vouchedFor(chain []*x509.Certificate) reason {
	if a.trust == nil {
		return reasonNoTrust
	}
	trust := a.trust()
	if trust == nil || trust.Roots == nil {
		return reasonNoTrust
	}
	certificate, now := chain[0], a.now()
	if certificate.IsCA {
		return reasonCertificateAuthority
	}
	known, sum, usual := a.revocationsOf(trust), [sha256.Size]byte{}, isUsual(chain)
	if usual {
		sum = sumOf(chain)
		if verified, found := known.vouched.find(sum); found && allValid(verified, now) && known.check(verified, now) == "" {
			return ""
		}
	}
	verified, err := certificate.Verify(x509.VerifyOptions{
		Roots: trust.Roots, Intermediates: intermediates(chain[1:]), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return whyUntrusted(err)
	}
	if usual {
		known.vouched.keep(sum, verified)
	}
	return known.check(verified, now)
}

// A chain that was verified is remembered: what a Trust says of the same bytes it says again while no certificate expires. Who was
// revoked is looked at each time. A chain that was not good costs as much again, and one of more bytes than are usual is not remembered: a
// certificate keeps all that came with it in memory, and who has a good one could fill that with what they put beside it.
const (
	maxVouched      = 1 << 9 // chains of a Trust
	maxVouchedBytes = 16 << 10
)

func isUsual(chain []*x509.Certificate) bool {
	size := 0
	for _, certificate := range chain {
		size += len(certificate.Raw)
	}
	return len(chain) <= 1+maxIntermediates && size <= maxVouchedBytes
}

// sumOf tells chains apart, with all that a client brings.
func sumOf(chain []*x509.Certificate) (sum [sha256.Size]byte) {
	hash := sha256.New()
	for _, certificate := range chain {
		hash.Write(certificate.Raw) // DER says itself where it ends
	}
	hash.Sum(sum[:0])
	return sum
}

// allValid reports whether all chains that were found are of certificates that are valid now.
func allValid(chains [][]*x509.Certificate, now time.Time) bool {
	for _, chain := range chains {
		for _, certificate := range chain {
			if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
				return false
			}
		}
	}
	return true
}

// intermediates returns the authorities that a client brings, as far as they are worth a try: of each name the first. Of
// several that have one name and sign each other, x509 would try every order, up to a hundred signatures: half a second for
// a request of a few bytes, again and again over one connection.
func intermediates(brought []*x509.Certificate) *x509.CertPool {
	pool, names := x509.NewCertPool(), map[string]bool{}
	for _, one := range brought {
		name := string(one.RawSubject)
		if len(names) < maxIntermediates && !names[name] && affordable(one.PublicKey) {
			pool.AddCert(one)
			names[name] = true
		}
	}
	return pool
}

// affordable reports whether a signature of a stranger's key costs about a millisecond at most to verify: one of P-521, of
// 8192 bits or with a huge exponent costs many.
func affordable(public crypto.PublicKey) bool {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return key.Curve != elliptic.P521()
	case *rsa.PublicKey:
		return key.N.BitLen() <= 4096 && key.E <= 1<<16+1
	}
	return true
}

func whyUntrusted(err error) reason {
	invalid, is := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case is && invalid.Reason == x509.Expired:
		return reasonCertificateExpired
	case is && invalid.Reason == x509.IncompatibleUsage:
		return reasonCertificateUsage
	}
	return reasonCertificateUntrusted
}

// revocations are the revocation lists of a Trust, in the order in which they are asked, and what it vouched for lately.
type revocations struct {
	of      *Trust
	vouched *memory[[sha256.Size]byte, [][]*x509.Certificate]
	revoked map[serialOf]bool
	until   map[string]time.Time // when the lists of an issuer are to be replaced, if they say so
}

type serialOf struct{ issuer, serial string }

// revocationsOf returns the lists of a Trust, read once for as long as it is the current one. The requests that find it
// changed wait for the first of them: long lists read by all at once would take all the memory there is.
func (a *Authority) revocationsOf(trust *Trust) *revocations {
	if known := a.revocations.Load(); known != nil && known.of == trust {
		return known
	}
	a.reading.Lock()
	defer a.reading.Unlock()
	if known := a.revocations.Load(); known != nil && known.of == trust {
		return known
	}
	read := &revocations{of: trust, revoked: map[serialOf]bool{}, until: map[string]time.Time{}}
	read.vouched = newMemory[[sha256.Size]byte, [][]*x509.Certificate](maxVouched)
	for _, list := range trust.Revocations {
		issuer := string(list.RawIssuer)
		for _, entry := range list.RevokedCertificateEntries {
			read.revoked[serial(issuer, entry.SerialNumber)] = true
		}
		if list.NextUpdate.After(read.until[issuer]) {
			read.until[issuer] = list.NextUpdate
		}
	}
	a.revocations.Store(read)
	return read
}

func serial(issuer string, number *big.Int) serialOf { return serialOf{issuer, string(number.Bytes())} }

// check returns why each of the chains, from a certificate to what is trusted, has one that was revoked, or "" if one chain
// has none. The end of a chain counts as well: an issuing authority that is trusted by itself, so that its own list can be
// given, is still its root's to revoke. A list that should have been replaced says nothing about what was revoked since:
// nobody is let in on it.
func (r *revocations) check(chains [][]*x509.Certificate, now time.Time) reason {
	why := reasonCertificateUntrusted
	for _, chain := range chains {
		if why = r.checkChain(chain, now); why == "" {
			return ""
		}
	}
	return why
}

func (r *revocations) checkChain(chain []*x509.Certificate, now time.Time) reason {
	for _, certificate := range chain {
		issuer := string(certificate.RawIssuer)
		if r.revoked[serial(issuer, certificate.SerialNumber)] {
			return reasonCertificateRevoked
		}
		if until := r.until[issuer]; !until.IsZero() && now.After(until) {
			return reasonRevocationsOld
		}
	}
	return ""
}
