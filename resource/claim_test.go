package resource_test

import (
	"testing"

	"github.com/writ-auth/writ/resource"
)

// TestClaim: what an issuer says beside the claims of RFC 9068 can be read, from a JWT and from an answer about a token, also
// from one that is remembered; and a handler that changes what it was given changes nothing for the next.
func TestClaim(t *testing.T) {
	i := newIssuer(t)
	said := changes{"tenant": map[string]any{"id": "acme", "areas": []string{"a", "b"}}}
	i.answerIntrospection(i.active(said))
	jwt := i.verifier(nil)
	asking := i.introspecting(func(in *resource.Introspection) { in.CacheFor = 1e9 })
	for name, verify := range map[string]func() (*resource.Token, error){
		"JWT":           func() (*resource.Token, error) { return jwt.Verify(background, i.mint(said)) },
		"JWT again":     func() (*resource.Token, error) { return jwt.Verify(background, i.mint(said)) },
		"introspection": func() (*resource.Token, error) { return asking.Verify(background, opaqueToken) },
		"remembered":    func() (*resource.Token, error) { return asking.Verify(background, opaqueToken) },
	} {
		t.Run(name, func(t *testing.T) {
			token, err := verify()
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				var tenant struct {
					ID    string   `json:"id"`
					Areas []string `json:"areas"`
				}
				if found, err := token.Claim("tenant", &tenant); !found || err != nil || tenant.ID != "acme" || len(tenant.Areas) != 2 || tenant.Areas[0] != "a" {
					t.Errorf("got %+v, %v, %v", tenant, found, err)
				}
				tenant.Areas[0] = "changed"
			}
			var number int
			if found, err := token.Claim("tenant", &number); !found || err == nil {
				t.Errorf("an object as a number: got %v, %v", found, err)
			}
			for _, absent := range []string{"Tenant", "area", ""} {
				if found, err := token.Claim(absent, &number); found || err != nil {
					t.Errorf("%q: got %v, %v", absent, found, err)
				}
			}
		})
	}
	t.Run("a token that was made by hand", func(t *testing.T) {
		if found, err := (&resource.Token{}).Claim("tenant", new(string)); found || err != nil {
			t.Errorf("got %v, %v", found, err)
		}
	})
}
