package jose_test

import (
	"crypto"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/writ-auth/writ/internal/jose"
)

// FuzzParse looks for a token that we read and another library does not, or reads differently (RS-24).
func FuzzParse(f *testing.F) {
	for _, algorithm := range jose.Algorithms {
		token, err := signers()[algorithm].Sign("at+jwt", []byte(payload))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token)
	}
	f.Add(b64(`{"alg":"none"}`) + "." + b64("{}") + ".")
	f.Add(b64(`{"alg":"ES256","crit":["b64"],"b64":false}`) + ".a.b")
	f.Add("..")
	f.Add(strings.Repeat(".", 5))
	f.Fuzz(func(t *testing.T, compact string) {
		token, err := jose.Parse(compact)
		if err != nil {
			return
		}
		message, err := jws.Parse([]byte(compact), jws.WithCompact())
		if err != nil {
			t.Fatalf("we read %q, jwx does not: %v", compact, err)
		}
		headers := message.Signatures()[0].ProtectedHeaders()
		algorithm, _ := headers.Algorithm()
		keyID, _ := headers.KeyID()
		if algorithm.String() != token.Algorithm || keyID != token.KeyID || string(message.Payload()) != string(token.Payload) {
			t.Fatalf("%q: we read %+v, jwx %s %s %q", compact, token, algorithm, keyID, message.Payload())
		}
		for _, signer := range signers() {
			if err := token.Verify(signer.Key()); err != nil {
				continue
			}
			verifyAny(t, compact, signer.Key())
		}
	})
}

// verifyAny is verifyWithJWX for a payload that the fuzzer chose.
func verifyAny(t *testing.T, token string, key jose.Key) {
	t.Helper()
	if _, err := jws.Verify([]byte(token), jws.WithKey(algorithmOf(t, key), key.Public)); err != nil {
		t.Fatalf("we accept %q, jwx does not: %v", token, err)
	}
}

// FuzzParseJWKS looks for a key that we take and another library reads differently (RS-24).
func FuzzParseJWKS(f *testing.F) {
	for _, algorithm := range jose.Algorithms {
		data, err := jose.MarshalJWKS([]jose.Key{signers()[algorithm].Key()})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}`))
	f.Add([]byte(`{"keys":[` + rsaJWK(4096, "Aw") + `]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := jose.ParseJWKS(data)
		if err != nil || len(keys) == 0 {
			return
		}
		if len(keys) > jose.MaxJWKSKeys {
			t.Fatalf("%d keys", len(keys))
		}
		set, err := jwk.Parse(data)
		if err != nil {
			return // jwx refuses a whole set for one key that it does not understand
		}
		for _, key := range keys {
			if !holds(set, key) {
				t.Fatalf("jwx does not find our key %+v in %s", key, data)
			}
		}
		again, err := jose.MarshalJWKS(keys)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := jose.ParseJWKS(again); err != nil || len(back) != len(keys) {
			t.Fatalf("%d of %d keys came back, error %v", len(back), len(keys), err)
		}
	})
}

func holds(set jwk.Set, key jose.Key) bool {
	for i := range set.Len() {
		other, _ := set.Key(i)
		var raw any
		if jwk.Export(other, &raw) != nil {
			continue
		}
		public, err := jwk.PublicRawKeyOf(raw)
		if err != nil {
			continue
		}
		if public, ok := public.(interface{ Equal(crypto.PublicKey) bool }); ok && public.Equal(key.Public) {
			return true
		}
	}
	return false
}
