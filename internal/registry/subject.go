package registry

import (
	"net/mail"
	"net/netip"
	"net/url"
	"strings"

	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// A subject is one of the five ways to say which certificate is a client's (RFC 8705, 2.1.2).
type subject struct {
	rule   string // as store.Client.CertificateRule has it
	field  string
	member func(*oauth.ClientMetadata) *string
	read   func(string) string // returns the value in the one way that it is kept, or "" if no certificate should have it
	want   string
}

var subjects = []subject{
	{
		pop.RuleSubjectDN, "tls_client_auth_subject_dn", func(m *oauth.ClientMetadata) *string { return &m.TLSClientAuthSubjectDN },
		readName, "must be a distinguished name (RFC 4514), such as CN=billing,O=Example,C=DE",
	},
	{
		pop.RuleSANDNS, "tls_client_auth_san_dns", func(m *oauth.ClientMetadata) *string { return &m.TLSClientAuthSANDNS },
		readDNSName, "must be a DNS name without a wildcard, in ASCII",
	},
	{
		pop.RuleSANURI, "tls_client_auth_san_uri", func(m *oauth.ClientMetadata) *string { return &m.TLSClientAuthSANURI },
		readURI, "must be an absolute URI in printable ASCII",
	},
	{
		pop.RuleSANIP, "tls_client_auth_san_ip", func(m *oauth.ClientMetadata) *string { return &m.TLSClientAuthSANIP },
		readIP, "must be an IP address without a zone",
	},
	{
		pop.RuleSANEmail, "tls_client_auth_san_email", func(m *oauth.ClientMetadata) *string { return &m.TLSClientAuthSANEmail },
		readEmail, "must be a mail address in ASCII, without a name",
	},
}

// subject takes the rule for the client's certificate from its metadata. Exactly one says which certificate it is; with two,
// whoever has a certificate that fits the weaker one would be the client.
func (p *problems) subject(record *store.Client, m oauth.ClientMetadata) {
	var named []subject
	for _, s := range subjects {
		if *s.member(&m) != "" {
			named = append(named, s)
		}
	}
	if record.AuthMethod == oauth.TLSClientAuth && len(named) == 0 {
		p.add("tls_client_auth_subject_dn", "%s needs exactly one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and _san_email", oauth.TLSClientAuth)
	}
	for i, s := range named {
		value := s.read(*s.member(&m))
		switch {
		case !accepts(record, is(oauth.TLSClientAuth)):
			p.add(s.field, "belongs to %s, and the method is %s", oauth.TLSClientAuth, record.AuthMethod)
		case i > 0:
			p.add(s.field, "excludes %s: a certificate is known by exactly one rule", named[0].field)
		case value == "":
			p.add(s.field, "%s", s.want)
		default:
			// What cannot be compared matches nothing, and nobody would know why.
			if _, err := pop.ParseCertificateRule(s.rule, value); err != nil {
				p.add(s.field, "%s (%s)", s.want, oauth.SafeText(strings.TrimPrefix(err.Error(), "pop: ")))
			}
			record.CertificateRule, record.CertificateValue = s.rule, value
		}
	}
}

// readName returns a distinguished name as it is: there are many ways to write one, and the comparison knows them.
func readName(name string) string {
	if !store.Valid(name) {
		return ""
	}
	return name
}

// readDNSName returns a name as it is compared: lower case. A wildcard is none, for what a certificate has is compared with
// it byte by byte.
func readDNSName(name string) string {
	name = strings.ToLower(name)
	if len(name) > 253 {
		return ""
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return ""
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return ""
	}
	return name
}

// readURI returns a URI as it is, for that is how it is compared (RFC 5280, 7.4 asks for no more of a SAN).
func readURI(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || !oauth.ValidScopeToken(uri) || !u.IsAbs() || u.Host == "" && u.Opaque == "" {
		return ""
	}
	return uri
}

func readIP(text string) string {
	address, err := netip.ParseAddr(text)
	if err != nil || address.Zone() != "" {
		return ""
	}
	return address.Unmap().String()
}

// readEmail returns a mail address with its domain in lower case: the part before the @ may mean something else in another
// case, the domain may not (RFC 5280, 7.5).
func readEmail(text string) string {
	address, err := mail.ParseAddress(text)
	if err != nil || address.Address != text || !oauth.ValidScopeToken(text) {
		return ""
	}
	local, domain, _ := strings.Cut(text, "@")
	if domain = readDNSName(domain); domain == "" {
		return ""
	}
	return local + "@" + domain
}
