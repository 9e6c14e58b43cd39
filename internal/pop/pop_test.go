package pop_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
)

func TestConfirmation(t *testing.T) {
	t.Parallel()
	const thumb = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	for _, test := range []struct {
		name, claim, tokenType string
		want                   pop.Confirmation
	}{
		{"a key", `{"jkt":"` + thumb + `"}`, "DPoP", pop.Confirmation{Key: thumb}},
		{"a certificate", `{"x5t#S256":"` + thumb + `"}`, "Bearer", pop.Confirmation{Certificate: thumb}},
		{"both", `{"jkt":"` + thumb + `","x5t#S256":"` + thumb + `"}`, "DPoP", pop.Confirmation{Key: thumb, Certificate: thumb}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := pop.ParseConfirmation(json.RawMessage(test.claim))
			must(t, err)
			if *got != test.want || got.TokenType() != test.tokenType || string(got.Claim()) != test.claim {
				t.Errorf("got %+v, %s, %s", got, got.TokenType(), got.Claim())
			}
		})
	}
	var none *pop.Confirmation
	if got, err := pop.ParseConfirmation(nil); got != nil || err != nil || none.Claim() != nil || none.TokenType() != "Bearer" {
		t.Errorf("without a claim: got %+v, %v", got, err)
	}
}

// TestConfirmationAllOrNothing: what cannot be enforced in whole is not enforced in part.
func TestConfirmationAllOrNothing(t *testing.T) {
	t.Parallel()
	const thumb = `"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"`
	for _, claim := range []string{
		`{}`, `null`, `""`, `[]`, `true`, ``, `{"jkt":""}`, `{"jkt":null}`, `{"jkt":1}`, `{"jkt":[` + thumb + `]}`,
		`{"jkt":` + thumb + `,"jkt":` + thumb + `}`, `{"JKT":` + thumb + `}`, `{"x5t":` + thumb + `}`, `{"x5t#s256":` + thumb + `}`,
		`{"jkt":` + thumb + `,"kid":"a"}`, `{"jkt":` + thumb + `,"jwk":{}}`, `{"jkt":"AAAA"}`, `{"jkt":` + thumb[:len(thumb)-1] + `="}`,
		`{"jkt":` + strings.Replace(thumb, "4I", "4J", 1) + `}`, `{"jkt":` + thumb + `} {}`,
	} {
		if got, err := pop.ParseConfirmation(json.RawMessage(claim)); !errors.Is(err, pop.ErrConfirmation) {
			t.Errorf("%s: got %+v, %v, want %v", claim, got, err, pop.ErrConfirmation)
		}
	}
}

// TestCertificateThumbprint against the definition: base64url of the SHA-256 of the DER (RFC 8705, 3.1).
func TestCertificateThumbprint(t *testing.T) {
	t.Parallel()
	key, err := jose.GenerateKey(jose.ES256)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	sum := sha256.Sum256(der)
	if got, want := pop.CertificateThumbprint(certificate), base64.RawURLEncoding.EncodeToString(sum[:]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
