package server

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/writ-auth/writ/internal/authority"
)

func (c Config) checkMTLS(ps *Problems) {
	m := c.MTLS
	if m.Listen == "" {
		if m.URL != "" || m.TLS.set() || m.ClientCA != "" || len(m.ClientCRL) > 0 || len(m.ClientCertFrom) > 0 {
			ps.add("mtls.listen", "is missing: the other settings of mtls are for a listener of their own, such as 0.0.0.0:8443")
		}
		return
	}
	checkAddress(ps, "mtls.listen", m.Listen)
	if !strings.HasSuffix(m.Listen, ":0") && (m.Listen == c.Listen || m.Listen == c.Admin.Listen) {
		ps.add("mtls.listen", "is the address of another listener: only clients that have a certificate are to be asked for one")
	}
	checkTLS(ps, "mtls.tls", m.TLS)
	if !m.TLS.set() && len(m.ClientCertFrom) == 0 {
		ps.add("mtls.tls.certificate", "is missing: without TLS no client can show a certificate; set it and mtls.tls.key, or name the proxy that ends TLS in mtls.client_cert_from")
	}
	c.checkMTLSURL(ps)
	c.checkTrust(ps)
}

func (c Config) checkMTLSURL(ps *Problems) {
	if c.MTLS.URL == "" {
		issuer, err := url.Parse(c.Issuer)
		if !loopback(c.MTLS.Listen) || c.Issuer != "" && err == nil && !loopbackHost(issuer.Hostname()) {
			ps.add("mtls.url", "is required when mtls.listen or the issuer is not on loopback: what clients reach the listener by, such as https://mtls.as.example.com")
		}
		return
	}
	if err := validIssuer(c.MTLS.URL); err != nil {
		ps.add("mtls.url", "%q %v", c.MTLS.URL, err)
	}
}

// validOrigin takes nothing, or scheme and host.
func validOrigin(address string) error {
	if address == "" {
		return nil
	}
	if err := validIssuer(address); err != nil {
		return err
	}
	if u, err := url.Parse(address); err != nil || u.Path != "" {
		return errors.New("must not have a path: the paths of the admin API are fixed")
	}
	return nil
}

// checkTrust reads what the server will trust: with a file that it cannot use it must not start and trust less, or, without
// a revocation list, more (CA-35).
func (c Config) checkTrust(ps *Problems) {
	if c.MTLS.ClientCA == "" {
		if len(c.MTLS.ClientCRL) > 0 {
			ps.add("mtls.client_crl", "requires mtls.client_ca, which has the authorities that signed the lists")
		}
		return
	}
	content, err := readTrusted(c.MTLS.ClientCA)
	if err != nil {
		ps.add("mtls.client_ca", "%v", err)
		return
	}
	authorities, err := parseAuthorities(content)
	if err != nil {
		ps.add("mtls.client_ca", "%s %v", c.MTLS.ClientCA, err)
		return
	}
	for _, path := range c.MTLS.ClientCRL {
		if list, err := readTrusted(path); err != nil {
			ps.add("mtls.client_crl", "%v", err)
		} else if _, err = parseLists(list, authorities); err != nil {
			ps.add("mtls.client_crl", "%s: %v", path, err)
		}
	}
}

// mtlsProxies are those in front of the listener for client certificates. One that passes certificates on can speak for any
// client already; that it says where a request came from gives it nothing more.
func (c Config) mtlsProxies() proxies {
	p := proxies{trusted: slices.Concat(c.TrustedProxies, c.MTLS.ClientCertFrom)}
	if !c.MTLS.TLS.set() {
		p.behind = c.MTLS.ClientCertFrom
	}
	return p
}

// profile returns what is asked of clients.
func (c Config) profile() authority.Profile {
	if c.fapi2() {
		return authority.FAPI2
	}
	return authority.Profile{}
}

func (c Config) fapi2() bool { return c.Profile == "fapi2" }
