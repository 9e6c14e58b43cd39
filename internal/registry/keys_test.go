package registry

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// newPair returns a new private key for an algorithm.
func newPair(algorithm string) crypto.Signer {
	pair, err := jose.GenerateKey(algorithm)
	if err != nil {
		panic(err) // the algorithms of the tests are known
	}
	return pair
}

// newKey returns a new public key for an algorithm.
func newKey(algorithm string) jose.Key {
	return jose.Key{Algorithm: algorithm, Public: newPair(algorithm).Public()}
}

// named returns the key with an ID.
func named(key jose.Key, id string) jose.Key {
	key.ID = id
	return key
}

// publicJWK writes a key as a JWK.
func publicJWK(key jose.Key) []byte {
	data, err := jose.MarshalPublic(key)
	if err != nil {
		panic(err)
	}
	return data
}

// set writes JWKs as a set.
func set(keys ...[]byte) []byte {
	var texts []string
	for _, key := range keys {
		texts = append(texts, string(key))
	}
	return []byte(`{"keys":[` + strings.Join(texts, ",") + `]}`)
}

// certified returns a new key with a self-signed certificate that is good until a time.
func certified(t *testing.T, id string, until time.Time) jose.Key {
	t.Helper()
	pair := newPair("ES256")
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "billing"}, NotBefore: noon.Add(-time.Hour), NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, pair.Public(), pair)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return jose.Key{ID: id, Algorithm: "ES256", Public: pair.Public(), Certificate: certificate}
}

// withKeys is a client of private_key_jwt.
func withKeys(keys ...[]byte) oauth.ClientMetadata {
	return oauth.ClientMetadata{ClientName: "billing", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: set(keys...)}
}

func (b *bench) record(id string) store.Client {
	b.t.Helper()
	record, err := b.store.Clients().Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return record
}

// refuses tries to register a client and returns what is wrong with it.
func (b *bench) refuses(t *testing.T, m oauth.ClientMetadata) *Error {
	t.Helper()
	before := len(b.events())
	made, err := b.CreateClient(t.Context(), System("test"), m)
	refusal, ok := err.(*Error)
	if !ok || refusal.Code != Invalid || len(b.events()) != before {
		t.Fatalf("got %+v, %v, want a refusal", made.Client, err)
	}
	return refusal
}

func TestRegisterKeys(t *testing.T) {
	b := withOrders(t)
	es, ps := named(newKey("ES256"), "first"), newKey("PS256")
	metadata := withKeys(publicJWK(es), publicJWK(ps))
	metadata.DPoPBoundAccessTokens = true
	made := b.client(metadata)
	if made.Secret != "" || made.Secrets != nil {
		t.Errorf("a client with a key has a secret as well: %+v", made.Secrets)
	}
	if data := detail(made); strings.Contains(data, "client_secret") || strings.Contains(data, `"private_key"`) {
		t.Errorf("the answer is %s", data)
	}
	thumbprint, err := jose.Thumbprint(ps.Public)
	if err != nil {
		t.Fatal(err)
	}
	record := b.record(made.ID)
	der, err := x509.MarshalPKIXPublicKey(es.Public)
	if err != nil {
		t.Fatal(err)
	}
	if want := (store.ClientKey{ID: "first", Algorithm: "ES256", Public: der, Created: noon}); len(record.Keys) != 2 || !cmp.Equal(record.Keys[0], want) {
		t.Errorf("stored %+v, want first %+v", record.Keys, want)
	}
	if record.AuthMethod != oauth.PrivateKeyJWT || !record.DPoPBound || record.Secrets != nil {
		t.Errorf("stored %+v", record)
	}
	if len(made.Keys) != 2 || made.Keys[1].ID != thumbprint || made.Keys[1].Thumbprint != thumbprint || made.Keys[1].Algorithm != "PS256" {
		t.Errorf("shown %+v, want the thumbprint %s for an ID", made.Keys, thumbprint)
	}
	keys, err := jose.ParseJWKS(made.JWKS)
	if err != nil || len(keys) != 2 || keys[0].ID != "first" || keys[0].Algorithm != "ES256" {
		t.Errorf("jwks reads back as %+v, %v", keys, err)
	}
	got, err := b.Client(t.Context(), System("test"), "billing")
	if diff := cmp.Diff(made.Client, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestRG06: keys that must not be registered, and nothing of them is kept.
func TestRG06(t *testing.T) {
	b := withOrders(t)
	good := publicJWK(named(newKey("ES256"), "a"))
	private := func(algorithm string) string {
		data, err := jose.MarshalPrivate(newPair(algorithm), algorithm)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	with := func(jwk, members string) []byte { return []byte(`{` + members + `,` + jwk[1:]) }
	many := make([][]byte, 33)
	for i := range many {
		many[i] = publicJWK(named(newKey("Ed25519"), fmt.Sprint(i)))
	}
	p192 := `{"kty":"EC","crv":"P-192","x":"` + zeros(24) + `","y":"` + zeros(24) + `"}`
	for row, test := range map[string]struct {
		keys   [][]byte
		fields []string
	}{
		"RG-06 private EC":                       {[][]byte{good, []byte(private("ES256"))}, []string{"jwks.keys[1]"}},
		"RG-06 private RSA":                      {[][]byte{[]byte(private("PS256"))}, []string{"jwks.keys[0]"}},
		"RG-06 private OKP":                      {[][]byte{[]byte(private("Ed25519"))}, []string{"jwks.keys[0]"}},
		"RG-06 private and broken":               {[][]byte{with(string(good), `"d":"no base64!"`)}, []string{"jwks.keys[0]"}},
		"RG-06 a private member of another kind": {[][]byte{with(string(good), `"dp":"AQAB"`)}, []string{"jwks.keys[0]"}},
		"RG-06 oct":                              {[][]byte{[]byte(`{"kty":"oct","k":"` + zeros(32) + `","alg":"HS256"}`)}, []string{"jwks.keys[0]"}},
		"RG-06 duplicate kids":                   {[][]byte{good, publicJWK(named(newKey("ES256"), "a"))}, []string{"jwks.keys[1]"}},
		"RG-06 one key under two kids":           {[][]byte{good, []byte(strings.Replace(string(good), `"a"`, `"b"`, 1))}, []string{"jwks.keys[1]"}},
		"RG-06 33 keys":                          {many, []string{"jwks"}},
		"RG-06, J42 RSA 1024":                    {[][]byte{weakRSA(t, 1024)}, []string{"jwks.keys[0]"}},
		"RG-06, J42 RSA 2047":                    {[][]byte{weakRSA(t, 2047)}, []string{"jwks.keys[0]"}},
		"RG-06 EC P-192":                         {[][]byte{[]byte(p192)}, []string{"jwks.keys[0]"}},
		"RG-06 EC P-521":                         {[][]byte{p521(t)}, []string{"jwks.keys[0]"}},
		"RG-06 for encryption":                   {[][]byte{[]byte(strings.Replace(string(good), `"sig"`, `"enc"`, 1))}, []string{"jwks.keys[0]"}},
		"RG-06 algorithm of another kind":        {[][]byte{[]byte(strings.Replace(string(good), "ES256", "PS256", 1))}, []string{"jwks.keys[0]"}},
		"RG-06 algorithm HS256":                  {[][]byte{[]byte(strings.Replace(string(good), "ES256", "HS256", 1))}, []string{"jwks.keys[0]"}},
		"RG-06 a kid of 257 bytes":               {[][]byte{publicJWK(named(newKey("ES256"), strings.Repeat("k", 257)))}, []string{"jwks.keys[0]"}},
		"RG-06 a kid with an escape":             {[][]byte{publicJWK(named(newKey("ES256"), "a\x1b[31m"))}, []string{"jwks.keys[0]"}},
		"RG-06 no key":                           {nil, []string{"jwks"}},
		"RG-06 null":                             {[][]byte{[]byte("null")}, []string{"jwks.keys[0]"}},
		"RG-06 a set in a set":                   {[][]byte{set(good)}, []string{"jwks.keys[0]"}},
		"RG-06 a member twice":                   {[][]byte{with(string(good), `"kid":"b"`)}, []string{"jwks"}},
	} {
		t.Run(row, func(t *testing.T) {
			refusal := b.refuses(t, withKeys(test.keys...))
			if got := fields(t, refusal); !slices.Equal(got, test.fields) {
				t.Errorf("problems with %v, want %v", got, test.fields)
			}
			if _, err := b.Client(t.Context(), System("test"), "billing"); err == nil {
				t.Error("the client is there")
			}
		})
	}
	t.Run("RG-06 jwks and jwks_uri", func(t *testing.T) {
		metadata := withKeys(good)
		metadata.JWKSURI = "https://keys.example.com/jwks"
		if got := fields(t, b.refuses(t, metadata)); !slices.Equal(got, []string{"jwks_uri"}) {
			t.Errorf("problems with %v", got)
		}
	})
	t.Run("RG-06 nothing of a private key is repeated", func(t *testing.T) {
		key := private("ES256")
		_, d, _ := strings.Cut(key, `"d":"`)
		d, _, _ = strings.Cut(d, `"`)
		if text := b.refuses(t, withKeys([]byte(key))).Error(); d == "" || strings.Contains(text, d) || !strings.Contains(text, "make a new key") {
			t.Errorf("got %s", text)
		}
	})
	for _, text := range []string{`[]`, `"x"`, `{}`, `{"keys":null}`, `{"keys":{}}`, `{"keys":[]} `, `{"keys":[`, `{"KEYS":[]}`} {
		metadata := oauth.ClientMetadata{ClientName: "billing", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: []byte(text)}
		if got := fields(t, b.refuses(t, metadata)); !slices.Equal(got, []string{"jwks"}) {
			t.Errorf("%s: problems with %v", text, got)
		}
	}
}

func zeros(n int) string { return base64.RawURLEncoding.EncodeToString(make([]byte, n)) }

// weakRSA returns an RSA key as a JWK.
func weakRSA(t *testing.T, bits int) []byte {
	t.Helper()
	n := new(big.Int).SetBit(new(big.Int), bits-1, 1)
	n.SetBit(n, 0, 1) // only its size is looked at
	return publicJWK(jose.Key{Public: &rsa.PublicKey{N: n, E: 65537}})
}

func p521(t *testing.T) []byte {
	t.Helper()
	pair, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return publicJWK(jose.Key{Public: pair.Public()})
}

// TestMembersOfOtherMethods: what the method has no use for is a mistake, or an attempt.
func TestMembersOfOtherMethods(t *testing.T) {
	b := withOrders(t)
	keys, uri, name := set(publicJWK(newKey("ES256"))), "https://keys.example.com/jwks", "billing.example.com"
	for name, test := range map[string]struct {
		metadata oauth.ClientMetadata
		field    string
	}{
		"key method without keys":          {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT}, "jwks"},
		"self-signed without keys":         {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.SelfSignedTLSClientAuth}, "jwks"},
		"jwks null":                        {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: []byte("null")}, "jwks"},
		"jwks of a secret":                 {oauth.ClientMetadata{JWKS: keys}, "jwks"},
		"jwks_uri of a secret":             {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.ClientSecretPost, JWKSURI: uri}, "jwks_uri"},
		"jwks of tls_client_auth":          {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.TLSClientAuth, JWKS: keys, TLSClientAuthSANDNS: name}, "jwks"},
		"algorithm of a secret":            {oauth.ClientMetadata{TokenEndpointAuthSigningAlg: "ES256"}, "token_endpoint_auth_signing_alg"},
		"algorithm of a certificate":       {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.SelfSignedTLSClientAuth, JWKSURI: uri, TokenEndpointAuthSigningAlg: "ES256"}, "token_endpoint_auth_signing_alg"},
		"algorithm none":                   {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKSURI: uri, TokenEndpointAuthSigningAlg: "none"}, "token_endpoint_auth_signing_alg"},
		"algorithm HS256":                  {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: keys, TokenEndpointAuthSigningAlg: "HS256"}, "token_endpoint_auth_signing_alg"},
		"algorithm of no key":              {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKS: keys, TokenEndpointAuthSigningAlg: "PS256"}, "jwks"},
		"subject of a secret":              {oauth.ClientMetadata{TLSClientAuthSANDNS: name}, "tls_client_auth_san_dns"},
		"subject of private_key_jwt":       {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKSURI: uri, TLSClientAuthSANDNS: name}, "tls_client_auth_san_dns"},
		"subject of a self-signed one":     {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.SelfSignedTLSClientAuth, JWKSURI: uri, TLSClientAuthSubjectDN: "CN=a"}, "tls_client_auth_subject_dn"},
		"keys without certificates":        {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.SelfSignedTLSClientAuth, JWKS: keys}, "jwks.keys[0]"},
		"keys with an expired certificate": {oauth.ClientMetadata{TokenEndpointAuthMethod: oauth.SelfSignedTLSClientAuth, JWKS: set(publicJWK(certified(t, "", noon.Add(-time.Second))))}, "jwks.keys[0]"},
		"client_secret_jwt":                {oauth.ClientMetadata{TokenEndpointAuthMethod: "client_secret_jwt"}, "token_endpoint_auth_method"},
	} {
		t.Run(name, func(t *testing.T) {
			test.metadata.ClientName = "billing"
			if got := fields(t, b.refuses(t, test.metadata)); !slices.Equal(got, []string{test.field}) {
				t.Errorf("problems with %v, want %s", got, test.field)
			}
		})
	}
	for name, good := range map[string]oauth.ClientMetadata{
		"secret, bound both ways": {TLSClientCertificateBoundAccessTokens: true, DPoPBoundAccessTokens: true},
		"jwks_uri":                {TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKSURI: uri, TokenEndpointAuthSigningAlg: "PS256"},
		"self-signed by jwks_uri": {TokenEndpointAuthMethod: oauth.SelfSignedTLSClientAuth, JWKSURI: uri},
		"self-signed":             {TokenEndpointAuthMethod: oauth.SelfSignedTLSClientAuth, JWKS: set(publicJWK(certified(t, "k", noon.Add(time.Hour))))},
	} {
		t.Run(name, func(t *testing.T) {
			good.ClientName = "c-" + randomText(8)
			made := b.client(good)
			if secret := usesSecrets(made.TokenEndpointAuthMethod); secret != (made.Secret != "") {
				t.Errorf("has a secret: %v, want %v", !secret, secret)
			}
			want := withDefaults(good)
			want.JWKS, made.JWKS = nil, nil // compared elsewhere
			if diff := cmp.Diff(want, made.ClientMetadata); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestKeyAlgorithms: a key that names no algorithm gets the client's, or its kind's; one with another cannot be used.
func TestKeyAlgorithms(t *testing.T) {
	b := withOrders(t)
	rsa := newPair("RS256").Public()
	for name, test := range map[string]struct {
		key  jose.Key
		only string
		want string
	}{
		"RSA by itself":         {jose.Key{Public: rsa}, "", "PS256"},
		"RSA as the client has": {jose.Key{Public: rsa}, "RS256", "RS256"},
		"Ed25519 by itself":     {jose.Key{Public: newKey("EdDSA").Public}, "", "EdDSA"},
		"Ed25519 by its names":  {newKey("Ed25519"), "EdDSA", "Ed25519"},
	} {
		metadata := withKeys(publicJWK(test.key))
		metadata.ClientName, metadata.TokenEndpointAuthSigningAlg = "c-"+randomText(8), test.only
		if made := b.client(metadata); made.Keys[0].Algorithm != test.want {
			t.Errorf("%s: got %s, want %s", name, made.Keys[0].Algorithm, test.want)
		}
	}
}

// TestJWKSURI: where a client's keys may be (publicuri has the whole list).
func TestJWKSURI(t *testing.T) {
	b := withOrders(t)
	for row, uris := range map[string][]string{
		"RG-13": {
			"http://keys.example.com/", "https://user:pw@keys.example.com/", "https://keys.example.com:22/", "gopher://keys.example.com/",
			"file:///etc/passwd", "https://keys.example.com/#a", "https://keys.example.com/a b", "https://keys.example.com/ä", "//keys.example.com/",
		},
		"RG-14": {
			"https://127.0.0.1/", "https://localhost/", "https://a.localhost/", "https://[::1]/", "https://0.0.0.0/", "https://169.254.169.254/",
			"https://10.0.0.1/", "https://metadata.google.internal/computeMetadata",
		},
		"RG-15": {
			"https://[::ffff:127.0.0.1]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[64:ff9b:1::7f00:1]/",
			"https://[2002:7f00:1::]/", "https://[fe80::1%25lo]/", "https://100.64.0.1/", "https://198.18.0.1/", "https://192.0.0.192/", "https://240.0.0.1/",
		},
		"RG-16": {
			"https://2130706433/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.1/", "https://keys.example.com./", "https://kеys.example.com/",
		},
	} {
		for _, uri := range uris {
			t.Run(row+" "+uri, func(t *testing.T) {
				metadata := oauth.ClientMetadata{ClientName: "billing", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKSURI: uri}
				if got := fields(t, b.refuses(t, metadata)); !slices.Equal(got, []string{"jwks_uri"}) {
					t.Errorf("problems with %v", got)
				}
			})
		}
	}
	made := b.client(oauth.ClientMetadata{ClientName: "billing", TokenEndpointAuthMethod: oauth.PrivateKeyJWT, JWKSURI: "https://keys.example.com:8443/jwks"})
	if record := b.record(made.ID); record.JWKSURI != "https://keys.example.com:8443/jwks" || record.Keys != nil {
		t.Errorf("stored %+v", record)
	}
	_, err := b.AddClientKey(t.Context(), System("test"), "billing", publicJWK(newKey("ES256")), KeySettings{})
	wantCode(t, err, Conflict)
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
