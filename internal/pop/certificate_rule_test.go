package pop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/pop"
)

var certificateKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

func certificateOf(t testing.TB, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	template.SerialNumber, template.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, template, template, certificateKey().Public(), certificateKey())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// A value is an attribute of a subject, encoded as it says.
type value struct {
	oid asn1.ObjectIdentifier
	tag int
	raw string
}

var (
	cn     = asn1.ObjectIdentifier{2, 5, 4, 3}
	o      = asn1.ObjectIdentifier{2, 5, 4, 10}
	c      = asn1.ObjectIdentifier{2, 5, 4, 6}
	custom = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
)

// text is a value in the encoding that everybody uses now.
func text(oid asn1.ObjectIdentifier, raw string) value { return value{oid, asn1.TagUTF8String, raw} }

// subject encodes a name, from the most significant part to the least, as it stands in a certificate.
func subject(t testing.TB, parts ...[]value) []byte {
	t.Helper()
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	type partSET []attribute
	var name []partSET
	for _, part := range parts {
		var set partSET
		for _, v := range part {
			set = append(set, attribute{v.oid, asn1.RawValue{Tag: v.tag, Bytes: []byte(v.raw)}})
		}
		name = append(name, set)
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSubjectDN(t *testing.T) {
	one := func(v ...value) []value { return v }
	plain := [][]value{one(text(c, "DE")), one(text(o, "Example Inc")), one(text(cn, "billing"))}
	for _, test := range []struct {
		name  string
		rule  string
		parts [][]value
		want  bool
	}{
		{"M07 the same", "CN=billing,O=Example Inc,C=DE", plain, true},
		{"M07, CA-33 the order of the parts means something", "C=DE,O=Example Inc,CN=billing", plain, false},
		{"M07, CA-33 two parts swapped", "CN=billing,C=DE,O=Example Inc", plain, false},
		{"M07, CA-33 case means nothing in a value", "CN=BILLING,O=example inc,C=de", plain, true},
		{"M07 nor in an attribute type", "cn=billing,o=Example Inc,c=DE", plain, true},
		{"M07 an OID is its name", "2.5.4.3=billing,2.5.4.10=Example Inc,2.5.4.6=DE", plain, true},
		{"M07 spaces around separators", "CN = billing , O = Example Inc , C = DE", plain, true},
		{"M07 spaces within a value count as one", "CN=billing,O=Example   Inc,C=DE", plain, true},
		{"M07 but not as none", "CN=billing,O=ExampleInc,C=DE", plain, false},
		{"M07 another encoding", "CN=billing,O=Example Inc,C=DE", [][]value{
			one(value{c, asn1.TagPrintableString, "DE"}), one(value{o, asn1.TagT61String, "Example Inc"}), one(value{cn, asn1.TagBMPString, "\x00b\x00i\x00l\x00l\x00i\x00n\x00g"}),
		}, true},
		{"M07 characters beyond ASCII", `CN=M\C3\BCller`, [][]value{one(text(cn, "Müller"))}, true},
		{"M07 characters beyond ASCII, as they are", "CN=MÜLLER", [][]value{one(text(cn, "Müller"))}, true},
		{"M07 Latin-1 in T.61 is nobody's", "CN=Müller", [][]value{one(value{cn, asn1.TagT61String, "M\xfcller"})}, false},
		{"M07 escaped separators", `CN=a\,O\=b\+c,O=d`, [][]value{one(text(o, "d")), one(text(cn, "a,O=b+c"))}, true},
		{"CA-33 a separator in a value is no separator", "CN=a,O=evil", [][]value{one(text(cn, "a,O=evil"))}, false},
		{"M07 in hexadecimal", "CN=#0C0762696C6C696E67", [][]value{one(text(cn, "billing"))}, true},
		{"CA-33 more in the certificate", "CN=a", [][]value{one(text(cn, "a")), one(text(o, "evil"))}, false},
		{"CA-33 more in front", "CN=a", [][]value{one(text(o, "evil")), one(text(cn, "a"))}, false},
		{"CA-33 less in the certificate", "CN=a,O=b", [][]value{one(text(cn, "a"))}, false},
		{"CA-33 the same part twice", "CN=a", [][]value{one(text(cn, "a")), one(text(cn, "a"))}, false},
		{"CA-33 another type", "CN=a", [][]value{one(text(o, "a"))}, false},
		{"CA-33 a longer value", "CN=a", [][]value{one(text(cn, "ab"))}, false},
		{"CA-33 NUL in the value", "CN=a", [][]value{one(text(cn, "a\x00evil"))}, false},
		{"CA-33 no subject at all", "CN=a", nil, false},
		{"CA-33 the Kelvin sign is not k", "CN=kate", [][]value{one(text(cn, "\u212aate"))}, false},
		{"CA-33 the long s is not s", "CN=sara", [][]value{one(text(cn, "\u017fara"))}, false},
		{"CA-33 the final sigma is not another", "CN=\u03bd\u03bf\u03c3", [][]value{one(text(cn, "\u03bd\u03bf\u03c2"))}, false},
		{"M07 letters of other scripts have cases, too", "CN=\u0416\u03a9", [][]value{one(text(cn, "\u0436\u03c9"))}, true},
		{"M07 a part of two attributes in any order", "CN=a+O=b", [][]value{one(text(o, "b"), text(cn, "a"))}, true},
		{"M07 and in the other", "O=b+CN=a", [][]value{one(text(o, "b"), text(cn, "a"))}, true},
		{"CA-33 which are not two parts", "CN=a+O=b", [][]value{one(text(o, "b")), one(text(cn, "a"))}, false},
		{"CA-33 nor one of them", "CN=a", [][]value{one(text(o, "b"), text(cn, "a"))}, false},
		{"CA-33 two values of one type are not one twice", "CN=a+CN=a", [][]value{one(text(cn, "a"), text(cn, "b"))}, false},
		{"M07 a type that nobody knows is compared exactly", "1.3.6.1.4.1.99999.1=a", [][]value{one(text(custom, "a"))}, true},
		{"M07 with its case", "1.3.6.1.4.1.99999.1=A", [][]value{one(text(custom, "a"))}, false},
		{"M07 a value that is no text", "1.3.6.1.4.1.99999.1=#020101", [][]value{one(value{custom, asn1.TagInteger, "\x01"})}, true},
		{"M07 another value that is no text", "1.3.6.1.4.1.99999.1=#020102", [][]value{one(value{custom, asn1.TagInteger, "\x01"})}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			rule, err := pop.ParseCertificateRule(pop.RuleSubjectDN, test.rule)
			if err != nil {
				t.Fatal(err)
			}
			certificate := &x509.Certificate{RawSubject: subject(t, test.parts...)}
			if got := rule.Matches(certificate); got != test.want {
				t.Errorf("%s: got %v, want %v", test.rule, got, test.want)
			}
		})
	}
}

// TestSubjectDNOfGo: a name as Go writes it matches the certificate that has it.
func TestSubjectDNOfGo(t *testing.T) {
	name := pkix.Name{
		Country: []string{"DE"}, Organization: []string{`Exam"ple, Inc.`, "Second"}, OrganizationalUnit: []string{" a ", "#b"},
		CommonName: `a+b=c;d<e>f\g`, SerialNumber: "42",
	}
	certificate := certificateOf(t, &x509.Certificate{Subject: name})
	rule, err := pop.ParseCertificateRule(pop.RuleSubjectDN, certificate.Subject.String())
	if err != nil {
		t.Fatal(err)
	}
	if !rule.Matches(certificate) {
		t.Errorf("M07 %s does not match the certificate that it was read from", certificate.Subject)
	}
}

func TestAlternativeNames(t *testing.T) {
	uri := func(raw string) []*url.URL {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{u}
	}
	dns := func(names ...string) *x509.Certificate { return &x509.Certificate{DNSNames: names} }
	address := func(raw string) *x509.Certificate { return &x509.Certificate{IPAddresses: []net.IP{net.ParseIP(raw)}} }
	mail := func(raw string) *x509.Certificate { return &x509.Certificate{EmailAddresses: []string{raw}} }
	for _, test := range []struct {
		name, kind, rule string
		certificate      *x509.Certificate
		want             bool
	}{
		{"M08 a DNS name", pop.RuleSANDNS, "a.example", dns("b.example", "a.example"), true},
		{"CA-33 without case", pop.RuleSANDNS, "a.example", dns("A.Example"), true},
		{"M08, CA-33 a wildcard is not the name", pop.RuleSANDNS, "a.example", dns("*.example"), false},
		{"M08 a name above", pop.RuleSANDNS, "a.example", dns("example"), false},
		{"M08 a name below", pop.RuleSANDNS, "a.example", dns("b.a.example"), false},
		{"M08 the common name is no DNS name", pop.RuleSANDNS, "a.example", &x509.Certificate{Subject: pkix.Name{CommonName: "a.example"}}, false},
		{"M08 a DNS name where a mail address belongs", pop.RuleSANDNS, "a.example", mail("a.example"), false},
		{"CA-33 a URI where a DNS name belongs", pop.RuleSANURI, "spiffe://example.com/billing", dns("spiffe://example.com/billing"), false},
		{"CA-33 a URI", pop.RuleSANURI, "spiffe://example.com/billing", &x509.Certificate{URIs: uri("spiffe://example.com/billing")}, true},
		{"CA-33 a URI in another case", pop.RuleSANURI, "spiffe://example.com/billing", &x509.Certificate{URIs: uri("spiffe://example.com/Billing")}, false},
		{"CA-33 a URI with more behind it", pop.RuleSANURI, "spiffe://example.com/billing", &x509.Certificate{URIs: uri("spiffe://example.com/billing/evil")}, false},
		{"CA-33 a URI that is escaped", pop.RuleSANURI, "spiffe://example.com/billing", &x509.Certificate{URIs: uri("spiffe://example.com/%62illing")}, false},
		{"CA-33 an address written otherwise", pop.RuleSANIP, "0:0::1", address("::1"), true},
		{"CA-33 another address", pop.RuleSANIP, "::2", address("::1"), false},
		{"CA-33 an IPv4 address", pop.RuleSANIP, "192.0.2.1", address("192.0.2.1"), true},
		{"CA-33 an address is no DNS name", pop.RuleSANIP, "192.0.2.1", dns("192.0.2.1"), false},
		{"CA-33 a mail address, its domain without case", pop.RuleSANEmail, "Ops@example.com", mail("Ops@EXAMPLE.com"), true},
		{"CA-33 a mail address, its local part with", pop.RuleSANEmail, "Ops@example.com", mail("ops@example.com"), false},
		{"CA-33 no names at all", pop.RuleSANDNS, "a.example", dns(), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			rule, err := pop.ParseCertificateRule(test.kind, test.rule)
			if err != nil {
				t.Fatal(err)
			}
			if got := rule.Matches(certificateOf(t, test.certificate)); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestParseCertificateRuleRefuses(t *testing.T) {
	for _, test := range []struct{ kind, value string }{
		{"", "a"}, {"subject", "CN=a"}, {pop.RuleSubjectDN, ""}, {pop.RuleSANDNS, ""},
		{pop.RuleSubjectDN, "a"}, {pop.RuleSubjectDN, "CN=a,"}, {pop.RuleSubjectDN, ",CN=a"}, {pop.RuleSubjectDN, "CN="},
		{pop.RuleSubjectDN, "CN=a+"}, {pop.RuleSubjectDN, "XX=a"}, {pop.RuleSubjectDN, "2=a"}, {pop.RuleSubjectDN, "2.05=a"},
		{pop.RuleSubjectDN, "2..5=a"}, {pop.RuleSubjectDN, `CN="a"`}, {pop.RuleSubjectDN, "CN=a;O=b"}, {pop.RuleSubjectDN, `CN=a\`},
		{pop.RuleSubjectDN, `CN=a\x`}, {pop.RuleSubjectDN, `CN=\FF`}, {pop.RuleSubjectDN, "CN=#zz"}, {pop.RuleSubjectDN, "CN=#0C"},
		{pop.RuleSubjectDN, "CN=#0C01620C0162"}, {pop.RuleSubjectDN, "CN=\xff"}, {pop.RuleSubjectDN, "/C=DE/CN=a"},
		{pop.RuleSANDNS, "*.example"}, {pop.RuleSANDNS, "a..example"}, {pop.RuleSANDNS, "a.example."}, {pop.RuleSANDNS, "a b"},
		{pop.RuleSANDNS, "ä.example"}, {pop.RuleSANURI, "a.example"}, {pop.RuleSANURI, "https://ä.example"}, {pop.RuleSANURI, ":"},
		{pop.RuleSANIP, "192.0.2"}, {pop.RuleSANIP, "192.0.2.1/32"}, {pop.RuleSANIP, "fe80::1%eth0"},
		{pop.RuleSANEmail, "ops"}, {pop.RuleSANEmail, "@example.com"}, {pop.RuleSANEmail, "ops@"}, {pop.RuleSANEmail, "ops@*.example"},
	} {
		if rule, err := pop.ParseCertificateRule(test.kind, test.value); err == nil {
			t.Errorf("%s %q is read as %+v", test.kind, test.value, rule)
		}
	}
}

// FuzzSubjectDN: whatever rule is read, it does not match what it should not, and nothing breaks it.
func FuzzSubjectDN(f *testing.F) {
	for _, rule := range []string{"CN=a", "CN=a,O=b+C=c", `CN=\,\2C`, "CN=#0C0161", "2.5.4.3=x", "CN= a  b "} {
		f.Add(rule, subject(f, []value{text(cn, "a")}))
	}
	other := subject(f, []value{text(custom, "somebody else")})
	f.Fuzz(func(t *testing.T, written string, der []byte) {
		rule, err := pop.ParseCertificateRule(pop.RuleSubjectDN, written)
		if err != nil {
			return
		}
		_ = rule.Matches(&x509.Certificate{RawSubject: der})
		if rule.Matches(&x509.Certificate{}) || rule.Matches(&x509.Certificate{RawSubject: subject(t)}) {
			t.Fatalf("%q matches a certificate without a subject", written)
		}
		if rule.Matches(&x509.Certificate{RawSubject: append(other, 0)}) {
			t.Fatalf("%q matches what is no name", written)
		}
	})
}
