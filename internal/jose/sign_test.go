package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"math/big"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/writ-auth/writ/internal/jose"
)

const payload = `{"iss":"https://as.test","sub":"a"}`

// TestSignedTokensVerifyElsewhere checks our own fast path against two libraries that are not ours.
func TestSignedTokensVerifyElsewhere(t *testing.T) {
	for _, algorithm := range jose.Algorithms {
		t.Run(algorithm, func(t *testing.T) {
			signer := signers()[algorithm]
			for range 20 { // ECDSA integers have leading zeros now and then
				token, err := signer.Sign("at+jwt", []byte(payload))
				if err != nil {
					t.Fatal(err)
				}
				verifyWithJWX(t, token, signer.Key())
				verifyWithGoJose(t, token, signer.Key())
				parsed, err := jose.Parse(token)
				if err != nil {
					t.Fatal(err)
				}
				if err := parsed.Verify(signer.Key()); err != nil || parsed.KeyID != signer.KeyID || parsed.Type != "at+jwt" {
					t.Fatalf("%+v, error %v", parsed, err)
				}
			}
		})
	}
}

func verifyWithJWX(t *testing.T, token string, key jose.Key) {
	t.Helper()
	got, err := jws.Verify([]byte(token), jws.WithKey(algorithmOf(t, key), key.Public))
	if err != nil || string(got) != payload {
		t.Fatalf("jwx: payload %q, error %v", got, err)
	}
}

func algorithmOf(t *testing.T, key jose.Key) jwa.SignatureAlgorithm {
	t.Helper()
	algorithm, ok := jwa.LookupSignatureAlgorithm(key.Algorithm)
	if !ok {
		t.Fatalf("jwx does not know %s", key.Algorithm)
	}
	return algorithm
}

func verifyWithGoJose(t *testing.T, token string, key jose.Key) {
	t.Helper()
	if key.Algorithm == jose.Ed25519 {
		return // go-jose knows EdDSA only
	}
	parsed, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(key.Algorithm)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parsed.Verify(key.Public); err != nil || string(got) != payload {
		t.Fatalf("go-jose: payload %q, error %v", got, err)
	}
}

// TestSmallIntegers holds the length of an ECDSA signature whose halves begin with zeros (RFC 7518, 3.4).
func TestSmallIntegers(t *testing.T) {
	signer, err := jose.NewSigner(fixedSignature{signers()[jose.ES256].Key().Public}, jose.ES256, "k")
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign("at+jwt", []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[strings.LastIndexByte(token, '.')+1:])
	if err != nil {
		t.Fatal(err)
	}
	want := append(append(make([]byte, 31), 7), append(make([]byte, 31), 9)...)
	if string(signature) != string(want) {
		t.Errorf("signature %x, want %x", signature, want)
	}
}

// fixedSignature is a key behind a KMS that answers with tiny integers.
type fixedSignature struct{ public crypto.PublicKey }

func (f fixedSignature) Public() crypto.PublicKey { return f.public }
func (f fixedSignature) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(7), big.NewInt(9)})
}

// TestDeterministic holds that a key in memory signs without the random source (RFC 6979), which is faster and cannot
// leak the key when the source is bad.
func TestDeterministic(t *testing.T) {
	for _, algorithm := range []string{jose.ES256, jose.ES384, jose.Ed25519} {
		first, err := signers()[algorithm].Sign("at+jwt", []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		if second, err := signers()[algorithm].Sign("at+jwt", []byte(payload)); err != nil || first != second {
			t.Errorf("%s: two signatures of one payload differ, error %v", algorithm, err)
		}
	}
}

// TestKeyIsForOneAlgorithm holds that a key verifies with its own algorithm and no other, whatever the token says.
func TestKeyIsForOneAlgorithm(t *testing.T) {
	for _, signed := range jose.Algorithms {
		token, err := signers()[signed].Sign("at+jwt", []byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.Parse(token)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range jose.Algorithms {
			key := signers()[signed].Key()
			key.Algorithm = other
			if err := parsed.Verify(key); (err == nil) != (other == signed) {
				t.Errorf("token of %s, its key marked %s: error %v", signed, other, err)
			}
		}
	}
}

func TestNewSignerRefusesAKeyOfAnotherKind(t *testing.T) {
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{jose.ES384, jose.RS256, jose.PS256, jose.Ed25519, jose.EdDSA, "HS256", "none", ""} {
		if _, err := jose.NewSigner(key, algorithm, "k"); err == nil {
			t.Errorf("a P-256 key was taken for %q", algorithm)
		}
	}
	if _, err := jose.GenerateKey("HS256"); err == nil {
		t.Error("GenerateKey made a key for HS256")
	}
}

// TestForgedSignatures is CVE-2022-21449 and its relatives.
func TestForgedSignatures(t *testing.T) {
	key := signers()[jose.ES256].Key()
	token, err := signers()[jose.ES256].Sign("at+jwt", []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	cut := strings.LastIndexByte(token, '.') + 1
	good, err := base64.RawURLEncoding.DecodeString(token[cut:])
	if err != nil {
		t.Fatal(err)
	}
	order := key.Public.(*ecdsa.PublicKey).Params().N
	r, s := new(big.Int).SetBytes(good[:32]), new(big.Int).SetBytes(good[32:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	for name, signature := range map[string][]byte{
		"all zero": make([]byte, 64), "63 bytes": good[:63], "65 bytes": append(good[:64:64], 0),
		"ASN.1":          der,
		"r is the order": append(order.FillBytes(make([]byte, 32)), good[32:]...),
		"s is zero":      append(good[:32:32], make([]byte, 32)...),
	} {
		parsed, err := jose.Parse(token[:cut] + base64.RawURLEncoding.EncodeToString(signature))
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Verify(key) == nil {
			t.Errorf("signature %s verifies", name)
		}
	}
}
