package client

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/oauth"
)

// FuzzTokenResponse checks that no answer of an issuer makes the client panic, and that a token that comes out can be
// sent: one word behind "Bearer", with an end.
func FuzzTokenResponse(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"eyJ.a-b_c.d","token_type":"Bearer","expires_in":300,"scope":"a b"}`,
		`{"access_token":"a","token_type":"bearer"}`, `{"access_token":"a=","token_type":"BEARER","expires_in":1e400}`,
		`{"access_token":"a","token_type":"Bearer","expires_in":-0}`, `{"access_token":"a","token_type":"Bearer","expires_in":"300"}`,
		`{"access_token":"a\r\nb","token_type":"Bearer"}`, `{"access_token":"a","access_token":"b"}`, `[]`, `null`, `{`, ``,
		`{"error":"invalid_client","error_description":"a\nb"}`,
	} {
		f.Add([]byte(body), "application/json")
	}
	f.Fuzz(func(t *testing.T, body []byte, mediaType string) {
		asked := time.Now()
		token, err := parseToken(&answer{mediaType: mediaType, body: body}, oauth.Bearer, "asked for", asked)
		if err != nil {
			if !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("error %q is not one line of text", err)
			}
			return
		}
		life := token.Expires.Sub(asked)
		if life < time.Second || life > MaxLifetime {
			t.Errorf("token lives %v", life)
		}
		if value := token.AccessToken(); value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' || r == ',' }) {
			t.Errorf("token %q cannot stand in a header", value)
		}
		if token.Type != "Bearer" || mediaType != "application/json" {
			t.Errorf("type %q, media type %q", token.Type, mediaType)
		}
	})
}

// FuzzMetadata checks that what comes out of a document is the issuer's and goes over https.
func FuzzMetadata(f *testing.F) {
	const issuer = "https://as.example"
	f.Add([]byte(`{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}`))
	f.Add([]byte(`{"issuer":"https://as.example","token_endpoint":"http://127.0.0.1/token","jwks_uri":7}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		metadata, err := parseMetadata(&answer{mediaType: "application/json", body: body}, issuer)
		if err == nil && (metadata.Issuer != issuer || !strings.HasPrefix(strings.ToLower(metadata.TokenEndpoint), "https://")) {
			t.Errorf("believed %+v", metadata)
		}
	})
}

// FuzzNonce checks that whatever a server says is the nonce, the proof with it is one JWT that holds it to the letter.
func FuzzNonce(f *testing.F) {
	for _, nonce := range []string{"eyJ7S_zG.eyJH0-Z.HX4w-7v", "", `a"b`, `a\b`, "a b", "é", "~!#$%&'()*+,-./:;<=>?@[]^_`{|}", "a\r\nb"} {
		f.Add(nonce)
	}
	p, err := newProver(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, nonce string) {
		r, err := http.NewRequest(http.MethodGet, "https://api.example/orders?x=y", nil)
		if err != nil {
			t.Fatal(err)
		}
		api := audienceOf(r.URL, false)
		p.nonces[api] = "before"
		want := "before"
		if p.learn(api, http.Header{"Dpop-Nonce": {nonce}}) {
			want = nonce
		}
		if err := p.prove(r, "token"); err != nil {
			t.Fatal(err)
		}
		proof, err := pop.ParseProof(r.Header.Get("DPoP"))
		if err != nil || proof.Nonce != want || proof.URL != "https://api.example/orders" {
			t.Errorf("proof is %+v (%v), want nonce %q", proof, err, want)
		}
	})
}

// FuzzPrivateKey checks that what a key file holds and calls itself makes no panic and no assertion that says something
// else, and that errors are one line without the input.
func FuzzPrivateKey(f *testing.F) {
	f.Add([]byte(`{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`), "mine")
	f.Add([]byte(`{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a\",\"alg\":\"none"}`), "")
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----"), "é\x00")
	f.Fuzz(func(t *testing.T, data []byte, id string) {
		key, err := ParsePrivateKey(data, KeyID(id))
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") || len(data) > 40 && strings.Contains(err.Error(), string(data)) {
				t.Errorf("error %q", err)
			}
			return
		}
		signer, err := key.signer()
		if err != nil {
			t.Fatal(err)
		}
		assertion, err := pop.NewAssertion(signer, "billing", "https://as.example", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		token, err := jose.Parse(assertion)
		if err != nil || token.Verify(signer.Key()) != nil || token.Type != oauth.TypeClientAuthentication || id != "" && token.KeyID != id {
			t.Errorf("assertion %q: %v, %+v", assertion, err, token)
		}
	})
}

// FuzzChallenges checks that a challenge that is written down as it was read is read the same again.
func FuzzChallenges(f *testing.F) {
	for _, field := range []string{
		`Bearer realm="a, b", error="invalid_token"`, `DPoP algs="ES256", Bearer`, `Negotiate YWJj==, Basic realm=x`, `Bearer a="\"`, `,,`, `a=b`,
		`Bearer token68`, `Bearer Basic realm="x"`, `a b c, d`,
	} {
		f.Add(field)
	}
	f.Fuzz(func(t *testing.T, field string) {
		challenges := ParseChallenges(http.Header{"Www-Authenticate": {field}})
		again := ParseChallenges(http.Header{"Www-Authenticate": {written(challenges)}})
		if written(again) != written(challenges) {
			t.Errorf("%q was read as %q and then as %q", field, written(challenges), written(again))
		}
		for _, challenge := range challenges {
			if challenge.Scheme == "" || challenge.Scheme != strings.ToLower(challenge.Scheme) || challenge.Parameters == nil {
				t.Errorf("challenge %+v", challenge)
			}
		}
	})
}

// written writes challenges as a field, parameters in a stable order.
func written(challenges []Challenge) string {
	var elements []string
	for _, c := range challenges {
		element := c.Scheme
		if c.Token68 != "" {
			element += " " + c.Token68
		}
		elements = append(elements, element)
		for i, name := range slices.Sorted(maps.Keys(c.Parameters)) {
			value := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(c.Parameters[name]) + `"`
			if i == 0 && c.Token68 == "" {
				elements[len(elements)-1] += " " + name + "=" + value
			} else {
				elements = append(elements, name+"="+value)
			}
		}
	}
	return strings.Join(elements, ", ")
}
