package endpoint_test

import (
	"crypto/x509"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
)

func TestCertificateOfAnAuthority(t *testing.T) {
	s := newCertificateServer(t)
	now := s.clock.Now()
	good := func(c *x509.Certificate) { c.DNSNames = []string{"c-mtls.test"} }
	vary := func(name string, change func(*x509.Certificate)) {
		s.certify(t, name, func(c *x509.Certificate) { good(c); change(c) })
	}
	stranger := newCertifier(t, "Test CA", keyOne()) // the same name, another key
	what := leaf("c-mtls")
	good(what)
	s.shown["stranger"] = []*x509.Certificate{stranger.certify(t, what, keyTwo()), stranger.certificate}
	s.shown["by itself"] = []*x509.Certificate{signedByItself(t, keyTwo(), what)}
	vary("expired", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })
	vary("early", func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) })
	vary("server", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	vary("authority", func(c *x509.Certificate) { c.IsCA = true })
	vary("revoked", func(*x509.Certificate) {})

	t.Run("M14 the right certificate", func(t *testing.T) {
		got := s.show(t, "c-mtls", "c-mtls", "")
		matches(t, claims(t, got.body), `{"client_id":"c-mtls","sub":"c-mtls"}`, false)
	})
	t.Run("M01, CA-25 no certificate", func(t *testing.T) { s.show(t, "c-mtls", "", "no_credentials c-mtls") })
	t.Run("M02, CA-29 the certificate of another client", func(t *testing.T) {
		s.show(t, "c-mtls", "c-mtls2", "other_certificate c-mtls")
		s.show(t, "c-mtls2", "c-mtls2", "")
	})
	t.Run("M03 no client_id", func(t *testing.T) {
		s.exchange(t, "/token", ask(), http.StatusBadRequest, "invalid_request", "Shown: c-mtls")
	})
	t.Run("M04 another authority of the same name", func(t *testing.T) { s.show(t, "c-mtls", "stranger", "certificate_untrusted") })
	t.Run("M04 signed by itself", func(t *testing.T) { s.show(t, "c-mtls", "by itself", "certificate_untrusted") })
	t.Run("M05, CA-32 expired", func(t *testing.T) { s.show(t, "c-mtls", "expired", "certificate_expired") })
	t.Run("M05, CA-32 not yet valid", func(t *testing.T) { s.show(t, "c-mtls", "early", "certificate_expired") })
	t.Run("CA-32 for servers only", func(t *testing.T) { s.show(t, "c-mtls", "server", "certificate_usage") })
	t.Run("CA-32 of an authority", func(t *testing.T) { s.show(t, "c-mtls", "authority", "certificate_of_an_authority") })
	t.Run("M02 a client that nobody knows", func(t *testing.T) { s.show(t, "stranger", "c-mtls", "unknown_client") })
	t.Run("M06, CA-32 revoked", func(t *testing.T) {
		s.show(t, "c-mtls", "revoked", "")
		s.trusts(s.ca, s.ca.revoke(t, now.Add(time.Hour), s.shown["revoked"][0]))
		s.show(t, "c-mtls", "revoked", "certificate_revoked")
		s.show(t, "c-mtls", "c-mtls", "")
		other := newCertifier(t, "Other CA", keyOne())
		s.trusts(s.ca, other.revoke(t, now.Add(time.Hour), s.shown["c-mtls"][0])) // another's serial number
		s.show(t, "c-mtls", "c-mtls", "")
	})
	t.Run("M06 a list that should have been replaced lets nobody in", func(t *testing.T) {
		s.trusts(s.ca, s.ca.revoke(t, now.Add(-time.Second)))
		s.show(t, "c-mtls", "c-mtls", "revocations_out_of_date")
		s.trusts(s.ca, s.ca.revoke(t, now.Add(-time.Second)), s.ca.revoke(t, now.Add(time.Hour)))
		s.show(t, "c-mtls", "c-mtls", "")
	})
	t.Run("M04 the authorities change at once, and none is nobody", func(t *testing.T) {
		s.trusts(stranger)
		s.show(t, "c-mtls", "c-mtls", "certificate_untrusted")
		s.show(t, "c-mtls", "stranger", "")
		for _, trust := range []*authority.Trust{nil, {}} {
			s.trust.Store(trust)
			s.show(t, "c-mtls", "c-mtls", "no_trust")
		}
		s.trusts(s.ca)
		s.show(t, "c-mtls", "c-mtls", "")
	})
}

func TestCertificateChain(t *testing.T) {
	s := newCertificateServer(t)
	between := leaf("Intermediate CA")
	between.IsCA, between.KeyUsage, between.ExtKeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, nil
	issuing := &certifier{s.ca.certify(t, between, keyOne()), keyOne()}
	what := leaf("c-mtls")
	what.DNSNames = []string{"c-mtls.test"}
	certificate := issuing.certify(t, what, keyTwo())
	s.shown["chain"] = []*x509.Certificate{certificate, issuing.certificate}
	s.shown["alone"] = []*x509.Certificate{certificate}

	t.Run("M04 by way of an authority that the client brings", func(t *testing.T) { s.show(t, "c-mtls", "chain", "") })
	t.Run("M04 without it", func(t *testing.T) { s.show(t, "c-mtls", "alone", "certificate_untrusted") })
	t.Run("M06 that authority is revoked", func(t *testing.T) {
		s.trusts(s.ca, s.ca.revoke(t, s.clock.Now().Add(time.Hour), issuing.certificate))
		s.show(t, "c-mtls", "chain", "certificate_revoked")
	})
	t.Run("M06 the certificate is revoked by that authority", func(t *testing.T) {
		s.trusts(s.ca, issuing.revoke(t, s.clock.Now().Add(time.Hour), certificate))
		s.show(t, "c-mtls", "chain", "certificate_revoked")
	})
}

func TestCertificateThatIsRegistered(t *testing.T) {
	s := newCertificateServer(t)
	s.shown["same subject"] = []*x509.Certificate{signedByItself(t, keyTwo(), leaf("self"))}
	s.shown["same key"] = []*x509.Certificate{signedByItself(t, keyOne(), leaf("self"))}
	t.Run("M10 the one that is registered", func(t *testing.T) { s.show(t, "c-self", "self", "") })
	t.Run("M09, CA-34 the same subject, another key", func(t *testing.T) { s.show(t, "c-self", "same subject", "other_certificate") })
	t.Run("M09, CA-34 the same key in a new certificate", func(t *testing.T) { s.show(t, "c-self", "same key", "other_certificate") })
	t.Run("M09 one that an authority vouches for", func(t *testing.T) { s.show(t, "c-self", "c-mtls", "other_certificate") })
	t.Run("CA-29 a client that an authority vouches for shows another's", func(t *testing.T) { s.show(t, "c-mtls", "self", "certificate_untrusted") })
	t.Run("M10, CA-34 registered beside it, then alone", func(t *testing.T) {
		update(t, s.store, "c-self", func(c *store.Client) {
			next := registered(t, "kn", jose.ES256, keyOne())
			next.Certificate = s.shown["same key"][0].Raw
			c.Keys = append(c.Keys, next)
		})
		s.poll(t)
		s.show(t, "c-self", "same key", "")
		s.show(t, "c-self", "self", "")
		update(t, s.store, "c-self", func(c *store.Client) { c.Keys[0].Expires = s.clock.Now() })
		s.poll(t)
		s.show(t, "c-self", "self", "other_certificate")
		s.show(t, "c-self", "same key", "")
	})
	t.Run("M05 expired", func(t *testing.T) {
		s.clock.move(24*time.Hour + time.Second)
		s.poll(t)
		s.show(t, "c-self", "same key", "certificate_expired")
	})
}

func TestM10PublishedCertificates(t *testing.T) {
	var p *publisher
	s := newCertificateServer(t, func(o *authority.Options) {
		p = &publisher{now: o.Now, sets: map[string][]jose.Key{}, cached: map[string][]jose.Key{}, renewed: map[string]time.Time{}}
		o.RemoteKeys = p
	})
	s.shown["next"] = []*x509.Certificate{signedByItself(t, keyTwo(), leaf("next"))}
	key := func(name string) jose.Key {
		return jose.Key{ID: name, Public: s.shown[name][0].PublicKey, Certificate: s.shown[name][0]}
	}
	update(t, s.store, "c-self", func(c *store.Client) { c.Keys, c.JWKSURI = nil, published })
	s.poll(t)
	p.publish(published, key("self"))
	s.show(t, "c-self", "self", "")
	s.show(t, "c-self", "next", "other_certificate")
	p.publish(published, key("next"))
	s.clock.move(time.Minute)
	s.show(t, "c-self", "next", "")
	s.show(t, "c-self", "self", "other_certificate")
}

// TestCertificateAlone: a certificate says who a client is only where nothing else does, and only for its own methods.
func TestCertificateAlone(t *testing.T) {
	s := newCertificateServer(t)
	good := func() url.Values {
		return authenticated(ask(), s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t))
	}
	t.Run("CA-24 beside an assertion or a secret it is no second method", func(t *testing.T) {
		for name := range s.shown { // whoever's it is
			got := s.exchange(t, "/token", good(), http.StatusOK, "", "Shown: "+name)
			matches(t, claims(t, got.body), `{"client_id":"c-jwt"}`, false)
			got = s.exchange(t, "/token", ask(), http.StatusOK, "", "Shown: "+name, "Authorization: "+basic("c-basic", secretOf("c-basic")))
			matches(t, claims(t, got.body), `{"client_id":"c-basic"}`, false)
		}
	})
	t.Run("CA-24 an assertion, and the certificate and client_id of another client", func(t *testing.T) {
		s.exchange(t, "/token", with(good(), "client_id", "c-mtls"), http.StatusUnauthorized, "other_client", "Shown: c-mtls")
	})
	t.Run("CA-24 a wrong assertion or secret beside the right certificate", func(t *testing.T) {
		a := s.good("c-mtls", keyOne(), jose.ES256, "k1")
		s.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusUnauthorized, "wrong_method c-mtls", "Shown: c-mtls")
		form := with(with(ask(), "client_id", "c-mtls"), "client_secret", "x")
		s.exchange(t, "/token", form, http.StatusUnauthorized, "wrong_method c-mtls", "Shown: c-mtls")
		s.exchange(t, "/token", with(ask(), "client_id", "c-mtls"), http.StatusUnauthorized, "no_credentials c-mtls", "Shown: c-mtls", "Authorization: Bearer x")
	})
	t.Run("CA-25 a client of another method", func(t *testing.T) {
		s.show(t, "c-jwt", "self", "wrong_method c-jwt")
		s.show(t, "c-basic", "c-mtls", "wrong_method c-basic")
	})
	t.Run("CA-25 a rule that is left over from another method", func(t *testing.T) {
		update(t, s.store, "c-other", func(c *store.Client) { c.CertificateRule, c.CertificateValue = "san_dns", "c-mtls.test" })
		s.poll(t)
		s.show(t, "c-other", "c-mtls", "wrong_method c-other")
	})
	t.Run("M11 bound to a certificate, authenticated by an assertion, none shown", func(t *testing.T) {
		update(t, s.store, "c-jwt", func(c *store.Client) { c.CertificateBound = true })
		s.poll(t)
		s.exchange(t, "/token", good(), http.StatusBadRequest, "no_certificate c-jwt")
		got := s.exchange(t, "/token", good(), http.StatusOK, "", "Shown: self")
		thumbprint := pop.CertificateThumbprint(s.shown["self"][0])
		matches(t, claims(t, got.body), `{"cnf":{"x5t#S256":"`+thumbprint+`"}}`, false)
		matches(t, got.body, `{"token_type":"Bearer"}`, false)
	})
	t.Run("M12, CA-30 a header that names a certificate is none", func(t *testing.T) {
		form := with(ask(), "client_id", "c-mtls")
		for _, name := range []string{"X-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "Client-Cert"} {
			s.exchange(t, "/token", form, http.StatusUnauthorized, "no_credentials c-mtls", name+": :AAAA:")
		}
	})
	t.Run("CA-31 two certificates are nobody's, whatever stands beside them", func(t *testing.T) {
		two := []string{"Shown: c-mtls", "Shown: c-mtls2"}
		s.exchange(t, "/token", with(ask(), "client_id", "c-mtls"), http.StatusUnauthorized, "ambiguous_certificate c-mtls", two...)
		s.exchange(t, "/token", good(), http.StatusUnauthorized, "ambiguous_certificate c-jwt", two...)
		s.exchange(t, "/token", ask(), http.StatusUnauthorized, "ambiguous_certificate c-basic", append(two, "Authorization: "+basic("c-basic", secretOf("c-basic")))...)
	})
	t.Run("CA-13 introspection and revocation take a certificate as well", func(t *testing.T) {
		about := with(url.Values{"token": {"x"}}, "client_id", "c-mtls")
		for _, path := range []string{"/introspect", "/revoke"} {
			s.exchange(t, path, about, http.StatusOK, "", "Shown: c-mtls")
			s.exchange(t, path, about, http.StatusUnauthorized, "other_certificate c-mtls", "Shown: c-mtls2")
		}
	})
	t.Run("M14 what its uses are noted by", func(t *testing.T) {
		s.authority.TakeUses()
		s.clock.move(time.Minute)
		s.show(t, "c-mtls", "c-mtls", "")
		s.show(t, "c-self", "self", "")
		got := map[string]string{}
		for _, use := range s.authority.TakeUses() {
			if _, _, scope := use.Scope(); !scope {
				got[use.ClientID] = use.Credential
			}
		}
		if got["c-mtls"] != "certificate" || got["c-self"] != "ks" {
			t.Errorf("got %v", got)
		}
	})
}

// TestCertificateMetadata: a method is offered where it works.
func TestCertificateMetadata(t *testing.T) {
	offered := func(t *testing.T, s *server, methods string) {
		t.Helper()
		body := s.get(t, "/.well-known/oauth-authorization-server").body
		matches(t, body, `{"token_endpoint_auth_methods_supported":`+methods+`,"introspection_endpoint_auth_methods_supported":`+methods+
			`,"revocation_endpoint_auth_methods_supported":`+methods+`}`, false)
	}
	secrets := `"client_secret_basic","client_secret_post","private_key_jwt"`
	t.Run("W08, M15 with authorities and a listener", func(t *testing.T) {
		offered(t, newCertificateServer(t).server, `[`+secrets+`,"self_signed_tls_client_auth","tls_client_auth"]`)
	})
	t.Run("W08 without authorities", func(t *testing.T) {
		offered(t, newServer(t, withAlias), `[`+secrets+`,"self_signed_tls_client_auth"]`)
	})
	t.Run("W08 without a listener", func(t *testing.T) {
		offered(t, newServer(t, func(o *authority.Options) { o.Trust = func() *authority.Trust { return nil } }), `[`+secrets+`]`)
	})
	t.Run("W08 in the profile of FAPI 2.0", func(t *testing.T) {
		s := newCertificateServer(t, func(o *authority.Options) { o.Profile = authority.FAPI2 })
		offered(t, s.server, `["private_key_jwt","self_signed_tls_client_auth","tls_client_auth"]`)
	})
}
