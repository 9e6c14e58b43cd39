package resource_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

const formType = "application/x-www-form-urlencoded"

// message is a request as it arrives: its query, its Authorization headers, and a form.
func message(query string, authorization []string, form string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/orders"+query, nil)
	if form != "" {
		r = httptest.NewRequest(http.MethodPost, "/orders"+query, strings.NewReader(form))
		r.Header.Set("Content-Type", formType)
	}
	r.Header["Authorization"] = authorization
	return r
}

func TestHowTheTokenIsSent(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	token := i.mint(nil)
	header := []string{"Bearer " + token}
	const ok, bad, no = http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized
	for _, test := range []struct {
		name          string
		query         string
		authorization []string
		form          string
		status        int
		code          oauth.Code
	}{
		{"S01 no token", "", nil, "", no, ""},
		{"S02 Basic credentials", "", []string{"Basic YTpi"}, "", no, ""},
		{"S02 a scheme that begins like DPoP", "", []string{"DPoPX " + token}, "", no, ""},
		{"S03 DPoP and nothing", "", []string{"DPoP"}, "", bad, oauth.InvalidRequest},
		{"S31 DPoP without a proof", "", []string{"DPoP " + token}, "", no, oauth.InvalidDPoPProof},
		{"S03 Bearer and nothing", "", []string{"Bearer"}, "", bad, oauth.InvalidRequest},
		{"S03 Bearer and blanks", "", []string{"Bearer   "}, "", bad, oauth.InvalidRequest},
		{"S04 bEaReR", "", []string{"bEaReR " + token}, "", ok, ""},
		{"S05 token only in the query", "?access_token=" + token, nil, "", no, ""},
		{"S06 header and query", "?access_token=" + token, header, "", bad, oauth.InvalidRequest},
		{"S06 header and query, name escaped", "?a=b&access%5Ftoken=x", header, "", bad, oauth.InvalidRequest},
		{"S06 header and a similar query", "?access_tokens=x", header, "", ok, ""},
		{"S07 header and form", "", header, "a=b&access_token=" + token, bad, oauth.InvalidRequest},
		{"S07 header and a form without token", "", header, "a=access_token", ok, ""},
		{"S08 two Authorization headers", "", []string{header[0], header[0]}, "", bad, oauth.InvalidRequest},
		{"S08 two Authorization headers, one Basic", "", []string{"Basic YTpi", header[0]}, "", bad, oauth.InvalidRequest},
		{"S09 garbage", "", []string{"Bearer garbage"}, "", no, oauth.InvalidToken},
		{"S09 garbage with dots", "", []string{"Bearer a.b.c"}, "", no, oauth.InvalidToken},
		{"RS-31 token in the query", "?access_token=" + token, nil, "", no, ""},
		{"RS-31 token in a form", "", nil, "access_token=" + token, no, ""},
		{"RS-31 token in header and query", "?access_token=" + token, header, "", bad, oauth.InvalidRequest},
		{"RS-32 two headers", "", []string{header[0], "Bearer x"}, "", bad, oauth.InvalidRequest},
		{"RS-32 two tokens in one header", "", []string{"Bearer a, Bearer b"}, "", bad, oauth.InvalidRequest},
		{"RS-32 a good token and another", "", []string{header[0] + ", Bearer b"}, "", bad, oauth.InvalidRequest},
		{"RS-32 tab", "", []string{"Bearer\t" + token}, "", no, oauth.InvalidToken},
		{"RS-32 two spaces", "", []string{"Bearer  " + token}, "", no, oauth.InvalidToken},
		{"RS-32 space behind", "", []string{header[0] + " "}, "", no, oauth.InvalidToken},
		{"RS-32 something behind", "", []string{header[0] + " x"}, "", no, oauth.InvalidToken},
		{"RS-32 lower case", "", []string{"bearer " + token}, "", ok, ""},
		{"RS-32 Token", "", []string{"Token " + token}, "", no, ""},
		{"RS-32 no space", "", []string{"Bearer" + token}, "", no, ""},
		{"RS-32 a token alone", "", []string{token}, "", no, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			expect(t, do(v.Require("read"), message(test.query, test.authorization, test.form)), test.status, test.code)
		})
	}
}

// TestRefusalAnswer holds what every refusal carries.
func TestRefusalAnswer(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(func(c *resource.Config) { c.Audience, c.Realm = theAudience+"/orders", "the \"orders\"" })
	t.Run("S01 no token", func(t *testing.T) {
		got := do(v.Require("read", "write"), message("", nil, ""))
		challenge := parseChallenge(t, got.Header.Get("WWW-Authenticate"))
		for name, want := range map[string]string{
			"realm": "the ?orders?", "scope": "read write", "error": "",
			"resource_metadata": theAudience + "/.well-known/oauth-protected-resource/orders",
		} {
			if challenge[name] != want {
				t.Errorf("%s is %q, want %q", name, challenge[name], want)
			}
		}
		if _, found := challenge["error"]; found {
			t.Error("the challenge has an error although no token was sent")
		}
	})
	t.Run("every refusal", func(t *testing.T) {
		for _, r := range []*http.Request{
			message("", nil, ""), message("", []string{"Bearer x"}, ""), message("", []string{"Bearer"}, ""),
			message("", []string{"Bearer " + i.mint(map[string]any{"aud": theAudience + "/orders", "scope": nil})}, ""),
		} {
			got := do(v.Require("read"), r)
			for name, want := range map[string]string{
				"Cache-Control": "no-store", "Pragma": "no-cache", "Content-Type": "application/json",
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			} {
				if got.Header.Get(name) != want {
					t.Errorf("%d: %s is %q, want %q", got.StatusCode, name, got.Header.Get(name), want)
				}
			}
			challenge := parseChallenge(t, got.Header.Get("WWW-Authenticate"))
			if challenge["realm"] == "" || challenge["resource_metadata"] == "" {
				t.Errorf("%d: challenge %v", got.StatusCode, challenge)
			}
			body, _ := io.ReadAll(got.Body)
			if want := `"error":"` + challenge["error"] + `"`; challenge["error"] != "" && !strings.Contains(string(body), want) {
				t.Errorf("%d: body %s, want %s in it", got.StatusCode, body, want)
			}
		}
	})
}

// TestS41 sends what would split a header or a log line if it returned in an answer.
func TestS41(t *testing.T) {
	i := newIssuer(t)
	for _, evil := range []string{`x"y`, "x\r\nX-Admin: 1", `x\y`, "xéy", "x\x00y"} {
		var reason error
		v := i.verifier(func(c *resource.Config) { c.OnRefusal = func(_ *http.Request, err error) { reason = err } })
		for name, token := range map[string]string{
			"as the token":  evil,
			"in the header": i.raw(i.header(`,"x5u":"`+url.QueryEscape(evil)+`"`), i.payload(map[string]any{"aud": evil})),
			"as a member":   b64(`{"alg":"ES256","`+quoted(evil)+`":1,"`+quoted(evil)+`":2}`) + ".e30.YQ",
			"as issuer":     i.mint(map[string]any{"iss": evil}),
			"as kid":        b64(`{"alg":"ES256","typ":"at+jwt","kid":"`+evil+`"}`) + ".e30.YQ",
		} {
			t.Run("S41 attacker's text "+name, func(t *testing.T) {
				got := get(v, token)
				parseChallenge(t, got.Header.Get("WWW-Authenticate"))
				body, _ := io.ReadAll(got.Body)
				for _, text := range []string{got.Header.Get("WWW-Authenticate"), string(body)} {
					if strings.Contains(text, evil) || strings.Contains(text, "X-Admin") {
						t.Errorf("the attacker's text came back: %q", text)
					}
				}
				if strings.ContainsAny(reason.Error(), "\r\n\x00é") {
					t.Errorf("the attacker's text reached the log as it is: %q", reason)
				}
				if got.Header.Get("X-Admin") != "" {
					t.Error("header injected")
				}
			})
		}
	}
}

// quoted is text as it stands between the quotes of a JSON string.
func quoted(text string) string {
	data, _ := json.Marshal(text)
	return string(data[1 : len(data)-1])
}

// TestS40 goes through a real server, whose own limit may be reached first.
func TestS40(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	server := httptest.NewUnstartedServer(v.RequireAuthOnly()(http.NotFoundHandler()))
	server.Config.MaxHeaderBytes = 512 << 10
	server.Start()
	defer server.Close()
	for size, want := range map[int]int{100 << 10: http.StatusUnauthorized, 1 << 20: http.StatusRequestHeaderFieldsTooLarge} {
		r, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+strings.Repeat("a", size))
		got, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got.Body.Close()
		if got.StatusCode != want {
			t.Errorf("S40 token of %d bytes: %d, want %d", size, got.StatusCode, want)
		}
	}
	if sent := i.network.count(""); sent != 0 {
		t.Errorf("%d requests left for tokens that are too large", sent)
	}
}

// TestFormSurvives holds that looking for a second token in a form leaves the form to the handler.
func TestFormSurvives(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	token := "Bearer " + i.mint(nil)
	var got string
	handler := v.Require("read").Func(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got = string(body)
		if err != nil {
			got = "error: " + err.Error()
		}
	})
	send := func(body io.Reader, contentType string) {
		r := httptest.NewRequest(http.MethodPost, "/", body)
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", token)
		got = "not reached"
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	large := "a=" + strings.Repeat("b", 1<<20)
	for name, body := range map[string]string{"short": "a=b&c=d", "1 MiB": large, "odd": "%zz;&=&a", "empty": ""} {
		if send(strings.NewReader(body), formType+"; charset=utf-8"); got != body {
			t.Errorf("%s: the handler read %d bytes of %d", name, len(got), len(body))
		}
	}
	t.Run("another content type is not looked at", func(t *testing.T) {
		if send(strings.NewReader("access_token=x"), "text/plain"); got != "access_token=x" {
			t.Errorf("the handler got %q", got)
		}
	})
	t.Run("an error reaches the handler where it happened", func(t *testing.T) {
		if send(io.MultiReader(strings.NewReader("a=b"), broken{}), formType); got != "error: broken" {
			t.Errorf("the handler got %q", got)
		}
	})
	t.Run("S07 a form that was parsed before", func(t *testing.T) {
		r := message("", []string{token}, "access_token=x")
		if err := r.ParseForm(); err != nil {
			t.Fatal(err)
		}
		expect(t, do(v.Require("read"), r), http.StatusBadRequest, oauth.InvalidRequest)
	})
	t.Run("a stranger's form is not read", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodPost, "/", untouchable{t})
		r.Header.Set("Content-Type", formType)
		expect(t, do(v.Require("read"), r), http.StatusUnauthorized, "")
		r.Header.Set("Authorization", "Bearer x")
		expectInvalid(t, do(v.Require("read"), r))
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("broken")

type untouchable struct{ t *testing.T }

func (u untouchable) Read([]byte) (int, error) { u.t.Error("the body was read"); return 0, io.EOF }

func TestS42(t *testing.T) {
	i := newIssuer(t)
	const app = "https://app.test"
	preflight := func(origin string) *http.Request {
		r := httptest.NewRequest(http.MethodOptions, "/orders", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "GET")
		r.Header.Set("Access-Control-Request-Headers", "authorization")
		return r
	}
	unreached := func(v *resource.Verifier, r *http.Request) *http.Response {
		w := httptest.NewRecorder()
		v.Require("read").Func(func(http.ResponseWriter, *http.Request) {
			t.Error("a request without a token reached the handler")
		}).ServeHTTP(w, r)
		return w.Result()
	}
	on := i.verifier(func(c *resource.Config) { c.AllowedOrigins = []string{app} })
	all := i.verifier(func(c *resource.Config) { c.AllowedOrigins = []string{"*"} })
	t.Run("S42 preflight with CORS off", func(t *testing.T) {
		got := unreached(i.verifier(nil), preflight(app))
		expect(t, got, http.StatusUnauthorized, "")
		if got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("CORS headers although CORS is off")
		}
	})
	t.Run("S42 preflight of an allowed origin", func(t *testing.T) {
		got := unreached(on, preflight(app))
		if got.StatusCode != http.StatusNoContent || got.Header.Get("Access-Control-Allow-Origin") != app ||
			got.Header.Get("Access-Control-Allow-Methods") != "GET" || got.Header.Get("Access-Control-Allow-Headers") != "authorization" {
			t.Errorf("got %d %v", got.StatusCode, got.Header)
		}
	})
	t.Run("S42 preflight of another origin", func(t *testing.T) {
		for _, origin := range []string{"https://evil.test", app + ".evil.test", "null", "HTTPS://APP.TEST"} {
			if got := unreached(on, preflight(origin)); got.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s was allowed", origin)
			}
		}
	})
	t.Run("S42 preflight when every origin is allowed", func(t *testing.T) {
		if got := unreached(all, preflight(app)); got.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("got %v", got.Header)
		}
	})
	t.Run("S42 OPTIONS that is no preflight", func(t *testing.T) {
		r := preflight(app)
		r.Header.Del("Access-Control-Request-Method")
		got := unreached(on, r)
		expect(t, got, http.StatusUnauthorized, "")
		if got.Header.Get("Access-Control-Allow-Origin") != app {
			t.Error("a script could not read the refusal")
		}
	})
	t.Run("S42 GET that pretends to be one", func(t *testing.T) {
		r := preflight(app)
		r.Method = http.MethodGet
		expect(t, unreached(on, r), http.StatusUnauthorized, "")
	})
}
