package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/oauth"
)

// TestToken holds what a Source asks for and what it makes of the answers, row by row of STANDARDS 7.13.
func TestToken(t *testing.T) {
	t.Parallel()
	t.Run("C04 expires_in missing", lifetimeRow(nil, client.DefaultLifetime))
	t.Run("C05 token_type", tokenTypes)
	t.Run("C06 100 goroutines, cold cache", hundredCallers)
	t.Run("C07 token endpoint redirects", redirects)
	t.Run("C08 Retry-After", retryAfter)
	t.Run("C09 not JSON or too large", unusableAnswers)
	t.Run("C11 context cancelled", cancelled)
	t.Run("C12 secret file rotated on disk", rotatedFile)
}

// TestOP24 is row OP-24 of SECURITY 5.8. Its issuer mismatch is W15, its redirect C07, its large body C09, its loop C01,
// its silence C10.
func TestOP24(t *testing.T) {
	t.Parallel()
	for value, want := range map[any]time.Duration{
		0: client.DefaultLifetime, -1: client.DefaultLifetime, 0.5: client.DefaultLifetime, "300": client.DefaultLifetime,
		"x": client.DefaultLifetime, true: client.DefaultLifetime,
		1e12: client.MaxLifetime, 1e300: client.MaxLifetime, 86401: client.MaxLifetime,
		300: 300 * time.Second, 299.5: 299500 * time.Millisecond, 1: time.Second,
	} {
		t.Run(fmt.Sprintf("OP-24 expires_in %#v", value), lifetimeRow(value, want))
	}
}

func lifetimeRow(expiresIn any, want time.Duration) func(*testing.T) {
	return func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i, _, s := start(t)
			i.token = i.issue(expiresIn)
			if got := time.Until(token(t, s).Expires); got != want {
				t.Errorf("token lives %v, want %v", got, want)
			}
			wantToken(t, s, "token-1") // it is kept
			time.Sleep(want)
			wantToken(t, s, "token-2") // and not for longer
		})
	}
}

func tokenTypes(t *testing.T) {
	for tokenType, good := range map[string]bool{
		"Bearer": true, "bearer": true, "BEARER": true, "DPoP": false, "MAC": false, "mac": false, "": false, "Bearer ": false,
	} {
		t.Run(tokenType, func(t *testing.T) {
			i, _, s := start(t)
			i.token = func(w http.ResponseWriter, _ *http.Request) {
				reply(w, http.StatusOK, map[string]any{"access_token": "a", "token_type": tokenType, "expires_in": 300})
			}
			got, err := s.Token(t.Context())
			if good && (err != nil || got.Type != "Bearer") {
				t.Errorf("token %v, error %v, want a Bearer token", got, err)
			}
			if !good {
				wantError(t, err, "token_type", "can only use Bearer")
			}
		})
	}
}

func hundredCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _, s := start(t)
		i.token = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			i.issue(300)(w, r)
		}
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() { wantToken(t, s, "token-1") })
		}
		callers.Wait()
		wantAsked(t, i, 1)
		if i.lookups != 1 {
			t.Errorf("metadata was fetched %d times, want once", i.lookups)
		}
	})
}

func redirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			i, n, s := start(t)
			i.token = func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://evil.example/token", status)
			}
			evil := newIssuer("https://evil.example")
			n["evil.example"] = evil
			_, err := s.Token(t.Context())
			wantError(t, err, fmt.Sprint(status), "redirect", "never followed")
			wantAsked(t, evil, 0)
			wantAsked(t, i, 1)
		})
	}
	t.Run("metadata", func(t *testing.T) {
		i, n, s := start(t)
		i.metadata = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example"+r.URL.Path, http.StatusFound)
		}
		evil := newIssuer(issuerURL)
		n["evil.example"] = evil
		_, err := s.Token(t.Context())
		wantError(t, err, "redirect")
		if evil.lookups != 0 {
			t.Error("the redirect of the metadata was followed")
		}
	})
}

func retryAfter(t *testing.T) {
	cases := []struct {
		name   string
		status int
		header string
		least  time.Duration // until the issuer is asked again
		most   time.Duration
	}{
		{"429 in seconds", 429, "7", 7 * time.Second, 9 * time.Second},
		{"503 in seconds", 503, "7", 7 * time.Second, 9 * time.Second},
		{"as a date", 503, "date", 7 * time.Second, 9 * time.Second},
		{"longer than a call waits", 503, "40", 40 * time.Second, 50 * time.Second},
		{"capped", 429, "86400", time.Minute, 76 * time.Second},
		{"nonsense", 503, "soon", 125 * time.Millisecond, 250 * time.Millisecond},
		{"none", 503, "", 125 * time.Millisecond, 250 * time.Millisecond},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, _, s := start(t)
				i.token = func(w http.ResponseWriter, r *http.Request) {
					header := c.header
					if header == "date" {
						header = time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat)
					}
					w.Header().Set("Retry-After", header)
					i.answer(i.issue(300))
					refuse(c.status, "temporarily_unavailable", "busy")(w, r)
				}
				begin := time.Now()
				for {
					if _, err := s.Token(t.Context()); err == nil {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				if waited := time.Since(begin); waited < c.least || waited > c.most {
					t.Errorf("asked again after %v, want %v to %v", waited, c.least, c.most)
				}
				wantAsked(t, i, 2)
			})
		})
	}
}

func unusableAnswers(t *testing.T) {
	valid := `{"access_token":"a","token_type":"Bearer","expires_in":300`
	for name, c := range map[string]struct{ contentType, body, want string }{
		"HTML":             {"text/html", "<html>", "not application/json"},
		"no content type":  {"", valid + `}`, "not application/json"},
		"not JSON":         {"application/json", "access_token=a", "JSON"},
		"array":            {"application/json", "[]", "JSON"},
		"null":             {"application/json", "null", "JSON"},
		"cut off":          {"application/json", valid, "JSON"},
		"trailing":         {"application/json", valid + `} {}`, "JSON"},
		"repeated member":  {"application/json", valid + `,"access_token":"b"}`, "JSON"},
		"other case":       {"application/json", `{"ACCESS_TOKEN":"a","token_type":"Bearer"}`, "access_token"},
		"no token":         {"application/json", `{"token_type":"Bearer"}`, "access_token"},
		"number as token":  {"application/json", `{"access_token":7,"token_type":"Bearer"}`, "JSON"},
		"line break":       {"application/json", `{"access_token":"a\r\nX: y","token_type":"Bearer"}`, "access_token"},
		"only padding":     {"application/json", `{"access_token":"==","token_type":"Bearer"}`, "access_token"},
		"scope with quote": {"application/json", valid + `,"scope":"a\"b"}`, "scope"},
		"5 MB":             {"application/json", `{"access_token":"` + strings.Repeat("a", 5<<20) + `"}`, "more than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			i, _, s := start(t)
			i.token = raw(http.StatusOK, c.contentType, c.body)
			_, err := s.Token(t.Context())
			wantError(t, err, c.want)
			wantAsked(t, i, 1)
		})
	}
}

func cancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, _, s := start(t)
		i.token = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			i.issue(300)(w, r)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var first, second error
		var callers sync.WaitGroup
		callers.Go(func() { _, first = s.Token(ctx) })
		synctest.Wait()
		callers.Go(func() { _, second = s.Token(t.Context()) })
		synctest.Wait()
		cancel()
		callers.Wait()
		if !errors.Is(first, context.Canceled) {
			t.Errorf("who gave up got %v, want %v", first, context.Canceled)
		}
		if second != nil {
			t.Errorf("the other waiter got %v, want a token", second)
		}
		wantAsked(t, i, 1)
	})
}

func rotatedFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(issuerURL)
		c := config(network{"as.example": i})
		file := filepath.Join(t.TempDir(), "secret")
		write(t, file, "one\n")
		c.Credential = client.SecretFile(file)
		s := source(t, c)
		token(t, s)
		write(t, file, "two\r\n")
		time.Sleep(300 * time.Second)
		token(t, s)
		var got []string
		for _, header := range i.headers {
			_, secret, _ := (&http.Request{Header: header}).BasicAuth()
			got = append(got, secret)
		}
		if want := []string{"one", "two"}; !slices.Equal(got, want) {
			t.Errorf("secrets sent: %q, want %q", got, want)
		}
	})
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRefused checks that what the issuer says reaches the caller, once, as a word to compare and a sentence to read.
func TestRefused(t *testing.T) {
	t.Parallel()
	for code, want := range map[oauth.Code]string{
		oauth.InvalidClient:        `client "billing" exists, that its secret is current, and that it is registered for client_secret_basic`,
		oauth.InvalidScope:         `has scope "orders:read" on resource "https://api.example"`,
		oauth.InvalidTarget:        `resource "https://api.example" is registered, to the last slash`,
		oauth.UnauthorizedClient:   "client_credentials grant",
		oauth.UnsupportedGrantType: "client_credentials grant",
		oauth.InvalidRequest:       "what was wrong",
		"of_the_future":            "of_the_future",
	} {
		t.Run(string(code), func(t *testing.T) {
			i, _, s := start(t)
			i.token = refuse(http.StatusBadRequest, string(code), "what was wrong")
			_, err := s.Token(t.Context())
			if !errors.Is(err, code) {
				t.Errorf("error %v is not %s", err, code)
			}
			if refused, ok := errors.AsType[*oauth.Error](err); !ok || refused.Description != "what was wrong" {
				t.Errorf("*oauth.Error in it is %v, want the issuer's description", refused)
			}
			wantError(t, err, want, "400")
			wantAsked(t, i, 1)
		})
	}
	t.Run("hostile text is made harmless", func(t *testing.T) {
		i, _, s := start(t)
		i.token = refuse(http.StatusBadRequest, "bad\r\nthing", "a\nb\x1b[31m"+strings.Repeat("c", 9000))
		_, err := s.Token(t.Context())
		wantError(t, err, "bad??thing", "a?b?[31m")
		if strings.ContainsAny(err.Error(), "\r\n\x1b") || len(err.Error()) > 1000 {
			t.Errorf("error is %q", err)
		}
	})
	t.Run("a page instead of an error", func(t *testing.T) {
		i, _, s := start(t)
		i.token = raw(http.StatusForbidden, "text/html", "<h1>"+theSecret)
		_, err := s.Token(t.Context())
		wantError(t, err, "403 Forbidden", "check that it is a token endpoint")
	})
}

// TestTriesAgain checks what is tried again and what is not.
func TestTriesAgain(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		answer http.HandlerFunc
		asked  int
	}{
		{"500 with a page", raw(500, "text/html", "oops"), 3},
		{"502", raw(502, "text/plain", ""), 3},
		{"503 with an OAuth error", refuse(503, "temporarily_unavailable", ""), 3},
		{"429", raw(429, "text/plain", ""), 3},
		{"400", refuse(400, "invalid_scope", ""), 1},
		{"401", refuse(401, "invalid_client", ""), 1},
		{"404", raw(404, "text/plain", ""), 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, _, s := start(t)
				i.token = c.answer
				for range 20 { // a loop of callers does not become a loop of requests
					if _, err := s.Token(t.Context()); err == nil {
						t.Fatal("got a token, want an error")
					}
				}
				wantAsked(t, i, c.asked)
				i.answer(i.issue(300))
				time.Sleep(time.Second)
				wantToken(t, s, "token-1")
			})
		})
	}
	t.Run("connection refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i, n, s := start(t)
			delete(n, "as.example")
			_, err := s.Token(t.Context())
			wantError(t, err, "no answer from https://as.example/.well-known/", "connection refused")
			n["as.example"] = i
			time.Sleep(time.Second)
			wantToken(t, s, "token-1")
		})
	})
	t.Run("the issuer hangs once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i, _, s := start(t)
			i.token = func(_ http.ResponseWriter, r *http.Request) {
				i.answer(i.issue(300))
				<-r.Context().Done()
			}
			wantToken(t, s, "token-1")
		})
	})
	t.Run("the issuer hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i, _, s := start(t)
			i.token = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
			begin := time.Now()
			_, err := s.Token(t.Context())
			wantError(t, err, "deadline")
			if waited := time.Since(begin); waited > 30*time.Second {
				t.Errorf("gave up after %v, want 30s at most", waited)
			}
		})
	})
}

// TestAuthentication checks how the credential goes onto the request.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	t.Run("client_secret_basic encodes both parts", func(t *testing.T) {
		i := newIssuer(issuerURL)
		c := config(network{"as.example": i})
		c.ClientID, c.Credential = "a:b c", client.Secret("s+é%:&")
		token(t, source(t, c))
		id, secret, _ := (&http.Request{Header: i.headers[0]}).BasicAuth()
		if id != "a%3Ab+c" || secret != "s%2B%C3%A9%25%3A%26" {
			t.Errorf("credentials are %q and %q, want them form-encoded", id, secret)
		}
		if i.forms[0].Has("client_id") || i.forms[0].Has("client_secret") {
			t.Error("the credential is in the body, too: more than one method (RFC 6749, 2.3)")
		}
	})
	t.Run("client_secret_post", func(t *testing.T) {
		i := newIssuer(issuerURL)
		c := config(network{"as.example": i})
		c.AuthMethod = oauth.ClientSecretPost
		token(t, source(t, c))
		if got := i.headers[0].Get("Authorization"); got != "" {
			t.Errorf("Authorization is %q, want none", got)
		}
		if f := i.forms[0]; f.Get("client_id") != clientID || f.Get("client_secret") != theSecret {
			t.Errorf("form is %v, want the credential in it", f)
		}
	})
	t.Run("form", func(t *testing.T) {
		i, _, s := start(t)
		token(t, s)
		if got, want := i.forms[0].Encode(), "grant_type=client_credentials&resource=https%3A%2F%2Fapi.example&scope=orders%3Aread"; got != want {
			t.Errorf("form is %s, want %s", got, want)
		}
	})
	t.Run("no scope, no resource", func(t *testing.T) {
		i, _, s := start(t)
		other, err := s.With("", "")
		if err != nil {
			t.Fatal(err)
		}
		token(t, other)
		if got, want := i.forms[0].Encode(), "grant_type=client_credentials"; got != want {
			t.Errorf("form is %s, want %s", got, want)
		}
	})
}

// TestWith checks that targets have tokens of their own and share the rest.
func TestWith(t *testing.T) {
	t.Parallel()
	i, _, s := start(t)
	other, err := s.With("https://other.example", " b  a b ")
	if err != nil {
		t.Fatal(err)
	}
	wantToken(t, s, "token-1")
	wantToken(t, other, "token-2")
	wantToken(t, s, "token-1")
	if again, _ := s.With("https://other.example", "b a"); again != other {
		t.Error("the same target has another Source: its token would be asked for twice")
	}
	if same, _ := other.With(api, "orders:read"); same != s {
		t.Error("With does not find the first Source")
	}
	if i.lookups != 1 {
		t.Errorf("metadata was fetched %d times, want once", i.lookups)
	}
	for _, bad := range [][2]string{{"api.example", "a"}, {"https://api.example#x", "a"}, {api, "a\"b"}} {
		if _, err := s.With(bad[0], bad[1]); err == nil {
			t.Errorf("With(%q, %q) gives no error", bad[0], bad[1])
		}
	}
	var last, again *client.Source
	for n := range 2000 {
		last, _ = s.With(fmt.Sprintf("https://api.example/%d", n), "")
		again, _ = s.With(fmt.Sprintf("https://api.example/%d", n), "")
	}
	if last == again {
		t.Error("Source 2000 is remembered: a caller who varies the resource fills the memory")
	}
	wantToken(t, last, "token-3")
}

// TestGrantedScope checks that a Token says what was granted, not what was hoped for.
func TestGrantedScope(t *testing.T) {
	t.Parallel()
	for granted, want := range map[string]string{`,"scope":"a"`: "a", `,"scope":""`: "", "": "orders:read", `,"scope":null`: "orders:read"} {
		i, _, s := start(t)
		i.token = raw(http.StatusOK, "application/json;charset=UTF-8", `{"access_token":"a","token_type":"Bearer"`+granted+`}`)
		if got := token(t, s).Scope.String(); got != want {
			t.Errorf("with %q the scope is %q, want %q", granted, got, want)
		}
	}
}
