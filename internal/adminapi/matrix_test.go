package adminapi

import (
	"encoding/json"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
)

// deadTokens are tokens for the matrix of CO-10 that were good once, or are good for something else, by what they are. No
// route takes any of them.
func (b *bench) deadTokens() map[string]string {
	b.t.Helper()
	bound := func(confirmation string) string {
		c := claims(b.operator, registry.AdminScopes()...)
		c.Confirmation = json.RawMessage(confirmation)
		return b.sign(b.ring, c)
	}
	thumbprint, err := jose.Thumbprint(newPair(b.t, "ES256").Public())
	if err != nil {
		b.t.Fatal(err)
	}
	initial, management := b.registrationTokens()
	return map[string]string{
		"of a suspended operator":           b.suspendedOperator(),
		"an initial access token":           initial,
		"a registration access token":       management,
		"bound to a DPoP key, as a bearer":  bound(`{"jkt":"` + thumbprint + `"}`),
		"bound to a certificate, as bearer": bound(`{"x5t#S256":"` + thumbprint + `"}`),
	}
}

// suspendedOperator returns a token of a client that has all admin scopes and was suspended. It says that it was issued after
// that, as one from a node that had not heard of it yet: its time does not tell.
func (b *bench) suspendedOperator() string {
	b.t.Helper()
	ctx, system := b.t.Context(), registry.System("test")
	made, err := b.registry.CreateClient(ctx, system, oauth.ClientMetadata{
		ClientName: "suspended", Grants: []oauth.Grant{{Resource: registry.AdminResource(issuer), Scopes: registry.AdminScopes()}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.registry.SuspendClient(ctx, system, made.ID); err != nil {
		b.t.Fatal(err)
	}
	c := claims(made.ID, registry.AdminScopes()...)
	c.IssuedAt = oauth.NumericDate(time.Now().Add(5 * time.Second).Unix()) // less than clocks may differ
	return b.sign(b.ring, c)
}

// registrationTokens returns tokens that are good at /register: one with which clients register, and the one that a client got
// for it.
func (b *bench) registrationTokens() (initial, management string) {
	b.t.Helper()
	token, err := b.registry.CreateInitialToken(b.t.Context(), registry.System("test"), registry.InitialTokenSettings{
		Name: "doors", MaxUses: 2, Grants: []oauth.Grant{{Resource: orders, Scopes: []string{"orders:read"}}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	told, err := b.registry.Register(b.t.Context(), registry.Visit{Token: token.Token.Reveal(), Body: []byte("{}")})
	if err != nil {
		b.t.Fatal(err)
	}
	access, ok := told["registration_access_token"].(registry.Secret)
	if !ok {
		b.t.Fatalf("got %v", told)
	}
	return token.Token.Reveal(), access.Reveal()
}
