package importer

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/slowhash"
)

var update = flag.Bool("update", false, "write testdata/*.plan")

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// written is a plan for people to compare. A slow hash is new each time, so that only its function stands there.
func written(t *testing.T, plan Plan) string {
	t.Helper()
	var out strings.Builder
	for _, resource := range plan.Wanted.Resources {
		fmt.Fprintf(&out, "resource %s", resource.URI)
		for _, scope := range resource.Scopes {
			fmt.Fprintf(&out, " %s(%s)", scope.Name, scope.Description)
		}
		fmt.Fprintln(&out)
	}
	for _, role := range plan.Wanted.Roles {
		fmt.Fprintf(&out, "role %s (%s) %v\n", role.Name, role.Description, role.Grants)
	}
	for _, client := range plan.Wanted.Clients {
		if hash, err := slowhash.Parse(client.SecretHash); err == nil && hash.Ours() {
			client.SecretHash = "a slow hash of ours"
		}
		data, err := json.Marshal(client)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "client %s\n", data)
	}
	for _, finding := range plan.Report {
		fmt.Fprintf(&out, "%s %s %s: %s\n", finding.Kind, finding.ID, finding.Outcome, finding.Text)
	}
	return out.String()
}

// TestPlans: what is made of the exports of real servers, to the letter.
func TestPlans(t *testing.T) {
	orders := "https://api.example.com/orders"
	for _, test := range []struct {
		name, file string
		read       func([]byte, Options) (Plan, error)
		options    Options
	}{
		{"hydra-pbkdf2", "hydra-pbkdf2.json", Hydra, Options{Resource: orders}},
		{"hydra-bcrypt", "hydra-bcrypt.json", Hydra, Options{}},
		{"hydra-admin", "hydra-admin.json", Hydra, Options{Resource: orders}},
		{"keycloak", "keycloak.json", Keycloak, Options{Audiences: map[string]string{"orders-api": orders}}},
		{"keycloak-bare", "keycloak.json", Keycloak, Options{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := test.read(read(t, test.file), test.options)
			if err != nil {
				t.Fatal(err)
			}
			got, golden := written(t, plan), filepath.Join("testdata", test.name+".plan")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(read(t, test.name+".plan")), got); diff != "" {
				t.Errorf("(-want +got); if that is meant: go test ./internal/importer -update\n%s", diff)
			}
		})
	}
}

// TestNothingIsDropped: every client of an export is imported, or the report says why not; and a secret in clear is nowhere.
func TestNothingIsDropped(t *testing.T) {
	var hydra []struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(read(t, "hydra-pbkdf2.json"), &hydra); err != nil {
		t.Fatal(err)
	}
	var realm struct {
		Clients []struct{ ClientID, Secret string }
	}
	if err := json.Unmarshal(read(t, "keycloak.json"), &realm); err != nil {
		t.Fatal(err)
	}
	check := func(plan Plan, err error, ids []string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			imported := false
			for _, client := range plan.Wanted.Clients {
				imported = imported || client.ID == id
			}
			said := slices.ContainsFunc(plan.Report, func(f Finding) bool {
				return f.ID == id && (f.Outcome == Skipped || f.Outcome == Changed) || f.Kind == "realm" && strings.Contains(f.Text, id)
			})
			if !imported && !said {
				t.Errorf("%s is dropped without a word", id)
			}
		}
	}
	var ids []string
	for _, client := range hydra {
		ids = append(ids, client.ID)
	}
	plan, err := Hydra(read(t, "hydra-pbkdf2.json"), Options{})
	check(plan, err, ids)
	ids = nil
	for _, client := range realm.Clients {
		ids = append(ids, client.ClientID)
	}
	plan, err = Keycloak(read(t, "keycloak.json"), Options{})
	check(plan, err, ids)
	all := fmt.Sprintf("%+v", plan)
	for _, client := range realm.Clients {
		if client.Secret != "" && strings.Contains(all, client.Secret) {
			t.Errorf("the secret of %s is in the plan", client.ClientID)
		}
	}
}

// hydraOne makes an export of one client out of members.
func hydraOne(members string) string {
	return `[{"client_id":"c","client_name":"c","grant_types":["client_credentials"],"scope":"a b","audience":["https://r.example"],` +
		`"token_endpoint_auth_method":"client_secret_basic"` + members + `}]`
}

func TestHydra(t *testing.T) {
	for name, test := range map[string]struct {
		export string
		said   string // a finding
		kept   string // in the wanted clients
	}{
		"a lifespan past ours":       {hydraOne(`,"client_credentials_grant_access_token_lifespan":"48h0m0s"`), "changed: its tokens lived 172800 seconds, and live 86400", `"token_ttl_seconds":86400`},
		"a lifespan in nanoseconds":  {hydraOne(`,"client_credentials_grant_access_token_lifespan":60000000000`), "", `"token_ttl_seconds":60`},
		"a secret that ends":         {hydraOne(`,"client_secret_expires_at":1800000000,"client_secret":"$2a$10$wTnirIZyEMgy3D.56N1.SON0xUM/UevX65FMVaTSRVKeKKGRDYSui"`), "", `"client_secret_expires":"2027-01-15T08:00:00Z"`},
		"a hash that costs days":     {hydraOne(`,"client_secret":"$2a$31$wTnirIZyEMgy3D.56N1.SON0xUM/UevX65FMVaTSRVKeKKGRDYSui"`), "not mapped: the hash of its secret costs more", `"client_id":"c"`},
		"a hash of another kind":     {hydraOne(`,"client_secret":"$argon2id$v=19$x"`), "not mapped: the hash of its secret is neither", `"client_id":"c"`},
		"former secrets":             {hydraOne(`,"rotated_secrets":"[\"$2a$10$x\"]"`), "not mapped: its former secrets", `"client_id":"c"`},
		"opaque tokens":              {hydraOne(`,"access_token_strategy":"opaque"`), "not mapped: access_token_strategy", `"client_id":"c"`},
		"columns of PostgreSQL":      {`[{"id":"c","client_name":"","grant_types":["client_credentials"],"scope":"a","audience":["https://r.example"],"metadata":{},"jwks":null}]`, "", `"client_name":"c"`},
		"no grant type":              {`[{"client_id":"c","scope":"a"}]`, "not imported: it is for users: its grant types are those of the authorization code", "null"},
		"a public one":               {strings.Replace(hydraOne(""), "client_secret_basic", "none", 1), "not imported: it is public", "null"},
		"a method that we lack":      {strings.Replace(hydraOne(""), "client_secret_basic", "tls_client_auth", 1), "not imported: it authenticates with tls_client_auth", "null"},
		"a key that is not there":    {strings.Replace(hydraOne(""), "client_secret_basic", "private_key_jwt", 1), "not imported: it authenticates with a key", "null"},
		"keys elsewhere":             {strings.Replace(hydraOne(`,"jwks_uri":"https://c.example/jwks"`), "client_secret_basic", "private_key_jwt", 1), "", `"jwks_uri":"https://c.example/jwks"`},
		"an ID with a slash":         {strings.Replace(hydraOne(""), `"client_id":"c"`, `"client_id":"a/b"`, 1), "not imported: its ID has other characters", "null"},
		"an audience that is a word": {strings.Replace(hydraOne(""), "https://r.example", "orders", 1), "not mapped: its audience orders is no absolute URI", "null"},
		"a scope for users":          {strings.Replace(hydraOne(""), "a b", "openid", 1), "not imported: it has no scope", "null"},
		"for users as well":          {strings.Replace(hydraOne(""), `["client_credentials"]`, `["client_credentials","authorization_code"]`, 1), "not mapped: the grant type authorization_code", `"client_id":"c"`},
		"several audiences":          {strings.Replace(hydraOne(""), `["https://r.example"]`, `["https://r.example","urn:x:y"]`, 1), "changed: it has several audiences", `"resource":"urn:x:y"`},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := Hydra([]byte(test.export), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := written(t, plan); !strings.Contains(got, test.said) {
				t.Errorf("got %s, want %s", got, test.said)
			}
			clients, err := json.Marshal(plan.Wanted.Clients)
			if err != nil || !strings.Contains(string(clients), test.kept) {
				t.Errorf("got %s %v, want %s", clients, err, test.kept)
			}
		})
	}
}

// TestUnreadable: a file that is something else is refused, and what is said about it repeats no secret.
func TestUnreadable(t *testing.T) {
	for _, text := range []string{
		"", "null", "{}", "[", "[1]", `[{}]`, `[{"client_id":"c","grant_types":7}]`, `{"realm":"x"}`, `{"realm":"x","clients":[{"clientId":7,"secret":"canary"}]}`,
		`[{"client_id":"c","client_secret":["canary"]}]`, `[{"client_id":"c","client_secret":"canary" canary}]`, "\xff\xfe[",
		`[{"client_id":"c","grant_types":["client_credentials"],"scope":"a","audience":["urn:a:b"],"client_credentials_grant_access_token_lifespan":"canary"}]`,
		`{"realm":"x","clients":[{"clientId":"c","serviceAccountsEnabled":true,"attributes":{"access.token.lifespan":"canary"}}],"users":[{"serviceAccountClientId":"c"}`,
	} {
		_, hydra := Hydra([]byte(text), Options{})
		_, keycloak := Keycloak([]byte(text), Options{})
		for _, err := range []error{hydra, keycloak} {
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: got %v, want an error without what is in it", text, err)
			}
		}
	}
}

func TestKeycloak(t *testing.T) {
	realm := func(client, attributes string) string {
		return `{"realm":"M","accessTokenLifespan":60,"groups":[{}],"users":[{},{"serviceAccountClientId":"c","clientRoles":{"api":["a"]},"realmRoles":["r"],"groups":["/g"]}],
			"roles":{"realm":[{"name":"r","composites":{"realm":["r","s"],"client":{"api":["a"]}}},{"name":"s","composites":{"client":{"api":["b"]}}}],
			"client":{"api":[{"name":"a","composites":{"client":{"api":["a","b"]}}},{"name":"b"},{"name":"unused"}]}},
			"clients":[{"clientId":"c","serviceAccountsEnabled":true` + client + `,"attributes":{` + attributes + `}}]}`
	}
	for name, test := range map[string]struct {
		export, said, kept string
	}{
		"roles that go round":     {realm("", ""), "role r () [{urn:x:api [a b] [a b] []}]", `"roles":["r"]`},
		"users and groups":        {realm("", ""), "1 users and 1 groups", `"client_id":"c"`},
		"the realm's lifespan":    {realm("", ""), "its tokens lived 60 seconds", `"client_id":"c"`},
		"roles by a group":        {realm("", ""), "the roles that it has by the group /g", `"client_id":"c"`},
		"roles that nobody has":   {realm("", ""), "roles that no imported client has: s, api unused", `"client_id":"c"`},
		"a masked secret":         {realm(`,"secret":"**********"`, ""), "its secret is not in the export", `"client_id":"c"`},
		"a secret in a vault":     {realm(`,"secret":"${vault.x}"`, ""), "its secret is not in the export", `"client_id":"c"`},
		"a secret that ends":      {realm(`,"secret":"x"`, `"client.secret.expiration.time":"1800000000"`), "", `"client_secret_expires":"2027-01-15T08:00:00Z"`},
		"a former secret":         {realm("", `"client.secret.rotated":"x"`), "its former secret", `"client_id":"c"`},
		"a certificate by regex":  {realm(`,"clientAuthenticatorType":"client-x509"`, `"x509.subjectdn":".*","x509.allow.regex.pattern.comparison":"true"`), "not imported: its certificate is known by a pattern", "null"},
		"a key without lines":     {realm(`,"clientAuthenticatorType":"client-jwt"`, `"jwt.credential.public.key":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw=="`), "", `"crv":"P-256"`},
		"a key that is none":      {realm(`,"clientAuthenticatorType":"client-jwt"`, `"jwt.credential.public.key":"AAAA"`), "not imported: its key (jwt.credential.public.key) cannot be read", "null"},
		"no key":                  {realm(`,"clientAuthenticatorType":"client-jwt"`, ""), "not imported: it authenticates with a key", "null"},
		"switched off":            {realm(`,"enabled":false`, ""), "", `"suspended":true`},
		"DPoP":                    {realm("", `"dpop.bound.access.tokens":"true"`), "", `"dpop_bound_access_tokens":true`},
		"SAML":                    {realm(`,"protocol":"saml"`, ""), "not imported: it speaks saml", "null"},
		"a mapper":                {realm(`,"protocolMappers":[{"name":"m","protocolMapper":"oidc-hardcoded-claim-mapper"}]`, ""), "the protocol mapper m (oidc-hardcoded-claim-mapper)", `"client_id":"c"`},
		"a scope for no audience": {realm(`,"defaultClientScopes":["x"]`, ""), "the client scope x: no audience comes with it", `"client_id":"c"`},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := Keycloak([]byte(test.export), Options{Audiences: map[string]string{"api": "urn:x:api"}})
			if err != nil {
				t.Fatal(err)
			}
			if got := written(t, plan); !strings.Contains(got, test.said) {
				t.Errorf("got %s, want %s", got, test.said)
			}
			clients, err := json.Marshal(plan.Wanted.Clients)
			if err != nil || !strings.Contains(string(clients), test.kept) {
				t.Errorf("got %s %v, want %s", clients, err, test.kept)
			}
		})
	}
}

func FuzzHydra(f *testing.F) {
	f.Add([]byte(hydraOne(`,"client_credentials_grant_access_token_lifespan":"15m0s","metadata":"{}"`)))
	f.Fuzz(func(t *testing.T, data []byte) {
		plan, err := Hydra(data, Options{Resource: "urn:x:y"})
		checkPlan(t, plan, err)
	})
}

func FuzzKeycloak(f *testing.F) {
	f.Add([]byte(`{"realm":"M","clients":[{"clientId":"c","serviceAccountsEnabled":true}],"users":[{"serviceAccountClientId":"c","clientRoles":{"urn:a:b":["a"]}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		plan, err := Keycloak(data, Options{Resource: "urn:x:y"})
		checkPlan(t, plan, err)
	})
}

// checkPlan: what is wanted has a name and an ID that can be registered, and something that it may ask for.
func checkPlan(t *testing.T, plan Plan, err error) {
	if err != nil {
		return
	}
	for _, client := range plan.Wanted.Clients {
		if nameOf(client.ID) != client.ID || nameOf(client.ClientName) != client.ClientName || client.ClientName == "" ||
			len(client.Grants)+len(client.Roles) == 0 {
			t.Errorf("%+v cannot be registered", client)
		}
	}
	for _, finding := range plan.Report {
		if printable(finding.Text+finding.ID) != finding.Text+finding.ID {
			t.Errorf("%q goes to a terminal", finding)
		}
	}
}
