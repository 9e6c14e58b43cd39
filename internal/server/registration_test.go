package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store/storetest"
	"github.com/writ-auth/writ/oauth"
)

// A visit is what the registration endpoint answered.
type visit struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (v visit) member(name string) string {
	text, _ := v.body[name].(string)
	return text
}

// called returns the answer without the ID of its refusal.
func (v visit) called() string {
	text, id := v.text, v.header.Get("Writ-Refusal")
	for _, name := range []string{"Content-Type", "Cache-Control", "Pragma", "Www-Authenticate", "Content-Length"} {
		text += "\n" + name + ": " + strings.Join(v.header[name], ", ")
	}
	return fmt.Sprint(v.status, " ", strings.ReplaceAll(text, id, "ID"))
}

// visit sends JSON with a bearer token, "" for none.
func (r *running) visit(t *testing.T, method, path, token, body string, headers ...string) visit {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, r.base()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := r.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	v := visit{status: response.StatusCode, header: response.Header, text: string(data)}
	_ = json.Unmarshal(data, &v.body)
	return v
}

// A stopped clock goes when it is told to, so that what a slow machine takes counts for nothing.
type stopped struct {
	at     time.Time
	offset atomic.Int64
}

func newStopped() *stopped { return &stopped{at: time.Now()} }

func (c *stopped) now() time.Time      { return c.at.Add(time.Duration(c.offset.Load())) }
func (c *stopped) add(d time.Duration) { c.offset.Add(int64(d)) }

// registering is testConfig with registration switched on, and no limit in the way.
func registering(c Config) Config {
	c.Registration.Enabled, c.Registration.PerMinute = true, 6000
	return c
}

// initialToken makes a token for clients that may read and write orders.
func (r *running) initialToken(t *testing.T, change func(*registry.InitialTokenSettings)) string {
	t.Helper()
	_, err := r.registry.CreateResource(t.Context(), registry.System("test"), registry.ResourceSettings{
		URI: testResource, Scopes: []registry.Scope{{Name: "orders:read"}, {Name: "orders:write"}},
	})
	if err != nil && !strings.Contains(err.Error(), "exists") {
		t.Fatal(err)
	}
	settings := registry.InitialTokenSettings{
		Name: "partners", MaxUses: 1000,
		Grants: []oauth.Grant{{Resource: testResource, Scopes: []string{"orders:read", "orders:write"}, Defaults: []string{"orders:read"}}},
	}
	if change != nil {
		change(&settings)
	}
	made, err := r.registry.CreateInitialToken(t.Context(), registry.System("test"), settings)
	if err != nil {
		t.Fatal(err)
	}
	return made.Token.Reveal()
}

// path returns where the registration of an answer is.
func (v visit) path() string { return "/register/" + v.member("client_id") }

func (v visit) client() registry.Registered {
	return registry.Registered{Client: registry.Client{ID: v.member("client_id")}, Secret: registry.Secret(v.member("client_secret"))}
}

func (r *running) registered(t *testing.T, token, body string) visit {
	t.Helper()
	made := r.visit(t, http.MethodPost, "/register", token, body)
	if made.status != http.StatusCreated {
		t.Fatalf("registration answered %d %s", made.status, made.text)
	}
	return made
}

// TestRegistration is the life of a client that registers itself: R03, R19, RG-10 and RG-26.
func TestRegistration(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, c Config) {
		r := start(t, registering(c))
		token := r.initialToken(t, nil)
		api := r.newClient(t, "orders-api", nil)
		made := r.registered(t, token, `{"client_name":"Pay roll","scope":"orders:read"}`)
		t.Run("R03 what is answered", func(t *testing.T) {
			if made.header.Get("Cache-Control") != "no-store" || made.header.Get("Pragma") != "no-cache" || made.header.Get("Content-Type") != "application/json" {
				t.Errorf("RG-26 got %v", made.header)
			}
			for name, want := range map[string]any{
				"client_secret_expires_at": 0., "client_name": "Pay roll", "scope": "orders:read", "token_endpoint_auth_method": "client_secret_basic",
				"registration_client_uri": r.issuer + made.path(),
			} {
				if made.body[name] != want {
					t.Errorf("%s is %v, want %v", name, made.body[name], want)
				}
			}
		})
		client := made.client()
		access := r.token(t, client)
		if !r.active(t, api, access) {
			t.Fatal("the token of a client that registered itself is not active")
		}
		manage := made.member("registration_access_token")
		t.Run("RG-26 the secret is told once", func(t *testing.T) {
			now := r.visit(t, http.MethodGet, made.path(), manage, "")
			if now.status != http.StatusOK || now.header.Get("Cache-Control") != "no-store" || strings.Contains(now.text, "writ_cs_") || now.body["client_secret_expires_at"] != 0. {
				t.Errorf("got %d %s", now.status, now.text)
			}
		})
		t.Run("R18 updated", func(t *testing.T) {
			now := r.visit(t, http.MethodPut, made.path(), manage, `{"client_id":"`+client.ID+`","client_name":"Other"}`)
			if now.status != http.StatusOK || now.body["client_name"] != "Other" || now.body["scope"] != "orders:read" {
				t.Errorf("got %d %s", now.status, now.text)
			}
			r.token(t, client)
		})
		t.Run("R19 deleted", func(t *testing.T) {
			gone := r.visit(t, http.MethodDelete, made.path(), manage, "")
			if gone.status != http.StatusNoContent || gone.text != "" || gone.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("got %d %q", gone.status, gone.text)
			}
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
				if again := r.visit(t, method, made.path(), manage, ""); again.status != http.StatusUnauthorized {
					t.Errorf("RG-10 %s got %d %s", method, again.status, again.text)
				}
			}
			if status, answer := r.post(t, "/token", client, url.Values{"grant_type": {"client_credentials"}}); status != http.StatusUnauthorized || answer["error"] != "invalid_client" {
				t.Errorf("RG-10 the old secret: %d %v", status, answer)
			}
			if r.active(t, api, access) {
				t.Error("RG-10 its token is active")
			}
		})
	})
}

// TestRegistrationIsOff: unless it is switched on, there is no endpoint, and the metadata names none.
func TestRegistrationIsOff(t *testing.T) {
	t.Parallel()
	off, on := start(t, testConfig(t)), start(t, registering(testConfig(t)))
	if got := off.visit(t, http.MethodPost, "/register", "", "{}"); got.status != http.StatusNotFound {
		t.Errorf("RG-01 got %d %s", got.status, got.text)
	}
	document := "/.well-known/oauth-authorization-server"
	if got := off.visit(t, http.MethodGet, document, "", ""); got.status != http.StatusOK || got.body["registration_endpoint"] != nil {
		t.Errorf("got %s", got.text)
	}
	if got := on.visit(t, http.MethodGet, document, "", ""); got.body["registration_endpoint"] != on.issuer+"/register" {
		t.Errorf("got %s", got.text)
	}
}

// TestRegistrationTokens: who has no initial access token that counts.
func TestRegistrationTokens(t *testing.T) {
	t.Parallel()
	clock := newStopped()
	r := startAt(t, registering(testConfig(t)), clock.now)
	token := r.initialToken(t, nil)
	once := r.initialToken(t, func(s *registry.InitialTokenSettings) { s.Name, s.MaxUses = "once", 1 })
	elsewhere := r.initialToken(t, func(s *registry.InitialTokenSettings) {
		s.Name, s.Networks = "elsewhere", []string{"192.0.2.0/24"}
	})
	short := r.initialToken(t, func(s *registry.InitialTokenSettings) { s.Name, s.Expires = "short", clock.now().Add(time.Minute) })
	r.registered(t, once, "{}")
	client := r.newClient(t, "billing", nil)
	access := r.token(t, client)
	clock.add(time.Minute)
	t.Run("R01 RG-01 no token", func(t *testing.T) {
		for _, header := range []string{"", "Basic eDp5", "DPoP " + token, "Bearer", "Bearer "} {
			got := r.visit(t, http.MethodPost, "/register", "", "{}", "Authorization", header)
			challenge := got.header.Get("WWW-Authenticate")
			if got.status != http.StatusUnauthorized || !strings.HasPrefix(challenge, `Bearer realm="`) || strings.Contains(challenge, "error") {
				t.Errorf("%q got %d %q", header, got.status, challenge)
			}
		}
	})
	var answers []string
	for name, bad := range map[string]string{
		"R02 one that there is not":       "writ_iat_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"R02 a part of one":               token[:len(token)-1],
		"R02 expired":                     short,
		"R20 used up":                     once,
		"R02 from where it may not come":  elsewhere,
		"R02 an access token":             access,
		"R02 the secret of a client":      client.Secret.Reveal(),
		"R02 a text that is no token":     "a b\tc",
		"R02 something as long as a page": strings.Repeat("a", 4<<10),
	} {
		t.Run(name, func(t *testing.T) {
			got := r.visit(t, http.MethodPost, "/register", bad, "{}")
			if got.status != http.StatusUnauthorized || got.body["error"] != "invalid_token" || !strings.Contains(got.header.Get("WWW-Authenticate"), `Bearer realm="`) ||
				!strings.Contains(got.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("got %d %s %v", got.status, got.text, got.header)
			}
			answers = append(answers, got.called())
		})
	}
	slices.Sort(answers)
	if answers = slices.Compact(answers); len(answers) != 1 {
		t.Errorf("R02 the answers are told apart: %q", answers)
	}
	t.Run("R02 before the body", func(t *testing.T) {
		if got := r.visit(t, http.MethodPost, "/register", once, "["); got.status != http.StatusUnauthorized {
			t.Errorf("got %d %s", got.status, got.text)
		}
	})
	t.Run("a token in two places", func(t *testing.T) {
		if got := r.visit(t, http.MethodPost, "/register?access_token=x", token, "{}"); got.status != http.StatusBadRequest || got.body["error"] != "invalid_request" {
			t.Errorf("got %d %s", got.status, got.text)
		}
	})
	if out := r.log.String(); strings.Contains(out, "writ_iat_") || strings.Contains(out, "writ_rat_") {
		t.Error("the log holds a token")
	}
}

// TestRegistrationBodies: what is sent is read strictly, and refused as RFC 7591, 3.2.2 has it.
func TestRegistrationBodies(t *testing.T) {
	t.Parallel()
	r := start(t, registering(testConfig(t)))
	token := r.initialToken(t, nil)
	jwk := func(key any, id string) string {
		data, err := json.Marshal(gojose.JSONWebKey{Key: key, KeyID: id, Algorithm: jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	public, private := jwk(key.Public(), "one"), jwk(key, "one")
	const byKey = `"token_endpoint_auth_method":"private_key_jwt"`
	for name, c := range map[string]struct{ contentType, body string }{
		"R04 a form":                         {"application/x-www-form-urlencoded", "client_name=x"},
		"R04 no type":                        {"", "{}"},
		"R04 not JSON":                       {"", "client_name"},
		"R04 an array":                       {"", "[]"},
		"R04 null":                           {"", "null"},
		"R04 twice":                          {"", `{"scope":"orders:read","scope":"orders:write"}`},
		"R05 RG-06 jwks and jwks_uri":        {"", `{` + byKey + `,"jwks":{"keys":[` + public + `]},"jwks_uri":"https://keys.example.com/"}`},
		"R06 no keys":                        {"", `{` + byKey + `}`},
		"R07 RG-06 private":                  {"", `{` + byKey + `,"jwks":{"keys":[` + private + `]}}`},
		"R07 RG-06 symmetric":                {"", `{` + byKey + `,"jwks":{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}}`},
		"R07 RG-06 twice":                    {"", `{` + byKey + `,"jwks":{"keys":[` + public + `,` + public + `]}}`},
		"R08 unknown method":                 {"", `{"token_endpoint_auth_method":"client_secret_jwt"}`},
		"R08 a method that there is not now": {"", `{"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"a.example"}`},
		"R09 RG-04 none":                     {"", `{"grant_types":["client_credentials"],"token_endpoint_auth_method":"none"}`},
		"R10 implicit":                       {"", `{"grant_types":["implicit"]}`},
		"RG-03 password and implicit":        {"", `{"grant_types":["client_credentials","password","implicit"]}`},
		"R11 RG-02 scope":                    {"", `{"scope":"admin orders:read"}`},
		"RG-08 javascript":                   {"", `{"client_uri":"javascript:alert(1)"}`},
		"RG-07 a line break":                 {"", `{"client_name":"a\n{\"level\":\"error\"}"}`},
	} {
		t.Run(name, func(t *testing.T) {
			kind := "application/json"
			if c.contentType != "" {
				kind = c.contentType
			}
			if strings.HasSuffix(name, "no type") {
				kind = ""
			}
			got := r.visit(t, http.MethodPost, "/register", token, c.body, "Content-Type", kind)
			if got.status != http.StatusBadRequest || got.body["error"] != "invalid_client_metadata" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %s", got.status, got.text)
			}
			if got.header.Get("Writ-Refusal") == "" {
				t.Error("the refusal has no ID")
			}
		})
	}
	t.Run("R04 larger than 64 KiB", func(t *testing.T) {
		got := r.visit(t, http.MethodPost, "/register", token, `{"x":"`+strings.Repeat("a", 64<<10)+`"}`)
		if got.status != http.StatusRequestEntityTooLarge {
			t.Errorf("got %d %s", got.status, got.text)
		}
	})
	t.Run("R12, R13, RG-05 members that it cannot set", func(t *testing.T) {
		made := r.registered(t, token, `{"unheard_of":1,"client_id":"billing","client_secret":"chosen","tenant":"x","enabled":false,"roles":["admin"],"id":"y",
			"resource_server_for":["`+testResource+`"],"multiple_audiences":true,"networks":["0.0.0.0/0"],"claims":{"sub":"root"}}`)
		if id := made.member("client_id"); !strings.HasPrefix(id, "dyn-") || made.member("client_secret") == "chosen" {
			t.Errorf("got %s", made.text)
		}
		for _, name := range []string{"unheard_of", "tenant", "enabled", "roles", "id", "resource_server_for", "multiple_audiences", "networks", "claims"} {
			if made.body[name] != nil {
				t.Errorf("%s is echoed", name)
			}
		}
		record, err := r.store.Clients().Get(t.Context(), made.member("client_id"))
		if err != nil || len(record.Roles)+len(record.ResourceServerFor)+len(record.Networks) > 0 || record.MultipleAudiences || record.Suspended || record.Claims != "" {
			t.Errorf("it has %+v, %v", record, err)
		}
	})
	t.Run("R22 RG-07 markup", func(t *testing.T) {
		made := r.registered(t, token, `{"client_name":"<img src=x onerror=alert(1)>"}`)
		if made.body["client_name"] != "<img src=x onerror=alert(1)>" || strings.Contains(made.text, "<img") {
			t.Errorf("got %s", made.text)
		}
	})
	if data, _ := filepath.Glob(filepath.Join(r.config.Data, "audit", "*")); len(data) > 0 {
		var parts map[string]string
		_ = json.Unmarshal([]byte(private), &parts)
		for _, name := range data {
			if text, _ := os.ReadFile(name); bytes.Contains(text, []byte(parts["d"])) || bytes.Contains(text, []byte("writ_iat_")) {
				t.Errorf("RG-06 %s holds a private key or a token", name)
			}
		}
	}
}

// TestR14: a jwks_uri that leads inside is refused, and nothing is sent there.
func TestR14(t *testing.T) {
	t.Parallel()
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	var connections atomic.Int32
	go func() {
		for {
			connection, err := inside.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			connection.Close()
		}
	}()
	r := start(t, registering(testConfig(t)))
	token := r.initialToken(t, nil)
	port := inside.Addr().(*net.TCPAddr).Port
	for _, uri := range []string{
		"http://127.0.0.1:%d/", "https://127.0.0.1:%d/", "https://localhost:%d/", "https://[::1]:%d/", "https://[::ffff:127.0.0.1]:%d/",
		"https://169.254.169.254:%d/", "https://metadata.google.internal:%d/", "https://2130706433:%d/", "https://127.1:%d/",
	} {
		got := r.visit(t, http.MethodPost, "/register", token, fmt.Sprintf(`{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"`+uri+`"}`, port))
		if got.status != http.StatusBadRequest || got.body["error"] != "invalid_client_metadata" {
			t.Errorf("%s got %d %s", uri, got.status, got.text)
		}
	}
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections", n)
	}
}

// TestRegistrationManagement: whoever has another token than the client's learns nothing (R15, R16, R17, RG-09).
func TestRegistrationManagement(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, c Config) {
		r := start(t, registering(c))
		token := r.initialToken(t, nil)
		one, two, gone := r.registered(t, token, "{}"), r.registered(t, token, "{}"), r.registered(t, token, "{}")
		if got := r.visit(t, http.MethodDelete, gone.path(), gone.member("registration_access_token"), ""); got.status != http.StatusNoContent {
			t.Fatalf("got %d %s", got.status, got.text)
		}
		operators := r.newClient(t, "billing", nil)
		other := one.member("registration_access_token")
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
			var answers []string
			for name, who := range map[string][2]string{
				"R16 RG-09 another client's token": {two.path(), other},
				"R15 a client that there is not":   {"/register/dyn-nobody-aaaaaaaaaa", other},
				"R15 RG-10 a client that is gone":  {gone.path(), gone.member("registration_access_token")},
				"R15 a client of an operator":      {"/register/" + operators.ID, other},
			} {
				t.Run(name+" "+method, func(t *testing.T) {
					body := ""
					if method == http.MethodPut {
						body = `{"client_id":"` + strings.TrimPrefix(who[0], "/register/") + `"}`
					}
					got := r.visit(t, method, who[0], who[1], body)
					if got.status != http.StatusUnauthorized || got.body["error"] != "invalid_token" || !strings.Contains(got.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
						t.Errorf("got %d %s", got.status, got.text)
					}
					answers = append(answers, got.called())
				})
			}
			slices.Sort(answers)
			if answers = slices.Compact(answers); len(answers) != 1 {
				t.Errorf("RG-09 the answers are told apart: %q", answers)
			}
		}
		own, id := two.member("registration_access_token"), two.member("client_id")
		for name, body := range map[string]string{
			"R17 no client_id":             `{}`,
			"R17 client_secret_expires_at": `{"client_id":"` + id + `","client_secret_expires_at":0}`,
			"R17 another secret":           `{"client_id":"` + id + `","client_secret":"chosen"}`,
		} {
			t.Run(name, func(t *testing.T) {
				if got := r.visit(t, http.MethodPut, two.path(), own, body); got.status != http.StatusBadRequest || got.body["error"] != "invalid_client_metadata" {
					t.Errorf("got %d %s", got.status, got.text)
				}
			})
		}
		t.Run("no token", func(t *testing.T) {
			got := r.visit(t, http.MethodGet, two.path(), "", "")
			if challenge := got.header.Get("WWW-Authenticate"); got.status != http.StatusUnauthorized || strings.Contains(challenge, "error") {
				t.Errorf("got %d %s", got.status, challenge)
			}
		})
		t.Run("a method that there is not", func(t *testing.T) {
			if got := r.visit(t, http.MethodPatch, two.path(), own, ""); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, PUT, DELETE" {
				t.Errorf("got %d %v", got.status, got.header)
			}
			if got := r.visit(t, http.MethodGet, "/register", own, ""); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "POST" {
				t.Errorf("got %d %v", got.status, got.header)
			}
			if got := r.visit(t, http.MethodGet, two.path()+"/x", own, ""); got.status != http.StatusNotFound {
				t.Errorf("got %d", got.status)
			}
		})
		t.Run("suspended", func(t *testing.T) {
			if _, err := r.registry.SuspendClient(t.Context(), registry.System("test"), id); err != nil {
				t.Fatal(err)
			}
			if got := r.visit(t, http.MethodGet, two.path(), own, ""); got.status != http.StatusUnauthorized {
				t.Errorf("got %d %s", got.status, got.text)
			}
		})
	})
}

// TestRG09: wrong tries are in the journal, each is explained, and whoever goes on is slowed down.
func TestRG09(t *testing.T) {
	t.Parallel()
	r := start(t, registering(testConfig(t)))
	made := r.registered(t, r.initialToken(t, nil), "{}")
	var last visit
	for range 5 {
		last = r.visit(t, http.MethodGet, made.path(), "writ_rat_guessed", "")
	}
	told, err := r.explain(t.Context(), last.header.Get("Writ-Refusal"))
	if err != nil || told.Endpoint != "registration" || told.Reason != "wrong_registration_token" || told.ClientID != made.member("client_id") ||
		!strings.HasPrefix(told.Registered["registered by"], "itself") || len(told.Commands) == 0 {
		t.Errorf("got %+v, %v", told, err)
	}
	refused := 0
	visits := func() (found []audit.Event) {
		page, err := audit.FindRefusal(t.Context(), filepath.Join(r.config.Data, "audit"), last.header.Get("Writ-Refusal"), time.Time{})
		if err == nil && page.Event != nil {
			found = append(found, *page.Event)
		}
		return found
	}
	for deadline := time.Now().Add(20 * time.Second); len(visits()) == 0 && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // the journal writes refusals behind
	}
	files, _ := filepath.Glob(filepath.Join(r.config.Data, "audit", "*.jsonl"))
	for _, name := range files {
		text, _ := os.ReadFile(name)
		refused += strings.Count(string(text), `"reason":"wrong_registration_token"`)
		if strings.Contains(string(text), "guessed") {
			t.Error("the journal holds what was guessed")
		}
	}
	if refused != 5 {
		t.Errorf("the journal tells of %d wrong tries, want 5", refused)
	}
	slowed := visit{}
	for range 40 {
		if slowed = r.visit(t, http.MethodGet, made.path(), "writ_rat_guessed", ""); slowed.status != http.StatusUnauthorized {
			break
		}
	}
	if slowed.status != http.StatusTooManyRequests || slowed.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", slowed.status, slowed.text)
	}
}

// TestRG12Nodes: an initial access token for one client lets one in, at whatever nodes its copies arrive.
func TestRG12Nodes(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, nodes []*running) {
		for round := range 3 {
			token := nodes[0].initialToken(t, func(s *registry.InitialTokenSettings) { s.Name, s.MaxUses = fmt.Sprint("once-", round), 1 })
			var group sync.WaitGroup
			var made, refused, busy atomic.Int32
			for i := range 20 {
				group.Go(func() {
					switch got := nodes[i%len(nodes)].visit(t, http.MethodPost, "/register", token, "{}"); got.status {
					case http.StatusCreated:
						made.Add(1)
					case http.StatusUnauthorized:
						refused.Add(1)
					case http.StatusServiceUnavailable: // a busy database
						busy.Add(1)
					default:
						t.Errorf("RG-12 got %d %s", got.status, got.text)
					}
				})
			}
			group.Wait()
			if made.Load() != 1 || refused.Load() == 0 {
				t.Errorf("RG-12 %d registrations, %d refused, %d busy", made.Load(), refused.Load(), busy.Load())
			}
		}
	}
	t.Run("sqlite", func(t *testing.T) { test(t, []*running{start(t, registering(testConfig(t)))}) })
	t.Run("three nodes on postgres", func(t *testing.T) {
		c := registering(testConfig(t))
		c.Database, c.Issuer = storetest.PostgreSQL(t), "https://as.example"
		nodes := []*running{start(t, c)}
		for range 2 {
			other := registering(testConfig(t))
			other.Database, other.Issuer, other.RootKey = c.Database, c.Issuer, filepath.Join(c.Data, "root.key")
			nodes = append(nodes, start(t, other))
		}
		test(t, nodes)
	})
}

// TestRG25: registrations have a rate, of an address and of an initial access token, and the token bounds how many there are.
func TestRG25(t *testing.T) {
	t.Parallel()
	clock := newStopped()
	c := registering(testConfig(t))
	c.Registration.PerMinute, c.TrustedProxies = 60, prefixes("127.0.0.0/8")
	r := startAt(t, c, clock.now)
	token := r.initialToken(t, func(s *registry.InitialTokenSettings) { s.MaxUses = 70 })
	from := func(address string) visit {
		return r.visit(t, http.MethodPost, "/register", token, "{}", "X-Forwarded-For", address)
	}
	for i := range 60 {
		if got := from(fmt.Sprintf("192.0.2.%d", i)); got.status != http.StatusCreated {
			t.Fatalf("registration %d: %d %s", i, got.status, got.text)
		}
	}
	got := from("192.0.2.100")
	if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || got.body["error"] != "temporarily_unavailable" {
		t.Errorf("RG-25 the 61st with one token: %d %s", got.status, got.text)
	}
	for range 60 {
		r.visit(t, http.MethodPost, "/register", "", "", "X-Forwarded-For", "198.51.100.1")
	}
	if got = r.visit(t, http.MethodPost, "/register", "", "", "X-Forwarded-For", "198.51.100.1"); got.status != http.StatusTooManyRequests {
		t.Errorf("RG-25 the 61st from one address: %d %s", got.status, got.text)
	}
	clock.add(time.Hour)
	made := 60
	for i := range 50 {
		if got = from(fmt.Sprintf("192.0.2.%d", 100+i)); got.status == http.StatusCreated {
			made++
		}
	}
	if made != 70 || got.status != http.StatusUnauthorized {
		t.Errorf("RG-25 %d clients with a token for 70, then %d", made, got.status)
	}
	clock.add(24*time.Hour + time.Minute) // the time to first use, and what uses may be late
	if swept, err := r.registry.SweepRegistrations(t.Context()); swept != 60 || err != nil {
		t.Errorf("RG-25 %d clients that nobody used are gone, %v", swept, err)
	}
}

// TestR21AndRG11 is software statements at a server that reads its vouchers' keys from a file.
func TestR21AndRG11(t *testing.T) {
	t.Parallel()
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(gojose.JSONWebKeySet{Keys: []gojose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: jose.ES256}}})
	if err != nil {
		t.Fatal(err)
	}
	c := registering(testConfig(t))
	c.Registration.SoftwareStatements = []string{"https://portal.example " + writeFile(t, "portal.json", string(keys))}
	c.Registration.RequireSoftwareStatement = true
	r := start(t, c)
	token := r.initialToken(t, nil)
	portal := keyed{"portal", key}
	state := func(change map[string]any) string {
		claims := map[string]any{"iss": "https://portal.example", "exp": time.Now().Add(time.Hour).Unix(), "software_id": "p-1", "client_name": "Pay roll"}
		maps.Copy(claims, change)
		return portal.sign(t, (&gojose.SignerOptions{}).WithHeader("kid", "one"), claims)
	}
	register := func(statement string) visit {
		return r.visit(t, http.MethodPost, "/register", token, `{"client_name":"Bank","software_statement":"`+statement+`"}`)
	}
	if got := register(state(nil)); got.status != http.StatusCreated || got.body["client_name"] != "Pay roll" {
		t.Errorf("got %d %s", got.status, got.text)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(state(nil), ".")[1] + "."
	for name, c := range map[string]struct{ statement, code string }{
		"alg none":        {none, "invalid_software_statement"},
		"expired":         {state(map[string]any{"exp": 1}), "invalid_software_statement"},
		"unknown issuer":  {state(map[string]any{"iss": "https://other.example"}), "unapproved_software_statement"},
		"a wrong one":     {state(nil)[:20] + "A" + state(nil)[21:], "invalid_software_statement"},
		"more than it is": {state(map[string]any{"scope": "admin"}), "invalid_client_metadata"},
	} {
		t.Run("R21 RG-11 "+name, func(t *testing.T) {
			if got := register(c.statement); got.status != http.StatusBadRequest || got.body["error"] != c.code {
				t.Errorf("got %d %s", got.status, got.text)
			}
		})
	}
	t.Run("R21 none", func(t *testing.T) {
		if got := r.visit(t, http.MethodPost, "/register", token, "{}"); got.status != http.StatusBadRequest || got.body["error"] != "invalid_software_statement" {
			t.Errorf("got %d %s", got.status, got.text)
		}
	})
}

// TestRegistrationUnderFAPI2: the profile holds for who registers itself as well.
func TestRegistrationUnderFAPI2(t *testing.T) {
	t.Parallel()
	c := registering(testConfig(t))
	c.Profile = "fapi2"
	r := start(t, c)
	token := r.initialToken(t, nil)
	if got := r.visit(t, http.MethodPost, "/register", token, "{}"); got.status != http.StatusBadRequest || !strings.Contains(got.text, "private_key_jwt") {
		t.Errorf("a client with a secret got %d %s", got.status, got.text)
	}
}

// TestRegistrationConfig: what cannot work is found before the server starts.
func TestRegistrationConfig(t *testing.T) {
	for text, want := range map[string]string{
		"https://portal.example":                                              "must be an issuer, a space",
		"https://portal.example http://portal.example/":                       "must be an issuer, a space",
		"https://portal.example /nowhere/keys.json":                           "no such file",
		"https://portal.example " + writeFile(t, "empty.json", `{"keys":[]}`): "no key in it",
	} {
		c := testConfig(t)
		c.Registration.SoftwareStatements = []string{text}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	c := testConfig(t)
	c.Registration.RequireSoftwareStatement = true
	if err := c.Validate(); err == nil {
		t.Error("nobody could register, and nobody is told")
	}
}
