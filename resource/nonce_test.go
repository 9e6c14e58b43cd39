package resource_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// sharedReplays is what several instances of an API share.
type sharedReplays struct {
	mu   sync.Mutex
	used map[string]time.Time
}

func (s *sharedReplays) UseOnce(_ context.Context, id string, until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, used := s.used[id]; used {
		return fmt.Errorf("shared: %w", resource.ErrReplayed)
	}
	s.used[id] = until
	return nil
}

type brokenReplays struct{}

func (brokenReplays) UseOnce(context.Context, string, time.Time) error { return errBroken }

func isUnavailable(err error) bool {
	_, ok := errors.AsType[*resource.UnavailableError](err)
	return ok && errors.Is(err, errBroken)
}

// isRefusal reports whether err refuses a token, and says that nothing else is wrong with it than that it is bound.
func isRefusal(err error, bound bool) bool {
	return errors.Is(err, oauth.InvalidToken) && errors.Is(err, resource.ErrBound) == bound
}

const nonceKey = resource.Secret("a key of 32 bytes, not to be told")

func TestS33(t *testing.T) {
	i := newIssuer(t)
	h := i.holder()
	token := h.token(nil)
	instance := func() *resource.Verifier { return i.verifier(func(c *resource.Config) { c.NonceKey = nonceKey }) }
	v, other := instance(), instance()
	alone := i.verifier(func(c *resource.Config) { c.RequireNonce = true })
	send := func(v *resource.Verifier, nonce any) *http.Response {
		return do(reading(v), demonstrate(token, h.proof(token, changes{"nonce": nonce})))
	}
	demanded := func(t *testing.T, got *http.Response) string {
		t.Helper()
		expectDPoP(t, got, oauth.UseDPoPNonce)
		if got.Header.Get("DPoP-Nonce") == "" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", got.Header)
		}
		return got.Header.Get("DPoP-Nonce")
	}
	nonce := demanded(t, send(v, nil))
	t.Run("S33 no nonce, then the one that was told", func(t *testing.T) {
		expectOK(t, send(v, demanded(t, send(v, nil))))
	})
	t.Run("S33 it is good at the other instance", func(t *testing.T) { expectOK(t, send(other, nonce)) })
	t.Run("S33 a nonce of somebody else", func(t *testing.T) {
		for _, foreign := range []any{"x", "", nonce + "x", nonce[1:], demanded(t, send(alone, nil))} {
			demanded(t, send(v, foreign))
		}
		demanded(t, send(alone, nonce))
	})
	t.Run("S33 a random key works alone", func(t *testing.T) { expectOK(t, send(alone, demanded(t, send(alone, nil)))) })
	t.Run("S33 a proof that was sent back for its nonce is not used up", func(t *testing.T) {
		demanded(t, do(reading(v), demonstrate(token, h.proof(token, changes{"jti": "again"}))))
		expectOK(t, do(reading(v), demonstrate(token, h.proof(token, changes{"jti": "again", "nonce": nonce}))))
	})
	t.Run("RS-33 every refusal that speaks of DPoP has a nonce", func(t *testing.T) {
		for name, r := range map[string]*http.Request{
			"no token": message("", nil, ""), "no proof": demonstrate(token), "as Bearer": message("", []string{"Bearer " + token}, ""),
			"another key": demonstrate(token, i.holder().proof(token, nil)), "garbage": message("", []string{"Bearer x"}, ""),
		} {
			if got := do(reading(v), r); got.StatusCode != http.StatusUnauthorized || got.Header.Get("DPoP-Nonce") == "" {
				t.Errorf("%s: got %d %v", name, got.StatusCode, got.Header)
			}
		}
	})
	t.Run("S33 a client with the newest nonce gets no other", func(t *testing.T) {
		if got := send(v, nonce); got.Header.Get("DPoP-Nonce") != "" || got.Header.Get("Cache-Control") != "" {
			t.Errorf("headers %v", got.Header)
		}
	})
	t.Run("S33 a successful answer brings the next one", func(t *testing.T) {
		i.clock.advance(2 * time.Minute)
		got := send(v, nonce)
		expectOK(t, got)
		next := got.Header.Get("DPoP-Nonce")
		if next == "" || next == nonce || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("headers %v", got.Header)
		}
		i.clock.advance(2 * time.Minute)
		demanded(t, send(v, nonce))
		expectOK(t, send(v, next))
	})
	t.Run("S33 bearer tokens hear nothing of it", func(t *testing.T) {
		if got := get(v, i.mint(nil)); got.StatusCode != http.StatusOK || got.Header.Get("DPoP-Nonce") != "" {
			t.Errorf("got %d %v", got.StatusCode, got.Header)
		}
	})
	t.Run("S33 a script may read the nonce", func(t *testing.T) {
		v := i.verifier(func(c *resource.Config) { c.NonceKey, c.AllowedOrigins = nonceKey, []string{"https://app.test"} })
		r := demonstrate(token, h.proof(token, nil))
		r.Header.Set("Origin", "https://app.test")
		got := do(reading(v), r)
		demanded(t, got)
		if exposed := got.Header.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "DPoP-Nonce") {
			t.Errorf("exposed: %s", exposed)
		}
	})
}

// TestS48 holds what a client is told about the schemes that it may use.
func TestS48(t *testing.T) {
	i := newIssuer(t)
	h := i.holder()
	free, keyed := i.mint(nil), h.token(nil)
	const algorithms = "ES256 Ed25519 EdDSA PS256 ES384"
	either := i.verifier(nil)
	bound := i.verifier(func(c *resource.Config) { c.RequireBound = true })
	dpop := i.verifier(func(c *resource.Config) { c.RequireDPoP = true })
	for _, test := range []struct {
		name    string
		v       *resource.Verifier
		request *http.Request
		status  int
		want    map[string]oauth.Code // scheme and error of each challenge
	}{
		{"S48 no token", either, message("", nil, ""), 401, map[string]oauth.Code{"Bearer": "", "DPoP": ""}},
		{"S48 garbage as Bearer", either, message("", []string{"Bearer x"}, ""), 401, map[string]oauth.Code{"Bearer": badToken, "DPoP": ""}},
		{"S48 garbage as DPoP", either, demonstrate("x", "y"), 401, map[string]oauth.Code{"DPoP": badToken}},
		{"S48 two Authorization headers", either, message("", []string{"DPoP x", "Bearer y"}, ""), 400, map[string]oauth.Code{"Bearer": oauth.InvalidRequest}},
		{"S48 DPoP and nothing", either, message("", []string{"DPoP"}, ""), 400, map[string]oauth.Code{"DPoP": oauth.InvalidRequest}},
		{"S48 a token without the scope", either, message("", []string{"Bearer " + i.mint(changes{"scope": nil})}, ""), 403, map[string]oauth.Code{"Bearer": oauth.InsufficientScope}},
		{"S29 a DPoP-bound token as Bearer", either, message("", []string{"Bearer " + keyed}, ""), 401, map[string]oauth.Code{"DPoP": badToken}},
		{"S30 a bearer token as DPoP", either, demonstrate(free, h.proof(free, nil)), 401, map[string]oauth.Code{"DPoP": badToken}},
		{"S48 bound tokens only, a bearer token", bound, message("", []string{"Bearer " + free}, ""), 401, map[string]oauth.Code{"Bearer": badToken, "DPoP": ""}},
		{"S48 bound tokens only, no token", bound, message("", nil, ""), 401, map[string]oauth.Code{"Bearer": "", "DPoP": ""}},
		{"S48 DPoP only, a bearer token", dpop, message("", []string{"Bearer " + free}, ""), 401, map[string]oauth.Code{"DPoP": badToken}},
		{"S48 DPoP only, no token", dpop, message("", nil, ""), 401, map[string]oauth.Code{"DPoP": ""}},
		{"S48 DPoP only, a token bound to a certificate", dpop, showing(i.mint(changes{"cnf": changes{"x5t#S256": theShow().thumbprint}}), theShow()), 401, map[string]oauth.Code{"DPoP": badToken}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := do(reading(test.v), test.request)
			all := parseChallenges(t, got)
			if got.StatusCode != test.status || len(all) != len(test.want) {
				t.Errorf("got %d with %v, want %d with %v", got.StatusCode, got.Header["Www-Authenticate"], test.status, test.want)
			}
			for scheme, code := range test.want {
				c := all[scheme]
				if _, some := c["error"]; c["error"] != string(code) || some != (code != "") || c["realm"] != theAudience || c["scope"] != "read" || c["resource_metadata"] == "" {
					t.Errorf("%s challenge %v, want error %q", scheme, c, code)
				}
				if want := map[string]string{"DPoP": algorithms}[scheme]; c["algs"] != want {
					t.Errorf("%s challenge has algs %q, want %q", scheme, c["algs"], want)
				}
			}
			if got.Header.Get("DPoP-Nonce") != "" {
				t.Error("a nonce that nobody asked for")
			}
		})
	}
	t.Run("S48 DPoP only accepts DPoP", func(t *testing.T) {
		expectOK(t, do(reading(dpop), demonstrate(keyed, h.proof(keyed, nil))))
		expectOK(t, do(reading(bound), demonstrate(keyed, h.proof(keyed, nil))))
	})
}

// TestBindingMetadata holds what clients can know before their first request (RFC 9728, 2).
func TestBindingMetadata(t *testing.T) {
	i := newIssuer(t)
	const algs, required, certificates = `"dpop_signing_alg_values_supported":["ES256","Ed25519","EdDSA","PS256","ES384"]`,
		`"dpop_bound_access_tokens_required":true`, `"tls_client_certificate_bound_access_tokens":true`
	for name, test := range map[string]struct {
		change func(*resource.Config)
		want   string
	}{
		"W14 nothing set":           {func(*resource.Config) {}, algs},
		"W14 no URL, no DPoP":       {func(c *resource.Config) { c.Audience = "urn:orders" }, ""},
		"W14 DPoP required":         {func(c *resource.Config) { c.RequireDPoP = true }, algs + required},
		"W14 certificates":          {func(c *resource.Config) { c.ClientCertificate = resource.TLSCertificate }, algs + certificates},
		"W14 bound tokens required": {func(c *resource.Config) { c.RequireBound = true }, algs},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			i.verifier(test.change).MetadataHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			for _, member := range []string{algs, required, certificates} {
				name, _, _ := strings.Cut(member, ":")
				if got := w.Body.String(); strings.Contains(got, member) != strings.Contains(test.want, member) || strings.Contains(got, name) != strings.Contains(test.want, name) {
					t.Errorf("metadata %s, want %s", got, test.want)
				}
			}
		})
	}
}
