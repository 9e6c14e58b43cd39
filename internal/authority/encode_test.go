package authority

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/writ-auth/writ/oauth"
)

// FuzzClaims holds the claims that are written by hand against those of encoding/json.
func FuzzClaims(f *testing.F) {
	f.Add("https://as.example", "billing-4fk2p9qz7a", "https://api.example", "", "orders:read", "reader writer", `{"jkt":"x"}`, int64(1700000300), int64(0))
	f.Add("https://as.example/ü", "\u2028\u2029", "<>&'\"\\", "https://b.example", "\x00\x1f\x7f", " ", "", int64(-1), int64(1))
	f.Add("\xff", "\xed\xa0\x80", "\U0001f511", "\xf0\x9f", "", "", "", int64(0), int64(0))
	f.Fuzz(func(t *testing.T, issuer, subject, audience, second, scope, roles, confirmation string, expires, notBefore int64) {
		claims := oauth.Claims{
			Issuer: issuer, Subject: subject, ClientID: subject, Audience: oauth.Audience{audience}, Expires: oauth.NumericDate(expires),
			NotBefore: oauth.NumericDate(notBefore), IssuedAt: oauth.NumericDate(expires), ID: subject, Scope: scope,
		}
		if second != "" {
			claims.Audience = append(claims.Audience, second)
		}
		if roles != "" {
			claims.Roles = strings.Split(roles, " ")
		}
		if json.Valid([]byte(confirmation)) {
			claims.Confirmation = json.RawMessage(confirmation)
		}
		want, err := json.Marshal(&claims)
		if err != nil {
			t.Fatal(err)
		}
		got := appendClaims([]byte("x"), &claims)[1:]
		var gotAny, wantAny any
		if err := json.Unmarshal(got, &gotAny); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if err := json.Unmarshal(want, &wantAny); err != nil || !reflect.DeepEqual(gotAny, wantAny) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
