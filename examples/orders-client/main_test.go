package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/writ-auth/writ/authtest"
	"github.com/writ-auth/writ/resource"
)

func TestCall(t *testing.T) {
	api := httptest.NewUnstartedServer(nil)
	audience := "http://" + api.Listener.Addr().String()
	issuer := authtest.New(t)
	issuer.Resource(audience, "orders:read")
	registered := issuer.Client(audience, "orders:read")
	verifier, err := resource.NewVerifier(resource.Config{Issuer: issuer.Issuer(), Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	api.Config.Handler = verifier.Require("orders:read").Func(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("orders for " + resource.FromContext(r.Context()).ClientID))
	})
	api.Start()
	t.Cleanup(api.Close)

	t.Setenv("WRIT_ISSUER", issuer.Issuer())
	t.Setenv("WRIT_CLIENT_ID", registered.ID)
	t.Setenv("WRIT_CLIENT_SECRET", registered.Secret)
	t.Setenv("WRIT_RESOURCE", audience)
	var out strings.Builder
	if err := call(audience, &out); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "orders for "+registered.ID; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
