package endpoint_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	gojwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/writ-auth/writ/internal/endpoint"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// get fetches a document.
func (s *server) get(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	return (&conversation{server: s}).send(t, step{method: http.MethodGet, target: path, headers: headers})
}

// keys returns the published key set, each key as its members.
func (s *server) keys(t *testing.T) map[string]map[string]any {
	t.Helper()
	var set struct{ Keys []map[string]any }
	must(t, json.Unmarshal([]byte(s.get(t, "/jwks").body), &set))
	all := map[string]map[string]any{}
	for _, key := range set.Keys {
		id, _ := key["kid"].(string)
		if _, twice := all[id]; twice || id == "" {
			t.Errorf("kid %q stands twice or is empty", id)
		}
		all[id] = key
	}
	return all
}

// header returns what the header of a JWT says.
func header(t *testing.T, token string) map[string]string {
	t.Helper()
	first, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(first)
	must(t, err)
	var members map[string]string
	must(t, json.Unmarshal(data, &members))
	return members
}

// TestAlgorithms mints a token with every algorithm and has others check it by the keys that are served: go-jose, jwx and
// our own resource package.
func TestAlgorithms(t *testing.T) {
	s := newServer(t)
	uri := func(algorithm string) string { return "https://" + strings.ToLower(algorithm) + ".test" }
	client := store.Client{ID: "c-all", Name: "c-all", AuthMethod: oauth.ClientSecretBasic, GrantTypes: []string{oauth.ClientCredentials}}
	client.Secrets = []store.Secret{{ID: "1", Hash: store.HashSecret(secretOf("c-all"))}}
	for _, algorithm := range jose.Algorithms {
		must(t, s.ring.Ensure(t.Context(), algorithm))
		r := store.Resource{URI: uri(algorithm), Format: store.FormatJWT, Algorithm: algorithm, Scopes: []store.Scope{{Name: "read"}}}
		must(t, s.store.Resources().Insert(t.Context(), r))
		client.Grants = append(client.Grants, store.Grant{Resource: r.URI, Scopes: []string{"read"}})
		client.ResourceServerFor = append(client.ResourceServerFor, r.URI)
	}
	must(t, s.store.Clients().Insert(t.Context(), client))
	s.poll(t)
	served := s.get(t, "/jwks")
	published := s.keys(t)

	for _, algorithm := range jose.Algorithms {
		t.Run("W07, W13 "+algorithm, func(t *testing.T) {
			token := s.token(t, "c-all", uri(algorithm), "read")
			head := header(t, token)
			if head["alg"] != algorithm || head["typ"] != "at+jwt" || len(head) != 3 {
				t.Errorf("header: got %v", head)
			}
			if key := published[head["kid"]]; key["alg"] != algorithm || key["use"] != "sig" {
				t.Errorf("the key in /jwks: got %v", key)
			}
			s.active(t, "c-all", token, true)

			set, err := jwk.ParseString(served.body)
			must(t, err)
			parsed, err := jwt.ParseString(token, jwt.WithKeySet(set), jwt.WithIssuer(s.issuer), jwt.WithAudience(uri(algorithm)),
				jwt.WithClock(jwt.ClockFunc(s.clock.Now)))
			if err != nil {
				t.Errorf("jwx: %v", err)
			} else if subject, _ := parsed.Subject(); subject != "c-all" {
				t.Errorf("jwx: subject %q", subject)
			}

			verifier, err := resource.NewVerifier(resource.Config{
				Issuer: s.issuer, Audience: uri(algorithm), Algorithms: []string{algorithm}, Keys: s.ring, Now: s.clock.Now,
			})
			must(t, err)
			if _, err := verifier.Verify(t.Context(), token); err != nil {
				t.Errorf("resource: %v", err)
			}
			if algorithm != jose.Ed25519 { // go-jose knows it by its older name only
				checkWithGoJose(t, s, token, served.body, algorithm)
			}
			if others := confuse(t, token, algorithm); len(others) > 0 {
				for name, forged := range others {
					if got := s.post(t, "/introspect", "c-all", "token="+forged); got.body != `{"active":false}` {
						t.Errorf("W07 %s: got %s", name, got.body)
					}
				}
			}
		})
	}
}

func checkWithGoJose(t *testing.T, s *server, token, served, algorithm string) {
	t.Helper()
	var set gojose.JSONWebKeySet
	must(t, json.Unmarshal([]byte(served), &set))
	parsed, err := gojwt.ParseSigned(token, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(algorithm)})
	must(t, err)
	var said gojwt.Claims
	if err := parsed.Claims(set, &said); err != nil {
		t.Fatalf("go-jose: %v", err)
	}
	expected := gojwt.Expected{Issuer: s.issuer, Subject: "c-all", Time: s.clock.Now()}
	if err := said.Validate(expected); err != nil {
		t.Errorf("go-jose: %v", err)
	}
}

// confuse returns the token with every other algorithm in its header, "none" and a MAC among them.
func confuse(t *testing.T, token, algorithm string) map[string]string {
	t.Helper()
	_, rest, _ := strings.Cut(token, ".")
	forged := map[string]string{}
	for _, other := range append(slices.Clone(jose.Algorithms), "none", "None", "HS256", "RS384", "ES512", "ES256K", "") {
		if other == algorithm {
			continue
		}
		head := header(t, token)
		head["alg"] = other
		data, err := json.Marshal(head)
		must(t, err)
		forged[other] = base64.RawURLEncoding.EncodeToString(data) + "." + rest
	}
	payload, _, _ := strings.Cut(rest, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	forged["none, no signature"] = none + "." + payload + "."
	return forged
}

func TestW10KeySetHasPublicMembersOnly(t *testing.T) {
	s := newServer(t)
	must(t, s.ring.Ensure(t.Context(), jose.RS256))
	must(t, s.ring.Ensure(t.Context(), jose.Ed25519))
	all := s.keys(t)
	if len(all) != 3 {
		t.Fatalf("got %d keys, want those of ES256, RS256 and Ed25519, and none that seals", len(all))
	}
	allowed := []string{"kty", "kid", "alg", "use", "crv", "x", "y", "n", "e"}
	for id, key := range all {
		for member := range key {
			if !slices.Contains(allowed, member) {
				t.Errorf("key %s has a member %s", id, member)
			}
		}
		if key["use"] != "sig" || key["alg"] == "" {
			t.Errorf("key %s: got %v", id, key)
		}
	}
}

func TestW11RotationIsAnnounced(t *testing.T) {
	s := newServer(t)
	tick := func(by time.Duration) {
		t.Helper()
		s.clock.move(by)
		must(t, s.ring.Tick(t.Context()))
		s.poll(t)
	}
	policy := keyring.DefaultPolicy
	if policy.Announce < endpoint.JWKSMaxAge {
		t.Fatalf("a key is announced for %v, and the key set may be cached for %v", policy.Announce, endpoint.JWKSMaxAge)
	}
	before := s.keys(t)
	old := header(t, s.token(t, "c-basic", resourceA, "read"))["kid"]
	tick(policy.Lifetime - policy.Announce - time.Hour) // the fixture's first key is an hour old
	after := s.keys(t)
	if len(before) != 1 || len(after) != 2 {
		t.Fatalf("got %d and then %d keys, want 1 and 2", len(before), len(after))
	}
	tick(policy.Announce - time.Second)
	last := s.token(t, "c-basic", resourceA, "read")
	if got := header(t, last)["kid"]; got != old {
		t.Fatalf("%s signs before its time, want %s", got, old)
	}
	tick(time.Second)
	next := header(t, s.token(t, "c-basic", resourceA, "read"))["kid"]
	if next == old || after[next] == nil {
		t.Errorf("%s signs, want the key that was announced a day before", next)
	}
	tick(299 * time.Second)
	s.active(t, "rs-a", last, false) // it has expired, a second after its key stopped
	if s.keys(t)[old] == nil {
		t.Error("the old key is gone while its tokens may live")
	}
	tick(policy.MaxTokenTTL - 5*time.Minute)
	if s.keys(t)[old] == nil {
		t.Error("the old key is gone before its longest token")
	}
	tick(2 * time.Minute)
	if s.keys(t)[old] != nil {
		t.Error("the old key is still there")
	}
}

func TestW12NotModified(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/jwks", "/.well-known/oauth-authorization-server"} {
		tag := s.get(t, path).Header.Get("ETag")
		for _, sent := range []string{tag, `"other", ` + tag, "W/" + tag, `"x",` + tag} {
			got := s.get(t, path, "If-None-Match: "+sent)
			if got.StatusCode != http.StatusNotModified || got.body != "" || got.Header.Get("ETag") != tag || got.Header.Get("Cache-Control") == "" {
				t.Errorf("W12 %s If-None-Match %s: got %d %v %q", path, sent, got.StatusCode, got.Header, got.body)
			}
		}
	}
	tag := s.get(t, "/jwks").Header.Get("ETag")
	must(t, s.ring.Ensure(t.Context(), jose.Ed25519))
	if got := s.get(t, "/jwks", "If-None-Match: "+tag); got.StatusCode != http.StatusOK || got.Header.Get("ETag") == tag {
		t.Errorf("after a change: got %d with ETag %s", got.StatusCode, got.Header.Get("ETag"))
	}
}

// TestI14SignedIntrospection is the answer as a JWT (RFC 9701), and what must not be done with it.
func TestI14SignedIntrospection(t *testing.T) {
	s := newServer(t)
	ask := func(t *testing.T, caller, token, accept string) answer {
		t.Helper()
		return (&conversation{server: s}).send(t, step{method: http.MethodPost, target: "/introspect", body: "token=" + token, headers: []string{
			"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic(caller, secretOf(caller)), "Accept: " + accept,
		}})
	}
	const media = "application/token-introspection+jwt"
	token := s.token(t, "c-basic", resourceA, "read")
	got := ask(t, "rs-a", token, media)

	t.Run("I14 its type, its claims and its signature", func(t *testing.T) {
		if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != media || got.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("got %d %v", got.StatusCode, got.Header)
		}
		if head := header(t, got.body); head["typ"] != "token-introspection+jwt" || s.keys(t)[head["kid"]] == nil {
			t.Errorf("header: got %v", head)
		}
		set, err := jwk.ParseString(s.get(t, "/jwks").body)
		must(t, err)
		if _, err := jwt.ParseString(got.body, jwt.WithKeySet(set), jwt.WithClock(jwt.ClockFunc(s.clock.Now))); err != nil {
			t.Errorf("jwx: %v", err)
		}
		said := payload(t, got.body)
		matches(t, said, `{"iss":"https://as.example","aud":"rs-a","iat":1795348800,"token_introspection":"<any>"}`, true)
		var inner struct {
			Answer json.RawMessage `json:"token_introspection"`
		}
		must(t, json.Unmarshal([]byte(said), &inner))
		matches(t, string(inner.Answer), `{"active":true,"client_id":"c-basic","aud":"https://a.test"}`, false)
	})
	t.Run("I14 not active for another caller, nor without authentication", func(t *testing.T) {
		matches(t, payload(t, ask(t, "rs-b", token, media).body),
			`{"iss":"https://as.example","aud":"rs-b","iat":1795348800,"token_introspection":{"active":false}}`, true)
		if got := ask(t, "c-stranger", token, media); got.StatusCode != http.StatusUnauthorized || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %d %v", got.StatusCode, got.Header)
		}
	})
	t.Run("I14 among other media types, in any case", func(t *testing.T) {
		for accept, want := range map[string]string{
			"application/json, Application/Token-Introspection+JWT;q=0.5": media,
			"*/*": "application/json", "application/jwt": "application/json", "application/json": "application/json",
			media + ";q=0, application/json": "application/json",
		} {
			if got := ask(t, "rs-a", token, accept).Header.Get("Content-Type"); got != want {
				t.Errorf("Accept %s: got %s, want %s", accept, got, want)
			}
		}
	})
	t.Run("I15 it is no access token", func(t *testing.T) {
		s.active(t, "rs-a", got.body, false)
		for _, audience := range []string{resourceA, "https://rs-a"} {
			verifier, err := resource.NewVerifier(resource.Config{Issuer: s.issuer, Audience: audience, Keys: s.ring, Now: s.clock.Now})
			must(t, err)
			if _, err := verifier.Verify(t.Context(), got.body); err == nil {
				t.Errorf("resource takes it for %s", audience)
			}
		}
	})
	t.Run("I07, I15 a JWT of ours with every claim of an access token, and another type", func(t *testing.T) {
		signer, err := s.ring.Signer(jose.ES256)
		must(t, err)
		for typ, want := range map[string]bool{
			"at+jwt": true, "application/at+jwt": true, "JWT": false, "": false, "token-introspection+jwt": false,
			"client-authentication+jwt": false, "at": false,
		} {
			signed, err := signer.Sign(typ, []byte(payload(t, token)))
			must(t, err)
			s.active(t, "rs-a", signed, want)
		}
	})
	t.Run("I16 what one resource server was told is not for another", func(t *testing.T) {
		set, err := jwk.ParseString(s.get(t, "/jwks").body)
		must(t, err)
		at := jwt.WithClock(jwt.ClockFunc(s.clock.Now))
		if _, err := jwt.ParseString(got.body, jwt.WithKeySet(set), at, jwt.WithAudience("rs-b")); err == nil {
			t.Error("jwx takes rs-a's answer for rs-b")
		}
		if _, err := jwt.ParseString(got.body, jwt.WithKeySet(set), at, jwt.WithAudience("rs-a")); err != nil {
			t.Errorf("jwx: %v", err)
		}
	})
}

func payload(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a JWT", token)
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	return string(data)
}
