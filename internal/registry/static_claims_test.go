package registry

import (
	stdjson "encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/oauth"
)

func TestClaimsOfClient(t *testing.T) {
	t.Parallel()
	many := map[string]int{}
	for i := range maxClaims + 1 {
		many[fmt.Sprint("c", i)] = i
	}
	tooMany, err := stdjson.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	delete(many, "c0")
	most, err := stdjson.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	b := withOrders(t)
	b.client(withRights())
	for name, test := range map[string]struct{ claims, want string }{ // what is kept, or a part of what is wrong
		"one":                         {`{"tenant":"acme"}`, `{"tenant":"acme"}`},
		"in the order of their names": {"{ \"tenant\" : \"acme\",\n \"area\": [2, 1.5, true, {\"b\":1,\"a\":\"<&>\"}] }", `{"area":[2,1.5,true,{"a":"<&>","b":1}],"tenant":"acme"}`},
		"a name that is a URI":        {`{"https://example.com/tenant":"acme"}`, `{"https://example.com/tenant":"acme"}`},
		"reserved names further down": {`{"x":{"scope":"a","roles":["b"]}}`, `{"x":{"roles":["b"],"scope":"a"}}`},
		"none":                        {`{}`, ``},
		"null":                        {`null`, ``},
		"as many as there may be":     {string(most), ``},
		"as large as it may be":       {`{"x":"` + strings.Repeat("a", maxClaimsBytes-8) + `"}`, ``},
		"four levels":                 {`{"a":{"b":{"c":{}}}}`, `{"a":{"b":{"c":{}}}}`},

		"roles":                             {`{"roles":["admin"]}`, "claims.roles: is reserved"},
		"Scope, which lenient readers take": {`{"Scope":"orders:write"}`, "claims.Scope: is reserved"},
		"client-id, as well":                {`{"client-id":"x"}`, "claims.client-id: is reserved"},
		"clientId, as well":                 {`{"clientId":"x"}`, "claims.clientId: is reserved"},
		"cnf":                               {`{"cnf":{"jkt":"x"}}`, "claims.cnf: is reserved"},
		"sub, escaped":                      {`{"\u0073ub":"x"}`, "claims.sub: is reserved"},
		"scope, with a long s":              {`{"ſcope":"x"}`, "is no name"},
		"two that are one":                  {`{"tenant":1,"Tenant":2}`, "claims.tenant: and Tenant are one name"},
		"twice":                             {`{"tenant":1,"tenant":2}`, "no name twice"},
		"twice, escaped":                    {`{"tenant":1,"\u0074enant":2}`, "no name twice"},
		"twice, further down":               {`{"x":{"a":1,"a":2}}`, "no name twice"},
		"a name without characters":         {`{"":1}`, "is no name"},
		"a name with a space":               {`{"a b":1}`, "is no name"},
		"a name with a quote":               {`{"a\"b":1}`, "is no name"},
		"a long name":                       {`{"` + strings.Repeat("a", maxClaimName+1) + `":1}`, "is no name"},
		"a list":                            {`["a"]`, "is not a JSON object"},
		"a text":                            {`"a"`, "is not a JSON object"},
		"no JSON":                           {`{"a":`, "is not JSON by our rules"},
		"no UTF-8":                          {"{\"a\":\"\xff\"}", "is not JSON by our rules"},
		"more behind it":                    {`{"a":1}{"b":2}`, "is not a JSON object"},
		"five levels":                       {`{"a":{"b":{"c":{"d":{}}}}}`, "nests deeper than 4"},
		"five levels of lists":              {`{"a":[[[[1]]]]}`, "nests deeper than 4"},
		"null inside":                       {`{"a":[null]}`, "has a null"},
		"a large number":                    {`{"a":9007199254740993}`, "beyond 2^53"},
		"a very large number":               {`{"a":1e999}`, "claims: "},
		"a line break":                      {`{"a":"x\ny"}`, "cannot be printed"},
		"too many":                          {string(tooMany), "more than 32 members"},
		"too large":                         {`{"x":"` + strings.Repeat("a", maxClaimsBytes-7) + `"}`, "more than 2048 bytes"},
		"much too large":                    {`{"x":"` + strings.Repeat("a", 1<<20) + `"}`, "more than 2048 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			for where, put := range map[string]func(*oauth.ClientMetadata){
				"claims":           func(m *oauth.ClientMetadata) { m.Claims = stdjson.RawMessage(test.claims) },
				"grants[0].claims": func(m *oauth.ClientMetadata) { m.Grants[0].Claims = stdjson.RawMessage(test.claims) },
			} {
				metadata := withRights()
				put(&metadata)
				client, err := b.tryChange(t, metadata, time.Time{})
				if strings.HasPrefix(test.want, "{") || test.want == "" {
					kept := string(client.Claims) + string(append(client.Grants, oauth.Grant{})[0].Claims)
					if err != nil || kept != test.want && test.want != "" {
						t.Errorf("kept %s, %v, want %s", kept, err, test.want)
					}
					continue
				}
				if wantCode(t, err, Invalid); err == nil || !strings.Contains(err.Error(), strings.Replace(test.want, "claims.", where+".", 1)) &&
					!strings.Contains(err.Error(), strings.Replace(test.want, "claims:", where+":", 1)) || !strings.Contains(err.Error(), where) {
					t.Errorf("got %v, want %s", err, test.want)
				}
			}
		})
	}
}

// TestClaimsBelongToClients: what is said of many at once is not said of one.
func TestClaimsBelongToClients(t *testing.T) {
	t.Parallel()
	b := withOrders(t)
	grant := oauth.Grant{Resource: orders, Scopes: []string{"orders:read"}, Claims: stdjson.RawMessage(`{"tenant":"acme"}`)}
	_, err := b.CreateRole(t.Context(), System("test"), RoleSettings{Name: "clerk", Grants: []oauth.Grant{grant}})
	if got := fields(t, err); !slices.Equal(got, []string{"grants[0].claims"}) {
		t.Errorf("problems with %v", got)
	}
	_, err = b.PlanDeclared(t.Context(), System("test"), Declaration{State: DeclaredState{Roles: []RoleSettings{{Name: "clerk", Grants: []oauth.Grant{grant}}}}})
	if got := fields(t, err); !slices.Equal(got, []string{"state.roles[0].grants[0].claims"}) {
		t.Errorf("problems with %v", got)
	}
}

func TestDeclaredClaims(t *testing.T) {
	t.Parallel()
	b := withOrders(t)
	metadata := withRights()
	metadata.Claims = stdjson.RawMessage(`{"area":["b","a"],"tenant":"acme"}`)
	made := b.client(metadata)
	declared := func(claims, ofGrant string) Declaration {
		wish := withRights()
		wish.Claims, wish.Grants[0].Claims = stdjson.RawMessage(claims), stdjson.RawMessage(ofGrant)
		return Declaration{State: DeclaredState{Clients: []DeclaredClient{{ClientMetadata: wish}}}}
	}
	if plan := b.plan(declared(` { "tenant": "acme", "area": ["b", "a"] } `, "")); len(plan.Changes) != 0 {
		t.Errorf("the same in another spelling: %+v", plan.Changes)
	}
	wish := declared(`{"area":["a","b"],"size":{"b":1,"a":1.5}}`, `{"tenant":"other"}`)
	want := []DeclaredField{
		{Field: "claims.area", Removed: []string{`["b","a"]`}, Added: []string{`["a","b"]`}},
		{Field: "claims.size", Added: []string{`{"a":1.5,"b":1}`}},
		{Field: "claims.tenant", Removed: []string{`"acme"`}},
		{Field: "grants[" + orders + "].claims.tenant", Added: []string{`"other"`}},
	}
	b.use(t, made.ID, "x")
	plan := b.plan(wish)
	if diff := cmp.Diff(want, plan.Changes[0].Fields); diff != "" {
		t.Error(diff)
	}
	if impact := plan.Changes[0].Impact; len(impact) != 1 || !strings.Contains(impact[0].Text, "has tokens without the former claims.tenant") {
		t.Errorf("impact %+v", impact)
	}
	b.apply(wish)
	record := b.record(made.ID)
	if record.Claims != `{"area":["a","b"],"size":{"a":1.5,"b":1}}` || record.Grants[0].Claims != `{"tenant":"other"}` {
		t.Errorf("kept %s and %s", record.Claims, record.Grants[0].Claims)
	}
	if again := b.plan(wish); len(again.Changes) != 0 {
		t.Errorf("applied again: %+v", again.Changes)
	}
	if event := b.events()[len(b.events())-1]; !strings.Contains(event.Detail, `"tenant":"other"`) {
		t.Errorf("event is %s", event.Detail)
	}
}
