package endpoint_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/writ-auth/writ/resource"
)

// client returns an HTTP client that reaches the server under its issuer's name.
func (s *server) client(t *testing.T) *http.Client {
	t.Helper()
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.http.Listener.Addr().String())
	}
	transport := &http.Transport{DialTLSContext: dial}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestV10RevokedAtAResourceServer: an API of ours that introspects refuses a revoked token at once, JWT or opaque, and
// finds everything that it needs to know in the issuer's metadata.
func TestV10RevokedAtAResourceServer(t *testing.T) {
	for _, test := range []struct{ name, uri, caller, client string }{
		{"V10 a JWT", resourceA, "rs-a", "c-basic"},
		{"V10 an opaque token", resourceO, "rs-o", "c-opaque"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t)
			verifier, err := resource.NewVerifier(resource.Config{
				Issuer: s.issuer, Audience: test.uri, HTTPClient: s.client(t), Now: s.clock.Now,
				Introspection: &resource.Introspection{
					ClientID: test.caller, ClientSecret: resource.Secret(secretOf(test.caller)), Always: true,
				},
			})
			must(t, err)
			token := s.token(t, test.client, test.uri, "read")
			accepted, err := verifier.Verify(t.Context(), token)
			if err != nil || accepted.ClientID != test.client {
				t.Fatalf("got %+v, %v", accepted, err)
			}
			if got := s.post(t, "/revoke", test.client, "token="+token); got.StatusCode != http.StatusOK {
				t.Fatalf("got %d %s", got.StatusCode, got.body)
			}
			if accepted, err := verifier.Verify(t.Context(), token); err == nil {
				t.Errorf("a revoked token is accepted: %+v", accepted)
			}
			if _, err := verifier.Verify(t.Context(), s.token(t, test.client, test.uri, "read")); err != nil {
				t.Errorf("another token of the client: %v", err)
			}
		})
	}
}
