package resource_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

const (
	badProof = oauth.InvalidDPoPProof
	badToken = oauth.InvalidToken
)

// TestRS33 is the list of the OpenID Foundation's module dpop-negative-tests, and more of the kind: with a token that was
// never seen, and with one whose signature need not be checked again.
func TestRS33(t *testing.T) {
	for name, size := range map[string]int{"token remembered": 0, "token not remembered": -1} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			v := i.verifier(func(c *resource.Config) { c.CacheSize = size })
			h := i.holder()
			token := h.token(nil)
			expectOK(t, do(reading(v), demonstrate(token, h.proof(token, nil))))
			refusedProofs(t, v, h, token)
			acceptedProofs(t, v, h, token)
			t.Run("RS-33 the same jti twice", func(t *testing.T) {
				claims := h.claims(token, nil)
				expectOK(t, do(reading(v), demonstrate(token, signRaw(h.key, h.header(nil), claims))))
				expectDPoP(t, do(reading(v), demonstrate(token, signRaw(h.key, h.header(nil), claims))), badProof)
				later := h.proof(token, changes{"jti": "once", "iat": i.clock.Now().Unix() - 30})
				expectOK(t, do(reading(v), demonstrate(token, later)))
				expectDPoP(t, do(reading(v), demonstrate(token, h.proof(token, changes{"jti": "once"}))), badProof)
			})
			t.Run("RS-33 no DPoP header with scheme Bearer", func(t *testing.T) { expectDPoP(t, get(v, token), badToken) })
			t.Run("RS-33 final correct proof", func(t *testing.T) {
				expectOK(t, do(reading(v), demonstrate(token, h.proof(token, nil))))
			})
		})
	}
}

func refusedProofs(t *testing.T, v *resource.Verifier, h holder, token string) {
	good := func() string { return h.proof(token, nil) }
	headed := func(change changes) string { return signRaw(h.key, h.header(change), h.claims(token, nil)) }
	now := h.issuer.clock.Now().Unix()
	private, err := json.Marshal(gojose.JSONWebKey{Key: h.key})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good(), ".")
	other := h.issuer.holder()
	rs256, err := signerOf(rsaKey(), jose.RS256).SignWithKey("dpop+jwt", []byte(h.claims(token, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		proofs []string
		code   oauth.Code
	}{
		{"RS-33, S31 two DPoP headers", []string{good(), good()}, badProof},
		{"RS-33, S31 two DPoP headers, the same", []string{parts[0] + "." + parts[1] + "." + parts[2], good()}, badProof},
		{"RS-33 two proofs in one header", []string{good() + ", " + good()}, badProof},
		{"RS-33, S31 no DPoP header", nil, badProof},
		{"RS-33 an empty DPoP header", []string{""}, badProof},
		{"RS-33 not a JWT", []string{"not a JWT"}, badProof},
		{"RS-33 the access token as proof", []string{token}, badProof},
		{"RS-33 no typ", []string{headed(changes{"typ": nil})}, badProof},
		{"RS-33 wrong typ", []string{headed(changes{"typ": "JWT"})}, badProof},
		{"RS-33 typ of a client assertion", []string{headed(changes{"typ": oauth.TypeClientAuthentication})}, badProof},
		{"RS-33 no alg", []string{headed(changes{"alg": nil})}, badProof},
		{"RS-33 alg none, signed", []string{headed(changes{"alg": "none"})}, badProof},
		{"RS-33 alg none", []string{b64(h.header(changes{"alg": "none"})) + "." + parts[1] + "."}, badProof},
		{"RS-33 alg HS256", []string{headed(changes{"alg": "HS256"})}, badProof},
		{"RS-33 no jwk", []string{headed(changes{"jwk": nil})}, badProof},
		{"RS-33 jwk contains the private key", []string{headed(changes{"jwk": json.RawMessage(private)})}, badProof},
		{"RS-33 jwk symmetric", []string{headed(changes{"jwk": changes{"kty": "oct", "k": "AAAA"}})}, badProof},
		{"RS-33 jwk of somebody else", []string{headed(changes{"jwk": other.jwk})}, badProof},
		{"RS-33 crit", []string{headed(changes{"crit": []string{"jwk"}})}, badProof},
		{"RS-33 no jti", []string{h.proof(token, changes{"jti": nil})}, badProof},
		{"RS-33 jti empty", []string{h.proof(token, changes{"jti": ""})}, badProof},
		{"RS-33 jti of 257 bytes", []string{h.proof(token, changes{"jti": strings.Repeat("j", 257)})}, badProof},
		{"RS-33 no htm", []string{h.proof(token, changes{"htm": nil})}, badProof},
		{"RS-33 no htu", []string{h.proof(token, changes{"htu": nil})}, badProof},
		{"RS-33 no iat", []string{h.proof(token, changes{"iat": nil})}, badProof},
		{"RS-33 iat a string", []string{h.proof(token, changes{"iat": fmt.Sprint(now)})}, badProof},
		{"RS-33, S32 no ath", []string{h.proof(token, changes{"ath": nil})}, badProof},
		{"RS-33, S32 wrong ath", []string{h.proof(token, changes{"ath": hash(token + "x")})}, badProof},
		{"RS-33 ath in hex", []string{h.proof(token, changes{"ath": fmt.Sprintf("%x", hash(token))})}, badProof},
		{"RS-33 RS256", []string{rs256}, badToken}, // it is another key as well, and TestDPoPAlgorithms has one that is not
		{"RS-33 bad signature", []string{parts[0] + "." + parts[1] + "." + strings.Split(good(), ".")[2]}, badProof},
		{"RS-33, S32 wrong htm", []string{h.proof(token, changes{"htm": "POST"})}, badProof},
		{"RS-33, S32 htm in lower case", []string{h.proof(token, changes{"htm": "get"})}, badProof},
		{"RS-33, S32 different htu", []string{h.proof(token, changes{"htu": theAudience + "/other"})}, badProof},
		{"RS-33, S32 htu below", []string{h.proof(token, changes{"htu": theURL + "/1"})}, badProof},
		{"RS-33, S32 htu of another host", []string{h.proof(token, changes{"htu": "https://b.test/orders"})}, badProof},
		{"RS-33, S32 htu of the issuer's token endpoint", []string{h.proof(token, changes{"htu": theIssuer + "/token"})}, badProof},
		{"RS-33, S32 htu over http", []string{h.proof(token, changes{"htu": "http://a.test/orders"})}, badProof},
		{"RS-33, S32 htu on another port", []string{h.proof(token, changes{"htu": "https://a.test:8443/orders"})}, badProof},
		{"RS-33 htu relative", []string{h.proof(token, changes{"htu": "/orders"})}, badProof},
		{"RS-33, S32 iat in an hour", []string{h.proof(token, changes{"iat": now + 3600})}, badProof},
		{"RS-33, S32 iat an hour ago", []string{h.proof(token, changes{"iat": now - 3600})}, badProof},
		{"RS-33 iat in 11 s", []string{h.proof(token, changes{"iat": now + 11})}, badProof},
		{"RS-33 iat 61 s ago", []string{h.proof(token, changes{"iat": now - 61})}, badProof},
		{"RS-33, S32 other key than cnf.jkt", []string{other.proof(token, nil)}, badToken},
	} {
		t.Run(test.name, func(t *testing.T) {
			expectDPoP(t, do(reading(v), demonstrate(token, test.proofs...)), test.code)
		})
	}
}

func acceptedProofs(t *testing.T, v *resource.Verifier, h holder, token string) {
	now := h.issuer.clock.Now().Unix()
	for name, proof := range map[string]string{
		"RS-33 htu with query and fragment":     h.proof(token, changes{"htu": theURL + "?a=b#c"}),
		"RS-33 htu with scheme in upper case":   h.proof(token, changes{"htu": "HTTPS://a.test/orders"}),
		"RS-33 htu with host in upper case":     h.proof(token, changes{"htu": "https://A.TEST/orders"}),
		"RS-33 htu with the default port":       h.proof(token, changes{"htu": "https://a.test:443/orders"}),
		"RS-33 htu with an escape it needs not": h.proof(token, changes{"htu": "https://a.test/%6Frders"}),
		"RS-33 extra claims":                    h.proof(token, changes{"https://example.com/x": changes{"a": 1}, "sub": "x"}),
		"RS-33 extra header":                    signRaw(h.key, h.header(changes{"x": "y", "kid": "z"}), h.claims(token, nil)),
		"RS-33 typ in upper case":               signRaw(h.key, h.header(changes{"typ": "DPOP+JWT"}), h.claims(token, nil)),
		"RS-33 iat 10 s ago":                    h.proof(token, changes{"iat": now - 10}),
		"RS-33 iat in 10 s":                     h.proof(token, changes{"iat": now + 10}),
		"RS-33 nbf now and exp in 5 min":        h.proof(token, changes{"nbf": now, "exp": now + 300}),
		"RS-33 a nonce that nobody asked for":   h.proof(token, changes{"nonce": "x"}),
	} {
		t.Run(name, func(t *testing.T) { expectOK(t, do(reading(v), demonstrate(token, proof))) })
	}
	t.Run("RS-33 htu without the query that the request has", func(t *testing.T) {
		r := demonstrate(token, h.proof(token, nil))
		r.URL.RawQuery, r.RequestURI = "page=2", "/orders?page=2"
		expectOK(t, do(reading(v), r))
	})
	t.Run("RS-33 scheme in inverted case", func(t *testing.T) { // module access-token-type-header-case-sensitivity
		r := demonstrate(token, h.proof(token, nil))
		r.Header.Set("Authorization", "dPOP "+token)
		expectOK(t, do(reading(v), r))
	})
	t.Run("RS-33 header name in capitals", func(t *testing.T) {
		if status := wire(t, v, "DPOP: "+h.proof(token, nil)+"\r\nAuthorization: DPoP "+token+"\r\n"); !strings.Contains(status, " 200 ") {
			t.Errorf("answer %s", status)
		}
	})
	t.Run("RS-33 two headers whose names differ in case", func(t *testing.T) {
		fields := "DPOP: " + h.proof(token, nil) + "\r\ndpop: " + h.proof(token, nil) + "\r\nAuthorization: DPoP " + token + "\r\n"
		if status := wire(t, v, fields); !strings.Contains(status, " 401 ") {
			t.Errorf("answer %s", status)
		}
	})
}

// wire sends header fields as they stand and returns the status line of the answer.
func wire(t *testing.T, v *resource.Verifier, fields string) string {
	t.Helper()
	server := httptest.NewServer(v.Require("read").Func(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	connection, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, "GET /orders HTTP/1.1\r\nHost: x\r\n"+fields+"\r\n"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// TestDPoPAlgorithms holds which algorithms a proof may have, with a token that is bound to the very key.
func TestDPoPAlgorithms(t *testing.T) {
	i := newIssuer(t)
	standard, all := i.verifier(nil), i.verifier(func(c *resource.Config) { c.DPoPAlgorithms = jose.Algorithms })
	one := i.verifier(func(c *resource.Config) { c.DPoPAlgorithms = []string{jose.Ed25519} })
	for algorithm, signer := range signers() {
		thumbprint, err := jose.Thumbprint(signer.Key().Public)
		if err != nil {
			t.Fatal(err)
		}
		token := i.mint(changes{"cnf": changes{"jkt": thumbprint}})
		send := func(v *resource.Verifier) *http.Response {
			proof, err := pop.NewProof(signer, pop.Request{Method: "GET", URL: theURL, AccessToken: token, Now: i.clock.Now()}, "")
			if err != nil {
				t.Fatal(err)
			}
			return do(reading(v), demonstrate(token, proof))
		}
		t.Run(algorithm, func(t *testing.T) {
			expectOK(t, send(all))
			if algorithm == jose.Ed25519 {
				expectOK(t, send(one))
			} else {
				expectDPoP(t, send(one), badProof)
			}
		})
		if algorithm == jose.RS256 {
			t.Run("RS-33, S32 RS256 is not accepted unless named", func(t *testing.T) { expectDPoP(t, send(standard), badProof) })
		} else {
			t.Run(algorithm+" is accepted", func(t *testing.T) { expectOK(t, send(standard)) })
		}
	}
}

// TestScheme is about tokens that are sent with the scheme of the other kind.
func TestScheme(t *testing.T) {
	i := newIssuer(t)
	h := i.holder()
	bound, free := h.token(nil), i.mint(nil)
	for name, v := range map[string]*resource.Verifier{
		"": i.verifier(nil), ", bearer tokens refused": i.verifier(func(c *resource.Config) { c.RequireBound = true }),
	} {
		t.Run("S29, RS-34 a DPoP-bound token as Bearer"+name, func(t *testing.T) {
			for range 2 { // the second time it is remembered
				expectDPoP(t, get(v, bound), badToken)
			}
		})
		t.Run("S29, RS-34 a DPoP-bound token as Bearer with a proof"+name, func(t *testing.T) {
			r := demonstrate(bound, h.proof(bound, nil))
			r.Header.Set("Authorization", "Bearer "+bound)
			expectDPoP(t, do(reading(v), r), badToken)
		})
		t.Run("S30, RS-34 a bearer token as DPoP with a proof"+name, func(t *testing.T) {
			expectDPoP(t, do(reading(v), demonstrate(free, h.proof(free, nil))), badToken)
		})
		t.Run("S30 a token bound to a certificate as DPoP"+name, func(t *testing.T) {
			token := i.mint(changes{"cnf": changes{"x5t#S256": hash("x")}})
			expectDPoP(t, do(reading(v), demonstrate(token, h.proof(token, nil))), badToken)
		})
	}
	t.Run("S30 the proof of a bearer token that is no use is not looked at", func(t *testing.T) {
		r := demonstrate(free, "garbage")
		r.Header.Set("Authorization", "Bearer "+free)
		expectOK(t, do(reading(i.verifier(nil)), r))
	})
	t.Run("RS-34 a token with a binding of a kind nobody knows", func(t *testing.T) {
		for _, cnf := range []any{
			changes{}, changes{"jwk": h.jwk}, changes{"kid": "x"}, changes{"jkt": h.thumbprint, "kid": "x"}, changes{"jkt": "x"}, changes{"jkt": nil},
			changes{"jkt": []string{h.thumbprint}}, changes{"x5t": "x"}, "x", []any{}, json.RawMessage("null"), 1, changes{"JKT": h.thumbprint},
		} {
			token := i.mint(changes{"cnf": cnf})
			expectDPoP(t, do(reading(i.verifier(nil)), demonstrate(token, h.proof(token, nil))), badToken)
			expect(t, get(i.verifier(nil), token), http.StatusUnauthorized, badToken)
		}
	})
	t.Run("the scope is judged behind the proof", func(t *testing.T) {
		token := h.token(changes{"scope": "write"})
		got := do(reading(i.verifier(nil)), demonstrate(token, h.proof(token, nil)))
		expectDPoPStatus(t, got, http.StatusForbidden, oauth.InsufficientScope)
	})
	t.Run("a DPoP-bound token that has expired", func(t *testing.T) {
		token := h.token(changes{"exp": i.clock.Now().Unix() - 60})
		expectDPoP(t, do(reading(i.verifier(nil)), demonstrate(token, h.proof(token, nil))), badToken)
	})
}

// TestVerifyRefusesBound holds that Verify, which sees no request, takes no token that needs a proof, and says that this
// is all that is wrong.
func TestVerifyRefusesBound(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	h := i.holder()
	for range 2 {
		if _, err := v.Verify(background, h.token(nil)); !isRefusal(err, true) {
			t.Errorf("error %v", err)
		}
	}
	if _, err := v.Verify(background, h.token(changes{"exp": 1})); !isRefusal(err, false) {
		t.Errorf("an expired token: error %v", err)
	}
	if _, err := v.Verify(background, h.token(changes{"cnf": changes{"kid": "x"}})); !isRefusal(err, false) {
		t.Errorf("a binding nobody knows: error %v", err)
	}
	strict := i.verifier(func(c *resource.Config) { c.RequireBound = true })
	if _, err := strict.Verify(background, i.mint(nil)); !isRefusal(err, false) {
		t.Errorf("a bearer token where none is wanted: error %v", err)
	}
}

// TestBound holds that a handler learns what was proved.
func TestBound(t *testing.T) {
	i := newIssuer(t)
	h := i.holder()
	v := i.verifier(nil)
	bound := func(r *http.Request) (b resource.Binding) {
		v.Require("read").Func(func(_ http.ResponseWriter, r *http.Request) {
			b = resource.FromContext(r.Context()).Bound()
		}).ServeHTTP(httptest.NewRecorder(), r)
		return b
	}
	token := h.token(nil)
	for range 2 {
		if got := bound(demonstrate(token, h.proof(token, nil))); got != (resource.Binding{Key: h.thumbprint}) {
			t.Errorf("bound to %+v, want %s", got, h.thumbprint)
		}
	}
	if got := bound(message("", []string{"Bearer " + i.mint(nil)}, "")); got != (resource.Binding{}) {
		t.Errorf("a bearer token is bound to %+v", got)
	}
}

// TestS34 compares the URL of a proof with the configured one, whatever the request says about itself.
func TestS34(t *testing.T) {
	i := newIssuer(t)
	h := i.holder()
	token := h.token(changes{"aud": []string{theAudience, theAudience + "/v1", "urn:orders", "http://127.0.0.1:8080/orders"}})
	for _, test := range []struct {
		name, audience, external, path, htu string
		change                              func(*http.Request)
		ok                                  bool
	}{
		{"S34 the audience says where", theAudience, "", "/orders", theURL, nil, true},
		{"S34 the audience's path is no prefix", theAudience + "/v1", "", "/v1/orders", theAudience + "/v1/orders", nil, true},
		{"S34 the audience's path does not stand twice", theAudience + "/v1", "", "/orders", theAudience + "/v1/orders", nil, false},
		{"S34 the audience has a port", "http://127.0.0.1:8080/orders", "", "/orders/1", "http://127.0.0.1:8080/orders/1", nil, true},
		{"S34 a proxy takes the prefix away", theAudience, "https://api.test/v1", "/orders", "https://api.test/v1/orders", nil, true},
		{"S34 a proxy takes the prefix away, slash behind", theAudience, "https://api.test/v1/", "/orders", "https://api.test/v1/orders", nil, true},
		{"S34 the internal URL", theAudience, "https://api.test/v1", "/orders", "http://10.0.0.7:8080/orders", nil, false},
		{"S34 the external URL without the prefix", theAudience, "https://api.test/v1", "/orders", "https://api.test/orders", nil, false},
		{"S34 the audience's host is not the external one", theAudience, "https://api.test", "/orders", theURL, nil, false},
		{"S34 an audience that is no URL", "urn:orders", "https://api.test", "/orders", "https://api.test/orders", nil, true},
		{"S34 the root", theAudience, "", "/", theAudience, nil, true},
		{"S34 an escaped slash is not a slash", theAudience, "", "/a%2Fb", theAudience + "/a/b", nil, false},
		{"S34 an escaped slash", theAudience, "", "/a%2Fb", theAudience + "/a%2fb", nil, true},
		{"S34 two slashes are no host", theAudience, "", "//evil.test/orders", "https://evil.test/orders", nil, false},
		{"S34 two slashes", theAudience, "", "//evil.test/orders", theAudience + "//evil.test/orders", nil, true},
		{"S34 a spoofed Host", theAudience, "", "/orders", "https://evil.test/orders", host("evil.test"), false},
		{"S34 another Host, the right proof", theAudience, "", "/orders", theURL, host("10.0.0.7:8080"), true},
		{"S34 a spoofed X-Forwarded-Host", theAudience, "", "/orders", "https://evil.test/orders", forwarded("X-Forwarded-Host", "evil.test"), false},
		{"S34 a spoofed X-Forwarded-Prefix", theAudience, "", "/orders", theAudience + "/x/orders", forwarded("X-Forwarded-Prefix", "/x"), false},
		{"S34 a spoofed X-Forwarded-Proto", theAudience, "", "/orders", "http://a.test/orders", forwarded("X-Forwarded-Proto", "http"), false},
		{"S34 a spoofed Forwarded", theAudience, "", "/orders", "https://evil.test/orders", forwarded("Forwarded", "host=evil.test"), false},
		{"S34 a request target with another host", theAudience, "", "http://evil.test/orders", "http://evil.test/orders", nil, false},
		{"S34 a request target with a host counts by its path", theAudience, "", "http://evil.test/orders", theURL, nil, true},
		{"S34 a router that strips the path", theAudience, "", "/api/orders", theAudience + "/api/orders", stripped("/orders"), true},
		{"S34 a proof for what the router left", theAudience, "", "/api/orders", theURL, stripped("/orders"), false},
		{"S34 a request that never was on a wire", theAudience, "", "/orders", theURL, func(r *http.Request) { r.RequestURI = "" }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := i.verifier(func(c *resource.Config) { c.Audience, c.ExternalURL = test.audience, test.external })
			r := httptest.NewRequest(http.MethodGet, test.path, nil)
			r.Header = demonstrate(token, h.proof(token, changes{"htu": test.htu})).Header
			if test.change != nil {
				test.change(r)
			}
			if got := do(reading(v), r); test.ok {
				expectOK(t, got)
			} else if got.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "DPoP ") {
				t.Errorf("got %d %v", got.StatusCode, got.Header)
			}
		})
	}
}

func host(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }

func forwarded(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func stripped(path string) func(*http.Request) { return func(r *http.Request) { r.URL.Path = path } }

// TestNoDPoP is an API whose URL nobody knows: it offers no DPoP, and takes no token that needs it.
func TestNoDPoP(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(func(c *resource.Config) { c.Audience = "urn:orders" })
	h := i.holder()
	token := h.token(changes{"aud": "urn:orders"})
	got := do(reading(v), demonstrate(token, h.proof(token, nil)))
	expect(t, got, http.StatusUnauthorized, "")
	if all := parseChallenges(t, got); all[oauth.DPoP] != nil || all[oauth.Bearer] == nil {
		t.Errorf("challenges %v", all)
	}
	got = get(v, token)
	expect(t, got, http.StatusUnauthorized, badToken)
	if all := parseChallenges(t, got); all[oauth.DPoP] != nil {
		t.Errorf("challenges %v", all)
	}
	expectOK(t, get(v, i.mint(changes{"aud": "urn:orders"})))
}

// TestTwoInstances holds that a replay is refused by every instance that shares the store, and a proof by nobody who
// cannot ask it.
func TestTwoInstances(t *testing.T) {
	i := newIssuer(t)
	h := i.holder()
	token := h.token(nil)
	shared := &sharedReplays{used: map[string]time.Time{}}
	instance := func() *resource.Verifier { return i.verifier(func(c *resource.Config) { c.Replays = shared }) }
	first, second := instance(), instance()
	t.Run("S32, ST-08 replayed at the other instance", func(t *testing.T) {
		proof := h.proof(token, nil)
		expectOK(t, do(reading(first), demonstrate(token, proof)))
		expectDPoP(t, do(reading(second), demonstrate(token, proof)), badProof)
	})
	t.Run("S32 remembered for as long as the proof lives", func(t *testing.T) {
		iat := i.clock.Now()
		for id, until := range shared.used {
			if len(id) != 43 || until.Before(iat.Add(60*time.Second)) || until.After(iat.Add(2*time.Minute)) {
				t.Errorf("id %q until %v, made at %v", id, until, iat)
			}
		}
	})
	t.Run("S32 a proof that is refused for something else is not used up", func(t *testing.T) {
		before := len(shared.used)
		proof := h.proof(token, changes{"jti": "spoilt"})
		r := demonstrate(token, proof)
		r.Method = http.MethodDelete
		expectDPoP(t, do(reading(first), r), badProof)
		other := h.token(changes{"jti": "another"})
		expectDPoP(t, do(reading(first), demonstrate(other, proof)), badProof)
		if len(shared.used) != before {
			t.Error("it was")
		}
		expectOK(t, do(reading(first), demonstrate(token, proof)))
	})
	t.Run("S32 the store is gone", func(t *testing.T) {
		var reason error
		v := i.verifier(func(c *resource.Config) {
			c.Replays, c.OnRefusal = brokenReplays{}, func(_ *http.Request, err error) { reason = err }
		})
		got := do(reading(v), demonstrate(token, h.proof(token, nil)))
		if got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" || got.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("got %d %v", got.StatusCode, got.Header)
		}
		if !isUnavailable(reason) {
			t.Errorf("reason %v", reason)
		}
		expectOK(t, get(v, i.mint(nil))) // a bearer token needs no store
	})
}
