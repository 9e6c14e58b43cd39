package client_test

import (
	"errors"
	"maps"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// document answers with the metadata of the issuer, changed.
func document(change map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body := map[string]any{"issuer": issuerURL, "token_endpoint": issuerURL + "/token"}
		maps.Copy(body, change)
		reply(w, http.StatusOK, body)
	}
}

// TestDiscovery holds rows W15 and W16 of STANDARDS 7.10.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change map[string]any
		want   string
	}{
		"W15 another issuer":         {map[string]any{"issuer": "https://evil.example"}, "is for issuer \"https://evil.example\""},
		"W15 trailing slash":         {map[string]any{"issuer": issuerURL + "/"}, "to the last slash"},
		"W15 other case":             {map[string]any{"issuer": "https://AS.example"}, "to the last slash"},
		"W15 no issuer":              {map[string]any{"issuer": nil}, "is for issuer \"\""},
		"W16 token endpoint http":    {map[string]any{"token_endpoint": "http://as.example/token"}, "token_endpoint \"http://as.example/token\" is not https"},
		"W16 token endpoint ftp":     {map[string]any{"token_endpoint": "ftp://as.example/token"}, "not https"},
		"W16 loopback of an https":   {map[string]any{"token_endpoint": "http://127.0.0.1/token"}, "not https"},
		"W16 jwks_uri http":          {map[string]any{"jwks_uri": "http://as.example/jwks"}, "jwks_uri"},
		"W16 introspection http":     {map[string]any{"introspection_endpoint": "http://as.example/i"}, "introspection_endpoint"},
		"W16 revocation http":        {map[string]any{"revocation_endpoint": "http://as.example/r"}, "revocation_endpoint"},
		"W16 relative":               {map[string]any{"token_endpoint": "/token"}, "not an absolute URL"},
		"W16 with user":              {map[string]any{"token_endpoint": "https://a:b@as.example/token"}, "not an absolute URL"},
		"W16 with fragment":          {map[string]any{"token_endpoint": issuerURL + "/token#x"}, "not an absolute URL"},
		"no token endpoint":          {map[string]any{"token_endpoint": nil}, "no token_endpoint"},
		"token endpoint is a number": {map[string]any{"token_endpoint": 7}, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			i, _, s := start(t)
			i.metadata = document(c.change)
			_, err := s.Token(t.Context())
			wantError(t, err, "metadata", c.want)
			wantAsked(t, i, 0)
		})
	}
	t.Run("not JSON", func(t *testing.T) {
		i, _, s := start(t)
		i.metadata = raw(http.StatusOK, "text/html", "<html>")
		_, err := s.Token(t.Context())
		wantError(t, err, "metadata", "not application/json")
	})
	t.Run("404 says what to do", func(t *testing.T) {
		i, _, s := start(t)
		i.metadata = http.NotFound
		_, err := s.Token(t.Context())
		wantError(t, err, "404 Not Found", "check the issuer", "TokenEndpoint")
	})
	t.Run("TokenEndpoint skips it", func(t *testing.T) {
		i := newIssuer(issuerURL)
		c := config(network{"as.example": i})
		c.Issuer, c.TokenEndpoint = "", issuerURL+"/token"
		wantToken(t, source(t, c), "token-1")
		if i.lookups != 0 {
			t.Error("metadata was fetched")
		}
	})
	t.Run("http on loopback", func(t *testing.T) {
		i := newIssuer("http://127.0.0.1:8080")
		c := config(network{"127.0.0.1:8080": i})
		c.Issuer = i.url
		wantToken(t, source(t, c), "token-1")
	})
}

// TestMetadataAge checks how long metadata is believed.
func TestMetadataAge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i, _, s := start(t)
		i.token = i.issue(1)
		after := func(d time.Duration, lookups int) error {
			t.Helper()
			time.Sleep(d)
			_, err := s.Token(t.Context())
			if i.lookups != lookups {
				t.Errorf("metadata was fetched %d times, want %d", i.lookups, lookups)
			}
			return err
		}
		if err := errors.Join(after(0, 1), after(59*time.Minute, 1), after(2*time.Minute, 2)); err != nil {
			t.Fatal(err)
		}
		i.metadata = raw(http.StatusServiceUnavailable, "text/plain", "")
		if err := after(2*time.Hour, 3); err != nil {
			t.Errorf("metadata is down, the token endpoint is not: %v", err)
		}
		if err := after(23*time.Hour, 6); err == nil {
			t.Error("metadata of more than a day ago was believed")
		}
	})
}

// TestMetadataTurnsBad checks that a document that is wrong is not outlived by an older one that was right.
func TestMetadataTurnsBad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i, _, s := start(t)
		token(t, s)
		i.metadata = document(map[string]any{"issuer": "https://evil.example"})
		time.Sleep(2 * time.Hour)
		_, err := s.Token(t.Context())
		wantError(t, err, "evil.example")
		wantAsked(t, i, 1)
	})
}

// TestTokenEndpointMoves checks that a 404 makes the client look again.
func TestTokenEndpointMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i, _, s := start(t)
		i.metadata = document(map[string]any{"token_endpoint": issuerURL + "/old"})
		if _, err := s.Token(t.Context()); err == nil || errors.Is(err, oauth.InvalidClient) {
			t.Fatalf("error is %v, want a 404", err)
		}
		i.metadata = document(nil)
		time.Sleep(time.Second)
		wantToken(t, s, "token-1")
	})
}
