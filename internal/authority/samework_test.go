package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// The key pairs of these tests, by a name that begins with their algorithm.
var pairs = sync.OnceValue(func() map[string]crypto.Signer {
	all := map[string]crypto.Signer{}
	for _, name := range []string{"ES256 a", "ES256 b", "ES256 c", "ES256 x", "ES384 a", "Ed25519 a", "Ed25519 x", "PS256 a", "PS256 x"} {
		key, err := jose.GenerateKey(strings.Fields(name)[0])
		if err != nil {
			panic(err)
		}
		all[name] = key
	}
	return all
})

// keyed makes a client of private_key_jwt with the keys that are named; the key ID is the name.
func keyed(t testing.TB, id string, names ...string) store.Client {
	t.Helper()
	c := store.Client{ID: id, Name: id, AuthMethod: oauth.PrivateKeyJWT, GrantTypes: []string{oauth.ClientCredentials}}
	c.Grants = []store.Grant{{Resource: "https://a.test", Scopes: []string{"read"}}}
	for _, name := range names {
		public, err := x509.MarshalPKIXPublicKey(pairs()[name].Public())
		must(t, err)
		c.Keys = append(c.Keys, store.ClientKey{ID: name, Algorithm: strings.Fields(name)[0], Public: public})
	}
	return c
}

// asserting is a token request with an assertion that is good but, maybe, for its key.
func asserting(t testing.TB, client, key, keyID string) *Request {
	t.Helper()
	algorithm := strings.Fields(key)[0]
	if algorithm == jose.Ed25519 {
		algorithm = jose.EdDSA // go-jose does not know the newer name
	}
	signer, err := gojose.NewSigner(gojose.SigningKey{
		Algorithm: gojose.SignatureAlgorithm(algorithm), Key: gojose.JSONWebKey{Key: pairs()[key], KeyID: keyID},
	}, nil)
	must(t, err)
	payload, err := json.Marshal(map[string]any{
		"iss": client, "sub": client, "aud": "https://as.example", "exp": start.Unix() + 60, "jti": rand.Text(),
	})
	must(t, err)
	signed, err := signer.Sign(payload)
	must(t, err)
	compact, err := signed.CompactSerialize()
	must(t, err)
	return &Request{Remote: "192.0.2.1:1", Form: formOf(url.Values{
		"grant_type": {oauth.ClientCredentials}, "scope": {"read"},
		"client_assertion_type": {oauth.AssertionTypeJWT}, "client_assertion": {compact},
	})}
}

// counted has the verifications of signatures written down, by the kind and size of the key.
func counted(a *Authority) *[]string {
	var verified []string
	a.verifySignature = func(token *jose.Token, key jose.Key) error {
		size := 0
		switch public := key.Public.(type) {
		case *rsa.PublicKey:
			size = public.Size()
		case *ecdsa.PublicKey:
			size = public.Params().BitSize
		case ed25519.PublicKey:
			size = len(public)
		}
		verified = append(verified, fmt.Sprintf("%T %d", key.Public, size))
		return token.Verify(key)
	}
	return &verified
}

// refused sends a request that must be refused for a reason, and checks what the store was asked.
func refused(t *testing.T, a *Authority, s *trace, r *Request, why reason) {
	t.Helper()
	s.asked = nil
	_, err := a.Token(t.Context(), r)
	if !errors.Is(err, oauth.InvalidClient) || reasonOf(err) != string(why) {
		t.Fatalf("got %v, want invalid_client for %s", err, why)
	}
	var refusal *oauth.Error
	if errors.As(err, &refusal); refusal.Description != errInvalidClient.Description {
		t.Errorf("description: got %q, want %q", refusal.Description, errInvalidClient.Description)
	}
	slices.Sort(s.asked)
	if want := []string{"a client", "no client"}; !slices.Equal(s.asked, want) {
		t.Errorf("the store was asked for %q, want %q", s.asked, want)
	}
}

// TestCA26SameWorkForAssertions: a refusal verifies as many signatures, with keys of the same size, whoever is named. What
// it verifies follows from the assertion alone: one key if it names one, else four.
func TestCA26SameWorkForAssertions(t *testing.T) {
	a, s := traced(t)
	suspended := keyed(t, "off", "ES256 a", "PS256 a", "Ed25519 a")
	suspended.Suspended = true
	former := keyed(t, "former", "ES256 a")
	former.AuthMethod, former.FormerMethod, former.FormerUntil = oauth.ClientSecretBasic, oauth.PrivateKeyJWT, start
	remote := keyed(t, "remote")
	remote.JWKSURI = "https://client.example/keys"
	for _, c := range []store.Client{
		keyed(t, "one", "ES256 a", "PS256 a", "Ed25519 a"), keyed(t, "three", "ES256 a", "ES256 b", "ES256 c", "ES384 a"),
		keyed(t, "none"), suspended, former, remote,
	} {
		must(t, s.Store.Clients().Insert(t.Context(), c))
	}
	verified := counted(a)
	sizes := map[string]string{"ES256": "*ecdsa.PublicKey 256", "PS256": "*rsa.PublicKey 256", "Ed25519": "ed25519.PublicKey 32"}

	for _, algorithm := range []string{"ES256", "PS256", "Ed25519"} {
		right, wrong := algorithm+" a", algorithm+" x"
		for _, test := range []struct {
			name, client, key, keyID string
			why                      reason
			times                    int
		}{
			{"unknown client", "stranger", wrong, right, reasonUnknownClient, 2},
			{"wrong key", "one", wrong, right, reasonWrongSignature, 2},
			{"unknown key", "one", wrong, "k9", reasonUnknownKey, 2},
			{"no keys", "none", wrong, right, reasonUnknownKey, 2},
			{"keys that cannot be read", "remote", wrong, right, reasonNoKeys, 2},
			{"another method", "known", wrong, right, reasonWrongMethod, 2},
			{"a method of the past", "former", "ES256 a", "ES256 a", reasonWrongMethod, 2},
			{"suspended", "off", right, right, reasonClientSuspended, 2},
			{"suspended and wrong", "off", wrong, right, reasonWrongSignature, 2},
			{"unknown client, no key ID", "stranger", wrong, "", reasonUnknownClient, 8},
			{"wrong key, no key ID", "one", wrong, "", reasonWrongSignature, 8},
			{"no keys, no key ID", "none", wrong, "", reasonWrongSignature, 8},
			{"three keys, no key ID", "three", wrong, "", reasonWrongSignature, 8},
			{"another method, no key ID", "known", wrong, "", reasonWrongMethod, 8},
		} {
			t.Run("CA-26 "+algorithm+" "+test.name, func(t *testing.T) {
				*verified = nil
				refused(t, a, s, asserting(t, test.client, test.key, test.keyID), test.why)
				want := slices.Repeat([]string{sizes[strings.Fields(test.key)[0]]}, test.times)
				if !slices.Equal(*verified, want) {
					t.Errorf("verified with %q, want %q", *verified, want)
				}
			})
		}
	}
}

// TestCA26RSASizes: the length of a signature is the sender's choice and says which keys it could fit; a number above the
// modulus is refused at once by every verifier.
func TestCA26RSASizes(t *testing.T) {
	a, s := traced(t)
	must(t, s.Store.Clients().Insert(t.Context(), keyed(t, "one", "PS256 a")))
	var signature *big.Int
	var verified []string
	a.verifySignature = func(token *jose.Token, key jose.Key) error {
		modulus := key.Public.(*rsa.PublicKey).N
		verified = append(verified, fmt.Sprintf("%d bits, at once: %v", modulus.BitLen(), signature.Cmp(modulus) >= 0))
		return token.Verify(key)
	}
	for _, bytes := range []int{1, 255, 256, 300, 512, 513, 2048} {
		for _, first := range []byte{0x01, 0xfe, 0xff} {
			digits := slices.Repeat([]byte{first}, bytes)
			signature = new(big.Int).SetBytes(digits)
			var got [][]string
			for _, client := range []string{"one", "stranger"} {
				r := asserting(t, client, "PS256 x", "PS256 a")
				compact := r.Form.Get("client_assertion")
				r.Form.set("client_assertion", compact[:strings.LastIndexByte(compact, '.')+1]+base64.RawURLEncoding.EncodeToString(digits))
				verified = nil
				if _, err := a.Token(t.Context(), r); !errors.Is(err, oauth.InvalidClient) {
					t.Fatalf("got %v", err)
				}
				got = append(got, verified)
			}
			if !slices.Equal(got[0], got[1]) {
				t.Errorf("CA-26 %d bytes of %x: a client is verified with %q, a stranger with %q", bytes, first, got[0], got[1])
			}
		}
	}
}

// TestCA26SameWorkForCertificates: both methods of certificates are tried for whoever is named, and every chain is verified.
func TestCA26SameWorkForCertificates(t *testing.T) {
	a, s := traced(t)
	ca, caKey := authorityOf(t)
	right, other := clientCertificate(t, "right.test", ca, caKey), clientCertificate(t, "other.test", ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	asked := 0
	trust := &Trust{Roots: pool}
	a.trust = func() *Trust { asked++; return trust }
	self := keyed(t, "self")
	self.AuthMethod, self.Keys = oauth.SelfSignedTLSClientAuth, []store.ClientKey{{ID: "c", Certificate: right.Raw}}
	named := keyed(t, "named")
	named.AuthMethod, named.CertificateRule, named.CertificateValue = oauth.TLSClientAuth, pop.RuleSANDNS, "right.test"
	off := named
	off.ID, off.Name, off.Suspended = "off", "off", true
	for _, c := range []store.Client{self, named, off} {
		must(t, s.Store.Clients().Insert(t.Context(), c))
	}
	for _, test := range []struct {
		client string
		shown  *x509.Certificate
		why    reason
	}{
		{"stranger", right, reasonUnknownClient},
		{"named", other, reasonOtherCertificate},
		{"self", other, reasonOtherCertificate},
		{"known", right, reasonWrongMethod},
		{"off", right, reasonClientSuspended},
	} {
		t.Run("CA-26 "+test.client, func(t *testing.T) {
			asked = 0
			refused(t, a, s, showing(test.client, test.shown), test.why)
			if asked != 1 {
				t.Errorf("the chain was verified %d times, want once", asked)
			}
		})
	}
	for _, client := range []string{"named", "self"} {
		if _, err := a.Token(t.Context(), showing(client, right)); err != nil {
			t.Errorf("%s: %v", client, err)
		}
	}
}

// showing is a token request over a connection with a certificate.
func showing(client string, chain ...*x509.Certificate) *Request {
	return &Request{Remote: "192.0.2.1:1", Certificates: chain, Form: formOf(url.Values{
		"grant_type": {oauth.ClientCredentials}, "scope": {"read"}, "client_id": {client},
	})}
}

// authorityOf returns a certificate authority of these tests.
func authorityOf(t testing.TB) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key := pairs()["ES256 x"]
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return issue(t, template, template, key, key), key
}

func clientCertificate(t testing.TB, name string, ca *x509.Certificate, by crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: start.Add(-time.Hour), NotAfter: start.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	return issue(t, template, ca, pairs()["ES256 a"], by)
}

func issue(t testing.TB, template, ca *x509.Certificate, key, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), by)
	must(t, err)
	certificate, err := x509.ParseCertificate(der)
	must(t, err)
	return certificate
}
