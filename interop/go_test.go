package interop_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// TestOAuth2 gets tokens with golang.org/x/oauth2, which most Go programs use.
func TestOAuth2(t *testing.T) {
	t.Parallel()
	f := start(t)
	for name, c := range map[string]struct {
		client party
		style  oauth2.AuthStyle
	}{
		"client_secret_basic":              {f.Basic, oauth2.AuthStyleInHeader},
		"client_secret_post":               {f.Post, oauth2.AuthStyleInParams},
		"client_secret_basic, by guessing": {f.Basic, oauth2.AuthStyleAutoDetect},
		"client_secret_post, by guessing":  {f.Post, oauth2.AuthStyleAutoDetect},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := configuration(f, c.client, c.style).Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(token.Expiry); token.Type() != "Bearer" || left < 4*time.Minute || left > 5*time.Minute {
				t.Errorf("%s token lives %v, want Bearer and 5 minutes", token.Type(), left)
			}
			verify(t, f, token.AccessToken, f.Resource)
		})
	}
	t.Run("wrong secret", func(t *testing.T) {
		_, err := configuration(f, party{f.Basic.ID, "wrong"}, oauth2.AuthStyleInHeader).Token(t.Context())
		var refused *oauth2.RetrieveError
		if !errors.As(err, &refused) || refused.ErrorCode != "invalid_client" || refused.Response.StatusCode != http.StatusUnauthorized {
			t.Errorf("error is %v, want invalid_client with 401", err)
		}
	})
	t.Run("scope that the client has not", func(t *testing.T) {
		config := configuration(f, f.Basic, oauth2.AuthStyleInHeader)
		config.Scopes = []string{"orders:delete"}
		_, err := config.Token(t.Context())
		var refused *oauth2.RetrieveError
		if !errors.As(err, &refused) || refused.ErrorCode != "invalid_scope" || refused.ErrorDescription == "" {
			t.Errorf("error is %v, want invalid_scope with a description", err)
		}
	})
}

func configuration(f fixture, client party, style oauth2.AuthStyle) *clientcredentials.Config {
	return &clientcredentials.Config{
		ClientID: client.ID, ClientSecret: client.Secret, TokenURL: f.Issuer + "/token", AuthStyle: style,
		Scopes: scopes, EndpointParams: url.Values{"resource": {f.Resource}},
	}
}

// TestJWX verifies tokens of every algorithm with lestrrat-go/jwx, which finds the key by the published set alone.
func TestJWX(t *testing.T) {
	t.Parallel()
	f := start(t)
	for algorithm, s := range f.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			f := f
			f.Resource = s.Resource
			token, err := configuration(f, s.Client, oauth2.AuthStyleInHeader).Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			verify(t, f, token.AccessToken, s.Resource)
			message, err := jws.Parse([]byte(token.AccessToken))
			if err != nil {
				t.Fatal(err)
			}
			header := message.Signatures()[0].ProtectedHeaders()
			got, _ := header.Algorithm()
			if typ, _ := header.Type(); got.String() != algorithm || typ != "at+jwt" {
				t.Errorf("header has alg %s and typ %s, want %s and at+jwt", got, typ, algorithm)
			}
		})
	}
}

// verify checks a token with jwx: signature, issuer, audience, times and scope; and that jwx does check.
func verify(t *testing.T, f fixture, token, audience string) {
	t.Helper()
	keys, err := jwk.Fetch(t.Context(), f.Issuer+"/jwks")
	if err != nil {
		t.Fatal(err)
	}
	parse := func(audience string, token string) (jwt.Token, error) {
		return jwt.Parse([]byte(token), jwt.WithKeySet(keys), jwt.WithIssuer(f.Issuer), jwt.WithAudience(audience), jwt.WithValidate(true))
	}
	claims, err := parse(audience, token)
	if err != nil {
		t.Fatal(err)
	}
	var scope string
	if err := claims.Get("scope", &scope); err != nil || scope != strings.Join(scopes, " ") {
		t.Errorf("scope is %q (%v), want %q", scope, err, scopes)
	}
	if _, err := parse("https://other.example", token); err == nil {
		t.Error("accepted for another audience")
	}
	head, tail := token[:len(token)-20], token[len(token)-19:]
	if _, err := parse(audience, head+flipped(token[len(token)-20])+tail); err == nil {
		t.Error("accepted with another signature")
	}
}

func flipped(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}
