package resource_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// FuzzVerify looks for a token that we accept and another library does not, or reads differently, and for a panic
// (RS-24). The fuzzer writes header and payload, and we sign what it wrote: without that it would never get past the
// signature.
func FuzzVerify(f *testing.F) {
	i := newIssuer(f)
	v := i.verifier(func(c *resource.Config) { c.Keys = &ring{keys: []resource.Key{i.signer.Key()}} })
	good := i.payload(nil)
	for _, header := range []string{i.header(""), `{"alg":"ES256","typ":"application/AT+JWT"}`, i.header(`,"crit":["exp"]`), `{"alg":"none"}`} {
		f.Add(header, good)
	}
	for _, change := range []changes{
		{"aud": []string{theAudience, otherAPI}}, {"exp": 1}, {"exp": "1"}, {"nbf": 1.5}, {"scope": []string{"read"}},
		{"cnf": nil}, {"roles": []any{nil}}, {"iss": nil}, {"x": changes{"a": []any{1, "2", nil}}}, {"sub": "é\u0000"},
	} {
		f.Add(i.header(""), i.payload(change))
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		compact := i.raw(header, payload)
		token, err := v.Verify(background, compact)
		if err != nil {
			if !errors.Is(err, oauth.InvalidToken) {
				t.Fatalf("RS-24: header %q, payload %q: error %v is no refusal", header, payload, err)
			}
			return
		}
		other, err := jwt.Parse([]byte(compact), jwt.WithKey(jwa.ES256(), &private().PublicKey), jwt.WithIssuer(theIssuer),
			jwt.WithAudience(theAudience), jwt.WithClock(jwt.ClockFunc(i.clock.Now)), jwt.WithAcceptableSkew(oauth.Leeway))
		if err != nil {
			t.Fatalf("RS-24: we accept header %q, payload %q; jwx does not: %v", header, payload, err)
		}
		subject, _ := other.Subject()
		id, _ := other.JwtID()
		if subject != token.Subject || id != token.ID {
			t.Fatalf("RS-24: payload %q: we read %+v, jwx %s %s", payload, token, subject, id)
		}
		std := map[string]any{} // which takes the last of two members where we refuse both
		if err := json.Unmarshal([]byte(payload), &std); err != nil || std["client_id"] != token.ClientID || std["iss"] != theIssuer {
			t.Fatalf("RS-24: payload %q: we read %+v, encoding/json %v, error %v", payload, token, std, err)
		}
	})
}

// FuzzRequest looks for a header that panics, gets in, or breaks the answer (RS-24).
func FuzzRequest(f *testing.F) {
	i := newIssuer(f)
	v := i.verifier(func(c *resource.Config) { c.Keys = &ring{keys: []resource.Key{newSigner(jose.ES256).Key()}} })
	handler := v.Require("read").Func(func(http.ResponseWriter, *http.Request) { panic("RS-24: a request got in") })
	for _, seed := range []string{"", "Bearer", "Bearer x", "Bearer a, Bearer b", "Bearer\tx", "Basic YTpi", "bearer " + i.mint(nil), "DPoP x"} {
		f.Add(seed, "access_token=x", "a=b&access_token=x")
	}
	f.Fuzz(func(t *testing.T, authorization, query, form string) {
		r := message("", []string{authorization}, form)
		r.URL.RawQuery = query
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized && w.Code != http.StatusBadRequest {
			t.Fatalf("RS-24: status %d", w.Code)
		}
		parseChallenges(t, w.Result())
	})
}

// FuzzProof looks for a proof that gets in and is not ours, and for a panic (RS-24). The fuzzer writes header and payload,
// and we sign what it wrote with the key that the token is bound to.
func FuzzProof(f *testing.F) {
	i := newIssuer(f)
	v := i.verifier(func(c *resource.Config) { c.Keys = &ring{keys: []resource.Key{i.signer.Key()}} })
	h := i.holder()
	token := h.token(nil)
	for _, change := range []changes{nil, {"jti": ""}, {"htm": "get"}, {"htu": "https://A.test:443/%6frders?x"}, {"iat": 1e300}, {"ath": 1}} {
		f.Add(h.header(nil), h.claims(token, change))
	}
	f.Add(h.header(changes{"typ": "JWT"}), h.claims(token, nil))
	f.Fuzz(func(t *testing.T, header, payload string) {
		got := do(reading(v), demonstrate(token, signRaw(h.key, header, payload)))
		if got.StatusCode != http.StatusOK {
			parseChallenges(t, got)
			return
		}
		said := map[string]any{}
		if err := json.Unmarshal([]byte(payload), &said); err != nil || said["htm"] != "GET" || said["ath"] != hash(token) || said["jti"] == nil || said["jti"] == "" {
			t.Fatalf("RS-24: header %q, payload %q got in (%v)", header, payload, err)
		}
		if again := do(reading(v), demonstrate(token, signRaw(h.key, header, payload))); again.StatusCode != http.StatusUnauthorized {
			t.Fatalf("RS-24: header %q, payload %q got in twice", header, payload)
		}
	})
}

// FuzzClientCert looks for a Client-Cert header that panics or gets in (RS-24).
func FuzzClientCert(f *testing.F) {
	i := newIssuer(f)
	v := i.verifier(func(c *resource.Config) {
		c.Keys = &ring{keys: []resource.Key{i.signer.Key()}}
		c.ClientCertificate = resource.ClientCertHeader(netip.MustParsePrefix("10.0.0.0/8"))
	})
	own := theShow().header()
	token := i.mint(changes{"cnf": changes{"x5t#S256": theShow().thumbprint}})
	f.Add(own)
	f.Add(foreigners().header())
	f.Add(":AAAA:")
	f.Fuzz(func(t *testing.T, header string) {
		r := showing(token)
		r.RemoteAddr = "10.0.0.1:1"
		r.Header["Client-Cert"] = []string{header}
		if got := do(reading(v), r); (got.StatusCode == http.StatusOK) != (header == own) {
			t.Fatalf("RS-24: header %q: %d", header, got.StatusCode)
		}
	})
}
