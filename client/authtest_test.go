package client_test

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/writ-auth/writ/authtest"
	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// TestRealServer gets a token from the real server and shows it to a real verifier, over real connections.
func TestRealServer(t *testing.T) {
	t.Parallel()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	mux := http.NewServeMux()
	api := httptest.NewServer(mux)
	t.Cleanup(api.Close)
	as := authtest.New(t)
	as.Resource(api.URL, "orders:read", "orders:write")
	verifier, err := resource.NewVerifier(resource.Config{Issuer: as.Issuer(), Audience: api.URL})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/read", verifier.Require("orders:read").Func(func(http.ResponseWriter, *http.Request) {}))
	mux.Handle("/write", verifier.Require("orders:write").Func(func(http.ResponseWriter, *http.Request) {}))

	registered := as.Client(api.URL, "orders:read", "orders:write")
	s := source(t, client.Config{
		Issuer: as.Issuer(), ClientID: registered.ID, Credential: client.Secret(registered.Secret), Resource: api.URL, Scope: "orders:read",
		HTTPClient: &http.Client{Transport: transport},
	})
	wantStatus(t, s.Client(), api.URL+"/read", http.StatusOK)
	wantStatus(t, s.Client(), api.URL+"/write", http.StatusForbidden)
	writing, err := s.With(api.URL, "orders:write")
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, writing.Client(), api.URL+"/write", http.StatusOK)

	for want, wrong := range map[oauth.Code][2]string{
		oauth.InvalidScope: {api.URL, "orders:delete"}, oauth.InvalidTarget: {"https://other.example", "orders:read"},
	} {
		other, err := s.With(wrong[0], wrong[1])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Token(t.Context()); !errors.Is(err, want) {
			t.Errorf("error is %v, want %v", err, want)
		}
	}
	as.Suspend(registered)
	last, err := s.With(api.URL, "orders:read orders:write")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := last.Token(t.Context()); !errors.Is(err, oauth.InvalidClient) {
		t.Errorf("error is %v, want %v", err, oauth.InvalidClient)
	}
}

// TestUnknownCertificate checks that a wrong certificate ends the matter: it is said what to check, and not tried again.
func TestUnknownCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(newIssuer(""))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it would print the refused handshake
	var connections atomic.Int32
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := config(nil)
	c.Issuer, c.HTTPClient = server.URL, &http.Client{Transport: transport}
	_, err := source(t, c).Token(t.Context())
	wantError(t, err, "check that the machine trusts the server's certificate authority")
	if got := connections.Load(); got != 1 {
		t.Errorf("the server saw %d connections, want one", got)
	}
}

// TestRealServerDPoP gets a bound token from the real server and shows it to a real verifier that wants nonces, and then
// to one as a thief would.
func TestRealServerDPoP(t *testing.T) {
	t.Parallel()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	mux := http.NewServeMux()
	api := httptest.NewServer(mux)
	t.Cleanup(api.Close)
	as := authtest.New(t)
	as.Resource(api.URL, "orders:read")
	verifier, err := resource.NewVerifier(resource.Config{Issuer: as.Issuer(), Audience: api.URL, RequireDPoP: true, RequireNonce: true})
	if err != nil {
		t.Fatal(err)
	}
	var bodies []string
	mux.Handle("/orders/", verifier.Require("orders:read").Func(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
	}))

	registered := as.Client(api.URL, "orders:read")
	c := client.Config{
		Issuer: as.Issuer(), ClientID: registered.ID, Credential: client.Secret(registered.Secret), Resource: api.URL, DPoP: true,
		HTTPClient: &http.Client{Transport: transport},
	}
	s := source(t, c)
	for _, body := range []string{"one", "two"} { // the first one is asked for a nonce
		status, text, err := send(t, s.Client(), http.MethodPost, api.URL+"/orders/a%2Fb?x=y", strings.NewReader(body))
		if status != http.StatusOK || err != nil {
			t.Errorf("got %d %s (%v)", status, text, err)
		}
	}
	if !slices.Equal(bodies, []string{"one", "two"}) {
		t.Errorf("the API saw %q", bodies)
	}

	stolen := token(t, s).AccessToken()
	thief := must(http.NewRequest(http.MethodGet, api.URL+"/orders/", nil))
	other := token(t, source(t, c)) // with a key of its own
	for range 2 {
		if err := other.Authorize(thief); err != nil {
			t.Fatal(err)
		}
		thief.Header.Set("Authorization", "DPoP "+stolen)
		response, err := transport.RoundTrip(thief)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		other.Learn(response)
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("the thief gets %d, want 401", response.StatusCode)
		}
	}

	c.DPoP = false
	wantStatus(t, source(t, c).Client(), api.URL+"/orders/", http.StatusUnauthorized)
}
