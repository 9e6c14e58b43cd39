package conformance

import (
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
)

// Each test is a module of the plan fapi2-security-profile-final-test-plan, whose name stands in its comment and in the
// names of its subtests; the variants are those that SECURITY, section 3.3 lists for it.

const prefix = "fapi2-security-profile-final-"

// module runs a module in the variants that it applies to.
func module(t *testing.T, name string, applies func(variant) bool, run func(t *testing.T, s *suite, v variant)) {
	t.Helper()
	s := shared(t)
	for _, v := range variants {
		if applies(v) {
			t.Run(prefix+name+" "+v.String(), func(t *testing.T) { run(t, s, v) })
		}
	}
}

func every(variant) bool           { return true }
func withDPoP(v variant) bool      { return v.bind == dpop }
func withAssertion(v variant) bool { return v.auth == privateKeyJWT }

// TestDiscoveryEndPointVerification is fapi2-security-profile-final-discovery-end-point-verification.
func TestDiscoveryEndPointVerification(t *testing.T) {
	module(t, "discovery-end-point-verification", every, func(t *testing.T, s *suite, v variant) {
		issuer, err := url.Parse(s.metadata.Issuer)
		must(t, err)
		if issuer.Scheme != "https" || issuer.Host == "" || issuer.RawQuery != "" || issuer.Fragment != "" || issuer.User != nil {
			t.Errorf("issuer is %q", s.metadata.Issuer)
		}
		if s.metadata.Issuer != s.issuer {
			t.Errorf("issuer is %q, want %q", s.metadata.Issuer, s.issuer)
		}
		list := func(member string) []string {
			var values []string
			if raw, sent := s.document[member]; sent {
				must(t, json.Unmarshal(raw, &values))
			}
			return values
		}
		allowed := []string{"PS256", "ES256", "EdDSA", "Ed25519"}
		algorithms := func(member string) {
			values := list(member)
			if len(values) == 0 || !slices.ContainsFunc(values, func(name string) bool { return slices.Contains(allowed, name) }) {
				t.Errorf("%s is %q", member, values)
			}
			for _, name := range values {
				if !slices.Contains(allowed, name) {
					t.Errorf("%s names %s, which the profile does not allow", member, name)
				}
			}
		}
		if !slices.Contains(list("grant_types_supported"), "client_credentials") {
			t.Errorf("grant_types_supported is %q", list("grant_types_supported"))
		}
		methods := list("token_endpoint_auth_methods_supported")
		want := map[string][]string{privateKeyJWT: {"private_key_jwt"}, mtls: {"tls_client_auth", "self_signed_tls_client_auth"}}[v.auth]
		for _, method := range want {
			if !slices.Contains(methods, method) {
				t.Errorf("token_endpoint_auth_methods_supported is %q, without %s", methods, method)
			}
		}
		for _, method := range methods {
			if strings.HasPrefix(method, "client_secret") || method == "none" {
				t.Errorf("the profile does not allow %s", method)
			}
		}
		if v.auth == privateKeyJWT {
			algorithms("token_endpoint_auth_signing_alg_values_supported")
		}
		if v.bind == dpop {
			algorithms("dpop_signing_alg_values_supported")
		} else if string(s.document["tls_client_certificate_bound_access_tokens"]) != "true" {
			t.Errorf("tls_client_certificate_bound_access_tokens is %s", s.document["tls_client_certificate_bound_access_tokens"])
		}
		for _, scope := range list("scopes_supported") {
			if scope == "" || strings.ContainsAny(scope, " \"\\") {
				t.Errorf("scopes_supported has %q", scope)
			}
		}
		for _, member := range []string{"token_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint"} {
			var address string
			must(t, json.Unmarshal(s.document[member], &address))
			if !strings.HasPrefix(address, "https://") {
				t.Errorf("%s is %q", member, address)
			}
		}
		if v.needsCertificate() && s.metadata.Aliases.TokenEndpoint == "" {
			t.Error("there is no mtls_endpoint_aliases.token_endpoint")
		}
	})
}

// TestHappyFlow is fapi2-security-profile-final-happy-flow.
func TestHappyFlow(t *testing.T) {
	module(t, "happy-flow", every, func(t *testing.T, s *suite, v variant) {
		s.transportSecurity(t, hostOf(t, s.resource))
		for _, p := range s.parties[v] {
			token := s.granted(t, p, s.ask(t, p, ask{}))
			s.bound(t, p, token)
			answer := s.call(t, p, token, call{})
			allowed(t, answer)
			date, err := http.ParseTime(answer.header.Get("Date"))
			if err != nil || time.Since(date).Abs() > 5*time.Minute {
				t.Errorf("Date is %q", answer.header.Get("Date"))
			}
			for _, accept := range []string{"application/json;charset=utf-8", "*/*"} {
				allowed(t, s.call(t, p, token, call{header: func(h http.Header) { h.Set("Accept", accept) }}))
			}
			allowed(t, s.call(t, p, token, call{header: func(h http.Header) {
				h.Set("x-fapi-customer-ip-address", "2001:db8::1893:25c8:1946")
				h.Set("x-fapi-interaction-id", "c770aef3-6784-41f7-8e0e-ff5f97bddb3a")
			}}))
			inQuery := s.call(t, p, token, call{noToken: true, query: "?access_token=" + token})
			if !slices.Contains([]int{400, 401, 414}, inQuery.status) {
				t.Errorf("with the token in the query the resource answered %d", inQuery.status)
			}
		}
	})
}

// TestAccessTokenTypeHeaderCaseSensitivity is fapi2-security-profile-final-access-token-type-header-case-sensitivity.
func TestAccessTokenTypeHeaderCaseSensitivity(t *testing.T) {
	module(t, "access-token-type-header-case-sensitivity", every, func(t *testing.T, s *suite, v variant) {
		p := s.parties[v][0]
		token := s.granted(t, p, s.ask(t, p, ask{}))
		scheme := map[string]string{dpop: "dPOP", mtls: "bEARER"}[v.bind]
		allowed(t, s.call(t, p, token, call{scheme: scheme}))
	})
}

// TestCheckDPoPProofNbfExp is fapi2-security-profile-final-check-dpop-proof-nbf-exp.
func TestCheckDPoPProofNbfExp(t *testing.T) {
	module(t, "check-dpop-proof-nbf-exp", withDPoP, func(t *testing.T, s *suite, v variant) {
		now := time.Now().Unix()
		s.provesWith(t, s.parties[v][0], claims{"nbf": now, "exp": now + 300})
	})
}

// TestEnsureDPoPProofWithIat10SecondsBeforeSucceeds is fapi2-security-profile-final-ensure-dpopproof-with-iat-10seconds-before-succeeds.
func TestEnsureDPoPProofWithIat10SecondsBeforeSucceeds(t *testing.T) {
	module(t, "ensure-dpopproof-with-iat-10seconds-before-succeeds", withDPoP, func(t *testing.T, s *suite, v variant) {
		s.provesWith(t, s.parties[v][0], claims{"iat": time.Now().Unix() - 10})
	})
}

// TestEnsureDPoPProofWithIat10SecondsAfterSucceeds is fapi2-security-profile-final-ensure-dpopproof-with-iat-10seconds-after-succeeds.
func TestEnsureDPoPProofWithIat10SecondsAfterSucceeds(t *testing.T) {
	module(t, "ensure-dpopproof-with-iat-10seconds-after-succeeds", withDPoP, func(t *testing.T, s *suite, v variant) {
		s.provesWith(t, s.parties[v][0], claims{"iat": time.Now().Unix() + 10})
	})
}

// provesWith checks that a proof with other claims is good at both places.
func (s *suite) provesWith(t *testing.T, p party, change claims) {
	t.Helper()
	token := s.granted(t, p, s.ask(t, p, ask{proof: proof{claims: change}}))
	allowed(t, s.call(t, p, token, call{proof: proof{claims: change}}))
}

// TestEnsureClientIDInTokenEndpoint is fapi2-security-profile-final-ensure-client-id-in-token-endpoint.
func TestEnsureClientIDInTokenEndpoint(t *testing.T) {
	module(t, "ensure-client-id-in-token-endpoint", every, func(t *testing.T, s *suite, v variant) {
		first, second := s.parties[v][0], s.parties[v][1]
		wrong := func(t *testing.T, p party, a ask) {
			t.Helper()
			refused(t, s.ask(t, p, a), "invalid_client", "invalid_grant")
		}
		if v.auth == mtls {
			wrong(t, second, ask{certificate: func(party) *party { return &first }})
			return
		}
		wrong(t, second, ask{signedBy: &first})
		wrong(t, first, ask{form: map[string]string{"client_id": second.id}})
	})
}

// TestEnsureHolderOfKeyRequired is fapi2-security-profile-final-ensure-holder-of-key-required.
func TestEnsureHolderOfKeyRequired(t *testing.T) {
	module(t, "ensure-holder-of-key-required", every, func(t *testing.T, s *suite, v variant) {
		s.transportSecurity(t, hostOf(t, s.metadata.TokenEndpoint))
		s.transportSecurity(t, hostOf(t, s.metadata.Aliases.TokenEndpoint))
		p := s.parties[v][0]
		if v.bind == dpop {
			refused(t, s.ask(t, p, ask{noProof: true}), "invalid_request", "invalid_grant", "invalid_dpop_proof")
			return
		}
		codes := []string{"invalid_client", "invalid_request"}
		if v.auth == privateKeyJWT {
			codes = append(codes, "invalid_grant")
		}
		bare := s.ask(t, p, ask{certificate: func(party) *party { return nil }})
		refused(t, bare, codes...)
	})
}

// TestEnsureSignedClientAssertionWithRS256Fails is fapi2-security-profile-final-ensure-signed-client-assertion-with-RS256-fails.
func TestEnsureSignedClientAssertionWithRS256Fails(t *testing.T) {
	module(t, "ensure-signed-client-assertion-with-RS256-fails", withAssertion, func(t *testing.T, s *suite, v variant) {
		p := s.parties[v][1]
		if p.algorithm != gojose.PS256 {
			t.Fatalf("the second client signs with %s", p.algorithm)
		}
		refused(t, s.ask(t, p, ask{algorithm: gojose.RS256}), "invalid_client")
	})
}

// TestEnsureClientAssertionInTokenEndpoint is fapi2-security-profile-final-ensure-client-assertion-in-token-endpoint.
func TestEnsureClientAssertionInTokenEndpoint(t *testing.T) {
	module(t, "ensure-client-assertion-in-token-endpoint", withAssertion, func(t *testing.T, s *suite, v variant) {
		refused(t, s.ask(t, s.parties[v][0], ask{noAssertion: true}), "invalid_client", "invalid_request")
	})
}

// TestEnsureClientAssertionWithExpIs5MinutesInPastFails is
// fapi2-security-profile-final-ensure-client-assertion-with-exp-is-5-minutes-in-past-fails.
func TestEnsureClientAssertionWithExpIs5MinutesInPastFails(t *testing.T) {
	module(t, "ensure-client-assertion-with-exp-is-5-minutes-in-past-fails", withAssertion, func(t *testing.T, s *suite, v variant) {
		refused(t, s.ask(t, s.parties[v][0], ask{assertion: claims{"exp": time.Now().Unix() - 300}}), "invalid_client", "invalid_request")
	})
}

// TestEnsureClientAssertionWithWrongAudFails is fapi2-security-profile-final-ensure-client-assertion-with-wrong-aud-fails.
func TestEnsureClientAssertionWithWrongAudFails(t *testing.T) {
	module(t, "ensure-client-assertion-with-wrong-aud-fails", withAssertion, func(t *testing.T, s *suite, v variant) {
		for _, audience := range []any{"https://www.example.com/", s.metadata.TokenEndpoint, []string{s.metadata.Issuer, "https://www.example.com/"}} {
			refused(t, s.ask(t, s.parties[v][0], ask{assertion: claims{"aud": audience}}), "invalid_client", "invalid_request")
		}
	})
}

// TestEnsureClientAssertionWithNoSubFails is fapi2-security-profile-final-ensure-client-assertion-with-no-sub-fails.
func TestEnsureClientAssertionWithNoSubFails(t *testing.T) {
	module(t, "ensure-client-assertion-with-no-sub-fails", withAssertion, func(t *testing.T, s *suite, v variant) {
		refused(t, s.ask(t, s.parties[v][0], ask{assertion: claims{"sub": nil}}), "invalid_client", "invalid_request")
	})
}

// TestDPoPNegativeTests is fapi2-security-profile-final-dpop-negative-tests: the list of SECURITY, section 3.4, against the
// resource.
func TestDPoPNegativeTests(t *testing.T) {
	module(t, "dpop-negative-tests", withDPoP, func(t *testing.T, s *suite, v variant) {
		p := s.parties[v][0]
		token := s.granted(t, p, s.ask(t, p, ask{}))
		for _, test := range s.proofs(t, p, token) {
			t.Run(test.name, func(t *testing.T) {
				answer := s.call(t, p, token, test.call)
				if test.good {
					allowed(t, answer)
				} else {
					denied(t, answer)
				}
			})
		}
		allowed(t, s.call(t, p, token, call{}))
	})
}

type proofTest struct {
	name string
	call call
	good bool
}

// proofs are the requests of dpop-negative-tests.
func (s *suite) proofs(t *testing.T, p party, token string) []proofTest {
	right := func() string {
		return s.proof(t, p, proof{method: http.MethodGet, url: s.resource, token: token})
	}
	once := right()
	allowed(t, s.call(t, p, token, call{proofs: []string{once}}))
	other := s.parties[p.variant][1]
	rsa := s.rsaKey
	upper := strings.Replace(s.resource, "https://", "HTTPS://", 1)
	host := hostOf(t, s.resource)
	upper = strings.Replace(upper, host, strings.ToUpper(host), 1)
	now := time.Now().Unix()
	changes := func(change claims) call { return call{proof: proof{claims: change}} }
	header := func(change map[gojose.HeaderKey]any) call { return call{proof: proof{header: change}} }
	tests := []proofTest{
		{name: "two DPoP headers", call: call{proofs: []string{right(), right()}}},
		{name: "not a JWT", call: call{proofs: []string{"this.is.not-a-jwt"}}},
		{name: "no typ", call: header(map[gojose.HeaderKey]any{"typ": nil})},
		{name: "wrong typ", call: header(map[gojose.HeaderKey]any{"typ": "JWT"})},
		{name: "no jti", call: changes(claims{"jti": nil})},
		{name: "no htm", call: changes(claims{"htm": nil})},
		{name: "no htu", call: changes(claims{"htu": nil})},
		{name: "no iat", call: changes(claims{"iat": nil})},
		{name: "no ath", call: changes(claims{"ath": nil})},
		{name: "wrong htm", call: changes(claims{"htm": "POST"})},
		{name: "different htu", call: changes(claims{"htu": "https://www.example.com/other"})},
		{name: "iat an hour ahead", call: changes(claims{"iat": now + 3600})},
		{name: "iat an hour ago", call: changes(claims{"iat": now - 3600})},
		{name: "wrong ath", call: changes(claims{"ath": thumbprint([]byte("another token"))})},
		{name: "another key than cnf.jkt", call: call{proof: proof{key: other.proofKey}}},
		{name: "the same jti twice", call: call{proofs: []string{once}}},
		{name: "no DPoP header", call: call{proofs: []string{}}},
		{name: "no DPoP header with scheme Bearer", call: call{proofs: []string{}, scheme: "Bearer"}},
		{name: "with a proof and scheme Bearer", call: call{scheme: "Bearer"}},
		{name: "signed with RS256", call: call{proofs: []string{
			sign(t, rsa, gojose.RS256, map[gojose.HeaderKey]any{"typ": "dpop+jwt"}, true, s.proofClaims(token)),
		}}},
		{name: "htu with query and fragment", call: changes(claims{"htu": s.resource + "?a=b#c"}), good: true},
		{name: "htu without the query", call: call{query: "?a=b"}, good: true},
		{name: "unknown header and claims", call: call{proof: proof{
			header: map[gojose.HeaderKey]any{"x-extra": "1"}, claims: claims{"extra": map[string]any{"a": 1}},
		}}, good: true},
		{name: "htu with scheme and host in upper case", call: changes(claims{"htu": upper}), good: true},
		{name: "header name in capitals", good: true, call: call{proofs: []string{}, header: func(h http.Header) {
			h["DPOP"] = []string{right()}
		}}},
	}
	return append(tests, s.brokenProofs(t, p, token)...)
}

func (s *suite) proofClaims(token string) claims {
	return claims{"jti": rand.Text(), "htm": http.MethodGet, "htu": s.resource, "iat": time.Now().Unix(), "ath": thumbprint([]byte(token))}
}

// brokenProofs are proofs that no library would make.
func (s *suite) brokenProofs(t *testing.T, p party, token string) []proofTest {
	point, err := p.proofKey.Public().(interface{ Bytes() ([]byte, error) }).Bytes()
	must(t, err)
	coordinates := func() map[string]any {
		size := (elliptic.P256().Params().BitSize + 7) / 8
		encode := base64.RawURLEncoding.EncodeToString
		return map[string]any{"kty": "EC", "crv": "P-256", "x": encode(point[1 : 1+size]), "y": encode(point[1+size:])}
	}
	private, err := json.Marshal(gojose.JSONWebKey{Key: p.proofKey})
	must(t, err)
	var withD map[string]any
	must(t, json.Unmarshal(private, &withD))
	signed := func(header map[string]any) string {
		// The signature is over these very bytes, so that nothing but the member in question is wrong.
		return signRaw(t, p.proofKey, header, s.proofClaims(token))
	}
	base := func(change func(map[string]any)) map[string]any {
		header := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": coordinates()}
		change(header)
		return header
	}
	right := signed(base(func(map[string]any) {}))
	tampered := right[:len(right)-4] + map[bool]string{true: "AAAA", false: "BBBB"}[!strings.HasSuffix(right, "AAAA")]
	only := func(compact string) call { return call{proofs: []string{compact}} }
	return []proofTest{
		{name: "made by hand", call: only(right), good: true},
		{name: "no alg", call: only(signed(base(func(h map[string]any) { delete(h, "alg") })))},
		{name: "no jwk", call: only(signed(base(func(h map[string]any) { delete(h, "jwk") })))},
		{name: "jwk with the private key", call: only(signed(base(func(h map[string]any) { h["jwk"] = withD })))},
		{name: "bad signature", call: only(tampered)},
		{name: "alg none", call: only(compact(t, base(func(h map[string]any) { h["alg"] = "none" }), s.proofClaims(token), nil))},
	}
}
