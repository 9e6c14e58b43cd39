package adminapi

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

const limitSent = `{"token_ttl_seconds":120,"scopes":["orders:read"],"networks":["192.0.2.0/24","2001:db8::/32","198.51.100.7"]}`

// TestLimitsOverHTTP: the ceiling of a secret and of a key is read as it was sent, where it was made and with the client, and
// goes over to the next secret unless it is lifted.
func TestLimitsOverHTTP(t *testing.T) {
	b := limited(t)
	want := wire.Limit{TokenTTLSeconds: 120, Scopes: []string{"orders:read"}, Networks: []string{"192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"}}
	secret := decode[NewSecret](t, b.made("/secrets", `{"name":"eu","limit":`+limitSent+`}`))
	key := decode[ClientKey](t, b.made("/keys", `{"jwk":`+sparePublicKey+`,"limit":`+limitSent+`}`))
	for made, got := range map[string]wire.Limit{"secret": secret.Limit, "key": key.Limit} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the %s that was made (-want +got):\n%s", made, diff)
		}
	}
	rotated := decode[NewSecret](t, b.made("/secrets/rotate", `{"lift_limit":true,"limit":{"token_ttl_seconds":60}}`))
	client := decode[Client](t, b.call("GET", "/admin/v1/clients/limited", b.all(), ""))
	limits := map[string]wire.Limit{}
	for _, s := range client.Secrets {
		limits[s.ID] = s.Limit
	}
	if diff := cmp.Diff(map[string]wire.Limit{client.Secrets[0].ID: {}, secret.ID: want, rotated.ID: {TokenTTLSeconds: 60}}, limits); diff != "" {
		t.Errorf("the client's secrets (-want +got):\n%s", diff)
	}
	if len(client.Keys) != 1 || !cmp.Equal(client.Keys[0].Limit, want) {
		t.Errorf("the client's keys: %+v", client.Keys)
	}
}

func TestWrongLimitsAreRefused(t *testing.T) {
	b := limited(t)
	before := b.changes()
	for limit, location := range map[string]string{
		`{"token_ttl_seconds":-1}`:                        "body.limit.token_ttl_seconds",
		`{"token_ttl_seconds":"60"}`:                      "body.limit.token_ttl_seconds",
		`{"scopes":["orders:write"]}`:                     "body.limit.scopes[0]",
		`{"scopes":["orders:read","orders:read"]}`:        "body.limit.scopes[1]",
		`{"scopes":"orders:read"}`:                        "body.limit.scopes",
		`{"networks":["192.0.2.0/24","192.0.2.1/24"]}`:    "body.limit.networks[1]",
		`{"networks":["example.com"]}`:                    "body.limit.networks[0]",
		`{"networks":["192.0.2.0/24","192.0.2.0/24"]}`:    "body.limit.networks[1]",
		`{"token_ttl":60}`:                                "body.limit.token_ttl",
		`{"scopes":["x"],"networks":["300.0.0.1"]}`:       "body.limit.scopes[0] body.limit.networks[0]",
		`{"token_ttl_seconds":-1,"networks":["0.0.0.0"]}`: "body.limit.token_ttl_seconds",
	} {
		for path, body := range map[string]string{
			"/secrets": `{"limit":%s}`, "/secrets/rotate": `{"limit":%s}`, "/keys": `{"jwk":` + sparePublicKey + `,"limit":%s}`,
		} {
			t.Run(path+" "+limit, func(t *testing.T) {
				response := b.call("POST", "/admin/v1/clients/limited"+path, b.all(), fmt.Sprintf(body, limit))
				if got := locations(wantProblem(t, response, 400)); got != location {
					t.Errorf("problems with %s, want %s: %s", got, location, text(t, response))
				}
			})
		}
	}
	if after := b.changes(); after != before {
		t.Errorf("%d changes", after-before)
	}
}

// limited returns a bench with a client that may read orders.
func limited(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	_, err := b.registry.CreateClient(t.Context(), registry.System("test"), oauth.ClientMetadata{
		ClientName: "limited", Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// made posts something for the client, and returns the answer, which says that it was made.
func (b *bench) made(path, body string) *http.Response {
	b.t.Helper()
	response := b.call("POST", "/admin/v1/clients/limited"+path, b.all(), body)
	if response.StatusCode != http.StatusCreated {
		b.t.Fatalf("%s: %d %s", path, response.StatusCode, text(b.t, response))
	}
	return response
}
