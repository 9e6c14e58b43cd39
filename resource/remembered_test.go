package resource_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

func TestRemembered(t *testing.T) {
	i := newIssuer(t)
	source := &ring{keys: []resource.Key{i.signer.Key()}}
	v := i.verifier(func(c *resource.Config) { c.Keys = source })
	token := i.mint(nil)
	t.Run("RS-29 the scope is judged per request", func(t *testing.T) {
		for range 3 {
			expectOK(t, do(v.Require("read"), message("", []string{"Bearer " + token}, "")))
			expect(t, do(v.Require("write"), message("", []string{"Bearer " + token}, "")), http.StatusForbidden, oauth.InsufficientScope)
			expect(t, do(v.RequireRole("admin"), message("", []string{"Bearer " + token}, "")), http.StatusForbidden, oauth.InsufficientScope)
		}
	})
	t.Run("RS-28 a token that differs late", func(t *testing.T) {
		for _, at := range []int{20, 100, len(token) - 10, len(token) - 2} {
			other := byte('A')
			if token[at] == other {
				other = 'B'
			}
			expectInvalid(t, get(v, token[:at]+string(other)+token[at+1:]))
		}
		expectInvalid(t, get(v, token+"A"))
		expectInvalid(t, get(v, token[:len(token)-1]))
		expectInvalid(t, get(v, strings.ToUpper(token)))
		expectOK(t, get(v, token))
	})
	t.Run("S10 a remembered token expires", func(t *testing.T) {
		i.clock.advance(5*time.Minute + 9*time.Second)
		expectOK(t, get(v, token))
		i.clock.advance(time.Second)
		expectInvalid(t, get(v, token))
	})
	t.Run("another key under the same ID", func(t *testing.T) {
		token := i.mint(nil)
		expectOK(t, get(v, token))
		other := newSigner(jose.ES256).Key()
		other.ID = i.signer.KeyID
		source.keys = []resource.Key{other}
		expectInvalid(t, get(v, token))
	})
}

// TestRememberingSaves holds that a token seen before costs no signature.
func TestRememberingSaves(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	forgetful := i.verifier(func(c *resource.Config) { c.CacheSize = -1 })
	token := i.mint(nil)
	cost := func(v *resource.Verifier) float64 {
		return testing.AllocsPerRun(100, func() {
			if _, err := v.Verify(background, token); err != nil {
				t.Fatal(err)
			}
		})
	}
	remembered, anew := cost(v), cost(forgetful)
	if remembered > 12 || anew < 3*remembered {
		t.Errorf("%v allocations for a token seen before, %v for a new one", remembered, anew)
	}
}
