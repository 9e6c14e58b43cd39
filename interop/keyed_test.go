package interop_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/server"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// A keyed fixture is the whole server, on TLS, with clients that have keys and certificates instead of secrets, and an API
// that our resource library protects. Scripts get it as JSON.
type keyed struct {
	Issuer      string              `json:"issuer"`
	Resource    string              `json:"resource"`      // where the API is, and its identifier
	CA          string              `json:"ca"`            // file with the certificate of who vouches for all servers
	Assertion   map[string]keyParty `json:"assertion"`     // private_key_jwt, by algorithm
	DPoP        keyParty            `json:"dpop"`          // private_key_jwt; its tokens are bound to a DPoP key
	Certificate keyParty            `json:"certificate"`   // tls_client_auth; its tokens are bound to the certificate
	SelfSigned  keyParty            `json:"self_signed"`   // self_signed_tls_client_auth; its tokens are bound to the certificate
	CertAndDPoP keyParty            `json:"cert_and_dpop"` // tls_client_auth; its tokens are bound to a DPoP key
	Caller      keyParty            `json:"caller"`        // the API itself, for introspection; private_key_jwt

	authority *authority
	pairs     map[string]tls.Certificate // by client ID
	server    *server.Server
	admin     *admin.API
}

type keyParty struct {
	ID      string          `json:"id"`
	JWK     json.RawMessage `json:"jwk,omitempty"` // private
	Cert    string          `json:"cert,omitempty"`
	CertKey string          `json:"cert_key,omitempty"`
}

// startKeyed starts the server; change has the last word on its configuration.
func startKeyed(t *testing.T, change func(*server.Config)) *keyed {
	t.Helper()
	k := &keyed{authority: newAuthority(t), Assertion: map[string]keyParty{}, pairs: map[string]tls.Certificate{}}
	k.CA = k.authority.file
	var pair server.TLSFiles
	pair.Certificate, pair.Key = files(t, k.authority.issue("as.test", x509.ExtKeyUsageServerAuth))
	config := server.Default()
	config.Data, config.Log.Level, config.DPoP.RequireNonce = filepath.Join(t.TempDir(), "data"), "error", true
	config.Listen, config.TLS, config.Admin.Listen = "127.0.0.1:0", pair, "127.0.0.1:0"
	config.MTLS.Listen, config.MTLS.TLS, config.MTLS.ClientCA = "127.0.0.1:0", pair, k.authority.file
	if change != nil {
		change(&config)
	}
	k.server = must(server.New(t.Context(), config, server.Options{}))
	k.Issuer = k.server.IssuerURL()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	k.protect(t)
	k.operate(t, config.Data)
	k.register(t)
	return k
}

// http trusts the authority and shows a certificate, if it is given one.
func (k *keyed) http(t *testing.T, shown ...tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: k.authority.pool, Certificates: shown}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: 20 * time.Second, Transport: transport}
}

// protect starts the API, which asks for certificates and for proofs with its own nonces.
func (k *keyed) protect(t *testing.T) {
	t.Helper()
	api := httptest.NewUnstartedServer(nil)
	k.Resource = "https://" + api.Listener.Addr().String() + "/orders"
	verifier := must(resource.NewVerifier(resource.Config{
		Issuer: k.Issuer, Audience: k.Resource, Scopes: scopes, RequireNonce: true, HTTPClient: k.http(t),
	}))
	api.Config.Handler = verifier.Require(scopes[0])(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"orders":[]}`)
	}))
	api.TLS = &tls.Config{
		Certificates: []tls.Certificate{k.authority.issue("api.test", x509.ExtKeyUsageServerAuth)}, ClientAuth: tls.RequestClientCert,
		MinVersion: tls.VersionTLS12,
	}
	api.Config.ErrorLog = log.New(io.Discard, "", 0)
	api.StartTLS()
	t.Cleanup(api.Close)
}

// operate reads the first operator's credential.
func (k *keyed) operate(t *testing.T, data string) {
	t.Helper()
	var operator server.Credential
	if err := json.Unmarshal(read(t, filepath.Join(data, "operator.json")), &operator); err != nil {
		t.Fatal(err)
	}
	address := k.server.AdminURL()
	source := must(client.New(client.Config{
		Issuer: operator.Issuer, ClientID: operator.ClientID, Credential: client.Secret(operator.ClientSecret),
		HTTPClient: k.http(t), Resource: operator.Issuer + admin.Path, AllowHosts: []string{hostOf(t, address)},
	}))
	k.admin = must(admin.New(admin.Config{URL: address, HTTPClient: source.Client()}))
}

func (k *keyed) register(t *testing.T) {
	t.Helper()
	settings := admin.ResourceSettings{URI: k.Resource}
	for _, scope := range scopes {
		settings.Scopes = append(settings.Scopes, admin.Scope{Name: scope})
	}
	if _, err := k.admin.CreateResource(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{jose.ES256, jose.PS256, jose.Ed25519} {
		k.Assertion[algorithm] = k.withKey(t, algorithm, nil)
	}
	k.DPoP = k.withKey(t, jose.ES256, func(m *oauth.ClientMetadata) { m.ClientName, m.DPoPBoundAccessTokens = "dpop", true })
	k.Caller = k.withKey(t, jose.ES256, func(m *oauth.ClientMetadata) {
		m.ClientName, m.Grants, m.ResourceServerFor = "orders-api", nil, []string{k.Resource}
	})
	k.Certificate = k.withCertificate(t, "billing.test", nil)
	k.CertAndDPoP = k.withCertificate(t, "shipping.test", func(m *oauth.ClientMetadata) {
		m.TLSClientCertificateBoundAccessTokens, m.DPoPBoundAccessTokens = false, true
	})
	own := selfSigned("self.test")
	k.SelfSigned = k.add(t, oauth.ClientMetadata{
		ClientName: "self", TokenEndpointAuthMethod: oauth.SelfSignedTLSClientAuth, TLSClientCertificateBoundAccessTokens: true,
		JWKS: must(json.Marshal(map[string]any{"keys": []any{certified(own)}})),
	}, own)
}

// certified is a public key with its certificate, as RFC 8705, 2.2 registers it.
func certified(pair tls.Certificate) map[string]any {
	jwk := gojose.JSONWebKey{Key: must(x509.ParseCertificate(pair.Certificate[0])).PublicKey}
	var members map[string]any
	if err := json.Unmarshal(must(jwk.MarshalJSON()), &members); err != nil {
		panic(err)
	}
	members["x5c"] = []string{base64.StdEncoding.EncodeToString(pair.Certificate[0])}
	return members
}

// withKey registers a client that authenticates with a key of its own.
func (k *keyed) withKey(t *testing.T, algorithm string, change func(*oauth.ClientMetadata)) keyParty {
	t.Helper()
	private := gojose.JSONWebKey{Key: must(jose.GenerateKey(algorithm)), KeyID: "key-1", Algorithm: algorithm}
	public := private.Public()
	public.Use = "sig"
	metadata := oauth.ClientMetadata{
		ClientName: "key-" + algorithm, TokenEndpointAuthMethod: oauth.PrivateKeyJWT,
		JWKS: must(json.Marshal(gojose.JSONWebKeySet{Keys: []gojose.JSONWebKey{public}})),
	}
	return k.adopt(t, metadata, change, func(p *keyParty) { p.JWK = must(private.MarshalJSON()) })
}

// withCertificate registers a client that authenticates with a certificate of the authority for a DNS name.
func (k *keyed) withCertificate(t *testing.T, name string, change func(*oauth.ClientMetadata)) keyParty {
	t.Helper()
	metadata := oauth.ClientMetadata{
		ClientName: name, TokenEndpointAuthMethod: oauth.TLSClientAuth, TLSClientAuthSANDNS: name, TLSClientCertificateBoundAccessTokens: true,
	}
	if change != nil {
		change(&metadata)
	}
	return k.add(t, metadata, k.authority.issue(name, x509.ExtKeyUsageClientAuth))
}

func (k *keyed) add(t *testing.T, metadata oauth.ClientMetadata, pair tls.Certificate) keyParty {
	t.Helper()
	p := k.adopt(t, metadata, nil, func(p *keyParty) {
		p.Cert, p.CertKey = string(pemBlock("CERTIFICATE", pair.Certificate[0])), string(pemKey(pair.PrivateKey))
	})
	k.pairs[p.ID] = pair
	return p
}

func (k *keyed) adopt(t *testing.T, metadata oauth.ClientMetadata, change func(*oauth.ClientMetadata), describe func(*keyParty)) keyParty {
	t.Helper()
	metadata.Grants = []oauth.Grant{{Resource: k.Resource, Scopes: scopes}}
	if change != nil {
		change(&metadata)
	}
	made, err := k.admin.CreateClient(t.Context(), metadata)
	if err != nil {
		t.Fatal(err)
	}
	p := keyParty{ID: made.ID}
	describe(&p)
	return p
}

// environment makes Node.js and Python's requests trust the authority.
func (k *keyed) environment() []string {
	return []string{"NODE_EXTRA_CA_CERTS=" + k.CA, "REQUESTS_CA_BUNDLE=" + k.CA}
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request.URL.Host
}
