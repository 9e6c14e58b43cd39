package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/writ-auth/writ/authtest"
)

func TestOrders(t *testing.T) {
	const audience = "https://orders.example"
	issuer := authtest.New(t)
	issuer.Resource(audience, "orders:read", "orders:write")
	api, err := newAPI(issuer.Issuer(), audience)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, token string
		status      int
	}{
		{"the scope", issuer.Token(audience, "orders:read"), http.StatusOK},
		{"another scope", issuer.Token(audience, "orders:write"), http.StatusForbidden},
		{"another audience", issuer.WrongAudience(audience, "orders:read"), http.StatusUnauthorized},
		{"expired", issuer.Expired(audience, "orders:read"), http.StatusUnauthorized},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, audience+"/orders", nil)
			request.Header.Set("Authorization", "Bearer "+test.token)
			answer := httptest.NewRecorder()
			api.ServeHTTP(answer, request)
			if answer.Code != test.status {
				t.Errorf("got %d %s, want %d", answer.Code, answer.Body, test.status)
			}
		})
	}
}
