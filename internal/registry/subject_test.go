package registry

import (
	"slices"
	"strings"
	"testing"

	"github.com/writ-auth/writ/oauth"
)

// TestM13: a certificate is known by exactly one rule.
func TestM13(t *testing.T) {
	b := withOrders(t)
	values := []string{"CN=billing,O=Example", "billing.example.com", "spiffe://example.com/billing", "192.0.2.1", "billing@example.com"}
	with := func(which ...int) oauth.ClientMetadata {
		m := oauth.ClientMetadata{ClientName: "billing", TokenEndpointAuthMethod: oauth.TLSClientAuth}
		for _, i := range which {
			*subjects[i].member(&m) = values[i]
		}
		return m
	}
	for i := range subjects {
		for j := range i {
			t.Run("M13 "+subjects[j].rule+" and "+subjects[i].rule, func(t *testing.T) {
				if got := fields(t, b.refuses(t, with(j, i))); !slices.Equal(got, []string{subjects[i].field}) {
					t.Errorf("problems with %v", got)
				}
			})
		}
	}
	t.Run("M13 none", func(t *testing.T) {
		if got := fields(t, b.refuses(t, with())); !slices.Equal(got, []string{"tls_client_auth_subject_dn"}) {
			t.Errorf("problems with %v", got)
		}
	})
	t.Run("M13 all", func(t *testing.T) {
		if got := b.refuses(t, with(0, 1, 2, 3, 4)); len(got.Problems) != 4 || !got.Is(oauth.InvalidClientMetadata) {
			t.Errorf("got %v", got)
		}
	})
	for i, s := range subjects {
		t.Run("one: "+s.rule, func(t *testing.T) {
			m := with(i)
			m.ClientName = "c-" + randomText(8)
			made := b.client(m)
			record := b.record(made.ID)
			if record.CertificateRule != s.rule || record.CertificateValue != values[i] || *s.member(&made.ClientMetadata) != values[i] || made.Secret != "" {
				t.Errorf("stored %+v", record)
			}
		})
	}
}

func TestSubjects(t *testing.T) {
	long := strings.Repeat("a", 63)
	for rule, values := range map[string]map[string]string{ // to what is kept of them
		"subject_dn": {
			"CN=billing": "=", "CN=billing,O=Example\\, Inc.,C=DE": "=", "2.5.4.3=billing": "=", "CN=a+OU=b,DC=example,DC=com": "=",
			"CN=#0C0161": "=", `CN=\C3\A4`: "=", "CN=ä": "=", `CN=\ a\ `: "=", `CN=\#a`: "=", "CN=a b": "=", "CN=a=b": "=", "cn=x, o=y": "=",
			"SHOESIZE=43": "", // no type that could be compared
			"":            "", "billing": "", "CN": "", "CN=": "", "=a": "", "CN=a,": "", ",CN=a": "", "CN=a,,O=b": "", "CN=a+": "", `CN="a"`: "",
			"CN=a;O=b": "", "CN=<a>": "", `CN=a\`: "", `CN=a\x`: "", `CN=\C3\`: "", "1=a": "", "2.5.4.=a": "",
			"2..5=a": "", "2.05=a": "", "CN=#0": "", "CN=#": "", "CN=#0g": "", "CN=\x00": "", "CN=\xff": "", "/CN=billing": "", "C N=a": "",
			"CN=" + strings.Repeat("a", 1022): "",
		},
		"san_dns": {
			"billing.example.com": "=", "Billing.EXAMPLE.com": "billing.example.com", "xn--bcher-kva.example": "=", "billing": "=", "_a.example": "=",
			"*.example.com": "", "a.*.example": "", "b*.example": "", ".example.com": "", "example.com.": "", "a..b": "", "-a.example": "", "a-.example": "",
			"bücher.example": "", "192.0.2.1": "", "[::1]": "", "a.example:443": "", "https://a.example": "", "a b": "", "a.example\x00": "",
			long + ".example": "=", long + "a.example": "", strings.Repeat("a.", 127): "", strings.Repeat("ab.", 84) + "ab": "",
		},
		"san_uri": {
			"spiffe://example.com/billing": "=", "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6": "=", "https://Example.com/%7e": "=",
			"billing": "", "/a": "", "//a/b": "", "spiffe:": "", "https://": "", "https://a/ b": "", "https://a/ä": "", "https://a/\n": "", ":a": "",
		},
		"san_ip": {
			"192.0.2.1": "=", "2001:db8::1": "=", "2001:DB8:0:0::1": "2001:db8::1", "::ffff:192.0.2.1": "192.0.2.1",
			"192.0.2.0/24": "", "192.0.2": "", "0192.0.2.1": "", "fe80::1%eth0": "", "[::1]": "", "localhost": "", "192.0.2.1 ": "",
		},
		"san_email": {
			"billing@example.com": "=", "Billing@EXAMPLE.com": "Billing@example.com", "a+b@example.com": "=",
			"billing": "", "@example.com": "", "a@": "", "a@b@c": "", "Billing <billing@example.com>": "", "<billing@example.com>": "", "a@*.example": "",
			"ä@example.com": "", "a@ä.example": "", "a b@example.com": "", `"a b"@example.com`: "", "a@[192.0.2.1]": "", "a@example.com\r\n": "",
		},
	} {
		i := slices.IndexFunc(subjects, func(s subject) bool { return s.rule == rule })
		for value, want := range values {
			if want == "=" {
				want = value
			}
			m := oauth.ClientMetadata{ClientName: "c-" + randomText(8), TokenEndpointAuthMethod: oauth.TLSClientAuth}
			*subjects[i].member(&m) = value
			b := newBench(t)
			made, err := b.CreateClient(t.Context(), System("test"), m)
			if got := *subjects[i].member(&made.ClientMetadata); got != want || (err == nil) != (want != "") {
				t.Errorf("%s %q: kept as %q, %v, want %q", rule, value, got, err, want)
			}
		}
	}
}
