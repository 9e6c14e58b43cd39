package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

func TestProfileFindings(t *testing.T) {
	now := time.Now()
	key := func(alg string) []store.ClientKey { return []store.ClientKey{{ID: alg, Algorithm: alg}} }
	grants := []store.Grant{{Resource: "https://api.example", Scopes: []string{"read"}}}
	good := store.Client{Name: "billing", AuthMethod: oauth.PrivateKeyJWT, Keys: key(jose.ES256), DPoPBound: true, Grants: grants}
	c := Config{Profile: "fapi2", MTLS: MTLS{Listen: "127.0.0.1:8443", ClientCA: "ca.pem"}}
	cases := map[string]struct {
		change       func(*store.Client)
		mtls         MTLS
		text, remedy string
	}{
		"a key and DPoP":                {func(*store.Client) {}, c.MTLS, "", ""},
		"Ed25519":                       {func(r *store.Client) { r.Keys = key(jose.Ed25519) }, c.MTLS, "", ""},
		"PS256 beside RS256":            {func(r *store.Client) { r.Keys = append(key(jose.RS256), key(jose.PS256)...) }, c.MTLS, "", ""},
		"keys that it publishes itself": {func(r *store.Client) { r.Keys, r.JWKSURI = nil, "https://client.example/jwks" }, c.MTLS, "", ""},
		"a certificate": {func(r *store.Client) {
			r.AuthMethod, r.Keys, r.DPoPBound, r.CertificateBound = oauth.TLSClientAuth, nil, false, true
		}, c.MTLS, "", ""},
		"only asks about tokens": {func(r *store.Client) { r.Grants, r.DPoPBound = nil, false }, c.MTLS, "", ""},
		"a former method that is over": {func(r *store.Client) {
			r.FormerMethod, r.FormerUntil = oauth.ClientSecretBasic, now.Add(-time.Second)
		}, c.MTLS, "", ""},

		"a secret": {func(r *store.Client) { r.AuthMethod, r.Keys = oauth.ClientSecretPost, nil }, c.MTLS, "client_secret_post",
			"writ client update billing --auth-method private_key_jwt --public-key FILE"},
		"a secret and no binding": {func(r *store.Client) { r.AuthMethod, r.Keys, r.DPoPBound = oauth.ClientSecretBasic, nil, false }, c.MTLS, "bound to nothing",
			"writ client update billing --auth-method private_key_jwt --public-key FILE --dpop"},
		"the operator's secret": {func(r *store.Client) { r.Name, r.AuthMethod, r.Keys = registry.Operator, oauth.ClientSecretBasic, nil }, c.MTLS, "client_secret_basic",
			"writ init --new-operator"},
		"no binding": {func(r *store.Client) { r.DPoPBound = false }, c.MTLS, "bound to nothing", "writ client update billing --dpop"},
		"no binding, by a role": {func(r *store.Client) { r.DPoPBound, r.Grants, r.Roles = false, nil, []string{"reader"} }, c.MTLS, "bound to nothing",
			"writ client update billing --dpop"},
		"a certificate and no binding": {func(r *store.Client) { r.AuthMethod, r.DPoPBound = oauth.TLSClientAuth, false }, c.MTLS, "bound to nothing",
			"writ client update billing --bind-certificate"},
		"RS256 only":             {func(r *store.Client) { r.Keys = key(jose.RS256) }, c.MTLS, "no key for PS256", "writ client key add billing --public-key FILE"},
		"a key that has expired": {func(r *store.Client) { r.Keys[0].Expires = now }, c.MTLS, "no key for", "writ client key add billing --public-key FILE"},
		"held to RS256": {func(r *store.Client) { r.SigningAlgorithm = jose.RS256 }, c.MTLS, "must be signed with RS256",
			"writ client update billing --signing-alg ES256"},
		"a former method that still counts elsewhere": {func(r *store.Client) {
			r.FormerMethod, r.FormerUntil = oauth.ClientSecretBasic, now.Add(time.Hour)
		}, c.MTLS, "former method client_secret_basic", "writ client update billing --keep-former 0"},
		"a certificate, and nobody asks":          {func(r *store.Client) { r.AuthMethod, r.CertificateBound = oauth.SelfSignedTLSClientAuth, true }, MTLS{}, "no listener", "set mtls.listen"},
		"bound to a certificate, and nobody asks": {func(r *store.Client) { r.DPoPBound, r.CertificateBound = false, true }, MTLS{}, "no listener", "set mtls.listen"},
		"a certificate, and nobody vouches":       {func(r *store.Client) { r.AuthMethod, r.CertificateBound = oauth.TLSClientAuth, true }, MTLS{Listen: ":8443"}, "no authority", "set mtls.client_ca"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			record := good
			record.Keys = slices.Clone(good.Keys)
			test.change(&record)
			got := Config{Profile: "fapi2", MTLS: test.mtls}.judge(record, now)
			if (got.Text == "") != (test.text == "") || !strings.Contains(got.Text, test.text) || got.Remedy != test.remedy {
				t.Errorf("got  %q, %q\nwant %q, %q", got.Text, got.Remedy, test.text, test.remedy)
			}
		})
	}
}

func TestProfileFindsAll(t *testing.T) {
	s := memstore.New()
	for i := range 1003 { // more than two pages
		id := fmt.Sprintf("client-%04d", i)
		if err := s.Clients().Insert(t.Context(), store.Client{ID: id, Name: id, AuthMethod: oauth.ClientSecretBasic}); err != nil {
			t.Fatal(err)
		}
	}
	for uri, api := range map[string]store.Resource{
		"https://old.example": {Algorithm: jose.RS256}, "https://new.example": {Algorithm: jose.PS256}, "https://opaque.example": {Algorithm: jose.RS256, Format: store.FormatOpaque},
	} {
		api.URI = uri
		if err := s.Resources().Insert(t.Context(), api); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Config{Profile: "fapi2"}.findings(t.Context(), s, time.Now())
	if err != nil || len(found) != 1004 {
		t.Fatalf("got %d findings, %v, want 1003 clients and a resource", len(found), err)
	}
	if last := found[1003].String(); last != "resource https://old.example: its tokens are signed with RS256: writ resource delete https://old.example, and create it again with --algorithm ES256" {
		t.Errorf("got %s", last)
	}
}

// TestCheckProfile: the check works beside the server, and makes nothing.
func TestCheckProfile(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, c Config) {
		c.Listen = freeAddress(t) // one issuer before and after the restart
		strict := c
		strict.Profile = "fapi2"
		if found, err := CheckProfile(t.Context(), strict); len(found) > 0 || err != nil && !strings.Contains(err.Error(), "version") {
			t.Errorf("before the first start: got %v, %v", found, err)
		}
		if _, err := os.Stat(c.Data); err == nil {
			t.Error("the check has made the data directory")
		}
		r := start(t, c)
		r.newClient(t, "billing", nil)
		found, err := CheckProfile(t.Context(), strict)
		if err != nil || len(found) != 2 || found[0].Name != "billing" || found[1].Name != registry.Operator {
			t.Errorf("got %v, %v, want billing and the operator", found, err)
		}
		if found, err := CheckProfile(t.Context(), c); len(found) > 0 || err != nil {
			t.Errorf("profile default: got %v, %v", found, err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		again := start(t, strict)
		for _, name := range []string{`"client":"billing"`, `"client":"operator"`, "writ init --new-operator"} {
			if !strings.Contains(again.log.String(), name) {
				t.Errorf("the start says nothing about %s", name)
			}
		}
	})
}

// TestOperatorWithAKey: under profile fapi2 nobody has a secret, and the admin API takes no bearer token.
func TestOperatorWithAKey(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Profile, c.DPoP.RequireNonce, c.Listen = "fapi2", true, freeAddress(t)
	r := start(t, c)
	first := readCredential(t, c)
	if first.ClientSecret != "" || first.PrivateKey == nil || strings.Contains(r.log.String(), `\"d\"`) {
		t.Fatalf("operator.json has a secret, or no key: %+v", first)
	}
	if status := r.callAdmin(t, first); status != 200 {
		t.Errorf("the operator gets %d from the admin API", status)
	}
	if findings, err := CheckProfile(t.Context(), c); len(findings) > 0 || err != nil {
		t.Errorf("a new server: got %v, %v", findings, err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	c.Admin.Listen = freeAddress(t) // init takes fixed ports
	made, err := Init(t.Context(), c, true)
	if err != nil || made.OperatorID != first.ClientID || made.OperatorSecret != "" {
		t.Fatalf("got %+v, %v", made, err)
	}
	again := start(t, c)
	second := readCredential(t, c)
	if status := again.callAdmin(t, second); status != 200 {
		t.Errorf("the operator with the new key gets %d", status)
	}
	if string(second.PrivateKey) == string(first.PrivateKey) {
		t.Error("init --new-operator made no new key")
	}
	first.Admin = second.Admin
	if status := again.callAdmin(t, first); status == 200 {
		t.Error("the old key is still good")
	}
}

func readCredential(t *testing.T, c Config) Credential {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.Data, "operator.json"))
	if err != nil {
		t.Fatal(err)
	}
	var credential Credential
	if err := json.Unmarshal(data, &credential); err != nil {
		t.Fatal(err)
	}
	return credential
}

// callAdmin asks the admin API for something as the operator of a credential, and returns the status; 401 also if there is no token.
func (r *running) callAdmin(t *testing.T, credential Credential) int {
	t.Helper()
	key, err := client.ParsePrivateKey(credential.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	source, err := client.New(client.Config{
		Issuer: credential.Issuer, ClientID: credential.ClientID, Credential: key, DPoP: true,
		Resource: registry.AdminResource(credential.Issuer), AllowHosts: []string{strings.TrimPrefix(credential.Admin, "http://")},
	})
	if err != nil {
		t.Fatal(err)
	}
	response, err := source.Client().Get(credential.Admin + "/admin/v1/clients")
	if err != nil {
		t.Log(err)
		return http.StatusUnauthorized
	}
	defer response.Body.Close()
	return response.StatusCode
}

// TestProfileSignsNothingWithRS256: neither a new resource nor one from before gets tokens with RS256.
func TestProfileSignsNothingWithRS256(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Listen = freeAddress(t) // one issuer before and after the restart
	r := start(t, c)
	old := registry.ResourceSettings{URI: testResource, Scopes: []registry.Scope{{Name: "orders:read"}}, Algorithm: jose.RS256}
	if _, err := r.registry.CreateResource(t.Context(), registry.System("test"), old); err != nil {
		t.Fatal(err)
	}
	client := r.newKeyed(t, "billing")
	ask := func(r *running) (int, string) {
		t.Helper()
		status, code, _ := r.ask(t, client.assertion(t, r.IssuerURL()), client.proof(t, r.IssuerURL()+"/token"))
		return status, code
	}
	if status, code := ask(r); status != 200 {
		t.Fatalf("profile default: got %d %s", status, code)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	c.Profile = "fapi2"
	again := start(t, c)
	if status, code := ask(again); status != 400 || code != "invalid_target" {
		t.Errorf("got %d %s, want invalid_target", status, code)
	}
	old.URI += "/new"
	if _, err := again.registry.CreateResource(t.Context(), registry.System("test"), old); err == nil || !strings.Contains(err.Error(), "must be one of PS256, ES256") {
		t.Errorf("a new resource with RS256: got %v", err)
	}
}

// TestAdminTakesNoBearerTokens: one that was issued before the profile became fapi2 is not good either.
func TestAdminTakesNoBearerTokens(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Listen = freeAddress(t) // one issuer before and after the restart
	r := start(t, c)
	credential := readCredential(t, c)
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {registry.AdminResource(r.IssuerURL())}}
	operator := registry.Registered{Client: registry.Client{ID: credential.ClientID}, Secret: registry.Secret(credential.ClientSecret)}
	_, answer := r.post(t, "/token", operator, form)
	ask := func(r *running) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.AdminURL()+"/admin/v1/clients", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", fmt.Sprint("Bearer ", answer["access_token"]))
		response, err := r.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response
	}
	if got := ask(r); got.StatusCode != http.StatusOK {
		t.Fatalf("profile default: got %d", got.StatusCode)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	c.Profile = "fapi2"
	if got := ask(start(t, c)); got.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "DPoP ") {
		t.Errorf("got %d %s, want 401 and a challenge for DPoP", got.StatusCode, got.Header.Get("WWW-Authenticate"))
	}
}

// The proofs of operators are remembered where every node sees them.
func TestAdminReplays(t *testing.T) {
	shared, until := memstore.New(), time.Now().Add(time.Minute)
	one, two := adminReplays{shared}, adminReplays{shared}
	if err := one.UseOnce(t.Context(), "id", until); err != nil {
		t.Fatal(err)
	}
	if err := two.UseOnce(t.Context(), "id", until); !errors.Is(err, resource.ErrReplayed) {
		t.Errorf("got %v, want %v", err, resource.ErrReplayed)
	}
	shared.Close()
	if err := two.UseOnce(t.Context(), "other", until); err == nil || errors.Is(err, resource.ErrReplayed) {
		t.Errorf("without the store: got %v, want its error", err)
	}
}

func TestProfileWarningsAreBounded(t *testing.T) {
	log := &logged{}
	s := Server{config: Config{Profile: "fapi2"}, store: memstore.New(), now: time.Now, logger: NewLogger(log, Log{Level: "info", Format: "json"})}
	for i := range maxWarnings + 3 {
		id := fmt.Sprintf("client-%d", i)
		if err := s.store.Clients().Insert(t.Context(), store.Client{ID: id, Name: id, AuthMethod: oauth.ClientSecretBasic}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.warnProfile(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lines := log.lines(t); len(lines) != maxWarnings+1 || lines[maxWarnings]["more"] != 3.0 {
		t.Errorf("got %d lines, the last one %v", len(lines), lines[len(lines)-1])
	}
}
