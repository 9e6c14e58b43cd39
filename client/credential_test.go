package client_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
)

// TestAssertion checks what private_key_jwt puts onto a request (RFC 7523, 2.2 and 3; RFC 10070, 4 and 5).
func TestAssertion(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []string{jose.ES256, jose.PS256, jose.EdDSA} {
		t.Run(algorithm, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(issuerURL)
				c := config(network{"as.example": i})
				key := keyFor(algorithm)
				c.Credential = client.PrivateKey(key)
				token(t, source(t, c))
				form := i.forms[0]
				assertion := readJWT(t, form.Get("client_assertion"), key.Public())
				now, id := time.Now().Unix(), must(jose.Thumbprint(key.Public()))
				wantHeader := map[string]any{"alg": algorithm, "kid": id, "typ": "client-authentication+jwt"}
				wantClaims := map[string]any{
					"iss": clientID, "sub": clientID, "aud": issuerURL, "iat": float64(now), "exp": float64(now + 60), "jti": assertion.claims["jti"],
				}
				if fmt.Sprint(assertion.header) != fmt.Sprint(wantHeader) || fmt.Sprint(assertion.claims) != fmt.Sprint(wantClaims) {
					t.Errorf("assertion is %v %v, want %v %v", assertion.header, assertion.claims, wantHeader, wantClaims)
				}
				if form.Get("client_id") != clientID || form.Get("client_assertion_type") != oauth.AssertionTypeJWT || form.Has("client_secret") {
					t.Errorf("form is %v", form)
				}
				if got := i.headers[0]; got.Get("Authorization") != "" || got.Get("DPoP") != "" {
					t.Errorf("headers are %v", got)
				}
			})
		})
	}
	t.Run("a new one for each attempt", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			i := newIssuer(issuerURL)
			c := config(network{"as.example": i})
			key := newKey()
			c.Credential, c.DPoP = client.PrivateKey(key), true
			i.token = raw(503, "text/plain", "")
			s := source(t, c)
			for range 3 {
				_, _ = s.Token(t.Context())
				time.Sleep(10 * time.Second)
			}
			var assertions []jwt
			for _, form := range i.forms {
				assertions = append(assertions, readJWT(t, form.Get("client_assertion"), key.Public()))
			}
			if len(assertions) != 9 {
				t.Errorf("%d attempts, want 9", len(assertions))
			}
			wantFresh(t, append(assertions, proofs(t, i.headers)...))
		})
	})
	t.Run("the audience is the issuer, whatever the endpoint", func(t *testing.T) {
		i := newIssuer("https://other.example")
		c := config(network{"other.example": i})
		key := newKey()
		c.TokenEndpoint, c.Credential = "https://other.example/token", client.PrivateKey(key)
		token(t, source(t, c))
		if got := readJWT(t, i.forms[0].Get("client_assertion"), key.Public()).claims["aud"]; got != issuerURL {
			t.Errorf("aud is %v, want %s", got, issuerURL)
		}
	})
}

// TestKeyOptions checks the key ID and the algorithm of a key, said or not.
func TestKeyOptions(t *testing.T) {
	t.Parallel()
	key, rsaKey := newKey(), rsaKey()
	jwk := strings.Replace(string(must(jose.MarshalPrivate(rsaKey, jose.RS256))), `"kid":"`, `"kid":"of-`, 1)
	id := must(jose.Thumbprint(key.Public()))
	for name, c := range map[string]struct {
		key           *client.Key
		algorithm, id string
	}{
		"PEM":          {must(client.ParsePrivateKey(keyPEM(key))), "ES256", id},
		"PEM, named":   {must(client.ParsePrivateKey(keyPEM(key), client.KeyID("mine"))), "ES256", "mine"},
		"RSA":          {client.PrivateKey(rsaKey, client.KeyID("r")), "PS256", "r"},
		"RS256":        {client.PrivateKey(rsaKey, client.KeyID("r"), client.Algorithm("RS256")), "RS256", "r"},
		"JWK":          {must(client.ParsePrivateKey([]byte(jwk))), "RS256", "of-" + must(jose.Thumbprint(rsaKey.Public()))},
		"JWK, renamed": {must(client.ParsePrivateKey([]byte(jwk), client.KeyID("mine"))), "RS256", "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(issuerURL)
			config := config(network{"as.example": i})
			config.Credential = c.key
			token(t, source(t, config))
			header := readJWT(t, i.forms[0].Get("client_assertion"), signers(key, rsaKey, c.algorithm)).header
			if header["alg"] != c.algorithm || header["kid"] != c.id {
				t.Errorf("header is %v, want %s and %s", header, c.algorithm, c.id)
			}
		})
	}
	for name, err := range map[string]error{
		"garbage":   second(client.ParsePrivateKey([]byte("secret-text"))),
		"encrypted": second(client.ParsePrivateKey([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))),
		"algorithm": second(client.ParsePrivateKey(keyPEM(key), client.Algorithm("PS256"))),
		"kid":       second(client.ParsePrivateKey(keyPEM(key), client.KeyID(`a","alg":"none`))),
	} {
		if err == nil || strings.Contains(err.Error(), "secret-text") || !strings.HasPrefix(err.Error(), "client: private key: ") {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func signers(ec, rsa crypto.Signer, algorithm string) crypto.PublicKey {
	if algorithm == jose.ES256 {
		return ec.Public()
	}
	return rsa.Public()
}

func second[T any](_ T, err error) error { return err }

// TestRotatedCredential holds row C12 for keys, assertions and certificates: the file is read for each assertion.
func TestRotatedCredential(t *testing.T) {
	t.Parallel()
	t.Run("C12 private key file rotated on disk", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			i := newIssuer(issuerURL)
			c := config(network{"as.example": i})
			keys := []string{jose.ES256, jose.EdDSA, jose.ES256}
			var s *client.Source
			for n, algorithm := range keys {
				key := keyFor(algorithm)
				write(t, file, string(must(jose.MarshalPrivate(key, algorithm))))
				if s == nil {
					c.Credential = client.PrivateKeyFile(file)
					s = source(t, c)
				}
				token(t, s)
				time.Sleep(300 * time.Second)
				if got := readJWT(t, i.forms[n].Get("client_assertion"), key.Public()).header["alg"]; got != algorithm {
					t.Errorf("alg is %v, want %s", got, algorithm)
				}
			}
		})
	})
	t.Run("C12 projected token file rotated on disk", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "token")
			i := newIssuer(issuerURL)
			c := config(network{"as.example": i})
			c.Credential = client.AssertionFile(file)
			write(t, file, "one.two.three\n")
			s := source(t, c)
			token(t, s)
			write(t, file, "  four.five.six")
			time.Sleep(300 * time.Second)
			i.answer(func(w http.ResponseWriter, r *http.Request) { // the attempts of one request, too
				write(t, file, "seven.eight.nine")
				i.answer(i.issue(300))
				raw(503, "text/plain", "")(w, r)
			})
			token(t, s)
			var got []string
			for _, form := range i.forms {
				got = append(got, form.Get("client_assertion"))
				if form.Get("client_id") != clientID || form.Get("client_assertion_type") != oauth.AssertionTypeJWT {
					t.Errorf("form is %v", form)
				}
			}
			if want := []string{"one.two.three", "four.five.six", "seven.eight.nine"}; !slices.Equal(got, want) {
				t.Errorf("assertions sent: %q, want %q", got, want)
			}
		})
	})
	t.Run("C12 a file that is replaced by garbage, and then by a key", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			write(t, file, string(keyPEM(newKey())))
			i := newIssuer(issuerURL)
			c := config(network{"as.example": i})
			c.Credential = client.PrivateKeyFile(file)
			s := source(t, c)
			first := token(t, s)
			write(t, file, "garbage")
			time.Sleep(280 * time.Second)
			if got := token(t, s); got != first {
				t.Error("a file in the making costs a token that is still good")
			}
			time.Sleep(30 * time.Second)
			_, err := s.Token(t.Context())
			wantError(t, err, "credential: private key file "+file)
			write(t, file, string(keyPEM(newKey())))
			time.Sleep(30 * time.Second)
			wantToken(t, s, "token-2")
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		})
	})
}

// TestKeysArePrinted checks that keys, and what is made with them, can be printed and logged without harm.
func TestKeysArePrinted(t *testing.T) {
	t.Parallel()
	key := keyFor(jose.EdDSA)
	file := filepath.Join(t.TempDir(), "assertion")
	write(t, file, "header.payload.signature")
	credential, certificate := client.PrivateKey(key), newCertificate("client", time.Now().Add(time.Hour))
	c := config(network{"as.example": newIssuer(issuerURL)})
	c.HTTPClient, c.Credential, c.DPoPKey, c.Certificate = nil, credential, credential, client.CertificateFile(writeCertificate(t, t.TempDir(), certificate))
	s := source(t, c)
	raw := fmt.Sprint(key)
	hidden := []string{
		strings.Trim(raw, "[]"), fmt.Sprintf("%x", key), fmt.Sprintf("%X", key), "header.payload", "PRIVATE KEY", " D:", fmt.Sprint(certificate.PrivateKey),
	}
	type holder struct {
		c           client.Config
		credential  client.Credential
		key         *client.Key
		certificate *client.Certificate
	}
	for name, value := range map[string]any{
		"key": credential, "config": c, "holder": holder{c, credential, credential, c.Certificate}, "pointer": &c, "certificate": c.Certificate,
		"by value": *credential, "assertion file": client.AssertionFile(file), "source": s, "slice": []client.Credential{credential, c.Certificate},
	} {
		var output bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&output, verb, value)
		}
		data, _ := json.Marshal(value) // some of them have no JSON
		output.Write(data)
		slog.New(slog.NewTextHandler(&output, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&output, nil)).Info("x", "value", value)
		for _, secret := range hidden {
			if strings.Contains(output.String(), secret) {
				t.Errorf("%s gives away %q: %s", name, secret, output.String())
			}
		}
	}
	for _, credential := range []any{credential, c.Certificate} {
		if got := fmt.Sprintf("%+v", credential) + marshal(t, credential); got != `REDACTED"REDACTED"` {
			t.Errorf("printed %s", got)
		}
	}
}

// TestC10Keys is row C10 for keys and DPoP: whatever happens, the log at debug level and the errors hold no assertion, no
// proof and no token.
func TestC10Keys(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"good":           nil,
		"refused":        refuse(401, "invalid_client", "who are you"),
		"proof refused":  refuse(400, "invalid_dpop_proof", "no"),
		"nonce":          refuse(400, "use_dpop_nonce", "no"),
		"down":           raw(503, "text/html", "<html>"),
		"a bearer token": raw(200, "application/json", `{"access_token":"token-1","token_type":"Bearer"}`),
	} {
		t.Run("C10 DPoP "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				b := newBench(t, new(""), new(""), func(c *client.Config) {
					c.Credential = client.PrivateKey(newKey())
					c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				})
				b.api.answer = refuseToken(`DPoP error="invalid_dpop_proof"`)
				token(t, b.source)
				if answer != nil {
					b.answer(answer)
				}
				for range 3 {
					_, err := b.source.Token(t.Context())
					fmt.Fprintln(&log, err)
					time.Sleep(299 * time.Second)
					_, _, err = get(t, b.source.Client(), api)
					fmt.Fprintln(&log, err)
				}
				synctest.Wait()
				for _, form := range b.forms {
					wantAbsent(t, log.String(), form.Get("client_assertion"))
				}
				for _, header := range append(b.issuer.headers, b.headers...) {
					wantAbsent(t, log.String(), header.Get("DPoP"))
				}
				wantSilence(t, "log", log.String())
				if !strings.Contains(log.String(), "token obtained") {
					t.Errorf("the log is %q: it should say something", log.String())
				}
			})
		})
	}
}

// wantAbsent checks that no part of a JWT is in the text.
func wantAbsent(t *testing.T, text, compact string) {
	t.Helper()
	for _, part := range strings.Split(compact, ".")[1:] {
		if strings.Contains(text, part) {
			t.Errorf("the log holds %q of a JWT", part)
		}
	}
}

// TestAdvice checks that a refusal says what to look at, for each kind of credential.
func TestAdvice(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "assertion")
	write(t, file, "a.b.c")
	for name, c := range map[string]struct {
		change func(*client.Config)
		code   oauth.Code
		want   string
	}{
		"key": {
			func(c *client.Config) { c.Credential = client.PrivateKey(newKey(), client.KeyID("mine")) }, oauth.InvalidClient,
			`that public key "mine" (ES256) is registered, that this machine's clock is right, that the issuer is the one that the server names, and that it is registered for private_key_jwt`,
		},
		"assertion": {
			func(c *client.Config) { c.Credential = client.AssertionFile(file) }, oauth.InvalidClient,
			"that the server trusts who signs the assertion in " + file,
		},
		"proof":            {func(c *client.Config) { c.DPoP = true }, oauth.InvalidDPoPProof, "check this machine's clock, and that the server takes ES256 proofs"},
		"no proof":         {func(*client.Config) {}, oauth.InvalidDPoPProof, "the server wants a DPoP proof: configure DPoP"},
		"nonce":            {func(*client.Config) {}, oauth.UseDPoPNonce, "the server wants a DPoP proof: configure DPoP"},
		"unbound":          {func(*client.Config) {}, oauth.InvalidRequest, "registered for bound tokens, configure DPoP or Certificate"},
		"bound, something": {func(c *client.Config) { c.DPoP = true }, oauth.InvalidRequest, "invalid_request: what was wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(issuerURL)
			i.token = refuse(http.StatusBadRequest, string(c.code), "what was wrong")
			config := config(network{"as.example": i})
			c.change(&config)
			_, err := source(t, config).Token(t.Context())
			wantError(t, err, string(c.code), c.want)
			if name == "bound, something" && !strings.HasSuffix(err.Error(), "what was wrong") {
				t.Errorf("error is %v: there is nothing to advise", err)
			}
		})
	}
}
