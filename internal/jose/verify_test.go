package jose_test

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/writ-auth/writ/internal/jose"
)

// TestECDSASignatures: a signature is R || S of the one length, in range, by this key over these bytes, and nothing else is; go-jose
// says the same of each.
func TestECDSASignatures(t *testing.T) {
	for algorithm, size := range map[string]int{jose.ES256: 32, jose.ES384: 48} {
		key, err := jose.GenerateKey(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := jose.NewSigner(key, algorithm, "k1")
		if err != nil {
			t.Fatal(err)
		}
		compact, err := signer.Sign("at+jwt", []byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		signed, last, _ := strings.Cut(compact, ".")
		payload, last, _ := strings.Cut(last, ".")
		signed += "." + payload
		good := unb64(t, last)
		order := key.Public().(*ecdsa.PublicKey).Curve.Params().N
		r, s := new(big.Int).SetBytes(good[:size]), new(big.Int).SetBytes(good[size:])
		fixed := func(r, s *big.Int) []byte {
			return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
		flipped := append([]byte{}, good...)
		flipped[size] ^= 1
		wide := new(big.Int).Add(r, order)
		cases := map[string][]byte{
			"good": good, "of the other sign of S": fixed(r, new(big.Int).Sub(order, s)),
			"short": good[:2*size-1], "long": append(append([]byte{}, good...), 0), "one number": good[:size], "flipped": flipped,
			"zeros": make([]byte, 2*size), "R zero": fixed(new(big.Int), s), "S zero": fixed(r, new(big.Int)), "R the order": fixed(order, s),
			"S the order": fixed(r, order), "swapped": fixed(s, r), "in DER": der(t, r, s),
		}
		if wide.BitLen() <= 8*size {
			cases["R beyond the order"] = fixed(wide, s)
		}
		for name, signature := range cases {
			token := signed + "." + b64(string(signature))
			parsed, err := jose.Parse(token)
			if err != nil {
				t.Fatal(err)
			}
			got := parsed.Verify(signer.Key()) == nil
			theirs, err := gojose.ParseSignedCompact(token, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(algorithm)})
			if err != nil {
				t.Fatal(err)
			}
			_, err = theirs.Verify(key.Public())
			if want := err == nil; got != want || want != (name == "good" || strings.HasPrefix(name, "of the other")) {
				t.Errorf("%s %s: verified %v, by go-jose %v", algorithm, name, got, want)
			}
		}
	}
}

func unb64(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func der(t *testing.T, r, s *big.Int) []byte {
	t.Helper()
	data, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	return data
}
