package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/writ-auth/writ/internal/jose"
)

func TestSignWithKey(t *testing.T) {
	t.Parallel()
	for _, algorithm := range jose.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			signer := signers()[algorithm]
			compact, err := signer.SignWithKey("dpop+jwt", []byte(payload))
			if err != nil {
				t.Fatal(err)
			}
			token, key, err := jose.ParseWithKey(compact)
			if err != nil {
				t.Fatal(err)
			}
			if key.ID != signer.KeyID || key.Algorithm != algorithm || token.Type != "dpop+jwt" || string(token.Payload) != payload {
				t.Errorf("key %s for %s, token %+v", key.ID, key.Algorithm, token)
			}
			verifyWithJWX(t, compact, signer.Key())
			verifyWithGoJose(t, compact, signer.Key())
			message, err := jws.Parse([]byte(compact), jws.WithCompact())
			if err != nil {
				t.Fatal(err)
			}
			var members map[string]any
			header, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[0])
			if err != nil || json.Unmarshal(header, &members) != nil {
				t.Fatalf("header %q: %v", header, err)
			}
			if _, hasKey := message.Signatures()[0].ProtectedHeaders().JWK(); !hasKey || len(members) != 3 {
				t.Errorf("header %s, want alg, jwk and typ alone", header)
			}
		})
	}
}

// signedWith returns a compact JWS whose header has what a test says, signed by an EC key as ES256 is.
func signedWith(t *testing.T, key *ecdsa.PrivateKey, header string) string {
	t.Helper()
	input := b64(header) + "." + b64(payload)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TestParseWithKeyRefuses signs each token rightly with the key that it brings, so that nothing is wrong but what is named.
func TestParseWithKeyRefuses(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := ecJWK(t, key.Public(), nil)
	with := func(name string, value any) string {
		return ecJWK(t, key.Public(), func(m map[string]any) { m[name] = value })
	}
	for name, test := range map[string]struct {
		header string
		want   error // nil: it is taken
	}{
		"nothing":             {`{"alg":"ES256","jwk":` + public + `}`, nil},
		"no key":              {`{"alg":"ES256"}`, jose.ErrMalformed},
		"null":                {`{"alg":"ES256","jwk":null}`, jose.ErrMalformed},
		"a key as text":       {`{"alg":"ES256","jwk":"` + b64(public) + `"}`, jose.ErrMalformed},
		"a list of keys":      {`{"alg":"ES256","jwk":[` + public + `]}`, jose.ErrMalformed},
		"two keys":            {`{"alg":"ES256","jwk":` + public + `,"jwk":` + public + `}`, jose.ErrMalformed},
		"a key with two x":    {`{"alg":"ES256","jwk":` + strings.Replace(public, `"x":`, `"x":"AA","x":`, 1) + `}`, jose.ErrMalformed},
		"a private key":       {`{"alg":"ES256","jwk":` + ecJWK(t, key, nil) + `}`, jose.ErrMalformed},
		"d is null":           {`{"alg":"ES256","jwk":` + with("d", nil) + `}`, jose.ErrMalformed},
		"a symmetric key":     {`{"alg":"ES256","jwk":{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}}`, jose.ErrMalformed},
		"k beside x and y":    {`{"alg":"ES256","jwk":` + with("k", "AAAA") + `}`, jose.ErrMalformed},
		"not on the curve":    {`{"alg":"ES256","jwk":` + with("y", b64(strings.Repeat("y", 32))) + `}`, jose.ErrMalformed},
		"for encryption":      {`{"alg":"ES256","jwk":` + with("use", "enc") + `}`, jose.ErrMalformed},
		"for another alg":     {`{"alg":"ES256","jwk":` + with("alg", "ES384") + `}`, jose.ErrMalformed},
		"larger than 16 KiB":  {`{"alg":"ES256","jwk":` + with("kid", strings.Repeat("k", 20<<10)) + `}`, jose.ErrMalformed},
		"somebody else's key": {`{"alg":"ES256","jwk":` + ecJWK(t, other.Public(), nil) + `}`, jose.ErrSignature},
		"EdDSA":               {`{"alg":"EdDSA","jwk":` + public + `}`, jose.ErrSignature},
		"HS256":               {`{"alg":"HS256","jwk":` + public + `}`, jose.ErrMalformed},
		"none":                {`{"alg":"none","jwk":` + public + `}`, jose.ErrMalformed},
		"crit":                {`{"alg":"ES256","crit":["exp"],"exp":1,"jwk":` + public + `}`, jose.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := jose.ParseWithKey(signedWith(t, key, test.header))
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestParseWithKeyRefusesPartsOfAPrivateKey with an Ed25519 key, whose signatures go-jose does not see.
func TestParseWithKeyRefusesPartsOfAPrivateKey(t *testing.T) {
	t.Parallel()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		t.Run("CA-39 "+member, func(t *testing.T) {
			t.Parallel()
			for name, want := range map[string]error{member: jose.ErrMalformed, "x-" + member: nil} {
				jwk := ecJWK(t, public, func(m map[string]any) { m[name] = nil })
				input := b64(`{"alg":"Ed25519","jwk":`+jwk+`}`) + "." + b64(payload)
				_, _, err := jose.ParseWithKey(input + "." + b64(string(ed25519.Sign(key, []byte(input)))))
				if !errors.Is(err, want) {
					t.Errorf("a key with %q: got %v, want %v", name, err, want)
				}
			}
		})
	}
}

// TestParseWithKeyRefusesRSA is CA-39's weak key, and parts of an RSA key without "d".
func TestParseWithKeyRefusesRSA(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bits   int
		member string
		want   error
	}{
		"2048 bits":         {2048, "", nil},
		"CA-39 1024 bits":   {1024, "", jose.ErrMalformed},
		"CA-39 a prime":     {2048, "p", jose.ErrMalformed},
		"CA-39 an exponent": {2048, "dq", jose.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := rsa.GenerateKey(rand.Reader, test.bits)
			if err != nil {
				t.Fatal(err)
			}
			jwk, err := json.Marshal(gojose.JSONWebKey{Key: key.Public()})
			if err != nil {
				t.Fatal(err)
			}
			header := `{"alg":"PS256","jwk":` + string(jwk) + `}`
			if test.member != "" {
				header = strings.Replace(header, `"kty"`, `"`+test.member+`":"AQAB","kty"`, 1)
			}
			input := b64(header) + "." + b64(payload)
			digest := sha256.Sum256([]byte(input))
			signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 32})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = jose.ParseWithKey(input + "." + base64.RawURLEncoding.EncodeToString(signature))
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
