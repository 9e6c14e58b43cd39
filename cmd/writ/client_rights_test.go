package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/oauth"
)

// TestWithGrant: new scopes come by default where the former ones did, and what had to be asked for must be asked for.
func TestWithGrant(t *testing.T) {
	t.Parallel()
	const api = "https://api.example.com"
	grant := func(scopes, defaults []string) oauth.Grant {
		return oauth.Grant{Resource: api, Scopes: scopes, Defaults: defaults}
	}
	other := oauth.Grant{Resource: "urn:other", Scopes: []string{"x"}}
	for name, test := range map[string]struct {
		old    []oauth.Grant
		scopes []string
		want   []string // the defaults
	}{
		"none before":        {nil, []string{"a", "b"}, []string{"a", "b"}},
		"all by default":     {[]oauth.Grant{grant([]string{"a"}, []string{"a"})}, []string{"a", "b"}, []string{"a", "b"}},
		"some by default":    {[]oauth.Grant{grant([]string{"a", "b"}, []string{"a"})}, []string{"a", "b", "c"}, []string{"a", "c"}},
		"none by default":    {[]oauth.Grant{grant([]string{"a"}, nil)}, []string{"a", "b"}, []string{}},
		"the default is out": {[]oauth.Grant{grant([]string{"a", "b"}, []string{"a"})}, []string{"b"}, []string{}},
	} {
		got := withGrant(append([]oauth.Grant{other}, test.old...), grant(test.scopes, test.scopes))
		if diff := cmp.Diff([]oauth.Grant{other, grant(test.scopes, test.want)}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	kept := oauth.Grant{Resource: api, Scopes: []string{"a"}, Claims: []byte(`{"x":1}`)}
	if got := withGrant([]oauth.Grant{kept}, grant([]string{"b"}, []string{"b"})); string(got[0].Claims) != `{"x":1}` || kept.Scopes[0] != "a" {
		t.Errorf("got %+v, from %+v", got, kept)
	}
}
