package conformance

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/server"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// A suite is a server with profile fapi2 as it stands, a protected resource, and two clients for each variant.
type suite struct {
	authority *authority
	issuer    string
	resource  string // address of the protected resource, and its identifier
	metadata  struct {
		Issuer        string `json:"issuer"`
		TokenEndpoint string `json:"token_endpoint"`
		Aliases       struct {
			TokenEndpoint string `json:"token_endpoint"`
		} `json:"mtls_endpoint_aliases"`
	}
	document map[string]json.RawMessage
	parties  map[variant][]party
	rsaKey   *rsa.PrivateKey
}

var one struct {
	sync.Once
	*suite
	stop func()
}

// TestMain stops the server that the modules share.
func TestMain(m *testing.M) {
	code := m.Run()
	if one.stop != nil {
		one.stop()
	}
	os.Exit(code)
}

func shared(t *testing.T) *suite {
	t.Helper()
	one.Do(func() { one.suite, one.stop = start(t, nil) })
	if one.suite == nil {
		t.Fatal("the server did not start")
	}
	return one.suite
}

// start starts the server of a suite. The function stops it.
func start(t *testing.T, change func(*server.Config)) (s *suite, stop func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "writ-conformance-*") // the first test to come starts it, the last one stops it
	must(t, err)
	s = &suite{authority: newAuthority(t, dir), parties: map[variant][]party{}}
	serverCertificate, serverKey := s.authority.files(t, s.authority.issue(t, "as.test", x509.ExtKeyUsageServerAuth))
	files := server.TLSFiles{Certificate: serverCertificate, Key: serverKey}
	config := server.Default()
	config.Profile = "fapi2"
	config.Data, config.Log.Level = filepath.Join(dir, "data"), "error"
	config.Listen, config.TLS = "127.0.0.1:0", files
	config.Admin.Listen, config.Admin.TLS = "127.0.0.1:0", files
	config.MTLS.Listen, config.MTLS.TLS, config.MTLS.ClientCA = "127.0.0.1:0", files, s.authority.file
	if change != nil {
		change(&config)
	}
	as, err := server.New(t.Context(), config, server.Options{})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- as.Run(ctx) }()
	api := s.protect(t, as.IssuerURL())
	stop = func() {
		api.Close()
		cancel()
		if err := <-ended; err != nil {
			panic(err)
		}
		_ = os.RemoveAll(dir)
	}
	s.issuer = as.IssuerURL()
	s.discover(t)
	s.rsaKey, err = rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	s.register(t, as, config.Data)
	return s, stop
}

// protect starts the protected resource: our library around a handler, on TLS as its documentation asks for.
func (s *suite) protect(t *testing.T, issuer string) *httptest.Server {
	t.Helper()
	api := httptest.NewUnstartedServer(nil)
	s.resource = "https://" + api.Listener.Addr().String() + "/accounts"
	verifier, err := resource.NewVerifier(resource.Config{
		Issuer: issuer, Audience: s.resource, Scopes: []string{"accounts"}, RequireBound: true,
		Algorithms: []string{"PS256", "ES256", "EdDSA", "Ed25519"}, DPoPAlgorithms: []string{"PS256", "ES256", "EdDSA", "Ed25519"},
		HTTPClient: s.http(),
	})
	must(t, err)
	api.Config.Handler = verifier.Require("accounts")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"accounts":[]}`))
	}))
	api.TLS = &tls.Config{
		Certificates: []tls.Certificate{s.authority.issue(t, "api.test", x509.ExtKeyUsageServerAuth)},
		ClientAuth:   tls.RequestClientCert, MinVersion: tls.VersionTLS12, CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
	}
	api.Config.ErrorLog = log.New(io.Discard, "", 0)
	api.StartTLS()
	return api
}

// http trusts the suite's authority.
func (s *suite) http() *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.authority.pool}}}
}

// discover reads the metadata as a stranger does.
func (s *suite) discover(t *testing.T) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.issuer+"/.well-known/oauth-authorization-server", nil)
	must(t, err)
	answer := s.send(request, nil)
	if answer.status != http.StatusOK || !strings.HasPrefix(answer.header.Get("Content-Type"), "application/json") {
		t.Fatalf("metadata: %d %s %v", answer.status, answer.body, answer.err)
	}
	must(t, json.Unmarshal(answer.body, &s.metadata))
	must(t, json.Unmarshal(answer.body, &s.document))
}

// register makes the resource and two clients for each variant, through the admin API with the operator's key.
func (s *suite) register(t *testing.T, as *server.Server, data string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "operator.json"))
	must(t, err)
	var operator server.Credential
	must(t, json.Unmarshal(text, &operator))
	key, err := client.ParsePrivateKey(operator.PrivateKey)
	must(t, err)
	source, err := client.New(client.Config{
		Issuer: operator.Issuer, ClientID: operator.ClientID, Credential: key,
		DPoP: true, HTTPClient: s.http(), Resource: operator.Issuer + admin.Path, AllowHosts: []string{hostOf(t, as.AdminURL())},
	})
	must(t, err)
	caller, err := admin.New(admin.Config{URL: as.AdminURL(), HTTPClient: source.Client()})
	must(t, err)
	_, err = caller.CreateResource(t.Context(), admin.ResourceSettings{URI: s.resource, Scopes: []admin.Scope{{Name: "accounts"}}})
	must(t, err)
	for _, v := range variants {
		for i, algorithm := range []gojose.SignatureAlgorithm{gojose.ES256, gojose.PS256} {
			p := s.party(t, v, fmt.Sprintf("%s-%d", strings.NewReplacer("+", "-", "_", "-").Replace(v.String()), i+1), algorithm)
			made, err := caller.CreateClient(t.Context(), s.describe(t, p))
			must(t, err)
			p.id = made.ID
			s.parties[v] = append(s.parties[v], p)
		}
	}
}

// party makes the keys of a client, whose ID is its name until it is registered.
func (s *suite) party(t *testing.T, v variant, name string, algorithm gojose.SignatureAlgorithm) party {
	t.Helper()
	p := party{variant: v, id: name, algorithm: algorithm, keyID: name + "-key"}
	p.certificate = s.authority.issue(t, name+".client.test", x509.ExtKeyUsageClientAuth)
	var err error
	p.proofKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	if p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); algorithm == gojose.PS256 {
		p.key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	must(t, err)
	return p
}

func (s *suite) describe(t *testing.T, p party) oauth.ClientMetadata {
	t.Helper()
	metadata := oauth.ClientMetadata{
		ClientName: p.id, Grants: []oauth.Grant{{Resource: s.resource, Scopes: []string{"accounts"}}},
		DPoPBoundAccessTokens: p.bind == dpop, TLSClientCertificateBoundAccessTokens: p.bind == mtls,
	}
	if p.auth == mtls {
		metadata.TokenEndpointAuthMethod, metadata.TLSClientAuthSANDNS = oauth.TLSClientAuth, p.id+".client.test"
		return metadata
	}
	keys, err := json.Marshal(gojose.JSONWebKeySet{Keys: []gojose.JSONWebKey{
		{Key: p.key.Public(), KeyID: p.keyID, Algorithm: string(p.algorithm), Use: "sig"},
	}})
	must(t, err)
	metadata.TokenEndpointAuthMethod, metadata.JWKS = oauth.PrivateKeyJWT, keys
	return metadata
}

// signRaw signs a header as it is given with ES256.
func signRaw(t *testing.T, key crypto.Signer, header, body map[string]any) string {
	t.Helper()
	input := strings.TrimSuffix(compact(t, header, body, nil), ".")
	sum := sha256.Sum256([]byte(input))
	r, v, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), sum[:])
	must(t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// bound checks the "cnf" of a token (RFC 8705, 3.1; RFC 9449, 6.1).
func (s *suite) bound(t *testing.T, p party, token string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token is no JWT: %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	var body struct {
		Confirmation map[string]string `json:"cnf"`
	}
	must(t, json.Unmarshal(payload, &body))
	want := map[string]string{"jkt": keyThumbprint(t, p.proofKey.Public())}
	if p.bind == mtls {
		want = map[string]string{"x5t#S256": thumbprint(p.certificate.Certificate[0])}
	}
	if fmt.Sprint(body.Confirmation) != fmt.Sprint(want) {
		t.Errorf("cnf is %v, want %v", body.Confirmation, want)
	}
}
