package authority

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

func TestReadStatic(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		client, grant, want string
		bad                 bool
	}{
		"none":                      {"", "", "", false},
		"the client's":              {`{"a":1}`, "", `"a":1`, false},
		"the grant's":               {"", `{"a":1}`, `"a":1`, false},
		"both, in order":            {`{"b":1}`, `{"a":{"x":[1,"<"]}}`, `"a":{"x":[1,"\u003c"]},"b":1`, false},
		"the grant's win":           {`{"a":1,"b":1}`, `{"a":2}`, `"a":2,"b":1`, false},
		"empty":                     {`{}`, `{}`, "", false},
		"no JSON":                   {`{`, "", "", true},
		"no object":                 {`["a"]`, "", "", true},
		"a name twice":              {`{"a":1,"a":2}`, "", "", true},
		"roles":                     {`{"roles":["admin"]}`, "", "", true},
		"scope, of the grant":       {"", `{"scope":"admin"}`, "", true},
		"a name as lenient as that": {`{"Client-ID":"x"}`, "", "", true},
		"what confirms the holder":  {`{"cnf":{"jkt":"x"}}`, "", "", true},
	} {
		got, good := readStatic(store.Client{Claims: test.client}, test.grant)
		if got != test.want || good == test.bad {
			t.Errorf("%s: got %s, %v", name, got, good)
		}
	}
}

// TestNarrowStaticClaims: a token says to each of its resources what is said of the client there, or there is none.
func TestNarrowStaticClaims(t *testing.T) {
	t.Parallel()
	const a, m1, m2 = "https://a.test", "https://m1.test", "https://m2.test"
	saying := func(uri, claims string) store.Grant {
		return store.Grant{Resource: uri, Scopes: []string{"read"}, Claims: claims}
	}
	for name, test := range map[string]struct {
		client    store.Client
		resources []string
		want      string
		code      oauth.Code
	}{
		"nothing":                        {store.Client{Grants: []store.Grant{to(a, "read")}}, nil, "", ""},
		"of the client":                  {store.Client{Claims: `{"x":1}`, Grants: []store.Grant{to(a, "read")}}, nil, `"x":1`, ""},
		"of the client, by a role":       {store.Client{Claims: `{"x":1}`, Roles: []string{"reader"}}, []string{a}, `"x":1`, ""},
		"of another grant":               {store.Client{Grants: []store.Grant{to(a, "read"), saying(m1, `{"x":1}`)}}, []string{a}, "", ""},
		"the same twice":                 {store.Client{MultipleAudiences: true, Grants: []store.Grant{saying(m1, `{"x":1,"y":2}`), saying(m2, `{"y":2,"x":1}`)}}, []string{m1, m2}, `"x":1,"y":2`, ""},
		"the same, one by the client":    {store.Client{MultipleAudiences: true, Claims: `{"x":1}`, Grants: []store.Grant{saying(m1, `{"x":1}`), to(m2, "read")}}, []string{m1, m2}, `"x":1`, ""},
		"two that differ":                {store.Client{MultipleAudiences: true, Grants: []store.Grant{saying(m1, `{"x":1}`), saying(m2, `{"x":2}`)}}, []string{m1, m2}, "", oauth.InvalidTarget},
		"one that the other is not told": {store.Client{MultipleAudiences: true, Grants: []store.Grant{saying(m1, `{"x":1}`), to(m2, "read")}}, []string{m2, m1}, "", oauth.InvalidTarget},
		"one of the two alone":           {store.Client{MultipleAudiences: true, Grants: []store.Grant{saying(m1, `{"x":1}`), to(m2, "read")}}, []string{m1, m1}, `"x":1`, ""},
		"damaged":                        {store.Client{Grants: []store.Grant{saying(a, `{"roles":["admin"]}`)}}, nil, "", oauth.InvalidTarget},
		"damaged, for all":               {store.Client{Claims: `{`, Grants: []store.Grant{to(a, "read")}}, []string{a}, "", oauth.InvalidTarget},
	} {
		got, err := narrow(inWorld(test.client), test.resources, "read")
		if test.code != "" {
			if !errors.Is(err, test.code) {
				t.Errorf("%s: got %+v and %v, want %s", name, got, err, test.code)
			}
			continue
		}
		if err != nil || got.Claims != test.want {
			t.Errorf("%s: got %+v and %v, want %s", name, got, err, test.want)
		}
	}
}

// TestStaticClaims: they stand in the token, in either format, and in the answer about it; and nothing of what the server says
// is another for it.
func TestStaticClaims(t *testing.T) {
	t.Parallel()
	const said = `{"area":["b","a"],"tenant":{"id":7,"name":"acme \"&\" sons"}}`
	plain, saying := withHash("plain", store.HashSecret("right")), withHash("saying", store.HashSecret("right"))
	for _, c := range []*store.Client{&plain, &saying} {
		c.Grants = []store.Grant{to("https://a.test", "read"), to("https://o.test", "read")}
	}
	saying.Claims = said
	a, s := tracing(t, plain, saying)
	opaque := store.Resource{URI: "https://o.test", Format: store.FormatOpaque, Scopes: scopes("read")}
	must(t, s.Store.Resources().Insert(t.Context(), opaque))
	must(t, a.Poll(t.Context()))
	for _, uri := range []string{"https://a.test", "https://o.test"} {
		issued := map[string]map[string]json.RawMessage{}
		for _, client := range []string{"plain", "saying"} {
			r := withBasic(client, "right")
			r.Form.set("resource", uri)
			answer, err := a.Token(t.Context(), r)
			must(t, err)
			if payload, isJWT := payloadOf(answer.AccessToken); isJWT {
				issued[client] = payload
			}
			ask := withBasic(client, "right")
			ask.Form = formOf(url.Values{"token": {answer.AccessToken}})
			told, err := a.Introspect(t.Context(), ask)
			must(t, err)
			text, err := json.Marshal(told)
			must(t, err)
			var members map[string]json.RawMessage
			must(t, json.Unmarshal(text, &members))
			for _, of := range []map[string]json.RawMessage{members, issued[client]} {
				checkSaid(t, uri+" "+client, of, client == "saying")
			}
			if !told.Active || told.ClientID != client || told.Scope != "read" || told.Roles != nil {
				t.Errorf("%s %s: got %s", uri, client, text)
			}
		}
		if uri == "https://a.test" && len(issued["saying"]) != len(issued["plain"])+2 {
			t.Errorf("got %d members, want two more than %d", len(issued["saying"]), len(issued["plain"]))
		}
	}
}

func payloadOf(token string) (members map[string]json.RawMessage, isJWT bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	return members, err == nil && jose.DecodeObject(data, &members) == nil
}

func checkSaid(t *testing.T, name string, members map[string]json.RawMessage, said bool) {
	t.Helper()
	if members == nil {
		return
	}
	for claim, want := range map[string]string{"area": `["b","a"]`, "tenant": `{"id":7,"name":"acme \"&\" sons"}`} {
		got := strings.ReplaceAll(string(members[claim]), `\u0026`, "&")
		if said && got != want || !said && got != "" {
			t.Errorf("%s: %s is %s", name, claim, got)
		}
	}
}
