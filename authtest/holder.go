package authtest

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/pop"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// A Holder is what a client holds that its tokens can be bound to: a DPoP key and a certificate. A test of an API has one
// for the client, and another for the thief that its token is no good to. Safe for concurrent use; what cannot be done
// fails the test.
type Holder struct {
	t           testing.TB
	signer      *jose.Signer
	certificate tls.Certificate
}

// NewHolder makes a key and a certificate. The certificate is self-signed and good for TLS clients, for a day: an API that
// serves certificate-bound tokens asks for a certificate and checks no chain (tls.RequestClientCert).
func NewHolder(t testing.TB) *Holder {
	t.Helper()
	h := &Holder{t: t}
	key, err := jose.GenerateKey(jose.ES256)
	h.must(err)
	h.signer, err = jose.NewSigner(key, jose.ES256, "holder")
	h.must(err)
	h.certificate, err = newCertificate()
	h.must(err)
	return h
}

func newCertificate() (tls.Certificate, error) {
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "authtest client"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: crypto.PrivateKey(key), Leaf: leaf}, err
}

// Certificate returns the certificate with its key, for the TLS configuration of a client.
func (h *Holder) Certificate() tls.Certificate { return h.certificate }

// Thumbprint returns the thumbprint of the DPoP key: "jkt", which resource.Binding calls Key.
func (h *Holder) Thumbprint() string {
	h.t.Helper()
	thumbprint, err := jose.Thumbprint(h.signer.Key().Public)
	h.must(err)
	return thumbprint
}

// Proof returns a DPoP proof for one request with a token, made now. nonce is what the API last asked for, or "".
func (h *Holder) Proof(method, url, token, nonce string) string {
	h.t.Helper()
	proof, err := pop.NewProof(h.signer, pop.Request{Method: method, URL: url, AccessToken: token, Now: time.Now()}, nonce)
	h.must(err)
	return proof
}

// Authorize puts a DPoP-bound token into a request, with a fresh proof for its method and URL, which must be the URL that
// the API expects (resource.Config.ExternalURL): whoever sends the request again replays the proof.
func (h *Holder) Authorize(r *http.Request, token string) {
	h.t.Helper()
	r.Header.Set("Authorization", oauth.DPoP+" "+token)
	r.Header.Set("DPoP", h.Proof(r.Method, r.URL.String(), token, ""))
}

// DPoPToken is Token, bound to the key of a holder: good only together with its proofs.
func (s *Server) DPoPToken(holder *Holder, resource string, scopes ...string) string {
	s.t.Helper()
	return s.bound(s.clientOf(resource), holder, true, resource, scopes)
}

// CertificateToken is Token, bound to the certificate of a holder: good only over connections that show it.
func (s *Server) CertificateToken(holder *Holder, resource string, scopes ...string) string {
	s.t.Helper()
	return s.bound(s.certificateClient(resource), holder, false, resource, scopes)
}

// DoublyBoundToken is Token, bound to both the key and the certificate of a holder.
func (s *Server) DoublyBoundToken(holder *Holder, resource string, scopes ...string) string {
	s.t.Helper()
	return s.bound(s.certificateClient(resource), holder, true, resource, scopes)
}

// certificateClient returns a client that may have everything of a resource, in tokens that are bound to its certificate.
func (s *Server) certificateClient(resource string) Client {
	s.t.Helper()
	grant := store.Grant{Resource: resource, Scopes: s.scopesOf(resource)}
	return s.newClient(store.Client{CertificateBound: true, Grants: []store.Grant{grant}})
}

func (s *Server) bound(client Client, holder *Holder, proof bool, resource string, scopes []string) string {
	s.t.Helper()
	endpoint := s.Issuer() + "/token"
	request := &authority.Request{
		Form: s.formFor(resource, scopes), Authorization: []string{basicHeader(client)}, URL: endpoint,
		Certificates: []*x509.Certificate{holder.certificate.Leaf},
	}
	if proof {
		request.DPoP = []string{holder.Proof(http.MethodPost, endpoint, "", "")}
	}
	response, err := s.authority.Token(context.Background(), request)
	s.must(err)
	return response.AccessToken
}

func (h *Holder) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(fmt.Errorf("authtest: %w", err))
	}
}
