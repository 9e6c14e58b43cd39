package authority

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/memstore"
	"github.com/writ-auth/writ/oauth"
)

// TestNoTokenThatCannotBeRevoked asks for so many long audiences that the token would be larger than what introspection
// and revocation read.
func TestNoTokenThatCannotBeRevoked(t *testing.T) {
	t.Parallel()
	s := memstore.New()
	record := store.Client{
		ID: "many", Name: "many", AuthMethod: oauth.ClientSecretBasic, GrantTypes: []string{oauth.ClientCredentials},
		Secrets: []store.Secret{{ID: "1", Hash: store.HashSecret("secret")}}, MultipleAudiences: true,
	}
	var resources []string
	for i := range 32 {
		uri := fmt.Sprintf("https://%d.test/%s", i, strings.Repeat("x", 400))
		resource := store.Resource{URI: uri, Format: store.FormatJWT, Algorithm: "ES256", MultipleAudiences: true, Scopes: scopes("read")}
		if err := s.Resources().Insert(t.Context(), resource); err != nil {
			t.Fatal(err)
		}
		record.Grants = append(record.Grants, to(uri, "read"))
		resources = append(resources, uri)
	}
	if err := s.Clients().Insert(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	ring, err := keyring.Open(t.Context(), s, keyring.Options{Root: make([]byte, keyring.RootBytes)})
	if err != nil {
		t.Fatal(err)
	}
	journal := audit.InMemory()
	t.Cleanup(func() { _ = journal.Close() })
	a, err := New(t.Context(), Options{Issuer: "https://as.test", Store: s, Ring: ring, Journal: journal})
	if err != nil {
		t.Fatal(err)
	}
	form := formOf(url.Values{"grant_type": {oauth.ClientCredentials}, "scope": {"read"}, "resource": resources})
	request := &Request{Form: form, Authorization: []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("many:secret"))}}
	if _, err := a.Token(t.Context(), request); !errors.Is(err, oauth.InvalidScope) {
		t.Errorf("got %v, want %v", err, oauth.InvalidScope)
	}
	request.Form.set("resource", resources[:8]...)
	if _, err := a.Token(t.Context(), request); err != nil {
		t.Errorf("with fewer: %v", err)
	}
}
