package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/writ-auth/writ/internal/jose"
)

func generate(t *testing.T, algorithm string) crypto.Signer {
	t.Helper()
	key, err := jose.GenerateKey(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemOf(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pemOf(t, "PRIVATE KEY", der, err)
}

func sec1(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	return pemOf(t, "EC PRIVATE KEY", der, err)
}

func pkcs1(t *testing.T, key crypto.Signer) string {
	t.Helper()
	return pemOf(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key.(*rsa.PrivateKey)), nil)
}

func pkix(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return pemOf(t, "PUBLIC KEY", der, err)
}

func certificate(t *testing.T, key crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return pemOf(t, "CERTIFICATE", der, err)
}

func jwkText(t *testing.T, key any, algorithm, id string) string {
	t.Helper()
	data, err := json.Marshal(gojose.JSONWebKey{Key: key, Algorithm: algorithm, KeyID: id})
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// ecParameters is what openssl ecparam -genkey writes in front of the key: the name of P-256.
const ecParameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

func TestParseSigner(t *testing.T) {
	t.Parallel()
	ec, rsaKey, ed := generate(t, jose.ES256), generate(t, jose.PS256), generate(t, jose.EdDSA)
	for name, test := range map[string]struct {
		data, argument, algorithm, id string
		key                           crypto.Signer
	}{
		"PKCS #8, EC":                   {pkcs8(t, ec), "", jose.ES256, "", ec},
		"PKCS #8, Ed25519":              {pkcs8(t, ed), "", jose.EdDSA, "", ed},
		"PKCS #8, RSA":                  {pkcs8(t, rsaKey), "", jose.PS256, "", rsaKey},
		"PKCS #8, RSA for RS256":        {pkcs8(t, rsaKey), jose.RS256, jose.RS256, "", rsaKey},
		"PKCS #8, by its new name":      {pkcs8(t, ed), jose.Ed25519, jose.Ed25519, "", ed},
		"SEC 1":                         {sec1(t, ec), "", jose.ES256, "", ec},
		"SEC 1 behind its parameters":   {ecParameters + sec1(t, ec), "", jose.ES256, "", ec},
		"PKCS #1":                       {pkcs1(t, rsaKey), "", jose.PS256, "", rsaKey},
		"text in front":                 {"Bag Attributes\n" + pkcs8(t, ec), "", jose.ES256, "", ec},
		"a JWK":                         {jwkText(t, ec, "", ""), "", jose.ES256, "", ec},
		"a JWK with alg and kid":        {" \n" + jwkText(t, rsaKey, jose.RS256, "my-key"), "", jose.RS256, "my-key", rsaKey},
		"a JWK that says so twice":      {jwkText(t, rsaKey, jose.RS256, "my-key"), jose.RS256, jose.RS256, "my-key", rsaKey},
		"a JWK of P-384":                {jwkText(t, generate(t, jose.ES384), "", "k"), "", jose.ES384, "k", nil},
		"a JWK without alg, as RS256":   {jwkText(t, rsaKey, "", ""), jose.RS256, jose.RS256, "", rsaKey},
		"the certificate after the key": {pkcs8(t, ec) + certificate(t, ec), "", jose.ES256, "", ec},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer, err := jose.ParseSigner([]byte(test.data), test.argument)
			if err != nil {
				t.Fatal(err)
			}
			want := test.id
			if want == "" {
				if want, err = jose.Thumbprint(test.key.Public()); err != nil {
					t.Fatal(err)
				}
			}
			if signer.Algorithm != test.algorithm || signer.KeyID != want {
				t.Errorf("got %s and %s, want %s and %s", signer.Algorithm, signer.KeyID, test.algorithm, want)
			}
			signed, err := signer.Sign("x", []byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			token, err := jose.Parse(signed)
			if err != nil || token.Verify(signer.Key()) != nil {
				t.Errorf("what it signs does not verify: %v", err)
			}
		})
	}
}

// TestParseSignerRefuses what is no private key of ours, and never repeats what it has read: that may be a secret.
func TestParseSignerRefuses(t *testing.T) {
	t.Parallel()
	ec, rsaKey := generate(t, jose.ES256), generate(t, jose.PS256)
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ data, algorithm, says string }{
		"nothing":                    {"", "", "neither"},
		"a secret":                   {"canary", "", "neither"},
		"JSON that is no key":        {`{"client_secret":"canary"}`, "", "not a valid JWK"},
		"JSON that is cut":           {`{"kty":"EC","d":"canary`, "", "not a valid JWK"},
		"a key of another type":      {`{"kty":"canary","d":"canary"}`, "", "not a valid JWK"},
		"a symmetric JWK":            {`{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`, "", "not a valid JWK"},
		"a public JWK":               {jwkText(t, ec.Public(), "", "canary"), "", "no private key"},
		"a public key":               {pkix(t, ec), "", "not a private key"},
		"a certificate":              {certificate(t, ec), "", "not a private key"},
		"an encrypted key":           {pemOf(t, "ENCRYPTED PRIVATE KEY", []byte("canary"), nil), "", "encrypted"},
		"an old encrypted key":       {strings.Replace(sec1(t, ec), "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1), "", "encrypted"},
		"garbage in PEM":             {pemOf(t, "PRIVATE KEY", []byte("canary"), nil), "", "can be read"},
		"parameters without a key":   {ecParameters, "", "can be read"},
		"a key that cannot sign":     {pkcs8(t, agreement), "", "can be read"},
		"a curve that is not known":  {pkcs8(t, p521), "", "not supported"},
		"a weak key":                 {pkcs8(t, weak), "", "is not for PS256"},
		"another algorithm":          {pkcs8(t, ec), jose.PS256, "is not for PS256"},
		"an unknown algorithm":       {pkcs8(t, ec), "ES256K", "is not for ES256K"},
		"HS256":                      {pkcs8(t, ec), "HS256", "is not for HS256"},
		"another algorithm than alg": {jwkText(t, rsaKey, jose.RS256, ""), jose.PS256, "is for RS256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer, err := jose.ParseSigner([]byte(test.data), test.algorithm)
			if err == nil {
				t.Fatalf("got a signer for %s", signer.Algorithm)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error repeats what was read: %v", err)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q, want it to say %q", err, test.says)
			}
		})
	}
}

func TestParsePublic(t *testing.T) {
	t.Parallel()
	ec, rsaKey := generate(t, jose.ES256), generate(t, jose.PS256)
	public := jwkText(t, ec.Public(), "", "")
	for name, test := range map[string]struct {
		data        string
		algorithms  []string
		certificate bool
	}{
		"PKIX":                {pkix(t, ec), []string{jose.ES256}, false},
		"PKCS #1":             {pemOf(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsaKey.Public().(*rsa.PublicKey)), nil), []string{jose.PS256}, false},
		"a certificate":       {certificate(t, ec), []string{jose.ES256}, true},
		"a chain":             {certificate(t, ec) + certificate(t, rsaKey), []string{jose.ES256}, true},
		"a JWK":               {public, []string{jose.ES256}, false},
		"a JWK with alg":      {jwkText(t, rsaKey.Public(), jose.RS256, ""), []string{jose.RS256}, false},
		"a JWK Set":           {`{"keys":[` + public + `,` + jwkText(t, rsaKey.Public(), "", "") + `]}`, []string{jose.ES256, jose.PS256}, false},
		"a JWK Set of no key": {`{"keys":[]}`, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := jose.ParsePublic([]byte(test.data))
			if err != nil || len(keys) != len(test.algorithms) {
				t.Fatalf("got %+v, %v", keys, err)
			}
			for i, key := range keys {
				id, err := jose.Thumbprint(key.Public)
				if err != nil || key.ID != id || key.Algorithm != test.algorithms[i] || (key.Certificate != nil) != test.certificate {
					t.Errorf("got %+v, want %s with its thumbprint, a certificate: %v", key, test.algorithms[i], test.certificate)
				}
			}
		})
	}
}

// TestParsePublicRefusesPrivateKeys: a file with a private half in it, wherever, is not taken for the public one.
func TestParsePublicRefusesPrivateKeys(t *testing.T) {
	t.Parallel()
	ec, rsaKey, ed := generate(t, jose.ES256), generate(t, jose.PS256), generate(t, jose.EdDSA)
	private, public := jwkText(t, ec, "", ""), jwkText(t, ec.Public(), "", "")
	for name, data := range map[string]string{
		"PKCS #8":                        pkcs8(t, ed),
		"SEC 1":                          sec1(t, ec),
		"SEC 1 behind its parameters":    ecParameters + sec1(t, ec),
		"PKCS #1":                        pkcs1(t, rsaKey),
		"encrypted":                      pemOf(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil),
		"OpenSSH":                        pemOf(t, "OPENSSH PRIVATE KEY", []byte("x"), nil),
		"that cannot be read":            pemOf(t, "PRIVATE KEY", []byte("x"), nil),
		"behind the public one":          pkix(t, ec) + pkcs8(t, ec),
		"behind the certificate":         certificate(t, ec) + sec1(t, ec),
		"behind parameters, unreadable":  ecParameters + pemOf(t, "EC PRIVATE KEY", []byte("x"), nil),
		"a JWK":                          private,
		"a JWK Set":                      `{"keys":[` + private + `]}`,
		"a JWK Set, behind a public one": `{"keys":[` + public + `,` + private + `]}`,
		"a symmetric JWK":                `{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := jose.ParsePublic([]byte(data))
			if !errors.Is(err, jose.ErrPrivate) || keys != nil {
				t.Errorf("got %+v, %v, want %v", keys, err, jose.ErrPrivate)
			}
		})
	}
}

func TestParsePublicRefuses(t *testing.T) {
	t.Parallel()
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ec := generate(t, jose.ES256)
	for name, data := range map[string]string{
		"nothing":                    "",
		"text":                       "canary",
		"null":                       "null",
		"an empty object":            "{}",
		"keys that are no list":      `{"keys":"canary"}`,
		"a JWK for encryption":       ecJWK(t, ec.Public(), func(m map[string]any) { m["use"] = "enc" }),
		"a JWK for another alg":      jwkText(t, ec.Public(), jose.PS256, ""),
		"a curve that is not known":  pkix(t, p521),
		"a weak key":                 pkix(t, weak),
		"a weak key as a JWK":        jwkText(t, weak.Public(), "", ""),
		"garbage in PEM":             pemOf(t, "PUBLIC KEY", []byte("canary"), nil),
		"a request for certificates": pemOf(t, "CERTIFICATE REQUEST", []byte("canary"), nil),
		"one bad key among good":     `{"keys":[` + jwkText(t, ec.Public(), "", "") + `,` + jwkText(t, p521.Public(), "", "") + `]}`,
		"too many keys":              `{"keys":[` + strings.TrimSuffix(strings.Repeat(jwkText(t, ec.Public(), "", "")+",", 33), ",") + `]}`,
		"something behind it":        jwkText(t, ec.Public(), "", "") + "canary",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := jose.ParsePublic([]byte(data))
			if err == nil || errors.Is(err, jose.ErrPrivate) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %+v, %v", keys, err)
			}
		})
	}
}

// TestSignerOfAKMS: a key that is not in memory signs through its own crypto.Signer, with its own randomness.
func TestSignerOfAKMS(t *testing.T) {
	t.Parallel()
	signer, err := jose.NewSigner(remote{generate(t, jose.ES256)}, jose.ES256, "kms")
	if err != nil {
		t.Fatal(err)
	}
	first, err := signer.SignWithKey("dpop+jwt", []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	second, err := signer.SignWithKey("dpop+jwt", []byte(payload))
	if err != nil || bytes.Equal([]byte(first), []byte(second)) {
		t.Errorf("two signatures are one, or error %v", err)
	}
	if _, _, err := jose.ParseWithKey(first); err != nil {
		t.Error(err)
	}
}

// remote hides what kind of key it is.
type remote struct{ crypto.Signer }
