package resource_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// refusesAll fails unless every token is refused as invalid, and unless none of them made us call anybody: the verifier
// knows its keys already.
func refusesAll(t *testing.T, i *issuer, v *resource.Verifier, tokens map[string]string) {
	t.Helper()
	expectOK(t, get(v, i.mint(nil)))
	before := i.network.count("")
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) { expectInvalid(t, get(v, token)) })
	}
	if calls := i.network.count("") - before; calls != 0 {
		t.Errorf("%d outbound calls", calls)
	}
}

// acceptsAll is the counterpart.
func acceptsAll(t *testing.T, v *resource.Verifier, tokens map[string]string) {
	t.Helper()
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) { expectOK(t, get(v, token)) })
	}
}

// hs256 makes a token with a MAC, as an attacker does who knows only the public key.
func (i *issuer) hs256(secret []byte) string {
	input := b64(`{"alg":"HS256","kid":"`+i.signer.KeyID+`","typ":"at+jwt"}`) + "." + b64(i.payload(nil))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestAlgorithms(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	public := &private().PublicKey
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(gojose.JSONWebKey{Key: public})
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.MarshalJWKS([]jose.Key{i.signer.Key()})
	if err != nil {
		t.Fatal(err)
	}
	point, err := public.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	unsigned := func(alg string) string {
		return b64(`{"alg":"`+alg+`","typ":"at+jwt"}`) + "." + b64(i.payload(nil)) + "."
	}
	refusesAll(t, i, v, map[string]string{
		"S17 alg none":                      unsigned("none"),
		"RS-01 alg none":                    unsigned("none"),
		"RS-01 alg None":                    unsigned("None"),
		"RS-01 alg NONE":                    unsigned("NONE"),
		"RS-01 alg empty":                   unsigned(""),
		"RS-01 alg ES256, not signed":       unsigned("ES256"),
		"RS-01 alg none, signed":            i.raw(`{"alg":"none","typ":"at+jwt"}`, i.payload(nil)),
		"S17 HS256 with the public key":     i.hs256(der),
		"RS-02 HS256 with DER":              i.hs256(der),
		"RS-02 HS256 with PEM":              i.hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		"RS-02 HS256 with the JWK":          i.hs256(jwk),
		"RS-02 HS256 with x":                i.hs256(point[1:33]),
		"RS-02 HS256 with the key set":      i.hs256(set),
		"RS-02 HS256 with nothing":          i.hs256(nil),
		"RS-04 ES384 in the header":         i.raw(strings.Replace(i.header(""), "ES256", "ES384", 1), i.payload(nil)),
		"RS-04 RS256 in the header":         i.raw(strings.Replace(i.header(""), "ES256", "RS256", 1), i.payload(nil)),
		"RS-04 an algorithm in lower case":  i.raw(strings.Replace(i.header(""), "ES256", "es256", 1), i.payload(nil)),
		"RS-04 the key ID of an RSA signer": i.raw(strings.Replace(i.header(""), i.signer.KeyID, signers()[jose.RS256].KeyID, 1), i.payload(map[string]any{"iss": "x"})),
	})
}

// TestPolicy is about algorithms that this package knows and this API does not accept.
func TestPolicy(t *testing.T) {
	i := newIssuer(t)
	key := signers()[jose.RS256]
	nameless := key.Key()
	nameless.Algorithm = "" // an issuer that publishes no alg (RS-04)
	i.publish(i.signer.Key(), nameless)
	v := i.verifier(func(c *resource.Config) { c.Algorithms = []string{jose.RS256, jose.ES256} })
	ps256 := signerOf(rsaKey(), jose.PS256)
	refusesAll(t, i, v, map[string]string{
		"S17 PS256 is not in the list":   i.sign(ps256, "at+jwt", []byte(i.payload(nil))),
		"RS-04 PS256 with an RS256 list": i.sign(ps256, "at+jwt", []byte(i.payload(nil))),
	})
	acceptsAll(t, v, map[string]string{
		"RS-04 RS256 by a key without alg": i.sign(key, "at+jwt", []byte(i.payload(nil))),
	})
	acceptsAll(t, i.verifier(nil), map[string]string{
		"RS-04 PS256 by a key without alg, everything allowed": i.sign(ps256, "at+jwt", []byte(i.payload(nil))),
	})
}

func TestEveryAlgorithm(t *testing.T) {
	i := newIssuer(t)
	var published []jose.Key
	for _, signer := range signers() {
		published = append(published, signer.Key())
	}
	i.publish(published...)
	v := i.verifier(nil)
	for name, signer := range signers() {
		t.Run(name, func(t *testing.T) { expectOK(t, get(v, i.sign(signer, "at+jwt", []byte(i.payload(nil))))) })
	}
}

func TestForms(t *testing.T) {
	i := newIssuer(t)
	good := i.mint(nil)
	part := strings.Split(good, ".")
	other := strings.Split(i.mint(map[string]any{"scope": "read write"}), ".")
	r, s := new(big.Int), new(big.Int)
	signature, err := base64.RawURLEncoding.DecodeString(part[2])
	if err != nil {
		t.Fatal(err)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r.SetBytes(signature[:32]), s.SetBytes(signature[32:])})
	if err != nil {
		t.Fatal(err)
	}
	with := func(signature []byte) string {
		return part[0] + "." + part[1] + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	header := func(more string) string { return i.raw(i.header(more), i.payload(nil)) }
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	attacker, err := jose.NewSigner(key, jose.ES256, i.signer.KeyID)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(gojose.JSONWebKey{Key: attacker.Key().Public})
	if err != nil {
		t.Fatal(err)
	}
	hijack := func(member string) string { // signed by the attacker's key, which the header offers
		return i.sign(attacker, `at+jwt",`+member+`,"x":"`, []byte(i.payload(nil)))
	}
	refusesAll(t, i, i.verifier(nil), map[string]string{
		"S21 header jwk":                   hijack(`"jwk":` + string(jwk)),
		"RS-03 header jwk":                 hijack(`"jwk":` + string(jwk)),
		"RS-03 header jku":                 hijack(`"jku":"https://evil.test/jwks"`),
		"RS-03 header x5u":                 hijack(`"x5u":"https://evil.test/cert"`),
		"RS-03 header x5c":                 hijack(`"x5c":["MIIB"]`),
		"S22 crit":                         header(`,"crit":["exp"],"exp":1`),
		"S22 crit of what we do not know":  header(`,"crit":["http://evil.test"],"http://evil.test":true`),
		"RS-06 signature all zero":         with(make([]byte, 64)),
		"RS-06 signature of 63 bytes":      with(signature[:63]),
		"RS-06 signature of 65 bytes":      with(append(signature[:64:64], 0)),
		"RS-06 signature in ASN.1":         with(der),
		"RS-07 signature of another token": part[0] + "." + part[1] + "." + other[2],
		"RS-07 payload of another token":   part[0] + "." + other[1] + "." + part[2],
		"RS-08 JSON serialisation":         `{"protected":"` + part[0] + `","payload":"` + part[1] + `","signature":"` + part[2] + `"}`,
		"RS-08 five parts":                 good + ".YQ.YQ",
		"RS-08 b64 false":                  header(`,"b64":false,"crit":["b64"]`),
		"RS-08 b64 false without crit":     header(`,"b64":false`),
		"RS-08 crit unknown":               header(`,"crit":["x"],"x":1`),
		"RS-08 nested JWT":                 i.raw(i.header(`,"cty":"JWT"`), good),
		"RS-09 payload array":              i.raw(i.header(""), `[]`),
		"RS-09 payload array of claims":    i.raw(i.header(""), `[`+i.payload(nil)+`]`),
		"RS-09 payload string":             i.raw(i.header(""), `"x"`),
		"RS-09 payload null":               i.raw(i.header(""), `null`),
		"RS-09 payload number":             i.raw(i.header(""), `1`),
		"RS-09 payload empty":              i.raw(i.header(""), ``),
		"RS-09 payload empty object":       i.raw(i.header(""), `{}`),
		"RS-09 payload with BOM":           i.raw(i.header(""), "\ufeff"+i.payload(nil)),
		"RS-09 payload not UTF-8":          i.raw(i.header(""), strings.Replace(i.payload(nil), "billing", "b\xff", 1)),
		"RS-09 payload followed by more":   i.raw(i.header(""), i.payload(nil)+"{}"),
		"RS-09 claim twice":                i.raw(i.header(""), strings.Replace(i.payload(nil), "{", `{"iss":"https://evil.test",`, 1)),
		"RS-09 claims by other names":      i.raw(i.header(""), strings.ToUpper(i.payload(nil))),
		"RS-22 4 000 claims":               i.raw(i.header(""), `{"c":[`+strings.Repeat("{},", 4000)+`1],`+i.payload(nil)[1:]),
		"RS-22 100 000 claims":             i.raw(i.header(""), `{`+strings.Repeat(`"a":1,`, 100_000)+i.payload(nil)[1:]),
		"RS-22 10 000 deep":                i.raw(i.header(""), `{"c":`+strings.Repeat("[", 5000)+strings.Repeat("]", 5000)+`,`+i.payload(nil)[1:]),
		"RS-21 1 MB":                       strings.Repeat("a", 1<<20),
		"RS-21 100 000 dots":               strings.Repeat(".", 100_000),
		"RS-21 a good token made longer":   good + strings.Repeat("A", jose.MaxTokenBytes),
	})
}

// TestRS21 holds that a token that is too large costs nothing at all: it is not even hashed.
func TestRS21(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	for name, token := range map[string]string{"1 MB": strings.Repeat("a", 1<<20), "100k dots": strings.Repeat(".", 100_000)} {
		if n := testing.AllocsPerRun(10, func() { _, _ = v.Verify(background, token) }); n > 0 {
			t.Errorf("RS-21 %s: %v allocations", name, n)
		}
	}
	if limit := 64.0; testing.AllocsPerRun(10, func() { _, _ = v.Verify(background, strings.Repeat(".", 10_000)) }) > limit {
		t.Error("RS-21: allocations grow with the dots")
	}
}

func TestType(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	typed := func(typ string) string { return i.raw(`{"alg":"ES256"`+typ+`}`, i.payload(nil)) }
	refusesAll(t, i, v, map[string]string{
		"S15 typ missing":                        typed(``),
		"S15 typ JWT":                            typed(`,"typ":"JWT"`),
		"S15 typ client-authentication+jwt":      typed(`,"typ":"client-authentication+jwt"`),
		"S15 typ token-introspection+jwt":        typed(`,"typ":"token-introspection+jwt"`),
		"S15 typ at+jwt and more":                typed(`,"typ":"at+jwt;v=2"`),
		"S15 typ array":                          typed(`,"typ":["at+jwt"]`),
		"S15 typ null":                           typed(`,"typ":null`),
		"S15 typ of another application":         typed(`,"typ":"text/at+jwt"`),
		"RS-10 typ absent":                       typed(``),
		"RS-10 typ JWT":                          typed(`,"typ":"JWT"`),
		"RS-10 typ application/JWT":              typed(`,"typ":"application/JWT"`),
		"I15 introspection answer as a token":    i.sign(i.signer, oauth.TypeIntrospection, []byte(i.payload(nil))),
		"S15 typ application/application/at+jwt": typed(`,"typ":"application/application/at+jwt"`),
	})
	acceptsAll(t, v, map[string]string{
		"S16 application/at+jwt":       typed(`,"typ":"application/at+jwt"`),
		"S16 AT+JWT":                   typed(`,"typ":"AT+JWT"`),
		"RS-10 at+JWT":                 typed(`,"typ":"at+JWT"`),
		"RS-10 application/at+jwt":     typed(`,"typ":"application/at+jwt"`),
		"S15 no kid, all keys are few": typed(`,"typ":"at+jwt"`),
	})
}

type changes = map[string]any

func TestClaims(t *testing.T) {
	i := newIssuer(t)
	now := i.clock.Now().Unix()
	tokens := map[string]string{}
	for name, change := range map[string]changes{
		"S10 expired":                        {"exp": now - 11},
		"S10 expired long ago":               {"exp": 1},
		"S11 nbf in the future":              {"nbf": now + 11},
		"S12 exp missing":                    {"exp": nil},
		"S13 another issuer":                 {"iss": "https://evil.test"},
		"S13 issuer with a slash":            {"iss": theIssuer + "/"},
		"S13 issuer in upper case":           {"iss": "https://AS.test"},
		"RS-11 issuer with a slash":          {"iss": theIssuer + "/"},
		"RS-11 issuer an array":              {"iss": []string{theIssuer}},
		"RS-11 issuer an array of two":       {"iss": []string{theIssuer, "https://evil.test"}},
		"RS-11 issuer missing":               {"iss": nil},
		"RS-11 issuer null":                  {"iss": json.RawMessage("null")},
		"RS-11 issuer empty":                 {"iss": ""},
		"S14 audience of another API":        {"aud": otherAPI},
		"S14 audience missing":               {"aud": nil},
		"RS-12 audience of another API":      {"aud": otherAPI},
		"RS-12 audience with a slash":        {"aud": theAudience + "/"},
		"RS-12 audience longer":              {"aud": theAudience + ".evil.test"},
		"RS-12 audience missing":             {"aud": nil},
		"RS-12 audience null":                {"aud": json.RawMessage("null")},
		"RS-12 audience empty":               {"aud": []string{}},
		"RS-12 audience empty string":        {"aud": ""},
		"RS-12 audience nested":              {"aud": [][]string{{theAudience}}},
		"RS-12 audience an object":           {"aud": changes{theAudience: true}},
		"RS-12 audience with a null":         {"aud": []any{theAudience, nil}},
		"RS-12 audience several in a string": {"aud": otherAPI + " " + theAudience},
		"RS-15 iat far in the future":        {"iat": now + 3600},
		"RS-15 iat missing":                  {"iat": nil},
		"RS-15 exp missing":                  {"exp": nil},
		"RS-16 exp a string":                 {"exp": "9999999999"},
		"RS-16 exp true":                     {"exp": true},
		"RS-16 exp null":                     {"exp": json.RawMessage("null")},
		"RS-16 exp an object":                {"exp": changes{}},
		"RS-16 exp an array":                 {"exp": []int64{now + 300}},
		"RS-16 exp zero":                     {"exp": 0},
		"RS-16 exp negative":                 {"exp": -1},
		"RS-16 exp beyond time":              {"exp": json.RawMessage("1e300")},
		"RS-16 nbf a string":                 {"nbf": "1"},
		"RS-16 iat a string":                 {"iat": "1"},
		"sub missing (RFC 9068, 2.2)":        {"sub": nil},
		"sub a number":                       {"sub": 1},
		"client_id missing (RFC 9068, 2.2)":  {"client_id": nil},
		"jti missing (RFC 9068, 2.2)":        {"jti": nil},
		"roles a string":                     {"roles": "admin"},
		"cnf: bound to a DPoP key":           {"cnf": changes{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
		"cnf: bound to a certificate":        {"cnf": changes{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
		"cnf: empty":                         {"cnf": changes{}},
		"cnf: null":                          {"cnf": json.RawMessage("null")},
		"RS-20 sub with a line break":        {"sub": "a\r\nX-Admin: 1"},
		"RS-20 client_id with a line break":  {"client_id": "a\nb"},
		"RS-20 jti with a NUL":               {"jti": "a\x00b"},
		"RS-20 sub with a C1 control":        {"sub": "a\u0085b"},
		"RS-20 sub of 10 KiB":                {"sub": strings.Repeat("a", 10<<10)},
		"S25 scope an array":                 {"scope": []string{"read"}},
		"RS-17 scope an array":               {"scope": []string{"read"}},
		"RS-17 scope with a space in front":  {"scope": " read"},
		"RS-17 scope with a space behind":    {"scope": "read "},
		"RS-17 scope with two spaces":        {"scope": "read  write"},
		"RS-17 scope with a tab":             {"scope": "write\tread"},
		"RS-17 scope with a quote":           {"scope": `read "`},
		"RS-17 scope of 65 values":           {"scope": "read" + manyScopes(64)},
	} {
		tokens[name] = i.mint(change)
	}
	v := i.verifier(nil)
	refusesAll(t, i, v, tokens)
	accepted := map[string]string{}
	for name, change := range map[string]changes{
		"S14 audience array with us":            {"aud": []string{theAudience}},
		"RS-13 audience array with us and them": {"aud": []string{otherAPI, theAudience}},
		"S11 nbf in the past":                   {"nbf": now - 300},
		"RS-16 exp with a fraction":             {"exp": json.RawMessage(fmt.Sprintf("%d.5", now+300))},
		"unknown claims":                        {"https://example.com/x": changes{"a": []int{1}}, "acr": "1"},
		"RS-20 sub of 1 KiB":                    {"sub": strings.Repeat("a", 1024)},
		"RS-17 scope of 64 values":              {"scope": "read" + manyScopes(63)},
	} {
		accepted[name] = i.mint(change)
	}
	acceptsAll(t, v, accepted)
}

func manyScopes(n int) string {
	var s strings.Builder
	for k := range n {
		fmt.Fprintf(&s, " s%d", k)
	}
	return s.String()
}

func TestRS13(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(func(c *resource.Config) { c.RequireSingleAudience = true })
	acceptsAll(t, v, map[string]string{"RS-13 one audience": i.mint(changes{"aud": []string{theAudience}})})
	refusesAll(t, i, v, map[string]string{"RS-13 two audiences": i.mint(changes{"aud": []string{otherAPI, theAudience}})})
}

// TestLeeway is S50, RS-15 and RS-36: the documented tolerance and not a second more.
func TestLeeway(t *testing.T) {
	i := newIssuer(t)
	now := i.clock.Now().Unix()
	const none = -1 // a negative leeway
	for _, test := range []struct {
		name   string
		leeway time.Duration
		change changes
		ok     bool
	}{
		{"S50 exp 5 s ago", 0, changes{"exp": now - 5}, true},
		{"S50 exp 9 s ago", 0, changes{"exp": now - 9}, true},
		{"S50 exp 10 s ago", 0, changes{"exp": now - 10}, false},
		{"S50 nbf 10 s ahead", 0, changes{"nbf": now + 10}, true},
		{"S50 nbf 11 s ahead", 0, changes{"nbf": now + 11}, false},
		{"RS-15 exp 1 s ago without leeway", none, changes{"exp": now - 1}, false},
		{"RS-15 exp now without leeway", none, changes{"exp": now}, false},
		{"RS-15 exp in 1 s without leeway", none, changes{"exp": now + 1}, true},
		{"RS-15 nbf in 1 s without leeway", none, changes{"nbf": now + 1}, false},
		{"RS-15 iat in 1 s without leeway", none, changes{"iat": now + 1}, false},
		{"RS-36 issuer 30 s ahead, leeway 30 s", 30 * time.Second, changes{"iat": now + 30, "nbf": now + 30}, true},
		{"RS-36 issuer 30 s ahead, no leeway", none, changes{"iat": now + 30, "nbf": now + 30}, false},
		{"RS-36 issuer 30 s behind, leeway 30 s", 30 * time.Second, changes{"exp": now - 29}, true},
		{"RS-36 issuer 30 s behind, no leeway", none, changes{"exp": now - 29}, false},
		{"RS-36 a minute", time.Minute, changes{"exp": now - 59}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := i.verifier(func(c *resource.Config) { c.Leeway = test.leeway })
			got := get(v, i.mint(test.change))
			if test.ok {
				expectOK(t, got)
			} else {
				expectInvalid(t, got)
			}
		})
	}
	t.Run("RS-36 more than a minute is no leeway", func(t *testing.T) {
		_, err := resource.NewVerifier(resource.Config{Issuer: theIssuer, Audience: theAudience, Leeway: time.Minute + 1})
		if err == nil || !strings.Contains(err.Error(), "Leeway") {
			t.Errorf("error %v", err)
		}
	})
}

func TestScope(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	for _, test := range []struct {
		name  string
		scope any
		need  []string
		ok    bool
	}{
		{"S23 scope missing for the route", "write", []string{"read"}, false},
		{"S24 readonly is not read", "readonly", []string{"read"}, false},
		{"S24 read is not readonly", "read", []string{"readonly"}, false},
		{"RS-17 readwrite", "readwrite", []string{"read"}, false},
		{"RS-17 READ", "READ", []string{"read"}, false},
		{"RS-17 no scope at all", nil, []string{"read"}, false},
		{"RS-17 scope empty", "", []string{"read"}, false},
		{"RS-17 scope null", json.RawMessage("null"), []string{"read"}, false},
		{"RS-17 read among others", "a read b", []string{"read"}, true},
		{"RS-18 one of two", "read", []string{"read", "write"}, false},
		{"RS-18 the other of two", "write", []string{"read", "write"}, false},
		{"RS-18 both", "write read", []string{"read", "write"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := do(v.Require(test.need...), message("", []string{"Bearer " + i.mint(changes{"scope": test.scope})}, ""))
			if test.ok {
				expectOK(t, got)
				return
			}
			expect(t, got, http.StatusForbidden, oauth.InsufficientScope)
			want := strings.Join(test.need, " ")
			if scope := parseChallenge(t, got.Header.Get("WWW-Authenticate"))["scope"]; scope != want {
				t.Errorf("the challenge asks for %q, want %q", scope, want)
			}
		})
	}
	t.Run("S26 authorization_details instead of the scope", func(t *testing.T) {
		token := i.mint(changes{"scope": nil, "authorization_details": []changes{{"type": "read", "actions": []string{"read"}}}})
		expect(t, get(v, token), http.StatusForbidden, oauth.InsufficientScope)
	})
}

func TestRoles(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	for _, test := range []struct {
		name  string
		roles any
		ok    bool
	}{
		{"the role", []string{"a", "admin"}, true},
		{"a longer role", []string{"administrator"}, false},
		{"a role in upper case", []string{"ADMIN"}, false},
		{"no roles", nil, false},
		{"null", []any{nil}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := do(v.RequireRole("admin"), message("", []string{"Bearer " + i.mint(changes{"roles": test.roles})}, ""))
			if test.ok {
				expectOK(t, got)
			} else {
				expect(t, got, http.StatusForbidden, oauth.InsufficientScope)
			}
		})
	}
}

func TestRS19(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	for name, careless := range map[string]func(){
		"RS-19 Require without a scope":        func() { v.Require() },
		"RS-19 Require with an empty scope":    func() { v.Require("") },
		"RS-19 Require with two in one":        func() { v.Require("read write") },
		"RS-19 RequireRole without a role":     func() { v.RequireRole() },
		"RS-19 RequireRole with an empty role": func() { v.RequireRole("") },
		"RS-19 no handler":                     func() { v.Require("read")(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			careless()
		})
	}
	t.Run("RS-19 RequireAuthOnly says so", func(t *testing.T) {
		expectOK(t, do(v.RequireAuthOnly(), message("", []string{"Bearer " + i.mint(changes{"scope": nil})}, "")))
		expect(t, do(v.RequireAuthOnly(), message("", nil, "")), http.StatusUnauthorized, "")
	})
}

// TestToken holds what a handler learns, and that it cannot change what the next request may do.
func TestToken(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	compact := i.mint(changes{"scope": "read write", "aud": []string{theAudience, otherAPI}})
	for range 3 { // the first is verified, the others are remembered
		token, err := v.Verify(background, compact)
		if err != nil {
			t.Fatal(err)
		}
		now := i.clock.Now()
		if token.Issuer != theIssuer || token.Subject != "billing-4fk2p9qz7a" || token.ClientID != "billing-4fk2p9qz7a" ||
			token.Audience[1] != otherAPI || token.Scope.String() != "read write" || !token.HasRole("auditor") ||
			token.ID != "0123456789abcdef" || !token.IssuedAt.Equal(now) || !token.Expires.Equal(now.Add(5*time.Minute)) {
			t.Errorf("token %+v", token)
		}
		token.Scope[0], token.Audience[1], token.Roles[0] = "admin", "x", "admin"
	}
	if resource.FromContext(background) != nil {
		t.Error("a context of nobody has a token")
	}
}

// TestErrors holds what Verify returns to callers that are not HTTP handlers.
func TestErrors(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	_, err := v.Verify(background, i.mint(changes{"aud": otherAPI}))
	var refusal *oauth.Error
	if !errors.Is(err, oauth.InvalidToken) || !errors.As(err, &refusal) {
		t.Errorf("error %v is not an invalid_token", err)
	}
}
