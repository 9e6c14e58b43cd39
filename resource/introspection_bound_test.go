package resource_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/writ-auth/writ/resource"
)

// TestIntrospectionBinding holds that the issuer's word about an opaque token binds as much as a JWT's claim.
func TestIntrospectionBinding(t *testing.T) {
	i := newIssuer(t)
	h := i.holder()
	jkt, x5t := changes{"jkt": h.thumbprint}, changes{"x5t#S256": theShow().thumbprint}
	cached := func(in *resource.Introspection) { in.CacheFor = time.Minute }
	for _, test := range []struct {
		name   string
		answer changes
		send   func() *http.Request
		ok     bool
	}{
		{"S29 DPoP-bound", changes{"cnf": jkt, "token_type": "DPoP"}, h.demonstrateOpaque, true},
		{"S29 DPoP-bound, token_type in lower case", changes{"cnf": jkt, "token_type": "dpop"}, h.demonstrateOpaque, true},
		{"S29 DPoP-bound, without token_type", changes{"cnf": jkt, "token_type": nil}, h.demonstrateOpaque, true},
		{"S29 DPoP-bound, sent as Bearer", changes{"cnf": jkt, "token_type": "DPoP"}, bearerOpaque, false},
		{"S29 DPoP-bound, called Bearer", changes{"cnf": jkt, "token_type": "Bearer"}, h.demonstrateOpaque, false},
		{"S29 called DPoP, bound to nothing", changes{"token_type": "DPoP"}, h.demonstrateOpaque, false},
		{"S29 called DPoP, bound to nothing, sent as Bearer", changes{"token_type": "DPoP"}, bearerOpaque, false},
		{"S29 called DPoP, bound to a certificate", changes{"cnf": x5t, "token_type": "DPoP"}, showOpaque(theShow()), false},
		{"S30 bound to nothing, sent as DPoP", nil, h.demonstrateOpaque, false},
		{"S30 of a type nobody knows", changes{"token_type": "N_A"}, bearerOpaque, false},
		{"S32 DPoP-bound to another key", changes{"cnf": changes{"jkt": i.holder().thumbprint}, "token_type": "DPoP"}, h.demonstrateOpaque, false},
		{"S27 bound to a certificate", changes{"cnf": x5t}, showOpaque(theShow()), true},
		{"S27 bound to a certificate, another shown", changes{"cnf": x5t}, showOpaque(foreigners()), false},
		{"S27 bound to a certificate, none shown", changes{"cnf": x5t}, bearerOpaque, false},
		{"bound in a way nobody knows", changes{"cnf": changes{"kid": "x"}}, bearerOpaque, false},
		{"bound to null", changes{"cnf": []any{}}, bearerOpaque, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := i.introspecting(cached)
			i.answerIntrospection(i.active(test.answer))
			for range 2 { // the second time the answer is remembered
				if got := do(reading(v), test.send()); (got.StatusCode == http.StatusOK) != test.ok || !test.ok && got.StatusCode != http.StatusUnauthorized {
					t.Errorf("got %d %v", got.StatusCode, got.Header)
				}
			}
		})
	}
}

func (h holder) demonstrateOpaque() *http.Request {
	return demonstrate(opaqueToken, h.proof(opaqueToken, nil))
}

func bearerOpaque() *http.Request { return message("", []string{"Bearer " + opaqueToken}, "") }

func showOpaque(s show) func() *http.Request {
	return func() *http.Request { return showing(opaqueToken, s) }
}

// TestS35 asks the issuer about JWTs that were verified: it can end one that is bound to a key, and never loosen it.
func TestS35(t *testing.T) {
	i := newIssuer(t)
	h := i.holder()
	v := i.introspecting(func(in *resource.Introspection) { in.Always = true })
	token := h.token(nil)
	send := func() *http.Request { return demonstrate(token, h.proof(token, nil)) }
	jkt := changes{"jkt": h.thumbprint}
	i.answerIntrospection(i.active(changes{"cnf": jkt, "token_type": "DPoP"}))
	expectOK(t, do(reading(v), send()))
	t.Run("S35 a revoked JWT", func(t *testing.T) {
		i.answerIntrospection(answer(http.StatusOK, `{"active":false}`))
		expectDPoP(t, do(reading(v), send()), badToken)
		free := i.mint(nil)
		expectInvalid(t, get(v, free))
	})
	t.Run("S35 nobody can say whether it is", func(t *testing.T) {
		i.answerIntrospection(answer(http.StatusInternalServerError, ""))
		if got := do(reading(v), send()); got.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("got %d", got.StatusCode)
		}
	})
	t.Run("S35 an answer without the binding does not loosen it", func(t *testing.T) {
		i.answerIntrospection(i.active(nil))
		expectDPoP(t, get(v, token), badToken)
		expectDPoP(t, do(reading(v), demonstrate(token, i.holder().proof(token, nil))), badToken)
		expectOK(t, do(reading(v), send()))
	})
	t.Run("S35 an answer with another binding", func(t *testing.T) {
		for _, cnf := range []changes{{"jkt": i.holder().thumbprint}, {"jkt": h.thumbprint, "x5t#S256": theShow().thumbprint}, {"x5t#S256": theShow().thumbprint}} {
			i.answerIntrospection(i.active(changes{"cnf": cnf, "token_type": nil}))
			expectDPoP(t, do(reading(v), send()), badToken)
		}
		other := i.holder()
		i.answerIntrospection(i.active(changes{"cnf": changes{"jkt": other.thumbprint}, "token_type": nil}))
		expectDPoP(t, do(reading(v), demonstrate(token, other.proof(token, nil))), badToken)
	})
	t.Run("S35 an answer that binds a token that was free", func(t *testing.T) {
		i.answerIntrospection(i.active(changes{"cnf": jkt, "token_type": "DPoP"}))
		expectDPoP(t, get(v, i.mint(nil)), badToken)
	})
}
