package authtest_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/writ-auth/writ/authtest"
	"github.com/writ-auth/writ/resource"
)

// TestBoundTokens gives tokens that are bound to a key to an API of ours: to their holder and to a thief.
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	server := authtest.New(t)
	server.Resource(api, "orders:read", "orders:write")
	verifier, err := resource.NewVerifier(resource.Config{Issuer: server.Issuer(), Audience: api, RequireBound: true})
	if err != nil {
		t.Fatal(err)
	}
	handler := verifier.Require("orders:read").Func(func(http.ResponseWriter, *http.Request) {})
	holder, thief := authtest.NewHolder(t), authtest.NewHolder(t)
	send := func(change func(*http.Request)) int {
		r := httptest.NewRequest(http.MethodGet, api+"/orders", nil)
		change(r)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	keyed, shown, both := server.DPoPToken(holder, api), server.CertificateToken(holder, api, "orders:read"), server.DoublyBoundToken(holder, api)
	show := func(r *http.Request, h *authtest.Holder) {
		r.TLS = &tls.ConnectionState{}
		r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, h.Certificate().Leaf)
	}
	bearer := func(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) }
	for name, test := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"a proof":                              {func(r *http.Request) { holder.Authorize(r, keyed) }, 200},
		"a thief's proof":                      {func(r *http.Request) { thief.Authorize(r, keyed) }, 401},
		"no proof":                             {func(r *http.Request) { bearer(r, keyed) }, 401},
		"a certificate":                        {func(r *http.Request) { bearer(r, shown); show(r, holder) }, 200},
		"a thief's certificate":                {func(r *http.Request) { bearer(r, shown); show(r, thief) }, 401},
		"no certificate":                       {func(r *http.Request) { bearer(r, shown) }, 401},
		"both":                                 {func(r *http.Request) { holder.Authorize(r, both); show(r, holder) }, 200},
		"a proof and a thief's certificate":    {func(r *http.Request) { holder.Authorize(r, both); show(r, thief) }, 401},
		"a certificate and a thief's proof":    {func(r *http.Request) { thief.Authorize(r, both); show(r, holder) }, 401},
		"a bearer token where none is welcome": {func(r *http.Request) { bearer(r, server.Token(api)) }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			if got := send(test.change); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
	t.Run("the handler learns the key", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodGet, api+"/orders", nil)
		holder.Authorize(r, keyed)
		verifier.RequireAuthOnly().Func(func(_ http.ResponseWriter, r *http.Request) {
			if got := resource.FromContext(r.Context()).Bound(); got.Key != holder.Thumbprint() || got.Certificate != "" {
				t.Errorf("bound to %+v, want %s", got, holder.Thumbprint())
			}
		}).ServeHTTP(httptest.NewRecorder(), r)
	})
}

// TestCertificateOverTLS shows the holder's certificate in a real handshake.
func TestCertificateOverTLS(t *testing.T) {
	t.Parallel()
	server := authtest.New(t)
	server.Resource(api, "read")
	verifier, err := resource.NewVerifier(resource.Config{Issuer: server.Issuer(), Audience: api})
	if err != nil {
		t.Fatal(err)
	}
	service := httptest.NewUnstartedServer(verifier.Require("read").Func(func(http.ResponseWriter, *http.Request) {}))
	service.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	service.StartTLS()
	defer service.Close()
	holder := authtest.NewHolder(t)
	client := service.Client()
	client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{holder.Certificate()}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, service.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+server.CertificateToken(holder, api))
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("got %d", response.StatusCode)
	}
}
