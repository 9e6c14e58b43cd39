//go:build drills

package drills

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"testing"

	"github.com/writ-auth/writ/internal/server"
)

// A party is a client as the drills know it.
type party struct {
	ID     string `json:"client_id"`
	Name   string `json:"client_name"`
	Secret string `json:"client_secret"`
}

// An operator calls the admin API of a node.
type operator struct {
	t     *testing.T
	admin string // URL
	token string
	http  *http.Client
}

// operate gets a token of the operator whose credential a node has made, and calls the API of a node with it.
func operate(t *testing.T, made, at *node) *operator {
	t.Helper()
	var credential server.Credential
	text, err := os.ReadFile(made.operatorFile())
	if err == nil {
		err = json.Unmarshal(text, &credential)
	}
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {credential.Issuer + "/admin/v1"}}
	a := send(at.dial, post(at.url("/token"), form, credential.ClientID, credential.ClientSecret))
	var issued struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(a.body, &issued); err != nil || issued.Token == "" {
		t.Fatalf("the operator gets no token: %s %s", a.class(), a.body)
	}
	return &operator{t, "http://" + at.admin, issued.Token, at.dial}
}

// send calls the API once.
func (o *operator) send(method, path string, body any) answer {
	o.t.Helper()
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			o.t.Fatal(err)
		}
		sent = bytes.NewReader(data)
	}
	request, err := http.NewRequest(method, o.admin+"/admin/v1"+path, sent)
	if err != nil {
		o.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+o.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return send(o.http, request)
}

// call calls the API and reads what it answers.
func (o *operator) call(method, path string, body, into any) {
	o.t.Helper()
	a := o.send(method, path, body)
	if a.status/100 != 2 {
		o.t.Fatalf("%s %s: %s %s", method, path, a.class(), a.body)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			o.t.Fatal(err)
		}
	}
}

// api is the resource that the drills' tokens are for.
const api = "https://orders.example"

// resource registers an API whose tokens are signed so.
func (o *operator) resource(uri, algorithm string) {
	o.t.Helper()
	o.call(http.MethodPost, "/resources", map[string]any{
		"uri": uri, "algorithm": algorithm, "scopes": []any{map[string]any{"name": "orders:read"}},
	}, nil)
}

// client registers a client of an API. Its change is made to what is registered.
func (o *operator) client(name, uri string, change map[string]any) (made party) {
	o.t.Helper()
	o.call(http.MethodPost, "/clients", clientOf(name, uri, change), &made)
	return made
}

func clientOf(name, uri string, change map[string]any) map[string]any {
	registration := map[string]any{
		"client_name": name, "resource_server_for": []string{uri},
		"grants": []any{map[string]any{"resource": uri, "scopes": []string{"orders:read"}, "default_scopes": []string{"orders:read"}}},
	}
	for field, value := range change {
		registration[field] = value
	}
	return registration
}

// tokenIn reads the token of an answer.
func tokenIn(a answer) string {
	var issued struct {
		Token string `json:"access_token"`
	}
	_ = json.Unmarshal(a.body, &issued) // without one it is ""
	return issued.Token
}
