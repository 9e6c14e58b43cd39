package resource_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// stranger mints a good token with a key that nobody published, under a key ID that nobody knows.
func (i *issuer) stranger(n int) string {
	return i.raw(fmt.Sprintf(`{"alg":"ES256","kid":"random-%d","typ":"at+jwt"}`, n), i.payload(nil))
}

func expectUnavailable(t *testing.T, got *http.Response) (retryAfter int) {
	t.Helper()
	retryAfter, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if got.StatusCode != http.StatusServiceUnavailable || err != nil || retryAfter < 1 || retryAfter > 60 ||
		got.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("got %d %v; want 503, a few seconds and no challenge", got.StatusCode, got.Header)
	}
	return retryAfter
}

func TestUnknownKey(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	expectOK(t, get(v, i.mint(nil)))
	t.Run("S18 one refresh, then 401", func(t *testing.T) {
		expectInvalid(t, get(v, i.stranger(0)))
		if i.fetches() != 2 {
			t.Errorf("%d fetches, want the first and one more", i.fetches())
		}
	})
	t.Run("S19 1 000 random key IDs", func(t *testing.T) {
		for n := range 1000 {
			expectInvalid(t, get(v, i.stranger(n)))
		}
		if i.fetches() != 2 {
			t.Errorf("%d fetches in one interval, want 2", i.fetches())
		}
	})
	t.Run("S19 the next interval has one more", func(t *testing.T) {
		i.clock.advance(34 * time.Second) // 30 s and the jitter
		for n := range 100 {
			expectInvalid(t, get(v, i.stranger(n)))
		}
		if i.fetches() != 3 {
			t.Errorf("%d fetches, want 3", i.fetches())
		}
	})
	t.Run("S18 a key that was published meanwhile", func(t *testing.T) {
		next := newSigner(jose.ES256)
		i.publish(i.signer.Key(), next.Key())
		i.clock.advance(34 * time.Second)
		expectOK(t, get(v, i.sign(next, "at+jwt", []byte(i.payload(nil)))))
		if i.fetches() != 4 {
			t.Errorf("%d fetches, want 4", i.fetches())
		}
	})
	t.Run("a known key ID and a wrong signature fetch nothing", func(t *testing.T) {
		before := i.fetches()
		i.clock.advance(34 * time.Second)
		good := i.mint(nil)
		expectInvalid(t, get(v, good[:strings.LastIndexByte(good, '.')]+"."+b64(strings.Repeat("x", 64))))
		if i.fetches() != before {
			t.Error("fetched")
		}
	})
	t.Run("expired and foreign tokens with random key IDs fetch nothing", func(t *testing.T) {
		before := i.fetches()
		i.clock.advance(34 * time.Second)
		for _, change := range []changes{{"exp": 1}, {"aud": otherAPI}, {"iss": "https://evil.test"}} {
			expectInvalid(t, get(v, i.raw(`{"alg":"ES256","kid":"x","typ":"at+jwt"}`, i.payload(change))))
		}
		if i.fetches() != before {
			t.Error("fetched")
		}
	})
}

// TestRS25: a flood of unknown key IDs costs one fetch an interval, and good tokens pass all the while.
func TestRS25(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	good := i.mint(nil)
	expectOK(t, get(v, good))
	var wait sync.WaitGroup
	for worker := range 10 {
		wait.Go(func() {
			for n := range 500 {
				if got := get(v, i.stranger(worker*500+n)); got.StatusCode != http.StatusUnauthorized {
					t.Errorf("RS-25 a random kid: %d", got.StatusCode)
				}
				if got := get(v, good); got.StatusCode != http.StatusOK {
					t.Errorf("RS-25 valid traffic: %d", got.StatusCode)
				}
			}
		})
	}
	wait.Wait()
	if i.fetches() > 2 {
		t.Errorf("RS-25: %d fetches in one interval, want the first and one more", i.fetches())
	}
}

func TestS20(t *testing.T) {
	one, two := newIssuer(t), newIssuer(t)
	two.url, two.signer = "https://as2.test", newSigner(jose.ES256)
	two.publish(two.signer.Key())
	two.network.serve("as2.test", two)
	trustsOne, trustsTwo := one.verifier(nil), two.verifier(nil)
	expectOK(t, get(trustsOne, one.mint(nil)))
	expectOK(t, get(trustsTwo, two.mint(nil)))
	t.Run("S20 the key of another trusted issuer", func(t *testing.T) {
		expectInvalid(t, get(trustsOne, two.mint(changes{"iss": one.url})))
		expectInvalid(t, get(trustsTwo, one.raw(one.header(""), one.payload(changes{"iss": two.url}))))
	})
	t.Run("RS-11 another issuer with its own keys", func(t *testing.T) { expectInvalid(t, get(trustsOne, two.mint(nil))) })
}

func TestRotation(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	old := i.mint(nil)
	expectOK(t, get(v, old))
	next := newSigner(jose.ES256)
	t.Run("S38 the old key still verifies", func(t *testing.T) {
		i.publish(next.Key(), i.signer.Key())
		expectOK(t, get(v, i.sign(next, "at+jwt", []byte(i.payload(nil)))))
		expectOK(t, get(v, old))
		expectOK(t, get(v, i.mint(changes{"jti": "never seen"})))
	})
	t.Run("a withdrawn key takes its tokens with it, remembered or not", func(t *testing.T) {
		i.publish(next.Key())
		i.clock.advance(34 * time.Second)
		old = i.mint(nil)
		expectInvalid(t, get(v, i.stranger(1))) // which makes us look
		expectInvalid(t, get(v, old))
	})
}

// TestWithdrawnWhileIdle holds that the first request after a silence does not use keys of before the silence.
func TestWithdrawnWhileIdle(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(nil)
	expectOK(t, get(v, i.mint(nil)))
	i.publish(newSigner(jose.ES256).Key())
	i.clock.advance(time.Hour)
	expectInvalid(t, get(v, i.mint(nil)))
}

// TestSlowIssuer holds that an issuer that hangs costs one request two seconds, and not one in every interval; and that
// its recovery is noticed.
func TestSlowIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier(nil)
		expectOK(t, get(v, i.mint(nil)))
		i.answerKeys(slow)
		for step, want := range []time.Duration{2 * time.Second, 0, 0, 0} {
			i.clock.advance(time.Hour)
			start := time.Now()
			expectOK(t, get(v, i.mint(nil)))
			if took := time.Since(start); took != want {
				t.Errorf("request %d waited %v, want %v", step, took, want)
			}
			time.Sleep(5 * time.Second) // until the fetch has timed out
		}
		i.answerKeys(nil)
		i.clock.advance(time.Minute)
		expectOK(t, get(v, i.mint(nil)))
		synctest.Wait() // it has noticed
		i.publish(newSigner(jose.ES256).Key())
		i.clock.advance(time.Hour)
		expectInvalid(t, get(v, i.mint(nil)))
	})
}

// TestKeysAreRenewed is the life of a key set: fresh, due, renewed behind the request's back.
func TestKeysAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier(nil)
		for step, want := range []int{1, 1, 1, 1, 1, 2, 2} { // max-age is 300 s
			expectOK(t, get(v, i.mint(changes{"jti": strconv.Itoa(step)})))
			synctest.Wait()
			if i.fetches() != want {
				t.Errorf("after %d minutes: %d fetches, want %d", step, i.fetches(), want)
			}
			i.clock.advance(time.Minute)
		}
	})
}

func TestCacheControl(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 5 * time.Minute, "public, max-age=60": time.Minute, "Max-Age=\"90\"": 90 * time.Second, "max-age=86400": time.Hour,
		"no-store": 30 * time.Second, "no-cache, max-age=600": 30 * time.Second, "max-age=0": 30 * time.Second,
		"max-age=-1": 5 * time.Minute, "max-age=99999999999999": 5 * time.Minute, "s-maxage=1": 5 * time.Minute,
	} {
		t.Run(header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(t)
				v := i.verifier(nil)
				body, err := jose.MarshalJWKS(i.published)
				if err != nil {
					t.Fatal(err)
				}
				i.answerKeys(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Cache-Control", header)
					_, _ = w.Write(body)
				})
				for _, step := range []struct {
					wait    time.Duration
					fetches int
				}{{0, 1}, {want - time.Second, 1}, {time.Second, 2}} {
					i.clock.advance(step.wait)
					expectOK(t, get(v, i.mint(nil)))
					synctest.Wait()
					if i.fetches() != step.fetches {
						t.Errorf("%d fetches, want %d", i.fetches(), step.fetches)
					}
				}
			})
		})
	}
}

func TestS39(t *testing.T) {
	i := newIssuer(t)
	i.answerKeys(answer(http.StatusInternalServerError, "secret stack trace"))
	v := i.verifier(nil) // starts
	wait := expectUnavailable(t, get(v, i.mint(nil)))
	t.Run("S39 no storm while it is down", func(t *testing.T) {
		for range 100 {
			expectUnavailable(t, get(v, i.mint(nil)))
		}
		if i.fetches() != 1 {
			t.Errorf("%d fetches, want 1", i.fetches())
		}
	})
	t.Run("S39 other refusals need no keys", func(t *testing.T) {
		expectInvalid(t, get(v, "garbage"))
		expectInvalid(t, get(v, i.mint(changes{"exp": 1})))
		expect(t, get(v, ""), http.StatusUnauthorized, "")
	})
	t.Run("S39 the wait grows and ends", func(t *testing.T) {
		for range 20 {
			i.clock.advance(time.Duration(wait) * time.Second)
			before := i.fetches()
			wait = expectUnavailable(t, get(v, i.mint(nil)))
			if i.fetches() != before+1 || wait > 34 {
				t.Errorf("%d fetches after the Retry-After, next wait %d s", i.fetches()-before, wait)
			}
		}
	})
	t.Run("S39 recovers", func(t *testing.T) {
		i.answerKeys(nil)
		i.clock.advance(time.Duration(wait) * time.Second)
		expectOK(t, get(v, i.mint(nil)))
	})
}

// TestUnavailable holds what Verify returns while the issuer is down.
func TestUnavailable(t *testing.T) {
	i := newIssuer(t)
	i.answerKeys(answer(http.StatusBadGateway, "secret"))
	var reason error
	v := i.verifier(func(c *resource.Config) { c.OnRefusal = func(_ *http.Request, err error) { reason = err } })
	expectUnavailable(t, get(v, i.mint(nil)))
	var down *resource.UnavailableError
	if !errors.As(reason, &down) || !errors.Is(reason, oauth.TemporarilyUnavailable) || down.RetryAfter < time.Second {
		t.Errorf("reason %v", reason)
	}
	if text := reason.Error(); strings.Contains(text, "secret") || !strings.Contains(text, "502") {
		t.Errorf("reason %q, want the status and not the body", text)
	}
}

func TestRS26(t *testing.T) {
	good, err := jose.MarshalJWKS([]jose.Key{signers()[jose.ES256].Key()})
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]http.HandlerFunc{
		"RS-26 500":                answer(http.StatusInternalServerError, ""),
		"RS-26 HTML":               answer(http.StatusOK, "<html><body>Maintenance</body></html>"),
		"RS-26 no keys":            answer(http.StatusOK, `{"keys":[]}`),
		"RS-26 only useless keys":  answer(http.StatusOK, `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`),
		"RS-26 half JSON":          answer(http.StatusOK, string(good[:len(good)/2])),
		"RS-26 204":                answer(http.StatusNoContent, ""),
		"RS-26 302":                answer(http.StatusFound, string(good)),
		"RS-26 more than 256 KiB":  answer(http.StatusOK, string(good)+strings.Repeat(" ", 256<<10)),
		"RS-26 null":               answer(http.StatusOK, "null"),
		"RS-26 33 keys":            answer(http.StatusOK, `{"keys":[`+strings.Repeat(`{"kty":"oct"},`, 32)+string(good[9:])),
		"RS-27 hangs after a good": slow,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(t)
				var log journal
				v := i.verifier(func(c *resource.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				expectOK(t, get(v, i.mint(nil)))
				i.answerKeys(bad)
				for range 23 {
					i.clock.advance(time.Hour)
					expectOK(t, get(v, i.mint(nil)))
					expectInvalid(t, get(v, i.stranger(1)))
					time.Sleep(5 * time.Second) // until the fetch has timed out
				}
				if !strings.Contains(log.String(), "level=WARN") {
					t.Errorf("nothing warns: %s", &log)
				}
				i.clock.advance(time.Hour)
				expectUnavailable(t, get(v, i.mint(nil))) // a day is enough
				time.Sleep(5 * time.Second)
				i.answerKeys(nil)
				i.clock.advance(40 * time.Second)
				expectOK(t, get(v, i.mint(nil)))
			})
		})
	}
}

func TestRS27(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		i.answerKeys(slow)
		v := i.verifier(nil) // starts
		start := time.Now()
		var wait sync.WaitGroup
		for range 500 {
			wait.Go(func() { expectUnavailable(t, get(v, i.mint(nil))) })
		}
		wait.Wait()
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("RS-27: answers after %v, want 2 s at most", took)
		}
		if i.fetches() != 1 {
			t.Errorf("RS-27: %d fetches under way, want 1", i.fetches())
		}
		time.Sleep(2 * time.Second) // the fetch gives up: the bubble ends only when its goroutine has
		i.answerKeys(nil)
		i.clock.advance(2 * time.Second)
		expectOK(t, get(v, i.mint(nil)))
	})
}

// TestRS27InAll holds that a request waits two seconds in all, however many things it waits for.
func TestRS27InAll(t *testing.T) {
	lazy := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(1500 * time.Millisecond):
				h(w, r)
			case <-r.Context().Done():
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		body, err := jose.MarshalJWKS(i.published)
		if err != nil {
			t.Fatal(err)
		}
		i.answerKeys(lazy(answer(http.StatusOK, string(body))))
		i.answerIntrospection(lazy(i.active(nil)))
		always := i.introspecting(func(in *resource.Introspection) { in.Always = true })
		for name, send := range map[string]func(){
			"keys, then newer keys":    func() { expectInvalid(t, get(i.verifier(nil), i.stranger(1))) },
			"keys, then introspection": func() { expectUnavailable(t, get(always, i.mint(nil))) },
		} {
			start := time.Now()
			send()
			if took := time.Since(start); took != 2*time.Second {
				t.Errorf("RS-27 %s: answer after %v, want 2 s", name, took)
			}
			time.Sleep(5 * time.Second)
		}
	})
}

// TestWaiters holds that whoever waits for keys goes when it wants to, and takes nobody along.
func TestWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		release := make(chan struct{})
		body, err := jose.MarshalJWKS(i.published)
		if err != nil {
			t.Fatal(err)
		}
		i.answerKeys(func(w http.ResponseWriter, r *http.Request) {
			<-release
			_, _ = w.Write(body)
		})
		v := i.verifier(nil)
		token := i.mint(nil)
		impatient, cancel := context.WithCancel(background)
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := v.Verify(impatient, token); first <- err }()
		synctest.Wait()
		go func() { _, err := v.Verify(background, token); second <- err }()
		synctest.Wait()
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) || !errors.Is(err, oauth.TemporarilyUnavailable) {
			t.Errorf("the impatient one got %v", err)
		}
		close(release)
		if err := <-second; err != nil {
			t.Errorf("the patient one got %v", err)
		}
		if i.fetches() != 1 {
			t.Errorf("%d fetches, want 1", i.fetches())
		}
	})
}

// TestJoinedFetch holds that joining a fetch that was under way does not use up the one refresh of an unknown key: it may
// have started before the key was published.
func TestJoinedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(t)
		v := i.verifier(nil)
		expectOK(t, get(v, i.mint(nil)))
		release := make(chan struct{})
		body, err := jose.MarshalJWKS(i.published)
		if err != nil {
			t.Fatal(err)
		}
		i.answerKeys(func(w http.ResponseWriter, r *http.Request) {
			<-release
			_, _ = w.Write(body)
		})
		i.clock.advance(5 * time.Minute)
		next := newSigner(jose.ES256)
		token := i.sign(next, "at+jwt", []byte(i.payload(nil)))
		var wait sync.WaitGroup
		wait.Go(func() { expectInvalid(t, get(v, token)) })
		synctest.Wait()
		close(release)
		wait.Wait()
		i.answerKeys(nil)
		i.publish(i.signer.Key(), next.Key())
		expectOK(t, get(v, token))
	})
}

// TestUselessKeys is RS-05 and RS-23: keys that nobody should use beside one that is good.
func TestUselessKeys(t *testing.T) {
	i := newIssuer(t)
	good, err := jose.MarshalJWKS([]jose.Key{i.signer.Key()})
	if err != nil {
		t.Fatal(err)
	}
	with := func(key string) http.HandlerFunc {
		return answer(http.StatusOK, `{"keys":[`+key+`,`+strings.TrimPrefix(string(good), `{"keys":[`))
	}
	secret := []byte("secretsecretsecretsecretsecretse")
	for name, key := range map[string]string{
		"RS-05 a symmetric key":               `{"kty":"oct","kid":"` + i.signer.KeyID + `","k":"` + b64(string(secret)) + `"}`,
		"RS-05 a symmetric key for HS256":     `{"kty":"oct","kid":"` + i.signer.KeyID + `","alg":"HS256","k":"` + b64(string(secret)) + `"}`,
		"RS-23 RSA of 16384 bits":             `{"kty":"RSA","kid":"a","e":"AQAB","n":"` + strings.Repeat("_", 2731) + `"}`,
		"RS-23 RSA with an exponent of 2^31+": `{"kty":"RSA","kid":"a","e":"gAAAAQ","n":"` + strings.Repeat("_", 342) + `"}`,
		"RS-23 RSA with an even exponent":     `{"kty":"RSA","kid":"a","e":"Ag","n":"` + strings.Repeat("_", 342) + `"}`,
		"RS-23 RSA with an even modulus":      `{"kty":"RSA","kid":"a","e":"AQAB","n":"` + strings.Repeat("_", 340) + `_g"}`,
	} {
		t.Run(name, func(t *testing.T) {
			i.answerKeys(with(key))
			var log journal
			v := i.verifier(func(c *resource.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			expectOK(t, get(v, i.mint(nil)))
			expectInvalid(t, get(v, i.hs256(secret)))
			if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "ignored=1") {
				t.Errorf("nothing warns of the key: %s", &log)
			}
		})
	}
}

// TestWhereKeysComeFrom holds the issuer to its own metadata (RFC 8414, 3.3) and to TLS.
func TestWhereKeysComeFrom(t *testing.T) {
	for name, describe := range map[string]func(*oauth.Metadata){
		"metadata of another issuer":         func(m *oauth.Metadata) { m.Issuer = "https://evil.test" },
		"metadata of nearly the same issuer": func(m *oauth.Metadata) { m.Issuer += "/" },
		"metadata without issuer":            func(m *oauth.Metadata) { m.Issuer = "" },
		"keys over http":                     func(m *oauth.Metadata) { m.JWKSURI = "http://as.test/jwks" },
		"keys over http on our own loopback": func(m *oauth.Metadata) { m.JWKSURI = "http://127.0.0.1/jwks" },
		"keys in a file":                     func(m *oauth.Metadata) { m.JWKSURI = "file:///etc/passwd" },
		"keys at no URL":                     func(m *oauth.Metadata) { m.JWKSURI = "/jwks" },
		"keys behind a password":             func(m *oauth.Metadata) { m.JWKSURI = "https://a:b@as.test/jwks" },
		"no place for keys":                  func(m *oauth.Metadata) { m.JWKSURI = "" },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.describe = describe
			expectUnavailable(t, get(i.verifier(nil), i.mint(nil)))
			if sent := i.network.count(""); sent != 1 {
				t.Errorf("%d requests, want the one for metadata: %v", sent, i.network.sent)
			}
		})
	}
	t.Run("RG-17 redirects are not followed", func(t *testing.T) {
		i := newIssuer(t)
		evil := newIssuer(t)
		i.network.serve("evil.test", evil)
		i.answerKeys(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.test/jwks", http.StatusTemporaryRedirect)
		})
		expectUnavailable(t, get(i.verifier(nil), i.mint(nil)))
		if slices.Contains(i.network.sent, "https://evil.test/jwks") {
			t.Error("followed")
		}
	})
	t.Run("cookies are not kept", func(t *testing.T) {
		i := newIssuer(t)
		jar := &countingJar{}
		v := i.verifier(func(c *resource.Config) { c.HTTPClient.Jar = jar })
		expectOK(t, get(v, i.mint(nil)))
		if jar.used {
			t.Error("the jar was used")
		}
	})
	t.Run("an issuer with a path", func(t *testing.T) {
		i := newIssuer(t)
		i.url = theIssuer + "/t1"
		i.network.serve("as.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/.well-known/oauth-authorization-server/t1":
				r.URL.Path = "/.well-known/oauth-authorization-server"
			case "/t1/jwks":
				r.URL.Path = "/jwks"
			default:
				r.URL.Path = "/nothing"
			}
			i.ServeHTTP(w, r)
		}))
		expectOK(t, get(i.verifier(nil), i.mint(nil)))
	})
}

type countingJar struct{ used bool }

func (j *countingJar) SetCookies(*url.URL, []*http.Cookie) { j.used = true }
func (j *countingJar) Cookies(*url.URL) []*http.Cookie     { j.used = true; return nil }

// TestKeysOfTheProgram is the Keys option: no request leaves.
func TestKeysOfTheProgram(t *testing.T) {
	i := newIssuer(t)
	ring := &ring{keys: []resource.Key{i.signer.Key()}}
	v := i.verifier(func(c *resource.Config) { c.Keys = ring })
	token := i.mint(nil)
	expectOK(t, get(v, token))
	expectInvalid(t, get(v, i.stranger(1)))
	ring.keys = nil
	expectInvalid(t, get(v, token))
	ring.keys = []resource.Key{newSigner(jose.ES256).Key(), i.signer.Key()}
	expectOK(t, get(v, token))
	if i.network.count("") != 0 {
		t.Errorf("requests left: %v", i.network.sent)
	}
}

type ring struct{ keys []resource.Key }

func (r *ring) Keys() []resource.Key { return r.keys }
