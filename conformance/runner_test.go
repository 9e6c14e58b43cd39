package conformance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
)

// The runner is the other side: it shares no code with what is tested. Tokens are made with go-jose, HTTP is net/http.

// A variant is how the clients of a test plan authenticate and what their tokens are bound to.
type variant struct{ auth, bind string }

const (
	privateKeyJWT = "private_key_jwt"
	mtls          = "mtls"
	dpop          = "dpop"
)

var variants = []variant{{privateKeyJWT, dpop}, {privateKeyJWT, mtls}, {mtls, dpop}, {mtls, mtls}}

func (v variant) String() string { return v.auth + "+" + v.bind }

// needsCertificate reports whether clients must show a certificate at the token endpoint.
func (v variant) needsCertificate() bool { return v.auth == mtls || v.bind == mtls }

// A party is a client of the runner.
type party struct {
	variant
	id          string
	key         crypto.Signer // signs assertions
	algorithm   gojose.SignatureAlgorithm
	keyID       string
	certificate tls.Certificate
	proofKey    crypto.Signer // ES256
}

type claims map[string]any

// sign makes a compact JWS. A change to nil leaves a member out.
func sign(t *testing.T, key any, algorithm gojose.SignatureAlgorithm, header map[gojose.HeaderKey]any, embed bool, body claims) string {
	t.Helper()
	options := &gojose.SignerOptions{EmbedJWK: embed, ExtraHeaders: header}
	signer, err := gojose.NewSigner(gojose.SigningKey{Algorithm: algorithm, Key: key}, options)
	must(t, err)
	payload, err := json.Marshal(body)
	must(t, err)
	signed, err := signer.Sign(payload)
	must(t, err)
	compact, err := signed.CompactSerialize()
	must(t, err)
	return compact
}

// compact joins a header and a body that a library would not sign.
func compact(t *testing.T, header, body map[string]any, signature []byte) string {
	t.Helper()
	first, err := json.Marshal(header)
	must(t, err)
	second, err := json.Marshal(body)
	must(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	return encode(first) + "." + encode(second) + "." + encode(signature)
}

func changed(body claims, change claims) claims {
	body = maps.Clone(body)
	for name, value := range change {
		if body[name] = value; value == nil {
			delete(body, name)
		}
	}
	return body
}

func (s *suite) assertion(t *testing.T, p party, change claims) string {
	t.Helper()
	now := time.Now().Unix()
	body := claims{"iss": p.id, "sub": p.id, "aud": s.metadata.Issuer, "jti": rand.Text(), "iat": now, "exp": now + 60}
	return sign(t, p.key, p.algorithm, map[gojose.HeaderKey]any{"kid": p.keyID}, false, changed(body, change))
}

// A proof is a DPoP proof in the making.
type proof struct {
	method, url, token, nonce string
	claims                    claims                   // changes
	header                    map[gojose.HeaderKey]any // changes; typ is dpop+jwt otherwise
	key                       crypto.Signer            // nil: the party's
}

func (s *suite) proof(t *testing.T, p party, of proof) string {
	t.Helper()
	body := claims{"jti": rand.Text(), "htm": of.method, "htu": of.url, "iat": time.Now().Unix()}
	if of.token != "" {
		sum := sha256.Sum256([]byte(of.token))
		body["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if of.nonce != "" {
		body["nonce"] = of.nonce
	}
	header := map[gojose.HeaderKey]any{"typ": "dpop+jwt"}
	maps.Copy(header, of.header)
	key := p.proofKey
	if of.key != nil {
		key = of.key
	}
	return sign(t, key, gojose.ES256, header, true, changed(body, of.claims))
}

// An ask is a token request, different from a right one in what is set.
type ask struct {
	assertion   claims                    // changes to the assertion
	noAssertion bool                      // client_id stands alone
	form        map[string]string         // changes to the form; "" leaves a member out
	proof       proof                     // changes to the proof
	noProof     bool                      // no DPoP header
	certificate func(party) *party        // whose certificate is shown; nil: the party's own if the variant needs one
	header      func(header http.Header)  // further headers
	signedBy    *party                    // whose key signs the assertion
	algorithm   gojose.SignatureAlgorithm // of the assertion
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	json   map[string]any // nil if it is not a JSON object
	err    error          // of the connection
}

func (a answer) text(member string) string {
	text, _ := a.json[member].(string)
	return text
}

// ask makes a token request, and makes it again once if it is told a nonce, as the runner does.
func (s *suite) ask(t *testing.T, p party, a ask) answer {
	t.Helper()
	first := s.askOnce(t, p, a)
	if nonce := first.header.Get("DPoP-Nonce"); first.text("error") == "use_dpop_nonce" && nonce != "" {
		a.proof.nonce = nonce
		return s.askOnce(t, p, a)
	}
	return first
}

func (s *suite) askOnce(t *testing.T, p party, a ask) answer {
	t.Helper()
	endpoint := s.metadata.TokenEndpoint
	if p.needsCertificate() {
		endpoint = s.metadata.Aliases.TokenEndpoint
	}
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts"}}
	if p.auth == mtls || a.noAssertion {
		form.Set("client_id", p.id)
	}
	if p.auth == privateKeyJWT && !a.noAssertion {
		signer := p
		if a.signedBy != nil {
			signer.key, signer.algorithm, signer.keyID = a.signedBy.key, a.signedBy.algorithm, a.signedBy.keyID
		}
		if a.algorithm != "" {
			signer.algorithm = a.algorithm
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", s.assertion(t, signer, a.assertion))
	}
	for name, value := range a.form {
		if form.Set(name, value); value == "" {
			form.Del(name)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	must(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json;charset=utf-8")
	if p.bind == dpop && !a.noProof {
		of := a.proof
		of.method, of.url = http.MethodPost, endpoint
		request.Header.Set("DPoP", s.proof(t, p, of))
	}
	if a.header != nil {
		a.header(request.Header)
	}
	shown := &p
	if a.certificate != nil {
		shown = a.certificate(p)
	} else if !p.needsCertificate() {
		shown = nil
	}
	return s.send(request, shown)
}

// send makes one request on a connection of its own, so that no session brings a certificate along.
func (s *suite) send(request *http.Request, shown *party) answer {
	config := &tls.Config{RootCAs: s.authority.pool, MinVersion: tls.VersionTLS12}
	if shown != nil {
		config.Certificates = []tls.Certificate{shown.certificate}
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(request.Context(), 20*time.Second)
	defer cancel()
	response, err := transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		return answer{err: err, header: http.Header{}}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	a := answer{status: response.StatusCode, header: response.Header, body: body, err: err}
	if json.Unmarshal(body, &a.json) != nil {
		a.json = nil
	}
	return a
}

// granted checks a token response as the runner does (happy-flow) and returns the token.
func (s *suite) granted(t *testing.T, p party, a answer) string {
	t.Helper()
	if a.err != nil || a.status != http.StatusOK {
		t.Fatalf("no token: %d %s %v", a.status, a.body, a.err)
	}
	if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		t.Errorf("Content-Type is %q", kind)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control is %q", a.header.Get("Cache-Control"))
	}
	token := a.text("access_token")
	if len(token)*6 < 128 || shannon(token) <= 96 {
		t.Errorf("access_token has %d characters and %.0f bits by Shannon", len(token), shannon(token))
	}
	if seconds, ok := a.json["expires_in"].(float64); !ok || seconds <= 0 || seconds > 31536000 || seconds != math.Trunc(seconds) {
		t.Errorf("expires_in is %v", a.json["expires_in"])
	}
	for _, member := range []string{"refresh_token", "id_token"} {
		if _, sent := a.json[member]; sent {
			t.Errorf("there is a %s", member)
		}
	}
	want := "Bearer"
	if p.bind == dpop {
		want = "DPoP"
	}
	if a.text("token_type") != want {
		t.Errorf("token_type is %q, want %q", a.text("token_type"), want)
	}
	return token
}

// refused checks an error response as the runner does: one of the errors, its status, and the form of every member.
func refused(t *testing.T, a answer, codes ...string) {
	t.Helper()
	if a.err != nil {
		t.Fatalf("no answer: %v", a.err)
	}
	code := a.text("error")
	if !slices.Contains(codes, code) {
		t.Fatalf("error is %q (%d %s), want one of %q", code, a.status, a.body, codes)
	}
	if a.status != http.StatusBadRequest && (a.status != http.StatusUnauthorized || code != "invalid_client") {
		t.Errorf("%s has status %d", code, a.status)
	}
	if a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
		t.Error("401 without WWW-Authenticate")
	}
	if kind := a.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/json") {
		t.Errorf("Content-Type is %q", kind)
	}
	if strings.ContainsFunc(a.text("error_description"), func(r rune) bool { return r < 0x20 || r > 0x7e || r == '"' || r == '\\' }) {
		t.Errorf("error_description has characters that it may not have: %q", a.text("error_description"))
	}
	if bytes.Contains(a.body, []byte("access_token")) {
		t.Error("there is a token in an error")
	}
}

// shannon is the entropy that a text shows: its length times the bits of each character as often as it occurs.
func shannon(text string) float64 {
	count := map[rune]float64{}
	for _, r := range text {
		count[r]++
	}
	bits := 0.0
	for _, n := range count {
		bits -= n * math.Log2(n/float64(len(text)))
	}
	return bits
}

// A call is a request to the protected resource, different from a right one in what is set.
type call struct {
	scheme  string   // nil: as the token's type demands
	proofs  []string // the DPoP headers instead of the right one; empty but not nil: none
	proof   proof    // changes to the proof
	query   string
	header  func(http.Header)
	noToken bool
	shown   *party // whose certificate; nil: the party's own if tokens are bound to it
	bare    bool   // no certificate
}

func (s *suite) call(t *testing.T, p party, token string, c call) answer {
	t.Helper()
	first := s.callOnce(t, p, token, c)
	if nonce := first.header.Get("DPoP-Nonce"); first.status == http.StatusUnauthorized && nonce != "" && c.proofs == nil &&
		strings.Contains(first.header.Get("WWW-Authenticate"), "use_dpop_nonce") {
		c.proof.nonce = nonce
		return s.callOnce(t, p, token, c)
	}
	return first
}

func (s *suite) callOnce(t *testing.T, p party, token string, c call) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.resource+c.query, nil)
	must(t, err)
	scheme := "Bearer"
	if p.bind == dpop {
		scheme = "DPoP"
		of := c.proof
		of.token = token
		if of.method == "" {
			of.method = http.MethodGet
		}
		if of.url == "" {
			of.url = s.resource
		}
		if c.proofs == nil {
			c.proofs = []string{s.proof(t, p, of)}
		}
	}
	if c.scheme != "" {
		scheme = c.scheme
	}
	for _, compact := range c.proofs {
		request.Header.Add("DPoP", compact)
	}
	if !c.noToken {
		request.Header.Set("Authorization", scheme+" "+token)
	}
	if c.header != nil {
		c.header(request.Header)
	}
	shown := c.shown
	if shown == nil && p.bind == mtls && !c.bare {
		shown = &p
	}
	return s.send(request, shown)
}

// allowed checks that the resource answered.
func allowed(t *testing.T, a answer) {
	t.Helper()
	if a.err != nil || a.status != http.StatusOK {
		t.Errorf("the resource answered %d %q %s %v, want 200", a.status, a.header.Get("WWW-Authenticate"), a.body, a.err)
	}
}

// denied checks that the resource refused with one of the statuses, and said why.
func denied(t *testing.T, a answer) {
	t.Helper()
	if a.err != nil || a.status != http.StatusUnauthorized && a.status != http.StatusBadRequest {
		t.Errorf("the resource answered %d %s %v, want 400 or 401", a.status, a.body, a.err)
		return
	}
	if a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%d without WWW-Authenticate", a.status)
	}
}

// transportSecurity checks the TLS of a listener (FAPI 2.0, 5.2.1; BCP 195): nothing below 1.2, 1.2 only with suites that are
// recommended, 1.3 if the client can.
func (s *suite) transportSecurity(t *testing.T, address string) {
	t.Helper()
	dial := func(config *tls.Config) (tls.ConnectionState, error) {
		config.RootCAs = s.authority.pool
		connection, err := tls.Dial("tcp", address, config)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer func() { _ = connection.Close() }()
		return connection.ConnectionState(), nil
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		if _, err := dial(&tls.Config{MinVersion: version, MaxVersion: version}); err == nil {
			t.Errorf("%s speaks %s", address, tls.VersionName(version))
		}
	}
	recommended := []uint16{ // RFC 9325, 4.2
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}
	var others []uint16
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if !slices.Contains(recommended, suite.ID) && slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
			others = append(others, suite.ID)
		}
	}
	for _, suite := range others {
		state, err := dial(&tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
		if err == nil {
			t.Errorf("%s speaks %s", address, tls.CipherSuiteName(state.CipherSuite))
		}
	}
	if _, err := dial(&tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: recommended}); err != nil {
		t.Errorf("%s does not speak TLS 1.2 with a suite of BCP 195: %v", address, err)
	}
	if state, err := dial(&tls.Config{MinVersion: tls.VersionTLS12}); err != nil || state.Version != tls.VersionTLS13 {
		t.Errorf("%s does not prefer TLS 1.3: %s %v", address, tls.VersionName(state.Version), err)
	}
}

func hostOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	must(t, err)
	return u.Host
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func thumbprint(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func keyThumbprint(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	jwk := gojose.JSONWebKey{Key: key}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	must(t, err)
	return base64.RawURLEncoding.EncodeToString(sum)
}
