package pop

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// The kinds of a CertificateRule (RFC 8705, 2.1.2).
const (
	RuleSubjectDN = "subject_dn"
	RuleSANDNS    = "san_dns"
	RuleSANURI    = "san_uri"
	RuleSANIP     = "san_ip"
	RuleSANEmail  = "san_email"
)

// A CertificateRule says which certificates are one client's, among all that an authority vouches for. It does not change,
// and is safe for concurrent use.
type CertificateRule struct {
	kind    string
	subject distinguishedName // for RuleSubjectDN
	name    string            // for the others, as it stands in a certificate; of an address, its bytes
}

// maxRuleBytes bounds what a rule may be compared with.
const maxRuleBytes = 1024

// ParseCertificateRule reads a rule of a kind. The errors are meant for whoever wrote the value.
func ParseCertificateRule(kind, value string) (*CertificateRule, error) {
	if value == "" || len(value) > maxRuleBytes {
		return nil, fmt.Errorf("pop: a certificate rule has 1 to %d bytes", maxRuleBytes)
	}
	rule := &CertificateRule{kind: kind, name: value}
	var err error
	switch kind {
	case RuleSubjectDN:
		rule.subject, err = parseDistinguishedName(value)
	case RuleSANDNS:
		err = checkDNSName(value)
	case RuleSANURI:
		if u, parseErr := url.Parse(value); parseErr != nil || u.Scheme == "" || !isASCII(value) {
			err = errors.New("pop: this is not an absolute URI")
		}
	case RuleSANIP:
		var address netip.Addr
		if address, err = netip.ParseAddr(value); err != nil || address.Zone() != "" {
			return nil, errors.New("pop: this is not an IP address")
		}
		rule.name = string(address.AsSlice()) // 0:0::1 and ::1 are one
	case RuleSANEmail:
		if local, domain, found := cutMail(value); !found || local == "" || checkDNSName(domain) != nil || !isASCII(value) {
			err = errors.New("pop: this is not a mail address")
		}
	default:
		err = fmt.Errorf("pop: there is no certificate rule %q", kind)
	}
	if err != nil {
		return nil, err
	}
	return rule, nil
}

// checkDNSName refuses what no certificate should be compared with: a wildcard names many hosts, and none of them.
func checkDNSName(name string) error {
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, dnsCharacters) != "" {
			return errors.New("pop: this is not a DNS name (and wildcards are not allowed)")
		}
	}
	return nil
}

const dnsCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// Matches reports whether a certificate is one that the rule names. It does not ask who signed it. A name must be in the
// certificate as itself: the wildcard *.example is not a.example (RFC 8705, 2.1.2), and the common name is no DNS name.
func (rule *CertificateRule) Matches(certificate *x509.Certificate) bool {
	if rule.kind == RuleSubjectDN {
		return rule.subject.equals(certificate.RawSubject)
	}
	return slices.ContainsFunc(alternativeNames(certificate, rule.kind), rule.isNamed)
}

func (rule *CertificateRule) isNamed(name string) bool {
	switch rule.kind {
	case RuleSANDNS:
		return equalASCII(rule.name, name)
	case RuleSANEmail: // only the domain is without case (RFC 5280, 7.5)
		local, domain, _ := cutMail(rule.name)
		otherLocal, otherDomain, found := cutMail(name)
		return found && local == otherLocal && equalASCII(domain, otherDomain)
	}
	return rule.name == name
}

func cutMail(address string) (local, domain string, found bool) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return "", "", false
	}
	return address[:at], address[at+1:], true
}

// equalASCII compares without the case of ASCII letters, and of no others: the Kelvin sign is not k.
func equalASCII(a, b string) bool { return isASCII(a) && isASCII(b) && strings.EqualFold(a, b) }

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// generalNames are the tags of GeneralName (RFC 5280, 4.2.1.6).
var generalNames = map[string]int{RuleSANEmail: 1, RuleSANDNS: 2, RuleSANURI: 6, RuleSANIP: 7}

var subjectAlternativeName = asn1.ObjectIdentifier{2, 5, 29, 17}

// alternativeNames returns the names of one kind as they stand in the certificate. A URI that was parsed and written again
// would be another one.
func alternativeNames(certificate *x509.Certificate, kind string) []string {
	var found []string
	for _, extension := range certificate.Extensions {
		if !extension.Id.Equal(subjectAlternativeName) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &names); err != nil || len(rest) > 0 {
			return nil
		}
		for _, name := range names {
			// One that is constructed is no name in DER, and x509 does not hold it to the name constraints of its issuer.
			if name.Class == asn1.ClassContextSpecific && name.Tag == generalNames[kind] && !name.IsCompound {
				found = append(found, string(name.Bytes))
			}
		}
	}
	return found
}
