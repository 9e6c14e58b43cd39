package resource_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// theURL is where the requests of the DPoP tests go.
const theURL = theAudience + "/orders"

// A holder is a client with a DPoP key, whose proofs the test can spoil in every byte.
type holder struct {
	issuer     *issuer
	key        *ecdsa.PrivateKey
	jwk        json.RawMessage // the public half
	thumbprint string
}

func (i *issuer) holder() holder {
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		i.t.Fatal(err)
	}
	thumbprint, err := jose.Thumbprint(key.Public())
	if err != nil {
		i.t.Fatal(err)
	}
	jwk, err := json.Marshal(gojose.JSONWebKey{Key: key.Public()})
	if err != nil {
		i.t.Fatal(err)
	}
	return holder{i, key.(*ecdsa.PrivateKey), jwk, thumbprint}
}

// token is a good token that is bound to the holder's key, with changes.
func (h holder) token(change changes) string {
	all := changes{"cnf": changes{"jkt": h.thumbprint}}
	maps.Copy(all, change)
	return h.issuer.mint(all)
}

func (h holder) header(change changes) string {
	return encode(changes{"typ": "dpop+jwt", "alg": "ES256", "jwk": h.jwk}, change)
}

// claims are those of a good proof for theURL, with changes: a nil value removes one.
func (h holder) claims(token string, change changes) string {
	return encode(changes{
		"jti": rand.Text(), "htm": "GET", "htu": theURL, "iat": h.issuer.clock.Now().Unix(), "ath": hash(token),
	}, change)
}

func encode(members, change changes) string {
	maps.Copy(members, change)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// proof is a proof for a request of theURL with the token, its claims changed.
func (h holder) proof(token string, change changes) string {
	return signRaw(h.key, h.header(nil), h.claims(token, change))
}

// demonstrate is a request of theURL with a token and proofs.
func demonstrate(token string, proofs ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/orders", nil)
	r.Header.Set("Authorization", "DPoP "+token)
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	return r
}

// expectDPoP fails unless the answer is a 401 with one challenge, of DPoP, with the error code and algorithms.
func expectDPoP(t testing.TB, got *http.Response, code oauth.Code) {
	t.Helper()
	expectDPoPStatus(t, got, http.StatusUnauthorized, code)
}

func expectDPoPStatus(t testing.TB, got *http.Response, status int, code oauth.Code) {
	t.Helper()
	all := parseChallenges(t, got)
	dpop := all[oauth.DPoP]
	if got.StatusCode != status || len(all) != 1 || dpop["error"] != string(code) || dpop["algs"] == "" || dpop["resource_metadata"] == "" {
		t.Errorf("got %d, challenges %v; want %d and a DPoP challenge with error %q", got.StatusCode, got.Header.Values("WWW-Authenticate"), status, code)
	}
}

// reading is the middleware of most tests.
func reading(v *resource.Verifier) resource.Middleware { return v.Require("read") }
