package endpoint_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/endpoint"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// aliasURL is what the URLs of the listener that asks for certificates begin with.
const aliasURL = "https://mtls.as.example"

// withAlias tells a server of that listener.
func withAlias(o *authority.Options) { o.MTLS = aliasURL }

// selfSigned returns a certificate that anybody could have made.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// alias returns the server's listener for certificates, at which every connection shows this one, or none.
func (s *server) alias(t *testing.T, shown ...tls.Certificate) *server {
	t.Helper()
	there := *s
	there.http = httptest.NewServer(endpoint.New(s.authority, endpoint.Options{
		Base: aliasURL,
		Certificates: func(*http.Request) ([]*x509.Certificate, error) {
			var chain []*x509.Certificate
			for _, certificate := range shown {
				chain = append(chain, certificate.Leaf)
			}
			return chain, nil
		},
	}))
	t.Cleanup(there.http.Close)
	return &there
}

func TestBoundToACertificate(t *testing.T) {
	s := newProvingServer(t, withAlias)
	s.enrol(t, "c-bound", func(c *store.Client) { c.CertificateBound = true })
	certificate := selfSigned(t)
	thumbprint := pop.CertificateThumbprint(certificate.Leaf)
	there := s.alias(t, certificate)
	t.Run("M14 the token has the thumbprint and is of type Bearer", func(t *testing.T) {
		got := there.prove(t, "c-bound", nil)
		matches(t, got.body, `{"token_type":"Bearer"}`, false)
		matches(t, claims(t, got.body), `{"cnf":{"x5t#S256":"`+thumbprint+`"}}`, false)
		t.Run("I10, I14 and introspection tells", func(t *testing.T) {
			var issued oauth.TokenResponse
			must(t, json.Unmarshal([]byte(got.body), &issued))
			heard := s.post(t, "/introspect", "rs-a", "token="+issued.AccessToken)
			matches(t, heard.body, `{"active":true,"token_type":"Bearer","cnf":{"x5t#S256":"`+thumbprint+`"}}`, false)
		})
	})
	t.Run("M11 no certificate", func(t *testing.T) {
		s.prove(t, "c-bound", nil, "invalid_request", "no_certificate")
		s.alias(t).prove(t, "c-bound", nil, "invalid_request", "no_certificate")
		there.prove(t, "c-bound", nil)
	})
	t.Run("M11 a proof does not stand in for it", func(t *testing.T) {
		proof := s.draft(t).sign(t)
		s.prove(t, "c-bound", []string{proof}, "invalid_request", "no_certificate")
		s.prove(t, "c-basic", []string{proof}) // nor is it used up
	})
	t.Run("M14 another certificate is another thumbprint", func(t *testing.T) {
		if said := claims(t, s.alias(t, selfSigned(t)).prove(t, "c-bound", nil).body); strings.Contains(said, thumbprint) {
			t.Errorf("got %s", said)
		}
	})
	t.Run("M14 the thumbprint is the leaf's", func(t *testing.T) {
		chain := s.alias(t, certificate, selfSigned(t))
		matches(t, claims(t, chain.prove(t, "c-bound", nil).body), `{"cnf":{"x5t#S256":"`+thumbprint+`"}}`, false)
	})
	t.Run("M14 a certificate that happens to be there binds nothing", func(t *testing.T) {
		if said := claims(t, there.prove(t, "c-basic", nil).body); strings.Contains(said, "cnf") {
			t.Errorf("got %s", said)
		}
	})
}

// TestM11WithAnAssertion: whoever has proved its key is told what else is missing.
func TestM11WithAnAssertion(t *testing.T) {
	s := newKeyServer(t, withAlias, func(o *authority.Options) { o.Profile = authority.FAPI2 })
	update(t, s.store, "c-jwt", func(c *store.Client) { c.CertificateBound = true })
	s.poll(t)
	form := func() url.Values { return authenticated(ask(), s.good("c-jwt", keyOne(), jose.ES256, "k1").compact(t)) }
	t.Run("M11 private_key_jwt, certificate-bound, and no certificate", func(t *testing.T) {
		s.exchange(t, "/token", form(), http.StatusBadRequest, "no_certificate c-jwt")
		s.alias(t, selfSigned(t)).exchange(t, "/token", form(), http.StatusOK, "")
	})
	t.Run("M11 private_key_jwt of a client that is registered for no binding, in profile fapi2", func(t *testing.T) {
		other := authenticated(ask(), s.good("c-other", keyTwo(), jose.ES256, "k2").compact(t))
		s.alias(t, selfSigned(t)).exchange(t, "/token", other, http.StatusBadRequest, "not_sender_constrained c-other")
	})
}

func TestBoundToBoth(t *testing.T) {
	s := newServer(t, withAlias)
	s.enrol(t, "c-both", func(c *store.Client) { c.CertificateBound, c.DPoPBound = true, true })
	certificate := selfSigned(t)
	there := s.alias(t, certificate)
	t.Run("D16 both are in cnf", func(t *testing.T) {
		d := s.draft(t).claim("htu", aliasURL+"/token")
		got := there.prove(t, "c-both", []string{d.sign(t)})
		matches(t, claims(t, got.body), `{"cnf":{"jkt":"`+d.thumbprint(t)+`","x5t#S256":"`+pop.CertificateThumbprint(certificate.Leaf)+`"}}`, false)
	})
	t.Run("D16 one of them is none", func(t *testing.T) {
		there.prove(t, "c-both", nil, "invalid_request", "no_proof")
		s.prove(t, "c-both", []string{s.draft(t).sign(t)}, "invalid_request", "no_certificate")
	})
}

func TestSenderConstrainedByACertificate(t *testing.T) {
	s := newServer(t, withAlias, func(o *authority.Options) { o.Profile.SenderConstrained = true })
	s.enrol(t, "c-bound", func(c *store.Client) { c.CertificateBound = true })
	there := s.alias(t, selfSigned(t))
	there.prove(t, "c-bound", nil)
	there.prove(t, "c-basic", nil, "invalid_request", "not_sender_constrained")
	d := s.draft(t).claim("htu", aliasURL+"/token")
	matches(t, claims(t, there.prove(t, "c-basic", []string{d.sign(t)}).body), `{"cnf":{"jkt":"`+d.thumbprint(t)+`"}}`, false)
}

func TestAlias(t *testing.T) {
	s := newProvingServer(t, withAlias)
	there := s.alias(t)
	t.Run("D20 a proof is for the host that was called", func(t *testing.T) {
		alias := func() *draft { return s.draft(t).claim("htu", aliasURL+"/token") }
		there.prove(t, proving, []string{alias().sign(t)})
		there.prove(t, proving, []string{s.draft(t).sign(t)}, badProof, "wrong_proof_url")
		s.prove(t, proving, []string{alias().sign(t)}, badProof, "wrong_proof_url")
		s.prove(t, proving, []string{s.draft(t).sign(t)})
	})
	t.Run("D12 a proof that was used at one is no use at the other", func(t *testing.T) {
		d := s.draft(t)
		s.prove(t, proving, []string{d.sign(t)})
		there.prove(t, proving, []string{d.claim("htu", aliasURL+"/token").sign(t)}, badProof, "replayed_proof")
	})
	t.Run("M15 without such a listener the metadata has none", func(t *testing.T) {
		document := newServer(t).get(t, "/.well-known/oauth-authorization-server").body
		if strings.Contains(document, "mtls_endpoint_aliases") || strings.Contains(document, "tls_client_certificate_bound") {
			t.Errorf("got %s", document)
		}
	})
	t.Run("M15 an issuer with a path", func(t *testing.T) {
		tenant := newServer(t, func(o *authority.Options) { o.Issuer, o.MTLS = "https://as.example/t1", aliasURL+"/t1" })
		there := *tenant
		there.http = httptest.NewServer(endpoint.New(tenant.authority, endpoint.Options{Base: aliasURL + "/t1"}))
		defer there.http.Close()
		there.tell(t, step{
			method: http.MethodPost, target: "/t1/token", body: "grant_type=client_credentials&scope=read", status: http.StatusOK,
			headers: []string{
				"Content-Type: application/x-www-form-urlencoded", "Authorization: " + basic("c-basic", secretOf("c-basic")),
				"DPoP: " + s.draft(t).claim("htu", aliasURL+"/t1/token").sign(t),
			},
			want: []string{"event token.issued"},
		})
	})
}

// TestAliasesWork follows the metadata as a client does, over TLS with a certificate of its own (RFC 8705, 5).
func TestAliasesWork(t *testing.T) {
	mux := http.NewServeMux()
	listener := httptest.NewUnstartedServer(mux)
	listener.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true}
	listener.StartTLS()
	defer listener.Close()
	s := newProvingServer(t, func(o *authority.Options) { o.MTLS = listener.URL })
	s.enrol(t, "c-bound", func(c *store.Client) { c.CertificateBound = true })
	mux.Handle("/", endpoint.New(s.authority, endpoint.Options{
		Base:         listener.URL,
		Certificates: func(r *http.Request) ([]*x509.Certificate, error) { return r.TLS.PeerCertificates, nil },
	}))
	var document oauth.Metadata
	must(t, json.Unmarshal([]byte(s.get(t, "/.well-known/oauth-authorization-server").body), &document))
	if !document.TLSClientCertificateBoundAccessTokens || document.MTLSEndpointAliases == nil {
		t.Fatalf("M15: got %+v", document)
	}
	certificate := selfSigned(t)
	transport := listener.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.Certificates = []tls.Certificate{certificate}
	defer transport.CloseIdleConnections()
	post := func(t *testing.T, url, client, body string) string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		must(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Authorization", basic(client, secretOf(client)))
		response, err := transport.RoundTrip(request)
		must(t, err)
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		must(t, err)
		if response.StatusCode != http.StatusOK {
			t.Fatalf("%s: got %d %s", url, response.StatusCode, answer)
		}
		return string(answer)
	}
	aliases := document.MTLSEndpointAliases
	t.Run("M14, M15 token, introspection and revocation", func(t *testing.T) {
		answer := post(t, aliases.TokenEndpoint, "c-bound", "grant_type=client_credentials&scope=read&resource="+resourceA)
		matches(t, claims(t, answer), `{"cnf":{"x5t#S256":"`+pop.CertificateThumbprint(certificate.Leaf)+`"}}`, false)
		var issued oauth.TokenResponse
		must(t, json.Unmarshal([]byte(answer), &issued))
		matches(t, post(t, aliases.IntrospectionEndpoint, "rs-a", "token="+issued.AccessToken), `{"active":true}`, false)
		post(t, aliases.RevocationEndpoint, "c-bound", "token="+issued.AccessToken)
		matches(t, post(t, aliases.IntrospectionEndpoint, "rs-a", "token="+issued.AccessToken), `{"active":false}`, true)
	})
}
