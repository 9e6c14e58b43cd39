package resource_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"

	"github.com/writ-auth/writ/authtest"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// TestRealIssuer puts a Verifier before the real authorization server, over HTTP, with nothing replaced.
func TestRealIssuer(t *testing.T) {
	server := authtest.New(t)
	server.Resource(theAudience, "read", "write")
	server.OpaqueResource(otherAPI, "read")
	verifier := func(audience string, always bool) *resource.Verifier {
		caller := server.ResourceServer(audience)
		v, err := resource.NewVerifier(resource.Config{
			Issuer: server.Issuer(), Audience: audience,
			Introspection: &resource.Introspection{ClientID: caller.ID, ClientSecret: resource.Secret(caller.Secret), Always: always},
		})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	jwt, opaque, always := verifier(theAudience, false), verifier(otherAPI, false), verifier(theAudience, true)
	t.Run("JWT", func(t *testing.T) {
		token, err := jwt.Verify(background, server.Token(theAudience, "read"))
		if err != nil || token.Scope.String() != "read" || token.ClientID == "" || token.Issuer != server.Issuer() {
			t.Errorf("token %+v, error %v", token, err)
		}
		expectOK(t, get(jwt, server.Token(theAudience, "read")))
	})
	t.Run("opaque", func(t *testing.T) {
		token, err := opaque.Verify(background, server.Token(otherAPI))
		if err != nil || token.Scope.String() != "read" || !token.Audience.Has(otherAPI) {
			t.Errorf("token %+v, error %v", token, err)
		}
		expectInvalid(t, get(jwt, server.Token(otherAPI)))
	})
	t.Run("V10 revoked", func(t *testing.T) {
		token := server.Token(theAudience)
		expectOK(t, get(always, token))
		server.Revoke(theAudience, token)
		expectInvalid(t, get(always, token))
	})
	t.Run("suspended", func(t *testing.T) {
		client := server.Client(theAudience, "read")
		token := server.TokenOf(client)
		expectOK(t, get(always, token))
		server.Suspend(client)
		expectInvalid(t, get(always, token))
	})
	t.Run("S38 rotated", func(t *testing.T) {
		old := server.Token(theAudience)
		server.RotateKey()
		expectOK(t, get(jwt, server.Token(theAudience)))
		expectOK(t, get(jwt, old))
	})
	t.Run("S39 down", func(t *testing.T) {
		server.JWKSDown(true)
		defer server.JWKSDown(false)
		expectOK(t, get(jwt, server.Token(theAudience)))
		_, err := verifier(theAudience, false).Verify(background, server.Token(theAudience))
		if !errors.Is(err, oauth.TemporarilyUnavailable) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("bound", func(t *testing.T) {
		holder, thief := authtest.NewHolder(t), authtest.NewHolder(t)
		for name, v := range map[string]*resource.Verifier{"JWT": jwt, "JWT, asked about": always} {
			token := server.DPoPToken(holder, theAudience, "read")
			good := demonstrate(token, holder.Proof("GET", theURL, token, ""))
			t.Run("S32 "+name+" with a proof", func(t *testing.T) { expectOK(t, do(reading(v), good)) })
			t.Run("S32 "+name+" with the same proof", func(t *testing.T) { expectDPoP(t, do(reading(v), good), badProof) })
			t.Run("S32 "+name+" with a thief's proof", func(t *testing.T) {
				expectDPoP(t, do(reading(v), demonstrate(token, thief.Proof("GET", theURL, token, ""))), badToken)
			})
		}
		t.Run("S29 opaque", func(t *testing.T) {
			token := server.DPoPToken(holder, otherAPI)
			proof := func(h *authtest.Holder) string { return h.Proof("GET", otherAPI+"/orders", token, "") }
			expectOK(t, do(reading(opaque), demonstrate(token, proof(holder))))
			expectDPoP(t, do(reading(opaque), demonstrate(token, proof(thief))), badToken)
			expectDPoP(t, get(opaque, token), badToken)
		})
		t.Run("S27 opaque", func(t *testing.T) {
			token := server.CertificateToken(holder, otherAPI)
			expectOK(t, do(reading(opaque), showing(token, show{Certificate: holder.Certificate()})))
			expectInvalid(t, do(reading(opaque), showing(token, show{Certificate: thief.Certificate()})))
		})
		t.Run("S35 revoked", func(t *testing.T) {
			token := server.DPoPToken(holder, theAudience)
			expectOK(t, do(reading(always), demonstrate(token, holder.Proof("GET", theURL, token, ""))))
			server.Revoke(theAudience, token)
			expectDPoP(t, do(reading(always), demonstrate(token, holder.Proof("GET", theURL, token, ""))), badToken)
		})
	})
	t.Run("asked with a key", func(t *testing.T) {
		for name, algorithm := range map[string]string{"ES256": jose.ES256, "Ed25519": jose.Ed25519, "RSA, PS256": jose.PS256} {
			key, err := jose.GenerateKey(algorithm)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				t.Fatal(err)
			}
			v, err := resource.NewVerifier(resource.Config{
				Issuer: server.Issuer(), Audience: otherAPI,
				Introspection: &resource.Introspection{
					ClientID:   server.KeyResourceServer(key.Public(), otherAPI).ID,
					PrivateKey: resource.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // each question has its own assertion
				if _, err := v.Verify(background, server.Token(otherAPI)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
	t.Run("bad days", func(t *testing.T) {
		for name, token := range map[string]string{
			"expired": server.Expired(theAudience), "wrong audience": server.WrongAudience(theAudience), "foreign key": server.ForeignKey(theAudience),
		} {
			if _, err := jwt.Verify(background, token); !errors.Is(err, oauth.InvalidToken) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	})
}
