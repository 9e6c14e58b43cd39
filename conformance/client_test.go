package conformance

import (
	"io"
	"net/http"
	"testing"

	"github.com/writ-auth/writ/client"
)

// TestOurClient has the client library walk the path of the plan for clients against the server as it stands. The modules
// of that plan, with a runner that checks each request, are in package client.
func TestOurClient(t *testing.T) {
	module(t, "client-test-happy-path", every, func(t *testing.T, s *suite, v variant) {
		for _, p := range s.parties[v] {
			source := s.client(t, p)
			for range 2 { // the second request goes with the nonces of the first, if any were given
				s.wantAccounts(t, source.Client())
			}
		}
	})
}

// client returns the client library, set up as a party.
func (s *suite) client(t *testing.T, p party) *client.Source {
	t.Helper()
	certificate := client.CertificateFile(s.authority.files(t, p.certificate))
	config := client.Config{Issuer: s.issuer, ClientID: p.id, HTTPClient: s.http(), Resource: s.resource, Scope: "accounts", DPoP: p.bind == dpop}
	if p.auth == mtls {
		config.Credential = certificate
	} else {
		config.Credential = client.PrivateKey(p.key, client.KeyID(p.keyID), client.Algorithm(string(p.algorithm)))
	}
	if p.bind == mtls {
		config.Certificate = certificate
	}
	source, err := client.New(config)
	must(t, err)
	t.Cleanup(source.Client().CloseIdleConnections)
	return source
}

func (s *suite) wantAccounts(t *testing.T, c *http.Client) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.resource+"?page=1", nil)
	must(t, err)
	response, err := c.Do(request)
	must(t, err)
	body, err := io.ReadAll(response.Body)
	must(t, err)
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK || string(body) != `{"accounts":[]}` {
		t.Errorf("the resource answered %d %s, want the accounts", response.StatusCode, body)
	}
}
