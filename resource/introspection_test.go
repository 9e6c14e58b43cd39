package resource_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

const opaqueToken = "writ_at_3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// introspecting trusts the issuer's word, which the test may change.
func (i *issuer) introspecting(change func(*resource.Introspection)) *resource.Verifier {
	introspection := &resource.Introspection{ClientID: "orders", ClientSecret: "writ_cs_secret"}
	if change != nil {
		change(introspection)
	}
	return i.verifier(func(c *resource.Config) { c.Introspection = introspection })
}

// active is the issuer's answer about a good token, with changes.
func (i *issuer) active(change changes) http.HandlerFunc {
	return answer(http.StatusOK, string(i.activeBody(change)))
}

func (i *issuer) activeBody(change changes) []byte {
	answer := i.claims(changes{"active": true, "token_type": "Bearer"})
	maps.Copy(answer, change)
	maps.DeleteFunc(answer, func(_ string, value any) bool { return value == nil })
	body, err := json.Marshal(answer)
	if err != nil {
		i.t.Fatal(err)
	}
	return body
}

func (i *issuer) asked() int { return i.network.count(i.url + "/introspect") }

func TestIntrospectionRequest(t *testing.T) {
	i := newIssuer(t)
	v := i.introspecting(func(in *resource.Introspection) { in.ClientID, in.ClientSecret = "a:b c", "100%/+é" })
	reply := i.active(nil)
	i.answerIntrospection(func(w http.ResponseWriter, r *http.Request) {
		// (RFC 6749, 2.3.1) Both halves are form-encoded first.
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("a%3Ab+c:100%25%2F%2B%C3%A9"))
		if got := r.Header.Get("Authorization"); got != want {
			t.Errorf("Authorization %s, want %s", got, want)
		}
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost || r.URL.RawQuery != "" ||
			r.PostForm.Encode() != (url.Values{"token": {opaqueToken}, "token_type_hint": {"access_token"}}).Encode() {
			t.Errorf("%s %s %v, error %v", r.Method, r.URL, r.PostForm, err)
		}
		reply(w, r)
	})
	token, err := v.Verify(background, opaqueToken)
	if err != nil || token.ClientID != "billing-4fk2p9qz7a" || !token.Scope.Has("read") || !token.HasRole("auditor") {
		t.Errorf("token %+v, error %v", token, err)
	}
}

// TestIntrospectionByKey holds what an API sends that asks with a key: an assertion for the issuer alone (RFC 10070, 4).
func TestIntrospectionByKey(t *testing.T) {
	i := newIssuer(t)
	const public = `"kty":"OKP","crv":"Ed25519","alg":"Ed25519","kid":"mine","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"` // RFC 8037, A.1
	const jwk = `{"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",` + public + `}`
	keys, err := jose.ParseJWKS([]byte(`{"keys":[{` + public + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	v := i.introspecting(func(in *resource.Introspection) { in.ClientSecret, in.PrivateKey = "", resource.Secret(jwk) })
	reply := i.active(nil)
	seen := map[string]bool{}
	i.answerIntrospection(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Header.Get("Authorization") != "" || r.PostForm.Get("token") != opaqueToken ||
			r.PostForm.Get("client_assertion_type") != oauth.AssertionTypeJWT {
			t.Errorf("header %v, form %v, error %v", r.Header, r.PostForm, err)
		}
		assertion, err := jose.Parse(r.PostForm.Get("client_assertion"))
		if err != nil {
			t.Fatal(err)
		}
		claims := map[string]any{}
		if err := assertion.Decode(&claims); err != nil || assertion.KeyID != "mine" || assertion.Type != oauth.TypeClientAuthentication {
			t.Errorf("kid %s, typ %s, error %v", assertion.KeyID, assertion.Type, err)
		}
		now := float64(i.clock.Now().Unix())
		if claims["aud"] != theIssuer || claims["iss"] != "orders" || claims["sub"] != "orders" || claims["iat"] != now || claims["exp"] != now+60 || len(claims) != 6 {
			t.Errorf("claims %v", claims)
		}
		if id := claims["jti"].(string); len(id) < 20 || seen[id] {
			t.Errorf("jti %s was used before, or can be guessed", id)
		} else {
			seen[id] = true
		}
		if err := assertion.Verify(keys[0]); err != nil {
			t.Errorf("not signed with the key: %v", err)
		}
		reply(w, r)
	})
	for range 3 {
		if _, err := v.Verify(background, opaqueToken); err != nil {
			t.Error(err)
		}
	}
	if len(seen) != 3 {
		t.Errorf("asked %d times, want 3", len(seen))
	}
}

func TestIntrospectionAnswers(t *testing.T) {
	i := newIssuer(t)
	v := i.introspecting(nil)
	now := i.clock.Now().Unix()
	body := func(text string) http.HandlerFunc { return answer(http.StatusOK, text) }
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		status int
	}{
		"active":                               {i.active(nil), http.StatusOK},
		"active without jti, iat, token_type":  {i.active(changes{"jti": nil, "iat": nil, "token_type": nil}), http.StatusOK},
		"active, token_type bearer":            {i.active(changes{"token_type": "bearer"}), http.StatusOK},
		"inactive":                             {body(`{"active":false}`), http.StatusUnauthorized},
		"S36 active is a string":               {i.active(changes{"active": "true"}), http.StatusUnauthorized},
		"S36 active is 1":                      {i.active(changes{"active": 1}), http.StatusUnauthorized},
		"S36 active is null":                   {i.active(changes{"active": json.RawMessage("null")}), http.StatusUnauthorized},
		"S36 active is an array":               {i.active(changes{"active": []bool{true}}), http.StatusUnauthorized},
		"S36 active is missing":                {i.active(changes{"active": nil}), http.StatusUnauthorized},
		"S36 ACTIVE":                           {i.active(changes{"active": nil, "ACTIVE": true}), http.StatusUnauthorized},
		"S36 inactive with claims":             {i.active(changes{"active": false}), http.StatusUnauthorized},
		"of another issuer":                    {i.active(changes{"iss": "https://evil.test"}), http.StatusUnauthorized},
		"of no issuer":                         {i.active(changes{"iss": nil}), http.StatusUnauthorized},
		"for another API":                      {i.active(changes{"aud": otherAPI}), http.StatusUnauthorized},
		"for nobody":                           {i.active(changes{"aud": nil}), http.StatusUnauthorized},
		"expired":                              {i.active(changes{"exp": now - 11}), http.StatusUnauthorized},
		"without expiry":                       {i.active(changes{"exp": nil}), http.StatusUnauthorized},
		"not valid yet":                        {i.active(changes{"nbf": now + 60}), http.StatusUnauthorized},
		"of no client":                         {i.active(changes{"client_id": nil}), http.StatusUnauthorized},
		"exp is a string":                      {i.active(changes{"exp": "9999999999"}), http.StatusUnauthorized},
		"bound to a key":                       {i.active(changes{"cnf": changes{"jkt": "x"}}), http.StatusUnauthorized},
		"bound to a key, says only token_type": {i.active(changes{"token_type": "DPoP"}), http.StatusUnauthorized},
		"without the scope":                    {i.active(changes{"scope": "write"}), http.StatusForbidden},
		"S37 500":                              {answer(http.StatusInternalServerError, `{"active":true}`), http.StatusServiceUnavailable},
		"S37 401, our secret is wrong":         {answer(http.StatusUnauthorized, `{"active":true}`), http.StatusServiceUnavailable},
		"S37 404":                              {http.NotFound, http.StatusServiceUnavailable},
		"S37 302":                              {answer(http.StatusFound, `{"active":true}`), http.StatusServiceUnavailable},
		"S37 HTML":                             {body("<html>"), http.StatusServiceUnavailable},
		"S37 nothing":                          {body(""), http.StatusServiceUnavailable},
		"S37 an array":                         {body(`[{"active":true}]`), http.StatusServiceUnavailable},
		"S37 active twice":                     {body(`{"active":false,"active":true}`), http.StatusServiceUnavailable},
		"S37 too large, though only blanks":    {body(string(i.activeBody(nil)) + strings.Repeat(" ", 64<<10)), http.StatusServiceUnavailable},
		"S37 too large":                        {body(`{"active":true,"x":"` + strings.Repeat("x", 64<<10) + `"}`), http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			i.answerIntrospection(test.answer)
			got := get(v, opaqueToken)
			if got.StatusCode != test.status {
				t.Errorf("got %d, want %d", got.StatusCode, test.status)
			}
			if test.status == http.StatusServiceUnavailable {
				expectUnavailable(t, got)
			}
		})
	}
}

// TestS37 holds that an issuer in trouble lets nobody in, and that the trouble is not remembered.
func TestS37(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.introspecting(func(in *resource.Introspection) { in.CacheFor = time.Minute })
		i.answerIntrospection(slow)
		start := time.Now()
		var wait sync.WaitGroup
		for range 200 {
			wait.Go(func() { expectUnavailable(t, get(v, opaqueToken)) })
		}
		synctest.Wait()
		if i.asked() != 64 {
			t.Errorf("S37: %d requests at a time to an issuer that hangs, want 64", i.asked())
		}
		wait.Wait()
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("S37: answers after %v, want 2 s at most", took)
		}
		i.answerIntrospection(answer(http.StatusInternalServerError, ""))
		expectUnavailable(t, get(v, opaqueToken))
		i.answerIntrospection(i.active(nil))
		expectOK(t, get(v, opaqueToken))
	})
}

func TestIntrospectionCache(t *testing.T) {
	i := newIssuer(t)
	v := i.introspecting(func(in *resource.Introspection) { in.CacheFor = 20 * time.Second })
	i.answerIntrospection(i.active(nil))
	t.Run("asks once", func(t *testing.T) {
		for range 10 {
			expectOK(t, get(v, opaqueToken))
		}
		if i.asked() != 1 {
			t.Errorf("asked %d times", i.asked())
		}
	})
	t.Run("RS-29 the scope is judged per request", func(t *testing.T) {
		expectOK(t, do(v.Require("read"), message("", []string{"Bearer " + opaqueToken}, "")))
		got := do(v.Require("write"), message("", []string{"Bearer " + opaqueToken}, ""))
		expect(t, got, http.StatusForbidden, oauth.InsufficientScope)
		if i.asked() != 1 {
			t.Errorf("asked %d times", i.asked())
		}
	})
	t.Run("RS-28 another token with the same beginning", func(t *testing.T) {
		i.answerIntrospection(answer(http.StatusOK, `{"active":false}`))
		expectInvalid(t, get(v, opaqueToken[:40]+"BBBBBBBBBBB"))
		expectInvalid(t, get(v, opaqueToken+"A"))
		expectOK(t, get(v, opaqueToken))
	})
	t.Run("RS-30 another verifier knows nothing of it", func(t *testing.T) {
		expectInvalid(t, get(i.introspecting(func(in *resource.Introspection) { in.CacheFor = 20 * time.Second }), opaqueToken))
	})
	t.Run("V10 a revoked token lives on for CacheFor and no longer", func(t *testing.T) {
		i.clock.advance(19 * time.Second)
		expectOK(t, get(v, opaqueToken))
		i.clock.advance(time.Second)
		expectInvalid(t, get(v, opaqueToken))
	})
	t.Run("V10 an answer is as old as its question", func(t *testing.T) {
		reply := i.active(nil)
		i.answerIntrospection(func(w http.ResponseWriter, r *http.Request) {
			i.clock.advance(19 * time.Second) // a slow issuer
			reply(w, r)
		})
		expectOK(t, get(v, opaqueToken))
		i.answerIntrospection(answer(http.StatusOK, `{"active":false}`))
		i.clock.advance(time.Second)
		expectInvalid(t, get(v, opaqueToken))
	})
	t.Run("never beyond exp", func(t *testing.T) {
		i.answerIntrospection(i.active(changes{"exp": i.clock.Now().Unix() + 5}))
		expectOK(t, get(v, opaqueToken))
		i.answerIntrospection(answer(http.StatusOK, `{"active":false}`))
		i.clock.advance(5 * time.Second)
		expectInvalid(t, get(v, opaqueToken))
	})
	t.Run("without CacheFor every request asks", func(t *testing.T) {
		v, before := i.introspecting(nil), i.asked()
		i.answerIntrospection(i.active(nil))
		for range 3 {
			expectOK(t, get(v, opaqueToken))
		}
		if i.asked() != before+3 {
			t.Errorf("asked %d times", i.asked()-before)
		}
	})
}

// TestRS30 primes a verifier with issuer one and presents the token to a verifier of issuer two.
func TestRS30(t *testing.T) {
	one, two := newIssuer(t), newIssuer(t)
	two.url = "https://as2.test"
	two.network.serve("as2.test", two)
	cached := func(in *resource.Introspection) { in.CacheFor = time.Minute }
	trustsOne, trustsTwo := one.introspecting(cached), two.introspecting(cached)
	one.answerIntrospection(one.active(nil))
	two.answerIntrospection(answer(http.StatusOK, `{"active":false}`))
	expectOK(t, get(trustsOne, opaqueToken))
	t.Run("RS-30 a token that issuer one vouched for", func(t *testing.T) { expectInvalid(t, get(trustsTwo, opaqueToken)) })
	t.Run("RS-30 a JWT that issuer one signed", func(t *testing.T) {
		token := one.mint(nil)
		expectOK(t, get(trustsOne, token))
		expectInvalid(t, get(trustsTwo, token))
	})
}

func TestOpaqueTokens(t *testing.T) {
	i := newIssuer(t)
	i.answerIntrospection(i.active(nil))
	t.Run("refused without introspection, nobody is asked", func(t *testing.T) {
		expectInvalid(t, get(i.verifier(nil), opaqueToken))
		if i.network.count("") != 0 {
			t.Errorf("requests left: %v", i.network.sent)
		}
	})
	t.Run("JWTs and garbage are not asked about", func(t *testing.T) {
		v, before := i.introspecting(nil), i.asked()
		expectOK(t, get(v, i.mint(nil)))
		expectInvalid(t, get(v, "garbage"))
		expectInvalid(t, get(v, "a.b.c"))
		expectInvalid(t, get(v, "Writ_at_x"))
		if i.asked() != before {
			t.Error("asked")
		}
	})
	t.Run("what is no token is not asked about", func(t *testing.T) {
		v, before := i.introspecting(nil), i.asked()
		for _, token := range []string{"writ_at_&token=x", "writ_at_ x", "writ_at_\x00", "writ_at_" + strings.Repeat("a", 1<<20)} {
			if _, err := v.Verify(background, token); !errors.Is(err, oauth.InvalidToken) {
				t.Errorf("%.20q: error %v", token, err)
			}
		}
		if i.asked() != before {
			t.Error("asked")
		}
	})
}

// TestAlways is V10 for JWTs: a revoked one is refused at once.
func TestAlways(t *testing.T) {
	i := newIssuer(t)
	v := i.introspecting(func(in *resource.Introspection) { in.Always = true })
	token := i.mint(nil)
	i.answerIntrospection(i.active(nil))
	expectOK(t, get(v, token))
	t.Run("V10 revoked", func(t *testing.T) {
		i.answerIntrospection(answer(http.StatusOK, `{"active":false}`))
		expectInvalid(t, get(v, token))
	})
	t.Run("S37 the issuer is down", func(t *testing.T) {
		i.answerIntrospection(answer(http.StatusInternalServerError, ``))
		expectUnavailable(t, get(v, token))
	})
	t.Run("the issuer's word replaces the token's", func(t *testing.T) {
		i.answerIntrospection(i.active(changes{"scope": "write", "jti": nil}))
		expect(t, get(v, token), http.StatusForbidden, oauth.InsufficientScope)
	})
	t.Run("an answer about another token", func(t *testing.T) {
		for _, change := range []changes{{"jti": "other"}, {"client_id": "other"}, {"sub": "other"}} {
			i.answerIntrospection(i.active(change))
			expectInvalid(t, get(v, token))
		}
	})
	t.Run("garbage costs no request", func(t *testing.T) {
		before := i.asked()
		for _, bad := range []string{i.mint(changes{"exp": 1}), i.mint(changes{"aud": otherAPI}), i.stranger(1), "a.b.c"} {
			expectInvalid(t, get(v, bad))
		}
		if i.asked() != before {
			t.Error("asked")
		}
	})
	t.Run("opaque tokens of another kind are asked about", func(t *testing.T) {
		i.answerIntrospection(i.active(nil))
		expectOK(t, get(v, "2YotnFZFEjr1zCsicMWpAA"))
	})
}

func TestIntrospectionEndpoint(t *testing.T) {
	t.Run("given, with keys given: only introspection leaves", func(t *testing.T) {
		i := newIssuer(t)
		i.answerIntrospection(i.active(nil))
		v := i.verifier(func(c *resource.Config) {
			c.Keys = &ring{keys: []resource.Key{i.signer.Key()}}
			c.Introspection = &resource.Introspection{ClientID: "a", ClientSecret: "b", Endpoint: i.url + "/introspect"}
		})
		expectOK(t, get(v, opaqueToken))
		expectOK(t, get(v, i.mint(nil)))
		if i.network.count("") != 1 || i.asked() != 1 {
			t.Errorf("requests %v", i.network.sent)
		}
	})
	t.Run("keys given, endpoint from the metadata", func(t *testing.T) {
		i := newIssuer(t)
		i.answerIntrospection(i.active(nil))
		v := i.verifier(func(c *resource.Config) {
			c.Keys = &ring{keys: []resource.Key{i.signer.Key()}}
			c.Introspection = &resource.Introspection{ClientID: "a", ClientSecret: "b"}
		})
		expectOK(t, get(v, opaqueToken))
	})
	for name, endpoint := range map[string]string{
		"over http": "http://as.test/introspect", "on our loopback": "http://127.0.0.1/introspect", "none": "", "relative": "/introspect",
	} {
		t.Run("metadata names one "+name, func(t *testing.T) {
			i := newIssuer(t)
			i.describe = func(m *oauth.Metadata) { m.IntrospectionEndpoint = endpoint }
			i.answerIntrospection(i.active(nil))
			expectUnavailable(t, get(i.introspecting(nil), opaqueToken))
			if i.network.count("") != 2 { // metadata and keys
				t.Errorf("requests %v", i.network.sent)
			}
		})
	}
	t.Run("a redirect does not take our secret along", func(t *testing.T) {
		i := newIssuer(t)
		i.answerIntrospection(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.test/", http.StatusTemporaryRedirect)
		})
		expectUnavailable(t, get(i.introspecting(nil), opaqueToken))
		if i.network.count("https://evil.test/") != 0 {
			t.Error("followed")
		}
	})
}

func TestSecret(t *testing.T) {
	const secret = "writ_cs_hidden"
	in := resource.Introspection{ClientID: "a", ClientSecret: secret}
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var log journal
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "in", in, "secret", in.ClientSecret)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "in", in, "secret", in.ClientSecret)
	for _, text := range []string{
		string(data), fmt.Sprint(in), fmt.Sprintf("%v %+v %#v", in, in, in), log.String(),
		fmt.Sprintf("%s %v %#v %x %X %q", in.ClientSecret, in.ClientSecret, in.ClientSecret, in.ClientSecret, in.ClientSecret, in.ClientSecret),
		in.ClientSecret.String(), in.ClientSecret.LogValue().String(),
	} {
		if strings.Contains(text, secret) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", secret)) {
			t.Errorf("the secret shows in %s", text)
		}
	}
}
