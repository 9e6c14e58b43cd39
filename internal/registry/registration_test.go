package registry

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// partners is a token with which two clients may register that read and write orders.
func partners(change func(*InitialTokenSettings)) InitialTokenSettings {
	settings := InitialTokenSettings{
		Name: "partners", MaxUses: 2,
		Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read", "orders:write"}, Defaults: []string{"orders:read"}}},
	}
	if change != nil {
		change(&settings)
	}
	return settings
}

func (b *bench) initialToken(change func(*InitialTokenSettings)) NewInitialToken {
	b.t.Helper()
	made, err := b.CreateInitialToken(b.t.Context(), System("test"), partners(change))
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

// A guest is a client that registered itself, as it knows itself.
type guest struct {
	id, access, secret string
	told               map[string]any
}

func (b *bench) register(token NewInitialToken, body string) (guest, error) {
	told, err := b.Register(b.t.Context(), Visit{Token: token.Token.Reveal(), Body: []byte(body), Remote: "192.0.2.7"})
	return guestOf(b.t, told), err
}

func (b *bench) mustRegister(token NewInitialToken, body string) guest {
	b.t.Helper()
	made, err := b.register(token, body)
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

// guestOf reads an answer as it goes over the wire.
func guestOf(t *testing.T, told ClientInformation) guest {
	t.Helper()
	data, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	var g guest
	if err := json.Unmarshal(data, &g.told); err != nil {
		t.Fatal(err)
	}
	g.id, _ = g.told["client_id"].(string)
	g.access, _ = g.told["registration_access_token"].(string)
	g.secret, _ = g.told["client_secret"].(string)
	return g
}

func (b *bench) put(g guest, change func(map[string]any)) (map[string]any, error) {
	b.t.Helper()
	now, err := b.Registration(b.t.Context(), g.id, Visit{Token: g.access})
	if err != nil {
		b.t.Fatal(err)
	}
	body := guestOf(b.t, now).told
	for _, name := range []string{"registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
		delete(body, name)
	}
	change(body)
	data, _ := json.Marshal(body)
	told, err := b.UpdateRegistration(b.t.Context(), g.id, Visit{Token: g.access, Body: data})
	if err != nil {
		return nil, err
	}
	return guestOf(b.t, told).told, nil
}

func wantRefused(t *testing.T, err error, why string) {
	t.Helper()
	refusal, is := errors.AsType[*Refused](err)
	if !is || refusal.Why != why {
		t.Errorf("got %v, want %s", err, why)
	}
}

func TestInitialTokens(t *testing.T) {
	b := withOrders(t)
	made := b.initialToken(func(s *InitialTokenSettings) { s.Networks = []string{"192.0.2.0/24"}; s.TokenTTLSeconds = 60 })
	if !strings.HasPrefix(made.Token.Reveal(), "writ_iat_") || len(made.Token.Reveal()) != len("writ_iat_")+43+6 {
		t.Errorf("the token is %q", made.Token.Reveal())
	}
	want := InitialToken{ID: made.ID, Created: noon, InitialTokenSettings: partners(func(s *InitialTokenSettings) {
		s.Networks, s.TokenTTLSeconds, s.Expires, s.FirstUseSeconds, s.IdleSeconds = []string{"192.0.2.0/24"}, 60, noon.Add(7*24*time.Hour), 86400, 90*86400
	})}
	for _, name := range []string{"partners", made.ID} {
		got, err := b.InitialToken(t.Context(), System("test"), name)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for _, event := range b.events() {
		if strings.Contains(event.Detail, made.Token.Reveal()) || strings.Contains(event.Detail, store.HashSecret(made.Token.Reveal())) {
			t.Errorf("an event holds the token or its hash: %s", event.Detail)
		}
	}
	_, err := b.CreateInitialToken(t.Context(), System("test"), partners(nil))
	wantCode(t, err, Conflict)
	if err := b.RevokeInitialToken(t.Context(), System("test"), "partners"); err != nil {
		t.Fatal(err)
	}
	if event := b.lastEvent(); event.Action != "initial_token.revoked" {
		t.Errorf("the last event is %s", event.Action)
	}
	_, err = b.InitialToken(t.Context(), System("test"), "partners")
	wantCode(t, err, NotFound)
	_, err = b.register(made, "{}")
	wantRefused(t, err, WhyUnknownInitialToken)
}

func TestInitialTokenRefused(t *testing.T) {
	b := withOrders(t)
	for field, change := range map[string]func(*InitialTokenSettings){
		"name":               func(s *InitialTokenSettings) { s.Name = "../x" },
		"grants":             func(s *InitialTokenSettings) { s.Grants = nil },
		"grants[0].resource": func(s *InitialTokenSettings) { s.Grants[0].Resource = "https://other.example.com" },
		"grants[0].scopes[0]": func(s *InitialTokenSettings) {
			s.Grants[0].Scopes, s.Grants[0].Defaults = []string{"orders:drop"}, nil
		},
		"auth_methods[0]":   func(s *InitialTokenSettings) { s.AuthMethods = []string{"none"} },
		"token_ttl_seconds": func(s *InitialTokenSettings) { s.TokenTTLSeconds = -1 },
		"networks[0]":       func(s *InitialTokenSettings) { s.Networks = []string{"192.0.2.7/24"} },
		"max_uses":          func(s *InitialTokenSettings) { s.MaxUses = 10_001 },
		"expires":           func(s *InitialTokenSettings) { s.Expires = noon.Add(367 * 24 * time.Hour) },
		"first_use_seconds": func(s *InitialTokenSettings) { s.FirstUseSeconds = 31 * 86400 },
		"idle_seconds":      func(s *InitialTokenSettings) { s.IdleSeconds = -5 },
	} {
		_, err := b.CreateInitialToken(t.Context(), System("test"), partners(change))
		if got := fields(t, err); !slices.Equal(got, []string{field}) {
			t.Errorf("%s: got %q", field, got)
		}
	}
	t.Run("RG-05 nobody registers as an operator", func(t *testing.T) {
		_, err := b.CreateInitialToken(t.Context(), System("test"), partners(func(s *InitialTokenSettings) {
			s.Grants = []oauth.Grant{{Resource: AdminResource(issuer), Scopes: []string{ClientsWrite}}}
		}))
		if got := fields(t, err); !slices.Equal(got, []string{"grants[0].resource"}) {
			t.Errorf("got %q", got)
		}
	})
	_, err := b.CreateInitialToken(t.Context(), b.operator("reader", ClientsRead), partners(nil))
	wantCode(t, err, Forbidden)
	_, _, err = b.InitialTokens(t.Context(), b.operator("keys", KeysRead), "", 0)
	wantCode(t, err, Forbidden)
}

func TestRegister(t *testing.T) {
	b := withOrders(t)
	token := b.initialToken(nil)
	g := b.mustRegister(token, `{"client_name":"Pay roll","client_name#de":"Lohn","contacts":["ops@partner.example"],"software_id":"p-1",
		"scope":"orders:read","token_endpoint_auth_method":"client_secret_post","unheard_of":{"a":1}}`)
	want := map[string]any{
		"client_id": g.id, "client_id_issued_at": float64(noon.Unix()), "client_secret": g.secret, "client_secret_expires_at": 0.,
		"registration_access_token": g.access, "registration_client_uri": issuer + "/register/" + g.id,
		"client_name": "Pay roll", "client_name#de": "Lohn", "contacts": []any{"ops@partner.example"}, "software_id": "p-1",
		"grant_types": []any{"client_credentials"}, "response_types": []any{}, "token_endpoint_auth_method": "client_secret_post",
		"scope": "orders:read", "grants": []any{map[string]any{"resource": orders, "scopes": []any{"orders:read"}, "default_scopes": []any{"orders:read"}}},
	}
	if diff := cmp.Diff(want, g.told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(g.id, "dyn-pay-roll-") || !strings.HasPrefix(g.access, "writ_rat_") || !strings.HasPrefix(g.secret, "writ_cs_") {
		t.Errorf("got %s %s %s", g.id, g.access, g.secret)
	}
	seen, err := b.Client(t.Context(), System("test"), g.id)
	if err != nil {
		t.Fatal(err)
	}
	wantSeen := &Registration{
		InitialToken: token.ID, InitialTokenName: "partners", Goes: noon.Add(24 * time.Hour),
		Described: []byte(`{"client_name":"Pay roll","client_name#de":"Lohn","contacts":["ops@partner.example"],"software_id":"p-1"}`),
	}
	if diff := cmp.Diff(wantSeen, seen.Registration); diff != "" {
		t.Errorf("the operator sees (-want +got):\n%s", diff)
	}
	event := b.lastEvent()
	if event.Action != "client.registered" || event.Object != g.id || !strings.Contains(event.Detail, "192.0.2.7") || !strings.Contains(event.Detail, "partners") {
		t.Errorf("the event is %+v", event)
	}
	if strings.Contains(event.Detail, g.secret) || strings.Contains(event.Detail, g.access) {
		t.Error("the event holds a secret")
	}
	if got, _ := b.InitialToken(t.Context(), System("test"), "partners"); got.Used != 1 {
		t.Errorf("%d uses, want 1", got.Used)
	}
}

// TestRegisterCounts: what refuses an initial access token, and what a refused registration costs.
func TestRegisterCounts(t *testing.T) {
	b := withOrders(t)
	token := b.initialToken(func(s *InitialTokenSettings) { s.Networks, s.MaxUses = []string{"192.0.2.0/24"}, 1 })
	_, err := b.Register(t.Context(), Visit{Token: token.Token.Reveal(), Body: []byte("{}"), Remote: "198.51.100.1"})
	wantRefused(t, err, WhyInitialTokenNetwork)
	_, err = b.register(token, `{"scope":"orders:drop"}`)
	wantRefused(t, err, "invalid_client_metadata")
	b.mustRegister(token, "{}")
	_, err = b.register(token, "{}")
	wantRefused(t, err, WhyInitialTokenUsedUp)
	late := b.initialToken(func(s *InitialTokenSettings) { s.Name = "late" })
	b.clock = noon.Add(7 * 24 * time.Hour)
	_, err = b.register(late, "{}")
	wantRefused(t, err, WhyInitialTokenExpired)
	_, err = b.Register(t.Context(), Visit{Token: late.Token.Reveal() + "x"})
	wantRefused(t, err, WhyUnknownInitialToken)
}

// TestRG12: an initial access token for one client lets one in, however many come at once.
func TestRG12(t *testing.T) {
	everyStore(t, func(t *testing.T, s store.Store) {
		b := benchOn(t, s)
		b.resource(ResourceSettings{URI: orders, Scopes: []Scope{{Name: "orders:read"}, {Name: "orders:write"}}})
		token := b.initialToken(func(s *InitialTokenSettings) { s.MaxUses = 1 })
		results := make(chan error, 20)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				_, err := b.Register(context.Background(), Visit{Token: token.Token.Reveal(), Body: []byte("{}")})
				results <- err
			})
		}
		group.Wait()
		close(results)
		good := 0
		for err := range results {
			if err == nil {
				good++
				continue
			}
			wantRefused(t, err, WhyInitialTokenUsedUp)
		}
		if good != 1 {
			t.Errorf("%d registrations with a token for one", good)
		}
		clients, _, err := b.Clients(t.Context(), System("test"), ClientFilter{}, "dyn", 0)
		if dyn := slices.DeleteFunc(clients, func(c Client) bool { return c.Registration == nil }); len(dyn) != 1 || err != nil {
			t.Errorf("%d clients, %v", len(dyn), err)
		}
	})
}

func TestRegisterMetadata(t *testing.T) {
	b := withOrders(t)
	token := b.initialToken(func(s *InitialTokenSettings) { s.MaxUses = 1000; s.TokenTTLSeconds = 300 })
	key := newKey("ES256")
	public := string(setOf(publicJWK(key)))
	for name, body := range map[string]string{
		"R04 not JSON":                      `client_name=x`,
		"R04 an array":                      `[]`,
		"R04 a member twice":                `{"scope":"orders:read","scope":"orders:write"}`,
		"R04 more behind it":                `{} {}`,
		"R04 too deep":                      strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40),
		"R04 of another type":               `{"scope":["orders:read"]}`,
		"R05 jwks and jwks_uri":             `{"token_endpoint_auth_method":"private_key_jwt","jwks":` + public + `,"jwks_uri":"https://keys.example.com/"}`,
		"R06 no keys":                       `{"token_endpoint_auth_method":"private_key_jwt"}`,
		"R08 unknown method":                `{"token_endpoint_auth_method":"client_secret_jwt"}`,
		"R09 none":                          `{"grant_types":["client_credentials"],"token_endpoint_auth_method":"none"}`,
		"RG-04 none":                        `{"token_endpoint_auth_method":"none"}`,
		"R10 implicit":                      `{"grant_types":["implicit"]}`,
		"RG-03 password":                    `{"grant_types":["client_credentials","password"]}`,
		"R10 a response type":               `{"response_types":["code"]}`,
		"R11 another scope":                 `{"scope":"orders:drop"}`,
		"RG-02 beyond the ceiling":          `{"scope":"orders:read admin"}`,
		"RG-02 another resource":            `{"grants":[{"resource":"` + AdminResource(issuer) + `","scopes":["clients:write"]}]}`,
		"RG-02 another scope":               `{"grants":[{"resource":"` + orders + `","scopes":["orders:read","orders:drop"]}]}`,
		"RG-02 a longer life":               `{"token_ttl_seconds":301}`,
		"R11 scope beyond grants":           `{"scope":"orders:write","grants":[{"resource":"` + orders + `","scopes":["orders:read"]}]}`,
		"RG-07 a right-to-left override":    "{\"client_name\":\"a\u202ecod.exe\"}",
		"RG-07 NUL":                         `{"client_name":"a\u0000b"}`,
		"RG-07 a line break":                `{"client_name":"a\n{\"actor\":\"root\"}"}`,
		"RG-07 10 KiB":                      `{"client_name":"` + strings.Repeat("a", 10<<10) + `"}`,
		"RG-07 in a translation":            "{\"client_name#he\":\"\u202ea\"}",
		"RG-07 no language":                 `{"client_name#<b>":"a"}`,
		"RG-08 javascript":                  `{"client_uri":"javascript:alert(1)"}`,
		"RG-08 data":                        `{"logo_uri":"data:image/svg+xml,x"}`,
		"RG-08 file":                        `{"policy_uri":"file:///etc/passwd"}`,
		"RG-08 http":                        `{"tos_uri":"http://partner.example/"}`,
		"RG-08 in a translation":            `{"tos_uri#de":"javascript:alert(1)"}`,
		"R14 RG-13 http":                    `{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"http://keys.example.com/"}`,
		"RG-13 with a password":             `{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://u:p@keys.example.com/"}`,
		"R14 RG-14 loopback":                `{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://127.0.0.1/"}`,
		"R14 RG-14 metadata":                `{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://metadata.google.internal/"}`,
		"RG-15 mapped":                      `{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://[64:ff9b::7f00:1]/"}`,
		"RG-16 a number":                    `{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://2130706433/"}`,
		"keys with a secret":                `{"jwks":` + public + `}`,
		"tls_client_auth without a subject": `{"token_endpoint_auth_method":"tls_client_auth"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.register(token, body)
			wantRefused(t, err, "invalid_client_metadata")
			if refusal, is := errors.AsType[*Refused](err); is && strings.ContainsAny(refusal.Answer.Description, "\u202e\n\"") {
				t.Errorf("the answer repeats it: %q", refusal.Answer.Description)
			}
		})
	}
	t.Run("redirect_uris", func(t *testing.T) {
		_, err := b.register(token, `{"redirect_uris":["https://partner.example/cb"]}`)
		wantRefused(t, err, "invalid_redirect_uri")
	})
	if got, _ := b.InitialToken(t.Context(), System("test"), "partners"); got.Used != 0 {
		t.Errorf("refused registrations took %d uses", got.Used)
	}
}

// TestRG06AndR07: a key set with something in it that is not a good public key is refused, and nothing private is kept.
func TestRG06AndR07(t *testing.T) {
	b := withOrders(t)
	token := b.initialToken(nil)
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	private, err := json.Marshal(gojose.JSONWebKey{Key: key, KeyID: "one", Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	one := string(publicJWK(jose.Key{ID: "one", Algorithm: jose.ES256, Public: key.Public()}))
	var many []string
	for range 33 {
		many = append(many, string(publicJWK(newKey("ES256"))))
	}
	for name, keys := range map[string]string{
		"R07 private":       string(private),
		"R07 symmetric":     `{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`,
		"R07 kid twice":     one + "," + one,
		"RG-06 P-192":       `{"kty":"EC","crv":"P-192","x":"AAAA","y":"AAAA"}`,
		"R07 RSA 1024":      `{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 171) + `"}`,
		"RG-06 33 keys":     strings.Join(many, ","),
		"RG-06 none at all": "",
	} {
		_, err := b.register(token, `{"token_endpoint_auth_method":"private_key_jwt","jwks":{"keys":[`+keys+`]}}`)
		if t.Run(name, func(t *testing.T) { wantRefused(t, err, "invalid_client_metadata") }); err == nil {
			continue
		}
	}
	var parts map[string]string
	_ = json.Unmarshal(private, &parts)
	for _, event := range b.events() {
		if strings.Contains(event.Detail, parts["d"]) {
			t.Error("RG-06 an event holds the private key")
		}
	}
}

// TestRegisterRights: a client gets what it asked for within the ceiling, and all of it if it asked for nothing.
func TestRegisterRights(t *testing.T) {
	b := withOrders(t)
	b.resource(ResourceSettings{URI: stock, Scopes: []Scope{{Name: "stock:read"}, {Name: "orders:read"}}})
	token := b.initialToken(func(s *InitialTokenSettings) {
		s.MaxUses, s.TokenTTLSeconds = 100, 120
		s.Grants = append(s.Grants, oauth.Grant{Resource: stock, Scopes: []string{"stock:read", "orders:read"}})
	})
	for body, want := range map[string]string{
		`{}`:                      orders + " orders:read orders:write (orders:read); " + stock + " stock:read orders:read ()",
		`{"scope":"orders:read"}`: orders + " orders:read (orders:read); " + stock + " orders:read ()",
		`{"scope":"stock:read"}`:  stock + " stock:read ()",
		`{"grants":[{"resource":"` + orders + `","scopes":["orders:write"]}]}`:                                             orders + " orders:write ()",
		`{"grants":[{"resource":"` + orders + `","scopes":["orders:write"],"default_scopes":["orders:write"]}]}`:           orders + " orders:write (orders:write)",
		`{"scope":"orders:read","grants":[{"resource":"` + orders + `","scopes":["orders:read","orders:write"]}]}`:         orders + " orders:read (orders:read)",
		`{"client_id":"chosen","client_secret":"chosen","id":"x","enabled":true,"roles":["admin"],"token_ttl_seconds":60}`: orders + " orders:read orders:write (orders:read); " + stock + " stock:read orders:read ()",
	} {
		g := b.mustRegister(token, body)
		seen, err := b.Client(t.Context(), System("test"), g.id)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, grant := range seen.Grants {
			got = append(got, fmt.Sprintf("%s %s (%s)", grant.Resource, strings.Join(grant.Scopes, " "), strings.Join(grant.Defaults, " ")))
		}
		if strings.Join(got, "; ") != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
		ttl := int64(120)
		if strings.Contains(body, "ttl") {
			ttl = 60
		}
		if seen.TokenTTLSeconds != ttl || len(seen.Roles) > 0 || strings.Contains(g.id, "chosen") || g.secret == "chosen" {
			t.Errorf("%s: got %+v", body, seen)
		}
	}
}

func TestAuthMethodsOfAToken(t *testing.T) {
	b := withOrders(t)
	token := b.initialToken(func(s *InitialTokenSettings) { s.AuthMethods = []string{oauth.PrivateKeyJWT} })
	_, err := b.register(token, "{}")
	wantRefused(t, err, "invalid_client_metadata")
	key := newKey("ES256")
	g := b.mustRegister(token, `{"token_endpoint_auth_method":"private_key_jwt","jwks":`+string(setOf(publicJWK(key)))+`}`)
	if g.secret != "" || g.told["client_secret_expires_at"] != nil {
		t.Errorf("a client with a key got a secret: %v", g.told)
	}
	if keys, _ := json.Marshal(g.told["jwks"]); !strings.Contains(string(keys), `"ES256"`) || strings.Contains(string(keys), `"d"`) {
		t.Errorf("the keys are told as %s", keys)
	}
	_, err = b.put(g, func(m map[string]any) { m["token_endpoint_auth_method"] = oauth.ClientSecretBasic; delete(m, "jwks") })
	wantRefused(t, err, "invalid_client_metadata")
	b.registrable = []string{oauth.ClientSecretBasic}
	_, err = b.register(token, `{"token_endpoint_auth_method":"private_key_jwt","jwks":`+string(setOf(publicJWK(key)))+`}`)
	wantRefused(t, err, "invalid_client_metadata")
}

// TestManagement: RFC 7592 with the right token and with wrong ones.
func TestManagement(t *testing.T) {
	b := withOrders(t)
	token := b.initialToken(nil)
	one, two := b.mustRegister(token, `{"client_name":"one"}`), b.mustRegister(token, `{"client_name":"two"}`)
	operator := b.client(oauth.ClientMetadata{ClientName: "billing", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}})
	now, err := b.Registration(t.Context(), one.id, Visit{Token: one.access})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("RG-26 the secret is not told again", func(t *testing.T) {
		data, _ := json.Marshal(now)
		if strings.Contains(string(data), "writ_cs_") || strings.Contains(string(data), "sha256:") || now["client_secret"] != nil || now["client_secret_expires_at"] != int64(0) {
			t.Errorf("got %s", data)
		}
	})
	wrong := map[string]func() (string, string){
		"R16 RG-09 another client's token": func() (string, string) { return two.id, one.access },
		"R15 no token":                     func() (string, string) { return one.id, "" },
		"R15 its secret":                   func() (string, string) { return one.id, one.secret },
		"R15 the initial token":            func() (string, string) { return one.id, token.Token.Reveal() },
		"R15 a client that there is not":   func() (string, string) { return "dyn-nobody-aaaaaaaaaa", one.access },
		"R15 no client ID at all":          func() (string, string) { return "../" + one.id, one.access },
		"R15 a client of an operator":      func() (string, string) { return operator.ID, "" },
	}
	for name, who := range wrong {
		t.Run(name, func(t *testing.T) {
			id, access := who()
			visit := Visit{Token: access, Body: []byte(`{"client_id":"` + id + `"}`)}
			_, err := b.Registration(t.Context(), id, visit)
			wantRefused(t, err, WhyWrongRegistrationToken)
			_, err = b.UpdateRegistration(t.Context(), id, visit)
			wantRefused(t, err, WhyWrongRegistrationToken)
			wantRefused(t, b.EndRegistration(t.Context(), id, visit), WhyWrongRegistrationToken)
		})
	}
	t.Run("suspended", func(t *testing.T) {
		if _, err := b.SuspendClient(t.Context(), System("test"), two.id); err != nil {
			t.Fatal(err)
		}
		_, err := b.Registration(t.Context(), two.id, Visit{Token: two.access})
		wantRefused(t, err, WhyRegistrationSuspended)
		wantRefused(t, b.EndRegistration(t.Context(), two.id, Visit{Token: two.access}), WhyRegistrationSuspended)
	})
	t.Run("RG-10 deleted", func(t *testing.T) {
		if err := b.EndRegistration(t.Context(), one.id, Visit{Token: one.access}); err != nil {
			t.Fatal(err)
		}
		if event := b.lastEvent(); event.Action != "client.deleted" || event.Object != one.id {
			t.Errorf("the event is %+v", event)
		}
		_, err := b.Registration(t.Context(), one.id, Visit{Token: one.access})
		wantRefused(t, err, WhyWrongRegistrationToken)
		if err := b.store.UseOnce(t.Context(), usedID(one.id), time.Time{}); !errors.Is(err, store.ErrExists) {
			t.Error("its ID is not retired")
		}
	})
}

// TestUpdateRegistration: what a client can change of itself, and what not.
func TestUpdateRegistration(t *testing.T) {
	b := withOrders(t)
	token := b.initialToken(func(s *InitialTokenSettings) { s.MaxUses = 100 })
	register := func(t *testing.T) guest {
		return b.mustRegister(token, `{"client_name":"Pay roll","contacts":["a@partner.example"],"token_ttl_seconds":120}`)
	}
	same := func(map[string]any) {}
	t.Run("what it is told it can send back", func(t *testing.T) {
		g := register(t)
		told, err := b.put(g, same)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"client_secret", "registration_access_token"} {
			delete(g.told, name)
		}
		if diff := cmp.Diff(g.told, told); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
	})
	for name, change := range map[string]func(map[string]any){
		"R17 without client_id":              func(m map[string]any) { delete(m, "client_id") },
		"R17 another client_id":              func(m map[string]any) { m["client_id"] = "billing" },
		"R17 client_secret_expires_at":       func(m map[string]any) { m["client_secret_expires_at"] = 0 },
		"R17 registration_access_token":      func(m map[string]any) { m["registration_access_token"] = "x" },
		"R17 a secret of its choice":         func(m map[string]any) { m["client_secret"] = "chosen" },
		"RG-02 a scope that it has not":      func(m map[string]any) { m["scope"] = "orders:read orders:drop"; delete(m, "grants") },
		"RG-02 a longer life":                func(m map[string]any) { m["token_ttl_seconds"] = 121 },
		"R09 none":                           func(m map[string]any) { m["token_endpoint_auth_method"] = "none" },
		"RG-08 javascript":                   func(m map[string]any) { m["client_uri"] = "javascript:alert(1)" },
		"a key for a client with a secret":   func(m map[string]any) { m["jwks"] = json.RawMessage(setOf(publicJWK(newKey("ES256")))) },
		"grants that are a list of nothing":  func(m map[string]any) { m["grants"] = []any{} },
		"a redirect URI is another error":    func(m map[string]any) { m["response_types"] = []string{"token"} },
		"grant types that there are not":     func(m map[string]any) { m["grant_types"] = []string{"refresh_token"} },
		"a text that is a number":            func(m map[string]any) { m["client_name"] = 7 },
		"a method that needs what is absent": func(m map[string]any) { m["token_endpoint_auth_method"] = "tls_client_auth" },
	} {
		t.Run(name, func(t *testing.T) {
			g := register(t)
			_, err := b.put(g, change)
			wantRefused(t, err, "invalid_client_metadata")
			now, err := b.Registration(t.Context(), g.id, Visit{Token: g.access})
			if err != nil || now["scope"] != "orders:read orders:write" {
				t.Errorf("it has changed: %v, %v", now, err)
			}
		})
	}
	t.Run("its current secret", func(t *testing.T) {
		g := register(t)
		told, err := b.put(g, func(m map[string]any) { m["client_secret"] = g.secret })
		if err != nil || told["client_secret"] != nil {
			t.Errorf("got %v, %v", told, err)
		}
	})
	t.Run("R18 what it leaves out", func(t *testing.T) {
		g := register(t)
		told, err := b.put(g, func(m map[string]any) {
			for name := range m {
				if name != "client_id" {
					delete(m, name)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if told["client_name"] != nil || told["contacts"] != nil {
			t.Errorf("what it said of itself stays: %v", told)
		}
		if told["scope"] != "orders:read orders:write" || told["token_ttl_seconds"] != 120. || told["token_endpoint_auth_method"] != "client_secret_basic" {
			t.Errorf("what it may do is another: %v", told)
		}
	})
	t.Run("R18 narrowed, it does not come back", func(t *testing.T) {
		g := register(t)
		if told, err := b.put(g, func(m map[string]any) { m["scope"] = "orders:read" }); err != nil || told["scope"] != "orders:read" {
			t.Fatalf("got %v, %v", told, err)
		}
		if told, err := b.put(g, func(m map[string]any) { delete(m, "scope"); delete(m, "grants") }); err != nil || told["scope"] != "orders:read" {
			t.Errorf("got %v, %v", told, err)
		}
		_, err := b.put(g, func(m map[string]any) { m["scope"] = "orders:write"; delete(m, "grants") })
		wantRefused(t, err, "invalid_client_metadata")
	})
	t.Run("from a secret to a key", func(t *testing.T) {
		g := register(t)
		key := newKey("ES256")
		told, err := b.put(g, func(m map[string]any) {
			m["token_endpoint_auth_method"], m["jwks"] = oauth.PrivateKeyJWT, json.RawMessage(setOf(publicJWK(key)))
		})
		if err != nil || told["jwks"] == nil || told["client_secret_expires_at"] != nil {
			t.Fatalf("got %v, %v", told, err)
		}
		record, _ := b.store.Clients().Get(t.Context(), g.id)
		if len(record.Secrets) != 0 || len(record.Keys) != 1 {
			t.Errorf("it has %d secrets and %d keys", len(record.Secrets), len(record.Keys))
		}
		back, err := b.put(g, func(m map[string]any) {
			m["token_endpoint_auth_method"] = oauth.ClientSecretBasic
			delete(m, "jwks")
		})
		if secret, _ := back["client_secret"].(string); err != nil || !strings.HasPrefix(secret, "writ_cs_") || secret == g.secret {
			t.Errorf("got %v, %v", back, err)
		}
	})
	t.Run("a binding stays", func(t *testing.T) {
		g := register(t)
		if told, err := b.put(g, func(m map[string]any) { m["dpop_bound_access_tokens"] = true }); err != nil || told["dpop_bound_access_tokens"] != true {
			t.Fatalf("got %v, %v", told, err)
		}
		if told, err := b.put(g, func(m map[string]any) { delete(m, "dpop_bound_access_tokens") }); err != nil || told["dpop_bound_access_tokens"] != true {
			t.Errorf("got %v, %v", told, err)
		}
		_, err := b.put(g, func(m map[string]any) { m["dpop_bound_access_tokens"] = false })
		wantRefused(t, err, "invalid_client_metadata")
	})
}

// TestUpdateKeepsWhatOperatorsDecide: an update of the client takes back nothing that an operator did, whether its initial
// access token is still there or not.
func TestUpdateKeepsWhatOperatorsDecide(t *testing.T) {
	b := withOrders(t)
	token := b.initialToken(nil)
	g := b.mustRegister(token, `{}`)
	record, err := b.store.Clients().Get(t.Context(), g.id)
	if err != nil {
		t.Fatal(err)
	}
	record.Grants[0].Scopes, record.Grants[0].Claims = []string{"orders:read"}, `{"tier":"gold"}`
	record.Networks, record.Claims, record.Roles = []string{"192.0.2.0/24"}, `{"tenant":"t1"}`, []string{"clerk"}
	record.RotatesSecrets, record.TokenReuse, record.MultipleAudiences = true, time.Minute, true
	record.NotBefore, record.ResourceServerFor = noon.Add(-time.Hour), []string{orders}
	record.Secrets[0].Limit = store.Limit{TokenTTL: time.Minute}
	if err := b.store.Clients().Put(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	for _, revoked := range []bool{false, true} {
		if revoked {
			if err := b.RevokeInitialToken(t.Context(), System("test"), "partners"); err != nil {
				t.Fatal(err)
			}
		}
		if told, err := b.put(g, func(m map[string]any) { delete(m, "scope"); delete(m, "grants") }); err != nil || told["scope"] != "orders:read" {
			t.Errorf("got %v, %v", told, err)
		}
		_, err = b.put(g, func(m map[string]any) { m["scope"] = "orders:read orders:write"; delete(m, "grants") })
		wantRefused(t, err, "invalid_client_metadata")
		_, err = b.put(g, func(m map[string]any) {
			m["token_endpoint_auth_method"], m["jwks"] = oauth.PrivateKeyJWT, json.RawMessage(setOf(publicJWK(newKey("ES256"))))
		})
		wantRefused(t, err, "invalid_client_metadata")
		after, err := b.store.Clients().Get(t.Context(), g.id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(record, after); diff != "" {
			t.Errorf("revoked %t (-before +after):\n%s", revoked, diff)
		}
	}
}

// TestClientsThatNobodyUses: they go in time, and no others.
func TestClientsThatNobodyUses(t *testing.T) {
	b := withOrders(t)
	token := b.initialToken(func(s *InitialTokenSettings) { s.MaxUses, s.FirstUseSeconds, s.IdleSeconds = 10, 3600, 86400 })
	operator := b.client(oauth.ClientMetadata{ClientName: "billing", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}})
	never, used, suspended := b.mustRegister(token, "{}"), b.mustRegister(token, "{}"), b.mustRegister(token, "{}")
	if _, err := b.SuspendClient(t.Context(), System("test"), suspended.id); err != nil {
		t.Fatal(err)
	}
	note := func(at time.Time) {
		if err := b.store.NoteUses(t.Context(), []store.Use{{ClientID: used.id, Credential: "x", Last: at}}); err != nil {
			t.Fatal(err)
		}
	}
	note(noon.Add(30 * time.Minute))
	left := func(at time.Duration, want ...string) {
		t.Helper()
		b.clock = noon.Add(at)
		if _, err := b.SweepRegistrations(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for id, name := range map[string]string{never.id: "never", used.id: "used", suspended.id: "suspended", operator.ID: "operator"} {
			if _, err := b.store.Clients().Get(t.Context(), id); err == nil {
				got = append(got, name)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("after %s there are %q, want %q", at, got, want)
		}
	}
	left(2*time.Hour, "never", "operator", "suspended", "used") // an hour, and the hour that uses may be late
	left(2*time.Hour+time.Second, "operator", "suspended", "used")
	if event := b.lastEvent(); event.Action != "client.unused" || event.Object != never.id || event.Actor != "sweep" {
		t.Errorf("the event is %+v", event)
	}
	left(25*time.Hour+30*time.Minute, "operator", "suspended", "used")
	note(noon.Add(25 * time.Hour))
	inner := b.Registry.store
	b.Registry.store = &overtaken{Store: inner, meanwhile: func() { t.Error("a client that is in use cost who writes a turn") }}
	left(49*time.Hour, "operator", "suspended", "used")
	b.Registry.store = inner
	left(50*time.Hour+time.Second, "operator", "suspended")
	b.clock = noon.Add(1000 * time.Hour)
	if _, err := b.ResumeClient(t.Context(), System("test"), suspended.id); err != nil {
		t.Fatal(err)
	}
	left(1000*time.Hour+time.Minute, "operator", "suspended") // its time begins anew
	left(1003*time.Hour, "operator")
	if tokens, _, err := b.InitialTokens(t.Context(), System("test"), "", 0); err != nil || len(tokens) != 0 {
		t.Errorf("an initial access token that expired a month ago is still there: %v, %v", tokens, err)
	}
}

// TestPruneSparesWhoRegisteredThemselves: a file does not know them.
func TestPruneSparesWhoRegisteredThemselves(t *testing.T) {
	b := withOrders(t)
	g := b.mustRegister(b.initialToken(nil), "{}")
	other := b.client(oauth.ClientMetadata{ClientName: "billing", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}}})
	b.apply(Declaration{State: DeclaredState{Clients: []DeclaredClient{}}, Prune: true})
	if _, err := b.store.Clients().Get(t.Context(), g.id); err != nil {
		t.Errorf("it is gone: %v", err)
	}
	if _, err := b.store.Clients().Get(t.Context(), other.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the other one is not: %v", err)
	}
	_, err := b.PlanDeclared(t.Context(), System("test"), Declaration{State: DeclaredState{Clients: []DeclaredClient{}, Resources: []ResourceSettings{}}, Prune: true})
	if err == nil || !strings.Contains(err.Error(), g.id) {
		t.Errorf("a resource that it may use can be deleted: %v", err)
	}
}

// A portal vouches for software.
type portal struct {
	key crypto.Signer
	jwk jose.Key
}

const portalIssuer = "https://portal.example.com"

func newPortal(t *testing.T, b *bench) *portal {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	p := &portal{key, jose.Key{ID: "one", Algorithm: jose.ES256, Public: key.Public()}}
	b.vouchers = []Voucher{{Issuer: portalIssuer, Keys: func(context.Context, string) ([]jose.Key, error) { return []jose.Key{p.jwk}, nil }}}
	return p
}

func (p *portal) state(t *testing.T, kind string, change func(map[string]any)) string {
	t.Helper()
	claims := map[string]any{"iss": portalIssuer, "software_id": "p-1", "client_name": "Pay roll", "exp": noon.Add(time.Hour).Unix(), "iat": noon.Unix()}
	if change != nil {
		change(claims)
	}
	options := (&gojose.SignerOptions{}).WithHeader("kid", "one")
	if kind != "" {
		options = options.WithType(gojose.ContentType(kind))
	}
	signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: gojose.ES256, Key: p.key}, options)
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := json.Marshal(claims)
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, _ := signed.CompactSerialize()
	return compact
}

func bodyWith(statement string, more string) string {
	return `{"software_statement":"` + statement + `"` + more + `}`
}

// TestR21: software statements, good ones and the others.
func TestR21(t *testing.T) {
	b := withOrders(t)
	token := b.initialToken(func(s *InitialTokenSettings) { s.MaxUses = 100 })
	p := newPortal(t, b)
	t.Run("RG-11 what it says counts more", func(t *testing.T) {
		statement := p.state(t, "", func(c map[string]any) { c["scope"] = "orders:read"; c["aud"] = issuer; c["client_id"] = "chosen" })
		g := b.mustRegister(token, bodyWith(statement, `,"client_name":"Bank","scope":"orders:write","contacts":["a@b.example"]`))
		if g.told["client_name"] != "Pay roll" || g.told["scope"] != "orders:read" || g.told["software_statement"] != statement || g.told["contacts"] == nil || g.told["iss"] != nil {
			t.Errorf("got %v", g.told)
		}
		seen, err := b.Client(t.Context(), System("test"), g.id)
		if err != nil || seen.Registration.Software != portalIssuer+" p-1" || strings.Contains(string(seen.Registration.Described), "eyJ") {
			t.Errorf("the operator sees %+v, %v", seen.Registration, err)
		}
		_, err = b.put(g, func(m map[string]any) { delete(m, "software_statement"); m["client_name"] = "Bank" })
		wantRefused(t, err, "invalid_software_statement")
		_, err = b.put(g, func(m map[string]any) {
			m["software_statement"] = p.state(t, "", func(c map[string]any) { c["software_id"] = "p-2" })
		})
		wantRefused(t, err, "invalid_software_statement")
		if told, err := b.put(g, func(m map[string]any) { m["client_name"] = "Bank" }); err != nil || told["client_name"] != "Pay roll" {
			t.Errorf("got %v, %v", told, err)
		}
	})
	other, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ statement, why string }{
		"no JWT":         {"x", "invalid_software_statement"},
		"alg none":       {"eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL3BvcnRhbC5leGFtcGxlLmNvbSJ9.", "invalid_software_statement"},
		"alg none, with": {"eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL3BvcnRhbC5leGFtcGxlLmNvbSJ9.AAAA", "invalid_software_statement"},
		"signed by another": {
			(&portal{other, jose.Key{}}).state(t, "", nil), "invalid_software_statement",
		},
		"expired":              {p.state(t, "", func(c map[string]any) { c["exp"] = noon.Unix() }), "invalid_software_statement"},
		"without exp":          {p.state(t, "", func(c map[string]any) { delete(c, "exp") }), "invalid_software_statement"},
		"from the future":      {p.state(t, "", func(c map[string]any) { c["iat"] = noon.Add(time.Minute).Unix() }), "invalid_software_statement"},
		"not before later":     {p.state(t, "", func(c map[string]any) { c["nbf"] = noon.Add(time.Minute).Unix() }), "invalid_software_statement"},
		"for another server":   {p.state(t, "", func(c map[string]any) { c["aud"] = "https://other.example.com" }), "invalid_software_statement"},
		"an access token":      {p.state(t, "at+jwt", nil), "invalid_software_statement"},
		"of an unknown issuer": {p.state(t, "", func(c map[string]any) { c["iss"] = "https://other.example.com" }), "unapproved_software_statement"},
		"without issuer":       {p.state(t, "", func(c map[string]any) { delete(c, "iss") }), "unapproved_software_statement"},
		"RG-11 beyond the ceiling": {
			p.state(t, "", func(c map[string]any) { c["scope"] = "orders:read admin" }), "invalid_client_metadata",
		},
		"RG-11 javascript": {p.state(t, "", func(c map[string]any) { c["client_uri"] = "javascript:alert(1)" }), "invalid_client_metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.register(token, bodyWith(c.statement, ""))
			wantRefused(t, err, c.why)
		})
	}
	t.Run("what is missing is said", func(t *testing.T) {
		_, err := b.register(token, bodyWith(p.state(t, "", func(c map[string]any) { delete(c, "exp") }), ""))
		if err == nil || !strings.Contains(err.Error(), "has no exp") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("required", func(t *testing.T) {
		b.requireStatement = true
		_, err := b.register(token, "{}")
		wantRefused(t, err, "invalid_software_statement")
		b.mustRegister(token, bodyWith(p.state(t, "JWT", nil), ""))
	})
	t.Run("nobody is trusted", func(t *testing.T) {
		b.vouchers = nil
		_, err := b.register(token, bodyWith(p.state(t, "", nil), ""))
		wantRefused(t, err, "unapproved_software_statement")
	})
}

// TestR22AndRG07: markup in a name is text, which operators get as text.
func TestR22AndRG07(t *testing.T) {
	b := withOrders(t)
	g := b.mustRegister(b.initialToken(nil), `{"client_name":"<img src=x onerror=alert(1)>"}`)
	if g.told["client_name"] != "<img src=x onerror=alert(1)>" {
		t.Errorf("got %v", g.told["client_name"])
	}
	if strings.ContainsAny(g.id, "<>=() ") {
		t.Errorf("the ID is %q", g.id)
	}
	if event := b.lastEvent(); strings.Contains(event.Detail, "img") && strings.Contains(event.Detail, "<") {
		t.Errorf("the event repeats it: %s", event.Detail)
	}
}
