package client_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/client"
)

// TestParseChallenges checks the comma rules of RFC 9110, 11.6.1.
func TestParseChallenges(t *testing.T) {
	t.Parallel()
	type p = map[string]string
	bearer := func(parameters p) client.Challenge { return client.Challenge{Scheme: "bearer", Parameters: parameters} }
	for name, c := range map[string]struct {
		fields []string
		want   []client.Challenge
	}{
		"none":               {nil, nil},
		"empty":              {[]string{"", " , ,"}, nil},
		"scheme alone":       {[]string{"Bearer"}, []client.Challenge{bearer(p{})}},
		"one parameter":      {[]string{`Bearer realm="api"`}, []client.Challenge{bearer(p{"realm": "api"})}},
		"any case":           {[]string{`bEaReR Error=invalid_token`}, []client.Challenge{bearer(p{"error": "invalid_token"})}},
		"several":            {[]string{`Bearer realm="api",error="invalid_token" , scope="a b"`}, []client.Challenge{bearer(p{"realm": "api", "error": "invalid_token", "scope": "a b"})}},
		"comma in quotes":    {[]string{`Bearer realm="a, Basic b=c", error="x"`}, []client.Challenge{bearer(p{"realm": "a, Basic b=c", "error": "x"})}},
		"escapes":            {[]string{`Bearer realm="a\"b\\c"`}, []client.Challenge{bearer(p{"realm": `a"b\c`})}},
		"space around =":     {[]string{`Bearer realm = "api"	, a	=b`}, []client.Challenge{bearer(p{"realm": "api", "a": "b"})}},
		"empty elements":     {[]string{`, Bearer ,realm="api",,, error=x,`}, []client.Challenge{bearer(p{"realm": "api", "error": "x"})}},
		"the first counts":   {[]string{`Bearer error="a", error="b"`}, []client.Challenge{bearer(p{"error": "a"})}},
		"two in one field":   {[]string{`DPoP algs="ES256 PS256", Bearer error="invalid_token"`}, []client.Challenge{{Scheme: "dpop", Parameters: p{"algs": "ES256 PS256"}}, bearer(p{"error": "invalid_token"})}},
		"two without any":    {[]string{`Negotiate, Bearer`}, []client.Challenge{{Scheme: "negotiate", Parameters: p{}}, bearer(p{})}},
		"two fields":         {[]string{`Basic realm=x`, `Bearer`}, []client.Challenge{{Scheme: "basic", Parameters: p{"realm": "x"}}, bearer(p{})}},
		"token68":            {[]string{`Negotiate YWJj/+==, Bearer a=b`}, []client.Challenge{{Scheme: "negotiate", Token68: "YWJj/+==", Parameters: p{}}, bearer(p{"a": "b"})}},
		"token68 with one =": {[]string{`NTLM abc=`}, []client.Challenge{{Scheme: "ntlm", Token68: "abc=", Parameters: p{}}}},
		"cut off":            {[]string{`Bearer realm="api", error="inv`}, []client.Challenge{bearer(p{"realm": "api"})}},
		"ends in a \\":       {[]string{`Bearer realm="api\`}, []client.Challenge{bearer(p{})}},
		"garbage behind":     {[]string{`Bearer realm="api" junk, error="x"`}, []client.Challenge{bearer(p{"realm": "api"})}},
		"only a parameter":   {[]string{`realm="api"`, `Bearer`}, []client.Challenge{bearer(p{})}},
		"not a scheme":       {[]string{`"Bearer"`, `(x)`}, nil},
		"our own":            {[]string{`Bearer realm="https://api.example", error="insufficient_scope", scope="orders:write", resource_metadata="https://api.example/.well-known/oauth-protected-resource"`}, []client.Challenge{bearer(p{"realm": "https://api.example", "error": "insufficient_scope", "scope": "orders:write", "resource_metadata": "https://api.example/.well-known/oauth-protected-resource"})}},
	} {
		t.Run(name, func(t *testing.T) {
			got := client.ParseChallenges(http.Header{"Www-Authenticate": c.fields})
			if difference := cmp.Diff(c.want, got); difference != "" {
				t.Errorf("want -, got +:\n%s", difference)
			}
		})
	}
}
