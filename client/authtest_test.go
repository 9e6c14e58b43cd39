package client_test

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
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
