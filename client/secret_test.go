package client_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/oauth"
)

// secrets are what must not be found in any output, however it is encoded.
var secrets = []string{
	theSecret, url.QueryEscape(theSecret), base64.StdEncoding.EncodeToString([]byte(clientID + ":" + theSecret)), "Basic ",
	"token-1", "token-2", fmt.Sprintf("%x", theSecret), fmt.Sprintf("%X", theSecret), fmt.Sprint([]byte(theSecret)),
}

func wantSilence(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s gives away %q: %s", where, secret, text)
		}
	}
}

// TestC10 is row C10: whatever happens, the log at debug level and the errors hold no secret and no token.
func TestC10(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"good":    nil,
		"refused": refuse(401, "invalid_client", "who are you"),
		"down":    raw(503, "text/html", "<html>"),
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		},
		"half a token":            raw(200, "application/json", `{"access_token":"token-1"`),
		"token of a strange type": raw(200, "application/json", `{"access_token":"token-1","token_type":"MAC"}`),
		"token with a line break": raw(200, "application/json", `{"access_token":"token-1\n","token_type":"Bearer"}`),
		"hangs":                   func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		for _, method := range []string{oauth.ClientSecretBasic, oauth.ClientSecretPost} {
			t.Run("C10 "+name+" "+method, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var log bytes.Buffer
					i := newIssuer(issuerURL)
					c := config(network{"as.example": i, "api.example": &apiServer{answer: refuseToken("Bearer")}})
					c.AuthMethod = method
					c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
					s := source(t, c)
					if name == "good" {
						answer = i.issue(300)
					} else {
						token(t, s) // so that the failures are also those of a renewal
					}
					i.answer(answer)
					for range 3 {
						_, err := s.Token(t.Context())
						wantSilence(t, "error", fmt.Sprintf("%v %+v %q", err, err, err))
						time.Sleep(299 * time.Second)
						_, _, err = get(t, s.Client(), api)
						wantSilence(t, "error", fmt.Sprint(err))
						_, _, err = get(t, s.Client(), "https://evil.example")
						wantSilence(t, "error", fmt.Sprint(err))
					}
					synctest.Wait()
					if !strings.Contains(log.String(), "token obtained") {
						t.Errorf("the log is %q: it should say something", log.String())
					}
					wantSilence(t, "log", log.String())
				})
			})
		}
	}
}

// TestPrinted checks that credentials, tokens and whatever holds them can be printed without harm.
func TestPrinted(t *testing.T) {
	t.Parallel()
	_, n, s := start(t)
	token := token(t, s)
	c := config(n)
	type holder struct{ c client.Config }     // fmt does not ask the methods of unexported fields
	type keeper struct{ token *client.Token } // nor here
	credential := client.Secret(theSecret)
	for name, value := range map[string]any{
		"credential": credential, "pointer": &credential, "config": c, "holder": holder{c}, "pointer to holder": &holder{c},
		"slice": []client.Credential{credential}, "map": map[string]any{"a": credential}, "source": s, "source by value": []any{s},
		"transport": client.Transport{Source: s}, "token": token, "keeper": keeper{token}, "tokens": []*client.Token{token},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%T"} {
			wantSilence(t, name+" "+verb, fmt.Sprintf(verb, value))
		}
		data, _ := json.Marshal(value) // some of them have no JSON; an error has no secret either
		wantSilence(t, name+" as JSON", string(data))
		var text, lines bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&lines, nil)).Info("x", "value", value)
		wantSilence(t, name+" in slog", text.String()+lines.String())
	}
	for want, got := range map[string]string{
		"REDACTED":              fmt.Sprint(credential),
		`{"a":"REDACTED"}`:      marshal(t, map[string]any{"a": credential}),
		"Bearer REDACTED until": fmt.Sprint(token),
		"no token":              fmt.Sprint((*client.Token)(nil)),
	} {
		if !strings.HasPrefix(got, want) {
			t.Errorf("printed %q, want %q", got, want)
		}
	}
}

func marshal(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
