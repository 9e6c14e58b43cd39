package oauth_test

import (
	"strings"
	"testing"

	"github.com/writ-auth/writ/oauth"
)

// TestWellKnown holds where metadata is found (RFC 8414, 3.1; RFC 9728, 3.1).
func TestWellKnown(t *testing.T) {
	for identifier, want := range map[string]string{
		"https://as.test":           "https://as.test/.well-known/X",
		"https://as.test/":          "https://as.test/.well-known/X",
		"https://as.test:8443/t1":   "https://as.test:8443/.well-known/X/t1",
		"https://as.test/t1/":       "https://as.test/.well-known/X/t1",
		"https://as.test/a%2Fb":     "https://as.test/.well-known/X/a%2Fb",
		"https://as.test/%7Ea":      "https://as.test/.well-known/X/%7Ea",
		"https://as.test/t1?tenant": "https://as.test/.well-known/X/t1?tenant",
		"as.test":                   "", "": "", "urn:example:a": "", "https:///t1": "", "://": "",
	} {
		for name, where := range map[string]func(string) (string, error){
			"oauth-authorization-server": oauth.MetadataURL, "oauth-protected-resource": oauth.ResourceMetadataURL,
		} {
			got, err := where(identifier)
			if want := strings.Replace(want, "X", name, 1); got != want || (err == nil) != (want != "") {
				t.Errorf("%s: %q, error %v, want %q", identifier, got, err, want)
			}
		}
	}
}
