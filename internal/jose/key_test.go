package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/writ-auth/writ/internal/jose"
)

func encode(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }

// rsaJWK is an RSA key of a modulus of that many bits, odd unless changed; nobody needs the private half.
func rsaJWK(bits uint, e string) string {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return fmt.Sprintf(`{"kty":"RSA","kid":"a","n":"%s","e":"%s"}`, encode(n.SetBit(n, 0, 1)), e)
}

func ecJWK(t *testing.T, key any, change func(map[string]any)) string {
	t.Helper()
	data, err := json.Marshal(gojose.JSONWebKey{Key: key, KeyID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(members)
	}
	data, _ = json.Marshal(members)
	return string(data)
}

func TestParseJWKSLeavesOut(t *testing.T) {
	public := signers()[jose.ES256].Key().Public
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, value any) func(map[string]any) {
		return func(m map[string]any) { m[name] = value }
	}
	evenModulus := new(big.Int).Lsh(big.NewInt(1), 2047)
	for name, test := range map[string]struct {
		key  string
		want int
	}{
		"a good key":                  {ecJWK(t, public, nil), 1},
		"for verifying":               {ecJWK(t, public, set("key_ops", []string{"verify"})), 1},
		"for ES256":                   {ecJWK(t, public, set("alg", "ES256")), 1},
		"for signatures":              {ecJWK(t, public, set("use", "sig")), 1},
		"for encryption":              {ecJWK(t, public, set("use", "enc")), 0},
		"for signing only":            {ecJWK(t, public, set("key_ops", []string{"sign"})), 0},
		"for no operation":            {ecJWK(t, public, set("key_ops", []string{})), 0},
		"for an unknown algorithm":    {ecJWK(t, public, set("alg", "ES256K")), 0},
		"for HS256":                   {ecJWK(t, public, set("alg", "HS256")), 0},
		"for another key type":        {ecJWK(t, public, set("alg", "RS256")), 0},
		"for another curve":           {ecJWK(t, public, set("alg", "ES384")), 0},
		"private":                     {ecJWK(t, private, nil), 0},
		"symmetric":                   {`{"kty":"oct","kid":"a","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`, 0},
		"symmetric with alg":          {`{"kty":"oct","kid":"a","alg":"ES256","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`, 0},
		"of unknown type":             {`{"kty":"XYZ","kid":"a"}`, 0},
		"without type":                {`{"kid":"a"}`, 0},
		"an empty object":             {`{}`, 0},
		"null":                        {`null`, 0},
		"a string":                    {`"key"`, 0},
		"P-521":                       {ecJWK(t, &p521.PublicKey, nil), 0},
		"X25519":                      {`{"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, 0},
		"Ed25519 of 31 bytes":         {`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ"}`, 0},
		"a point off the curve":       {ecJWK(t, public, set("y", encode(new(big.Int).Lsh(big.NewInt(1), 255)))), 0},
		"a coordinate missing":        {ecJWK(t, public, func(m map[string]any) { delete(m, "y") }), 0},
		"RSA of 2048 bits":            {rsaJWK(2048, "AQAB"), 1},
		"RSA of 4096 bits":            {rsaJWK(4096, "AQAB"), 1},
		"RSA of 2047 bits":            {rsaJWK(2047, "AQAB"), 0},
		"RSA of 1024 bits":            {rsaJWK(1024, "AQAB"), 0},
		"RS-23 RSA of 4097 bits":      {rsaJWK(4097, "AQAB"), 0},
		"RS-23 RSA of 16384 bits":     {rsaJWK(16384, "AQAB"), 0},
		"RS-23 RSA of a million bits": {rsaJWK(1_000_000, "AQAB"), 0},
		"RSA exponent 3":              {rsaJWK(2048, "Aw"), 1},
		"RS-23 RSA exponent 1":        {rsaJWK(2048, "AQ"), 0},
		"RS-23 RSA exponent 0":        {rsaJWK(2048, "AA"), 0},
		"RS-23 RSA exponent even":     {rsaJWK(2048, "AQAA"), 0},
		"RS-23 RSA exponent 2^31+1":   {rsaJWK(2048, encode(big.NewInt(1<<31+1))), 0},
		"RS-23 RSA exponent 2^64+3":   {rsaJWK(2048, "AQAAAAAAAAAD"), 0},
		"RS-23 RSA exponent of 1 KiB": {rsaJWK(2048, strings.Repeat("_", 1368)), 0},
		"RS-23 RSA modulus even":      {`{"kty":"RSA","n":"` + encode(evenModulus) + `","e":"AQAB"}`, 0},
		"RSA without modulus":         {`{"kty":"RSA","e":"AQAB"}`, 0},
		"RSA with padding in base64":  {`{"kty":"RSA","n":"AQAB==","e":"AQAB"}`, 0},
		"wrong certificate":           {ecJWK(t, public, set("x5c", []string{"AAAA"})), 0},
	} {
		t.Run(name, func(t *testing.T) {
			// A good key beside it: one bad key must not take the others with it (RFC 7517, 5).
			good := ecJWK(t, signers()[jose.ES384].Key().Public, nil)
			keys, err := jose.ParseJWKS([]byte(`{"keys":[` + test.key + `,` + good + `]}`))
			if err != nil || len(keys) != test.want+1 {
				t.Errorf("%d keys, error %v, want %d", len(keys), err, test.want+1)
			}
		})
	}
}

func TestParseJWKSRefuses(t *testing.T) {
	key := ecJWK(t, signers()[jose.ES256].Key().Public, nil)
	keys := func(n int) string { return `{"keys":[` + strings.TrimSuffix(strings.Repeat(key+",", n), ",") + `]}` }
	for name, test := range map[string]struct {
		data string
		ok   bool
	}{
		"one key":               {keys(1), true},
		"no key":                {`{"keys":[]}`, true},
		"32 keys":               {keys(32), true},
		"33 keys":               {keys(33), false},
		"too large":             {keys(1) + strings.Repeat(" ", jose.MaxJWKSBytes), false},
		"large enough":          {keys(1) + strings.Repeat(" ", jose.MaxJWKSBytes-len(keys(1))), true},
		"nothing":               {``, false},
		"null":                  {`null`, false},
		"array":                 {`[` + key + `]`, false},
		"HTML":                  {`<html></html>`, false},
		"half":                  {keys(2)[:100], false},
		"no member keys":        {`{}`, false},
		"keys is null":          {`{"keys":null}`, false},
		"keys is an object":     {`{"keys":{}}`, false},
		"keys in upper case":    {`{"KEYS":[` + key + `]}`, false},
		"keys twice":            {`{"keys":[],"keys":[` + key + `]}`, false},
		"member of a key twice": {`{"keys":[{"kty":"oct",` + key[1:] + `]}`, false},
		"deep":                  {`{"keys":[],"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jose.ParseJWKS([]byte(test.data)); (err == nil) != test.ok {
				t.Errorf("error %v, want none: %v", err, test.ok)
			}
		})
	}
}

// TestMarshalJWKS holds that a set survives the wire and that only public members go out.
func TestMarshalJWKS(t *testing.T) {
	var keys []jose.Key
	for _, algorithm := range jose.Algorithms {
		keys = append(keys, signers()[algorithm].Key())
	}
	data, err := jose.MarshalJWKS(keys)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "priv"} {
			if _, found := key[member]; found {
				t.Errorf("key %v has the private member %s", key["kid"], member)
			}
		}
		if key["use"] != "sig" || key["alg"] == "" || key["kid"] == "" {
			t.Errorf("key without use, alg or kid: %v", key)
		}
	}
	back, err := jose.ParseJWKS(data)
	if err != nil || len(back) != len(keys) {
		t.Fatalf("%d keys came back, error %v", len(back), err)
	}
	for i, key := range back {
		public := key.Public.(interface{ Equal(crypto.PublicKey) bool })
		if key.ID != keys[i].ID || key.Algorithm != keys[i].Algorithm || !public.Equal(keys[i].Public) {
			t.Errorf("key %d changed on the wire", i)
		}
	}
	if data, err = jose.MarshalJWKS(nil); err != nil || string(data) != `{"keys":[]}` {
		t.Errorf("no keys: %s, error %v", data, err)
	}
}
