package endpoint_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// A variation is an assertion of c-jwt that was good but for one thing. A refused one has the reason that the journal must
// say, so that it is refused for its own sake.
type variation struct {
	name string
	vary func(a *assertion)
	why  string // "" is accepted
}

// try sends each variation, and the same assertion without it before.
func (s *server) try(t *testing.T, all []variation) {
	t.Helper()
	for _, v := range all {
		t.Run(v.name, func(t *testing.T) {
			s.exchange(t, "/token", authenticated(ask(), s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t)), http.StatusOK, "")
			a := s.good("c-jwt", keyOne(), jose.ES256, "k1")
			v.vary(a)
			status := http.StatusOK
			if v.why != "" {
				status = http.StatusUnauthorized
			}
			s.exchange(t, "/token", authenticated(ask(), a.compact(t)), status, v.why)
		})
	}
}

func claim(name string, value any) func(*assertion) {
	return func(a *assertion) { a.claims[name] = value }
}

func noClaim(name string) func(*assertion) { return func(a *assertion) { delete(a.claims, name) } }

func head(name string, value any) func(*assertion) {
	return func(a *assertion) { a.header[name] = value }
}

func TestAssertionAudience(t *testing.T) {
	s := newKeyServer(t)
	other := "https://evil.test"
	s.try(t, []variation{
		{"J01 aud is the issuer", func(*assertion) {}, ""},
		{"J02, CA-11 aud is an array of the issuer alone", claim("aud", []string{s.issuer}), ""},
		{"J03, CA-10 aud is the token endpoint", claim("aud", s.issuer+"/token"), "assertion_audience"},
		{"J04, CA-11 aud is the issuer and the token endpoint", claim("aud", []string{s.issuer, s.issuer + "/token"}), "assertion_audience"},
		{"J04, CA-11 aud is the issuer and another server", claim("aud", []string{s.issuer, other}), "assertion_audience"},
		{"J04 aud is the issuer twice", claim("aud", []string{s.issuer, s.issuer}), "assertion_audience"},
		{"J05, CA-12 aud has a slash more", claim("aud", s.issuer+"/"), "assertion_audience"},
		{"J06, CA-12 aud in upper case", claim("aud", "https://AS.example"), "assertion_audience"},
		{"J06, CA-12 aud with the default port", claim("aud", "https://as.example:443"), "assertion_audience"},
		{"J06, CA-12 aud by http", claim("aud", "http://as.example"), "assertion_audience"},
		{"J06, CA-12 aud percent-encoded", claim("aud", "https://as%2Eexample"), "assertion_audience"},
		{"J07, CA-11 aud missing", noClaim("aud"), "assertion_audience"},
		{"J07, CA-11 aud an empty array", claim("aud", []string{}), "assertion_audience"},
		{"J07, CA-11 aud a number", claim("aud", 1), "assertion_audience"},
		{"J07, CA-11 aud an object", claim("aud", map[string]any{}), "assertion_audience"},
		{"J07 aud null", claim("aud", nil), "assertion_audience"},
		{"J07 aud an empty string", claim("aud", ""), "assertion_audience"},
		{"J08 aud is another server", claim("aud", other), "assertion_audience"},
	})
}

func TestAssertionType(t *testing.T) {
	s := newKeyServer(t)
	s.try(t, []variation{
		{"J09 typ missing", func(a *assertion) { delete(a.header, "typ") }, ""},
		{"J09 typ JWT", head("typ", "JWT"), ""},
		{"J09 typ client-authentication+jwt", head("typ", "client-authentication+jwt"), ""},
		{"J09 typ application/client-authentication+jwt", head("typ", "application/client-authentication+jwt"), ""},
		{"J10 typ at+jwt", head("typ", "at+jwt"), "assertion_type"},
		{"J10 typ dpop+jwt", head("typ", "dpop+jwt"), "assertion_type"},
		{"J10 typ secevent+jwt", head("typ", "secevent+jwt"), "assertion_type"},
		{"J10 typ token-introspection+jwt", head("typ", "token-introspection+jwt"), "assertion_type"},
	})
	t.Run("J11 an access token of ours", func(t *testing.T) {
		got := s.exchange(t, "/token", authenticated(ask(), s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t)), http.StatusOK, "")
		var issued oauth.TokenResponse
		must(t, json.Unmarshal([]byte(got.body), &issued))
		s.exchange(t, "/token", authenticated(ask(), issued.AccessToken), http.StatusUnauthorized, "assertion_type c-jwt")
	})
}

func TestAssertionClient(t *testing.T) {
	s := newKeyServer(t)
	s.try(t, []variation{
		{"J12, CA-17 iss is not sub", claim("iss", "c-other"), "assertion_issuer"},
		{"J12, CA-17 sub is not iss", claim("sub", "c-other"), "assertion_issuer"},
		{"J12, CA-17 iss missing", noClaim("iss"), "assertion_issuer"},
		{"J12, CA-17 sub missing", noClaim("sub"), "unknown_client"},
		{"J12 both missing", func(a *assertion) { delete(a.claims, "iss"); delete(a.claims, "sub") }, "unknown_client"},
		{"J12 both null", func(a *assertion) { a.claims["iss"], a.claims["sub"] = nil, nil }, "unknown_client"},
		{"J12 both a number", func(a *assertion) { a.claims["iss"], a.claims["sub"] = 1, 1 }, "assertion_malformed"},
		{"CA-09 signed by another client", func(a *assertion) { a.key = keyTwo(); a.header["kid"] = "k2" }, "unknown_key"},
		{"CA-09 signed by another client in this one's name", func(a *assertion) { a.key = keyTwo() }, "wrong_signature"},
		{"J12 a client that nobody knows", func(a *assertion) { a.claims["iss"], a.claims["sub"] = "stranger", "stranger" }, "unknown_client"},
	})
	named := func(client string) url.Values {
		form := authenticated(ask(), s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t))
		form.Set("client_id", client)
		return form
	}
	t.Run("J13 without client_id, and with it", func(t *testing.T) {
		form := authenticated(ask(), s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t))
		s.exchange(t, "/token", form, http.StatusOK, "")
		got := s.exchange(t, "/token", named("c-jwt"), http.StatusOK, "")
		matches(t, claims(t, got.body), `{"client_id":"c-jwt","sub":"c-jwt"}`, false)
	})
	t.Run("J14, CA-09, CA-17 with the client_id of another client", func(t *testing.T) {
		s.exchange(t, "/token", named("c-other"), http.StatusUnauthorized, "other_client c-jwt")
		s.exchange(t, "/token", named("c-basic"), http.StatusUnauthorized, "other_client")
		s.exchange(t, "/token", named("stranger"), http.StatusUnauthorized, "other_client")
	})
	t.Run("J12, CA-17 sub missing beside a client_id", func(t *testing.T) {
		a := s.good("c-jwt", keyOne(), jose.ES256, "k1")
		delete(a.claims, "sub")
		s.exchange(t, "/token", with(authenticated(ask(), a.compact(t)), "client_id", "c-jwt"), http.StatusUnauthorized, "assertion_issuer c-jwt")
	})
	t.Run("J12 suspended", func(t *testing.T) {
		update(t, s.store, "c-other", func(c *store.Client) { c.Suspended = true })
		s.poll(t)
		a := s.good("c-other", keyTwo(), jose.ES256, "k2")
		s.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusUnauthorized, "client_disabled")
	})
}

func TestAssertionTimes(t *testing.T) {
	s := newKeyServer(t)
	in := s.seconds
	both := func(iat, exp time.Duration) func(*assertion) {
		return func(a *assertion) { a.claims["iat"], a.claims["exp"] = in(iat), in(exp) }
	}
	s.try(t, []variation{
		{"J15, CA-15 exp missing", noClaim("exp"), "assertion_expired"},
		{"J16 exp 5 minutes ago", claim("exp", in(-5*time.Minute)), "assertion_expired"},
		{"CA-15 exp past by more than the leeway", claim("exp", in(-11*time.Second)), "assertion_expired"},
		{"J16 exp past by the leeway", claim("exp", in(-10*time.Second)), "assertion_expired"},
		{"J16 exp past by less than the leeway", claim("exp", in(-9*time.Second)), ""},
		{"J17 exp a day ahead", claim("exp", in(24*time.Hour)), "assertion_lifetime"},
		{"CA-15 exp 301 seconds ahead", claim("exp", in(301*time.Second)), "assertion_lifetime"},
		{"CA-15 exp 301 seconds ahead, without iat", func(a *assertion) { delete(a.claims, "iat"); a.claims["exp"] = in(301 * time.Second) }, "assertion_lifetime"},
		{"J17 exp 300 seconds ahead", claim("exp", in(300*time.Second)), ""},
		{"J17 exp 300 seconds behind an iat that is ahead", both(8*time.Second, 308*time.Second), ""},
		{"J18, CA-16 iat 8 seconds ahead", claim("iat", in(8*time.Second)), ""},
		{"J18, CA-16 nbf 8 seconds ahead", claim("nbf", in(8*time.Second)), ""},
		{"J18 iat 10 seconds ahead", claim("iat", in(10*time.Second)), ""},
		{"J19 iat 11 seconds ahead", claim("iat", in(11*time.Second)), "assertion_early"},
		{"J19, CA-16 iat 61 seconds ahead", both(61*time.Second, 90*time.Second), "assertion_early"},
		{"J19, CA-16 nbf 61 seconds ahead", claim("nbf", in(61*time.Second)), "assertion_early"},
		{"J20 iat a day old", claim("iat", in(-24*time.Hour)), "assertion_old"},
		{"CA-16 iat 301 seconds old", claim("iat", in(-301*time.Second)), "assertion_old"},
		{"CA-16 iat 300 seconds old", claim("iat", in(-300*time.Second)), ""},
		{"J20 without iat", noClaim("iat"), ""},
		{"J21 exp a string", claim("exp", fmt.Sprint(in(time.Minute))), "assertion_malformed"},
		{"J21 exp true", claim("exp", true), "assertion_malformed"},
		{"J21 exp 1e300", claim("exp", 1e300), "assertion_malformed"},
		{"J21 exp negative", claim("exp", -1), "assertion_malformed"},
		{"J21 exp null", claim("exp", nil), "assertion_malformed"},
		{"J21 iat a string", claim("iat", "0"), "assertion_malformed"},
		{"J21 exp with a fraction", claim("exp", float64(in(time.Minute))+0.5), ""},
	})
}

func TestAssertionID(t *testing.T) {
	s := newKeyServer(t)
	s.try(t, []variation{
		{"J22, CA-20 jti missing", noClaim("jti"), "assertion_id"},
		{"CA-20 jti empty", claim("jti", ""), "assertion_id"},
		{"CA-20 jti of 10 KiB", claim("jti", strings.Repeat("x", 10<<10)), "assertion_id"},
		{"CA-20 jti of 257 bytes", claim("jti", strings.Repeat("x", 257)), "assertion_id"},
		{"CA-20 jti of 256 bytes", claim("jti", strings.Repeat("x", 256)), ""},
		{"CA-20 jti a number", claim("jti", 1), "assertion_malformed"},
		{"CA-20 jti null", claim("jti", nil), "assertion_id"},
		{"CA-20 jti with NUL", claim("jti", "a\x00b"), ""}, // what is kept is its hash
	})
}

func TestAssertionAlgorithm(t *testing.T) {
	s := newKeyServer(t)
	public, err := x509.MarshalPKIXPublicKey(keyOne().Public())
	must(t, err)
	jwk, err := jose.MarshalJWKS([]jose.Key{{ID: "k1", Algorithm: jose.ES256, Public: keyOne().Public()}})
	must(t, err)
	jwk = bytes.TrimSuffix(bytes.TrimPrefix(jwk, []byte(`{"keys":[`)), []byte(`]}`))
	hs256 := func(secret []byte) func(*assertion) {
		return func(a *assertion) { a.header["alg"], a.algorithm, a.secret = "HS256", "HS256", secret }
	}
	none := func(name string) func(*assertion) {
		return func(a *assertion) { a.header["alg"], a.algorithm = name, "none" }
	}
	s.try(t, []variation{
		{"J25, CA-01 alg none", none("none"), "assertion_malformed"},
		{"CA-01 alg None", none("None"), "assertion_malformed"},
		{"J26, CA-01 alg nOnE", none("nOnE"), "assertion_malformed"},
		{"J25 alg none with a signature", head("alg", "none"), "assertion_malformed"},
		{"J25 no alg", func(a *assertion) { delete(a.header, "alg") }, "assertion_malformed"},
		{"J27, CA-02 HS256 with the PEM", hs256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), "assertion_malformed"},
		{"J27, CA-02 HS256 with the DER", hs256(public), "assertion_malformed"},
		{"J27, CA-02 HS256 with the JWK", hs256(jwk), "assertion_malformed"},
		{"J27 HS256 with the client's secret", hs256([]byte(secretOf("c-jwt"))), "assertion_malformed"},
		{"J45 ES384 in the header, P-256 underneath", head("alg", jose.ES384), "wrong_signature"},
		{"J45 ES384 by another key", func(a *assertion) { a.header["alg"], a.algorithm, a.key = jose.ES384, jose.ES384, keyLong() }, "wrong_signature"},
		{"J28 RS256 from a client with ES256", func(a *assertion) { a.header["alg"], a.algorithm, a.key = jose.RS256, jose.RS256, keyRSA() }, "wrong_signature"},
	})
	for algorithm, why := range map[string]string{jose.PS256: "", jose.RS256: "wrong_signature"} {
		t.Run("J28, CA-05 a key registered for PS256, signing "+algorithm, func(t *testing.T) {
			status := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[why == ""]
			a := s.good("c-rsa", keyRSA(), algorithm, "kr")
			s.exchange(t, "/token", authenticated(ask(), a.compact(t)), status, why)
		})
	}
	for _, algorithm := range []string{jose.Ed25519, jose.EdDSA} {
		t.Run("J01 "+algorithm+" is one algorithm by two names", func(t *testing.T) {
			a := s.good("c-ed", keyEd(), algorithm, "ke")
			s.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusOK, "")
		})
	}
	t.Run("J28 the client's signing algorithm limits its keys", func(t *testing.T) {
		update(t, s.store, "c-three", func(c *store.Client) { c.SigningAlgorithm = jose.ES384 })
		s.poll(t)
		long := s.good("c-three", keyLong(), jose.ES384, "kl")
		s.exchange(t, "/token", authenticated(ask(), long.compact(t)), http.StatusOK, "")
		short := s.good("c-three", keyOne(), jose.ES256, "k1")
		s.exchange(t, "/token", authenticated(ask(), short.compact(t)), http.StatusUnauthorized, "wrong_signature")
	})
}

func TestAssertionSignature(t *testing.T) {
	s := newKeyServer(t)
	order, _ := new(big.Int).SetString("FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551", 16)
	number := func(r, sig *big.Int) []byte {
		return append(r.FillBytes(make([]byte, 32)), sig.FillBytes(make([]byte, 32))...)
	}
	signature := func(change func([]byte) []byte) func(*assertion) {
		return func(a *assertion) {
			a.finish = func(compact string) string {
				cut := strings.LastIndexByte(compact, '.')
				old, err := base64.RawURLEncoding.DecodeString(compact[cut+1:])
				must(t, err)
				return compact[:cut+1] + base64.RawURLEncoding.EncodeToString(change(old))
			}
		}
	}
	fixed := func(r, s *big.Int) func(*assertion) {
		return signature(func([]byte) []byte { return number(r, s) })
	}
	s.try(t, []variation{
		{"J29 a bit of the signature changed", signature(func(b []byte) []byte { b[40] ^= 1; return b }), "wrong_signature"},
		{"J29 truncated", signature(func(b []byte) []byte { return b[:63] }), "wrong_signature"},
		{"J29 a byte too many", signature(func(b []byte) []byte { return append(b, 0) }), "wrong_signature"},
		{"J29 in DER", signature(func(b []byte) []byte {
			der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(b[:32]), new(big.Int).SetBytes(b[32:])})
			must(t, err)
			return der
		}), "wrong_signature"},
		{"J29 a claim changed", func(a *assertion) {
			a.finish = func(compact string) string {
				parts := strings.Split(compact, ".")
				payload, err := base64.RawURLEncoding.DecodeString(parts[1])
				must(t, err)
				parts[1] = base64.RawURLEncoding.EncodeToString(bytes.Replace(payload, []byte(`"jti":"`), []byte(`"jti":"x`), 1))
				return strings.Join(parts, ".")
			}
		}, "wrong_signature"},
		{"CA-04 zeros", fixed(new(big.Int), new(big.Int)), "wrong_signature"},
		{"CA-04 r = 0, s = 1", fixed(new(big.Int), big.NewInt(1)), "wrong_signature"},
		{"CA-04 r = s = n", fixed(order, order), "wrong_signature"},
	})
}

func TestAssertionKeyID(t *testing.T) {
	s := newKeyServer(t)
	s.try(t, []variation{
		{"J31 kid unknown", head("kid", "nosuchkey"), "unknown_key"},
		{"J32 kid absent, one key registered", func(a *assertion) { delete(a.header, "kid") }, ""},
		{"J32 kid absent, another key", func(a *assertion) { delete(a.header, "kid"); a.key = keyTwo() }, "wrong_signature"},
		{"J33, CA-06 kid a path", head("kid", "../../etc/passwd"), "unknown_key"},
		{"J33, CA-06 kid SQL", head("kid", "' OR 1=1--"), "unknown_key"},
		{"CA-06 kid with a line break", head("kid", "k1\n{\"kind\":\"token.issued\"}"), "unknown_key"},
		{"CA-06 kid of 10 KiB", head("kid", strings.Repeat("k", 10<<10)), "unknown_key"},
		{"J33 kid of 40 KiB", head("kid", strings.Repeat("k", 40<<10)), "assertion_malformed"},
		{"CA-06 kid a number", head("kid", 1), "assertion_malformed"},
		{"CA-06 kid null", head("kid", nil), "assertion_malformed"},
		{"J32 kid empty is absent", head("kid", ""), ""},
	})
	t.Run("J33 kid of 64 KiB", func(t *testing.T) {
		a := s.good("c-jwt", keyOne(), jose.ES256, strings.Repeat("k", 64<<10))
		got := s.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusRequestEntityTooLarge, "invalid_request")
		if strings.Contains(got.body, "kkk") {
			t.Errorf("got %s", got.body)
		}
	})
	t.Run("J32 kid absent, several keys registered: all of that algorithm are tried", func(t *testing.T) {
		for _, key := range []crypto.Signer{keyOne(), keyTwo(), keyThree()} {
			a := s.good("c-three", key, jose.ES256, "")
			delete(a.header, "kid")
			s.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusOK, "")
		}
	})
	t.Run("J32 a key that has expired, and one that has not", func(t *testing.T) {
		update(t, s.store, "c-three", func(c *store.Client) { c.Keys[0].Expires = s.clock.Now().Add(time.Minute) })
		s.poll(t)
		send := func(status int, why string) {
			s.exchange(t, "/token", authenticated(ask(), s.good("c-three", keyTwo(), jose.ES256, "k2").compact(t)), status, why)
		}
		send(http.StatusOK, "")
		s.clock.move(time.Minute)
		send(http.StatusUnauthorized, "unknown_key")
		s.exchange(t, "/token", authenticated(ask(), s.good("c-three", keyThree(), jose.ES256, "k3").compact(t)), http.StatusOK, "")
	})
	t.Run("J32 a key that has not begun", func(t *testing.T) {
		update(t, s.store, "c-three", func(c *store.Client) { c.Keys[2].NotBefore = s.clock.Now().Add(time.Minute) })
		s.poll(t)
		send := func(status int, why string) {
			s.exchange(t, "/token", authenticated(ask(), s.good("c-three", keyThree(), jose.ES256, "k3").compact(t)), status, why)
		}
		send(http.StatusUnauthorized, "unknown_key")
		s.clock.move(time.Minute)
		send(http.StatusOK, "")
	})
}

// TestAssertionKeysInTheHeader: whoever brings the key proves nothing, and nothing is fetched for it.
func TestAssertionKeysInTheHeader(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var connections atomic.Int32
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			_ = c.Close()
		}
	}()
	bait := "https://" + listener.Addr().String() + "/keys"
	set := &publisher{sets: map[string][]jose.Key{}}
	s := newKeyServer(t, func(o *authority.Options) { o.RemoteKeys = set })
	jwk := map[string]any{}
	x, y := point(t, keyTwo())
	jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", x, y
	certificate := base64.StdEncoding.EncodeToString(signedByItself(t, keyTwo(), leaf("evil")).Raw)
	attacker := func(name string, value any) func(*assertion) {
		return func(a *assertion) { a.key, a.header[name] = keyTwo(), value }
	}
	s.try(t, []variation{
		{"J30, CA-03 jwk", attacker("jwk", jwk), "wrong_signature"},
		{"J30, CA-03 jku", attacker("jku", bait), "wrong_signature"},
		{"J30, CA-03 x5u", attacker("x5u", bait), "wrong_signature"},
		{"J30, CA-03 x5c", attacker("x5c", []string{certificate}), "wrong_signature"},
		{"J30 jwk, and a kid that is not known", func(a *assertion) { a.key, a.header["jwk"], a.header["kid"] = keyTwo(), jwk, "k9" }, "unknown_key"},
		{"J30 beside the right signature they are ignored", func(a *assertion) { a.header["jwk"], a.header["jku"] = jwk, bait }, ""},
	})
	must(t, listener.Close())
	<-done
	if n := connections.Load(); n > 0 {
		t.Errorf("J30, CA-03: %d connections to the attacker", n)
	}
	if asked := set.asked.Load(); asked > 0 {
		t.Errorf("J30, CA-03: the key sets of clients were asked for %d times", asked)
	}
}

func TestAssertionForm(t *testing.T) {
	s := newKeyServer(t)
	compact := func(change func(string) string) func(*assertion) {
		return func(a *assertion) { a.finish = change }
	}
	into := func(at int, text string) func(*assertion) {
		return compact(func(c string) string {
			parts := strings.Split(c, ".")
			parts[at] = parts[at][:8] + text + parts[at][8:]
			return strings.Join(parts, ".")
		})
	}
	headerText := func(change func(string) string) func(*assertion) {
		return func(a *assertion) { a.headerText = change }
	}
	claimsText := func(change func(string) string) func(*assertion) {
		return func(a *assertion) { a.claimsText = change }
	}
	deep := func(text string) string {
		return strings.TrimSuffix(text, "}") + `,"x":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000) + "}"
	}
	serialised := func(format string) func(*assertion) {
		return compact(func(c string) string {
			parts := strings.Split(c, ".")
			return strings.NewReplacer("H", parts[0], "P", parts[1], "S", parts[2]).Replace(format)
		})
	}
	const malformed = "assertion_malformed"
	s.try(t, []variation{
		{"J34, CA-08 crit exp", head("crit", []string{"exp"}), malformed},
		{"CA-08 crit empty", head("crit", []string{}), malformed},
		{"J34, CA-08 crit unknown", func(a *assertion) { a.header["crit"], a.header["x"] = []string{"x"}, 1 }, malformed},
		{"J46, CA-07 b64 false with crit", func(a *assertion) { a.header["crit"], a.header["b64"] = []string{"b64"}, false }, malformed},
		{"J46 b64 false", head("b64", false), malformed},
		{"J35 sub twice", claimsText(func(c string) string { return strings.TrimSuffix(c, "}") + `,"sub":"c-jwt"}` }), malformed},
		{"J35 sub twice, once escaped", claimsText(func(c string) string { return strings.TrimSuffix(c, "}") + `,"\u0073ub":"c-other"}` }), malformed},
		{"J35 alg twice", headerText(func(h string) string { return strings.TrimSuffix(h, "}") + `,"alg":"ES256"}` }), malformed},
		{"J35 something behind the claims", claimsText(func(c string) string { return c + "{}" }), malformed},
		{"J35 claims that are an array", claimsText(func(c string) string { return "[" + c + "]" }), malformed},
		{"J35 claims that are null", claimsText(func(string) string { return "null" }), malformed},
		{"J36 padding", compact(func(c string) string { return c + "=" }), malformed},
		{"J36 padding of the header", into(0, "="), malformed},
		{"J36 a line break in the header", into(0, "\n"), malformed},
		{"J36 a space in the payload", into(1, " "), malformed},
		{"J36 a line break in the signature", into(2, "\r\n"), malformed},
		{"J36 spaces around it", compact(func(c string) string { return " " + c + " " }), malformed},
		{"J37, CA-07 JSON, general", serialised(`{"payload":"P","signatures":[{"protected":"H","signature":"S"}]}`), malformed},
		{"J37, CA-07 JSON, flattened", serialised(`{"payload":"P","protected":"H","signature":"S"}`), malformed},
		{"CA-07 detached", serialised("H..S"), malformed},
		{"J37 two segments", serialised("H.P"), malformed},
		{"J37 four segments", serialised("H.P.S.S"), malformed},
		{"J37, CA-21 five segments", serialised("H.P.S.S.S"), malformed},
		{"CA-21 dots", compact(func(string) string { return strings.Repeat(".", 20_000) }), malformed},
		{"CA-21 16 KiB and a byte", func(a *assertion) {
			a.finish = func(c string) string { return c + strings.Repeat("A", 16<<10+1-len(c)) }
		}, malformed},
		{"CA-22 a header 4000 deep", headerText(deep), malformed},
		{"CA-22 claims 4000 deep", claimsText(deep), malformed},
		{"CA-23 a JWE with PBES2", compact(func(string) string {
			header := `{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAA","zip":"DEF"}`
			return base64.RawURLEncoding.EncodeToString([]byte(header)) + ".AAAA.AAAA.AAAA.AAAA"
		}), malformed},
		{"CA-23 PBES2 in three parts", func(a *assertion) { a.header["alg"], a.header["p2c"] = "PBES2-HS256+A128KW", 1<<31-1 }, malformed},
		{"CA-23 zip", func(a *assertion) { a.header["zip"] = "DEF" }, ""}, // it means nothing in a JWS
	})
	t.Run("CA-21 a megabyte of dots", func(t *testing.T) {
		s.exchange(t, "/token", authenticated(ask(), strings.Repeat(".", 1<<20)), http.StatusRequestEntityTooLarge, "invalid_request")
	})
	t.Run("CA-22 a megabyte in a claim", func(t *testing.T) {
		a := s.good("c-jwt", keyOne(), jose.ES256, "k1")
		a.claims["x"] = strings.Repeat("x", 1<<20)
		s.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusRequestEntityTooLarge, "invalid_request")
	})
}

// TestAssertionOnly: a client of private_key_jwt has this way in and no other, and no other client has it.
func TestAssertionOnly(t *testing.T) {
	s := newKeyServer(t)
	good := func() string { return s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t) }
	t.Run("J38 the type is missing", func(t *testing.T) {
		form := authenticated(ask(), good())
		form.Del("client_assertion_type")
		s.exchange(t, "/token", form, http.StatusBadRequest, "invalid_request")
	})
	t.Run("J39 the type is SAML", func(t *testing.T) {
		form := with(authenticated(ask(), good()), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		s.exchange(t, "/token", form, http.StatusBadRequest, "invalid_request")
	})
	t.Run("J40 no assertion", func(t *testing.T) {
		s.exchange(t, "/token", authenticated(ask(), ""), http.StatusUnauthorized, "no_credentials")
	})
	t.Run("J41 two assertions", func(t *testing.T) {
		form := authenticated(ask(), good())
		form.Add("client_assertion", good())
		s.exchange(t, "/token", form, http.StatusBadRequest, "invalid_request")
	})
	t.Run("CA-24 Basic and an assertion, both right", func(t *testing.T) {
		s.exchange(t, "/token", authenticated(ask(), good()), http.StatusBadRequest, "invalid_request", "Authorization: "+basic("c-basic", secretOf("c-basic")))
		s.exchange(t, "/token", with(authenticated(ask(), good()), "client_secret", secretOf("c-jwt")), http.StatusBadRequest, "invalid_request")
	})
	t.Run("A20, CA-25 a secret that is stored, and one that is not", func(t *testing.T) {
		s.exchange(t, "/token", ask(), http.StatusUnauthorized, "wrong_method c-jwt", "Authorization: "+basic("c-jwt", secretOf("c-jwt")))
		s.exchange(t, "/token", ask(), http.StatusUnauthorized, "wrong_method c-other", "Authorization: "+basic("c-other", "any"))
		s.exchange(t, "/token", with(with(ask(), "client_id", "c-jwt"), "client_secret", "any"), http.StatusUnauthorized, "wrong_method c-jwt")
		s.exchange(t, "/token", with(ask(), "client_id", "c-jwt"), http.StatusUnauthorized, "no_credentials c-jwt")
	})
	t.Run("CA-25 an assertion of a client that has a secret, even if a key is stored", func(t *testing.T) {
		update(t, s.store, "c-basic", func(c *store.Client) { c.Keys = []store.ClientKey{registered(t, "k3", jose.ES256, keyThree())} })
		s.poll(t)
		a := s.good("c-basic", keyThree(), jose.ES256, "k3")
		s.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusUnauthorized, "wrong_method c-basic")
	})
}

// TestMigration: while a client changes from a secret to a key, both are good, and each says when it was used.
func TestMigration(t *testing.T) {
	s := newKeyServer(t)
	update(t, s.store, "c-jwt", func(c *store.Client) {
		c.FormerMethod, c.FormerUntil = oauth.ClientSecretBasic, s.clock.Now().Add(time.Hour)
	})
	s.poll(t)
	authorization := "Authorization: " + basic("c-jwt", secretOf("c-jwt"))
	key := func() url.Values {
		return authenticated(ask(), s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t))
	}
	uses := func() (all []string) {
		for _, use := range s.authority.TakeUses() {
			if _, _, scope := use.Scope(); !scope {
				all = append(all, use.ClientID+" "+use.Credential+" "+use.Last.Format(time.TimeOnly)+" "+use.Remote)
			}
		}
		slices.Sort(all)
		return all
	}
	s.exchange(t, "/token", ask(), http.StatusOK, "", authorization)
	s.exchange(t, "/token", key(), http.StatusOK, "")
	if got, want := uses(), []string{"c-jwt 1 12:00:00 127.0.0.1", "c-jwt k1 12:00:00 127.0.0.1"}; !slices.Equal(got, want) {
		t.Errorf("uses: got %q, want %q", got, want)
	}
	wrong := with(key(), "client_id", "c-other")
	s.exchange(t, "/token", wrong, http.StatusUnauthorized, "other_client")
	s.exchange(t, "/token", with(ask(), "client_id", "c-jwt"), http.StatusUnauthorized, "no_credentials")
	s.clock.move(time.Hour)
	s.exchange(t, "/token", ask(), http.StatusUnauthorized, "wrong_method", authorization)
	if got := uses(); len(got) > 0 {
		t.Errorf("uses of who was refused: %q", got)
	}
	s.exchange(t, "/token", key(), http.StatusOK, "")
	if got, want := uses(), []string{"c-jwt k1 13:00:00 127.0.0.1"}; !slices.Equal(got, want) {
		t.Errorf("uses: got %q, want %q", got, want)
	}
}

func with(form url.Values, name, value string) url.Values {
	form.Set(name, value)
	return form
}

// TestAssertionProfile: what the profile of FAPI 2.0 demands of client authentication, and says of it.
func TestAssertionProfile(t *testing.T) {
	strict := newKeyServer(t, func(o *authority.Options) { o.Profile = authority.FAPI2 })
	token := url.Values{"token": {"x"}}
	send := func(t *testing.T, a *assertion, status int, why string) {
		t.Helper()
		strict.exchange(t, "/introspect", authenticated(token, a.compact(t)), status, why)
	}
	good := func() *assertion { return strict.good("c-jwt", keyOne(), jose.ES256, "k1") }
	t.Run("J01 ES256, PS256, Ed25519 and EdDSA", func(t *testing.T) {
		send(t, good(), http.StatusOK, "")
		send(t, strict.good("c-rsa", keyRSA(), jose.PS256, "kr"), http.StatusOK, "")
		send(t, strict.good("c-ed", keyEd(), jose.Ed25519, "ke"), http.StatusOK, "")
		send(t, strict.good("c-ed", keyEd(), jose.EdDSA, "ke"), http.StatusOK, "")
	})
	t.Run("J02 aud must be a string", func(t *testing.T) {
		a := good()
		a.claims["aud"] = []string{strict.issuer}
		send(t, a, http.StatusUnauthorized, "assertion_audience")
	})
	t.Run("J28 ES384 and RS256", func(t *testing.T) {
		send(t, strict.good("c-three", keyLong(), jose.ES384, "kl"), http.StatusUnauthorized, "assertion_algorithm")
		update(t, strict.store, "c-rsa", func(c *store.Client) { c.Keys[0].Algorithm = jose.RS256 })
		strict.poll(t)
		send(t, strict.good("c-rsa", keyRSA(), jose.RS256, "kr"), http.StatusUnauthorized, "assertion_algorithm")
	})
	t.Run("CA-25 a secret", func(t *testing.T) {
		strict.exchange(t, "/introspect", token, http.StatusUnauthorized, "wrong_method", "Authorization: "+basic("c-basic", secretOf("c-basic")))
	})
	t.Run("W08 the metadata say so", func(t *testing.T) {
		got := strict.get(t, "/.well-known/oauth-authorization-server").body
		for _, member := range []string{"token_endpoint", "introspection_endpoint", "revocation_endpoint"} {
			matches(t, got, `{"`+member+`_auth_methods_supported":["private_key_jwt"],
				"`+member+`_auth_signing_alg_values_supported":["ES256","Ed25519","EdDSA","PS256"]}`, false)
		}
	})
}

// TestJ42WeakKey: a key that registration would have refused does not open anything either.
func TestJ42WeakKey(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	s := newKeyServer(t)
	weak := weakRSA(t)
	update(t, s.store, "c-rsa", func(c *store.Client) { c.Keys = []store.ClientKey{registered(t, "kw", jose.PS256, weak)} })
	s.poll(t)
	a := s.good("c-rsa", weak, jose.PS256, "kw")
	s.exchange(t, "/token", authenticated(ask(), a.compact(t)), http.StatusUnauthorized, "unknown_key")
}
