package endpoint_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// heard is all that a caller hears of a refusal, but for what differs between any two.
func heard(t *testing.T, got answer) string {
	t.Helper()
	got.Header.Del("Writ-Refusal")
	got.Header.Del("Date")
	var header strings.Builder
	must(t, got.Header.Write(&header))
	return got.Status + "\n" + header.String() + unnamed(got.body)
}

// TestNetworkTellsNothing: whoever uses a stolen secret from elsewhere hears what a stranger and a wrong secret hear, at every
// endpoint where clients authenticate, whether the client or the secret is kept to a network.
func TestNetworkTellsNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	elsewhere := []string{"192.0.2.0/24", "2001:db8::/32"}
	update(t, s.store, "c-basic", func(c *store.Client) { c.Networks = elsewhere })
	update(t, s.store, "c-two", func(c *store.Client) { c.Secrets[0].Limit.Networks = elsewhere })
	update(t, s.store, "c-default", func(c *store.Client) { c.Networks = []string{"127.0.0.0/8", "::1/128"} })
	s.poll(t)
	c := &conversation{server: s}
	ask := func(path, id, secret string) answer {
		return c.send(t, step{method: http.MethodPost, target: path, body: "grant_type=client_credentials&token=x", headers: []string{
			"Authorization: " + basic(id, secret), "Content-Type: application/x-www-form-urlencoded", "X-Forwarded-For: 192.0.2.7",
		}})
	}
	for _, path := range []string{"/token", "/introspect", "/revoke"} {
		stranger := heard(t, ask(path, "stranger", "x"))
		for _, client := range []string{"c-basic", "c-two"} {
			for name, secret := range map[string]string{"the right secret": secretOf(client), "a wrong one": "x"} {
				if got := heard(t, ask(path, client, secret)); got != stranger {
					t.Errorf("%s, %s with %s hears\n%s\na stranger\n%s", path, client, name, got, stranger)
				}
			}
		}
		if got := ask(path, "c-default", secretOf("c-default")); got.StatusCode != http.StatusOK {
			t.Errorf("%s from within: got %d %s", path, got.StatusCode, got.body)
		}
	}
}

// TestCeilingAtTheEndpoints: what a credential was not given cannot be had through another door.
func TestCeilingAtTheEndpoints(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	must(t, s.store.Roles().Insert(t.Context(), store.Role{Name: "editor", Grants: []store.Grant{{Resource: resourceA, Scopes: []string{"read", "write"}}}}))
	update(t, s.store, "c-basic", func(c *store.Client) {
		c.Roles = []string{"editor"}
		c.Secrets[0].Limit = store.Limit{Scopes: []string{"read"}, TokenTTL: 20 * time.Second}
	})
	update(t, s.store, "c-shared", func(c *store.Client) { c.Secrets[0].Limit.Scopes = []string{"read"} })
	s.poll(t)
	for name, test := range map[string]struct {
		client, body string
		status       int
		want         string
	}{
		"below":                        {"c-basic", "&scope=read", 200, `"expires_in":20`},
		"beyond":                       {"c-basic", "&scope=write", 400, "invalid_scope"},
		"beyond, by a role":            {"c-basic", "&scope=read%20write", 400, "invalid_scope"},
		"none left":                    {"c-basic", "", 400, "invalid_scope"},
		"a resource repeated":          {"c-basic", "&scope=write&resource=" + resourceA + "&resource=" + resourceA, 400, "invalid_scope"},
		"two resources":                {"c-shared", "&scope=read&resource=" + resourceM + "&resource=" + resourceN, 200, `"scope":"read"`},
		"two resources, beyond at one": {"c-shared", "&scope=m1-only&resource=" + resourceM + "&resource=" + resourceN, 400, "invalid_scope"},
		"two resources, the other way": {"c-shared", "&scope=read%20m2-only&resource=" + resourceN + "&resource=" + resourceM, 400, "invalid_scope"},
	} {
		got := s.post(t, "/token", test.client, "grant_type=client_credentials"+test.body)
		if got.StatusCode != test.status || !strings.Contains(got.body, test.want) {
			t.Errorf("%s: got %d %s, want %d %s", name, got.StatusCode, got.body, test.status, test.want)
		}
	}
	// The token says what the ceiling left: not the role, of which a part is beyond it. Asking about it gives nothing back.
	var answer struct {
		Token string `json:"access_token"`
	}
	must(t, json.Unmarshal([]byte(s.post(t, "/token", "c-basic", "grant_type=client_credentials&scope=read").body), &answer))
	told := s.post(t, "/introspect", "c-basic", "token="+answer.Token)
	if !strings.Contains(told.body, `"scope":"read"`) || strings.Contains(told.body, "editor") {
		t.Errorf("introspection says %s", told.body)
	}
	s.clock.move(20 * time.Second)
	s.active(t, "c-basic", answer.Token, false)
}

// TestStaticClaimsOnTheWire: they are members of the answer about a token, beside those of the server, which stay what they are.
func TestStaticClaimsOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, id := range []string{"c-basic", "c-opaque"} {
		update(t, s.store, id, func(c *store.Client) { c.Claims = `{"area":["b","a"],"tenant":"acme"}` })
	}
	// Nobody can write this through the registry.
	update(t, s.store, "c-two", func(c *store.Client) { c.Claims = `{"Scope":"admin"}` })
	s.poll(t)
	for client, uri := range map[string]string{"c-basic": resourceA, "c-opaque": resourceO} {
		token := s.token(t, client, uri, "read")
		told := s.post(t, "/introspect", client, "token="+token)
		if !strings.Contains(told.body, `"tenant":"acme"`) || !strings.Contains(told.body, `"area":["b","a"]`) || !strings.Contains(told.body, `"scope":"read"`) {
			t.Errorf("%s: introspection says %s", client, told.body)
		}
	}
	if got := s.post(t, "/token", "c-two", "grant_type=client_credentials&scope=read"); got.StatusCode != http.StatusBadRequest {
		t.Errorf("a claim that is called Scope: got %d %s", got.StatusCode, got.body)
	}
}
