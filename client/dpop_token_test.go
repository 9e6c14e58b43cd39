package client_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/oauth"
)

// TestTypeOfDPoPToken holds row C05 for a client that asks for bound tokens: it never takes one that is not.
func TestTypeOfDPoPToken(t *testing.T) {
	t.Parallel()
	for tokenType, want := range map[string]string{
		"DPoP": "", "dpop": "", "DPOP": "", "dPoP": "",
		"Bearer": "is not bound to the key, and is not used; check that the server supports DPoP", "bearer": "is not used", "BEARER": "is not used",
		"MAC": "can only use DPoP", "": "can only use DPoP", "DPoP ": "can only use DPoP",
	} {
		t.Run("C05 DPoP asked for, token_type "+tokenType, func(t *testing.T) {
			b := newBench(t, new(""), new(""))
			b.answer(func(w http.ResponseWriter, _ *http.Request) {
				reply(w, http.StatusOK, map[string]any{"access_token": "a", "token_type": tokenType, "expires_in": 300})
			})
			got, err := b.source.Token(t.Context())
			if want == "" && (err != nil || got.Type != oauth.DPoP) {
				t.Errorf("token %v, error %v, want a DPoP token", got, err)
			}
			if want != "" {
				wantError(t, err, "token_type", want)
			}
		})
	}
	t.Run("C05 DPoP not asked for", func(t *testing.T) {
		i, _, s := start(t)
		i.token = raw(http.StatusOK, "application/json", `{"access_token":"a","token_type":"DPoP"}`)
		_, err := s.Token(t.Context())
		wantError(t, err, "unless DPoP is in its configuration")
	})
}

// TestProof checks what proofs say, and that a token without DPoP has none.
func TestProof(t *testing.T) {
	t.Parallel()
	b := newBench(t, new(""), new(""))
	r := request(t.Context(), api+"/a%2Fb/c?x=y#z")
	r.Header.Set("DPoP", "the caller's")
	response, err := b.source.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	atAPI, atIssuer := proofs(t, b.headers)[0], proofs(t, b.issuer.headers)[0]
	for _, check := range []struct{ name, got, want string }{
		{"htm at the API", atAPI.text("htm"), "POST"}, {"htu at the API", atAPI.text("htu"), api + "/a%2Fb/c"},
		{"htm at the issuer", atIssuer.text("htm"), "POST"}, {"htu at the issuer", atIssuer.text("htu"), issuerURL + "/token"},
		{"typ", fmt.Sprint(atAPI.header["typ"]), "dpop+jwt"}, {"alg", fmt.Sprint(atAPI.header["alg"]), "ES256"},
		{"the header of the request", r.Header.Get("DPoP"), "the caller's"},
	} {
		if check.got != check.want {
			t.Errorf("%s is %q, want %q", check.name, check.got, check.want)
		}
	}
	if fmt.Sprint(atAPI.header["jwk"]) != fmt.Sprint(atIssuer.header["jwk"]) {
		t.Error("issuer and API were shown two keys")
	}
	wantStatus(t, b.source.Client(), api, 200)
	if got := proofs(t, b.headers[1:])[0].text("htu"); got != api+"/" {
		t.Errorf("htu of an empty path is %q, want %q", got, api+"/")
	}

	i, n, s := start(t)
	a := &bench{api: &apiServer{}}
	n["api.example"] = a
	r = request(t.Context(), api)
	r.Header.Set("DPoP", "the caller's")
	if response, err = s.Client().Do(r); err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if len(i.headers[0].Values("DPoP"))+len(a.headers[0].Values("DPoP")) != 0 {
		t.Error("a bearer token travels with a proof")
	}
}

// TestDPoPKey checks keys that the caller brings.
func TestDPoPKey(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{"ES256", "PS256", "EdDSA"} {
		key := keyFor(algorithm)
		file := writeKey(t, key)
		b := newBench(t, new(""), new(""), func(c *client.Config) {
			c.DPoP, c.DPoPKey = false, client.PrivateKeyFile(file)
		})
		write(t, file, string(keyPEM(newKey()))) // tokens stay with the key that they are bound to
		wantStatus(t, b.source.Client(), api, 200)
		for _, header := range append(b.headers, b.issuer.headers...) {
			proof := readJWT(t, header.Get("DPoP"), key.Public())
			if got := proof.header["alg"]; got != algorithm {
				t.Errorf("alg is %v, want %s", got, algorithm)
			}
		}
	}
}

// TestAuthorize checks what is there for callers who send requests themselves.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	b := newBench(t, new(""), new("one"))
	token := token(t, b.source)
	for n, want := range []int{401, 200} {
		r := request(t.Context(), api+"/orders")
		if err := token.Authorize(r); err != nil {
			t.Fatal(err)
		}
		response, err := b.net.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if again := token.Learn(response); response.StatusCode != want || again != (n == 0) {
			t.Errorf("request %d: %d, again %v", n, response.StatusCode, again)
		}
	}
	b.api.wantTokens(t, "DPoP token-1", "DPoP token-1")
	wantNonces(t, proofs(t, b.headers), "", "one")

	elsewhere := request(t.Context(), "https://evil.example/")
	if err := token.Authorize(elsewhere); err == nil || len(elsewhere.Header) != 0 {
		t.Errorf("error %v, headers %v: want an error and none", err, elsewhere.Header)
	}
	if token.Learn(&http.Response{StatusCode: 401, Header: http.Header{"Dpop-Nonce": {"two"}}}) {
		t.Error("an answer to nothing is worth another request")
	}

	_, _, s := start(t)
	bearer, err := s.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{URL: must(http.NewRequest(http.MethodGet, api, nil)).URL}
	if err := bearer.Authorize(r); err != nil || r.Header.Get("Authorization") != "Bearer token-1" || r.Header.Get("DPoP") != "" {
		t.Errorf("error %v, headers %v", err, r.Header)
	}
	refused := &http.Response{Request: r, StatusCode: 401, Header: http.Header{"Dpop-Nonce": {"two"}, "Www-Authenticate": {`DPoP error="use_dpop_nonce"`}}}
	if bearer.Learn(refused) {
		t.Error("a bearer token is worth another request with a nonce")
	}
}

// TestRefusedDPoP holds row C01 for DPoP tokens: which refusals another token cures.
func TestRefusedDPoP(t *testing.T) {
	t.Parallel()
	for challenge, want := range map[string]int{
		`DPoP error="invalid_token", algs="ES256"`: 2, `dpop algs="ES256"`: 2, `Bearer, DPoP error="invalid_token"`: 2,
		`DPoP error="invalid_dpop_proof"`: 1, `Bearer error="invalid_token"`: 1, `DPoP error="insufficient_scope", Bearer`: 1,
		`DPoP error="use_dpop_nonce"`: 1, // with no nonce to use
	} {
		t.Run("C01 "+challenge, func(t *testing.T) {
			b := newBench(t, new(""), new(""))
			b.api.answer = refuseToken(challenge)
			wantStatus(t, b.source.Client(), api, 401)
			if got := len(b.headers); got != want {
				t.Errorf("the API was asked %d times, want %d", got, want)
			}
			wantFresh(t, proofs(t, b.headers))
		})
	}
}
