package registry

import (
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/oauth"
)

func TestRevokeTokens(t *testing.T) {
	b := withOrders(t)
	made := b.client(oauth.ClientMetadata{ClientName: "billing"})
	ctx, system := t.Context(), System("test")
	b.clock = noon.Add(time.Hour)
	notBefore := func() (client, resource, admin time.Time) {
		t.Helper()
		of := func(uri string) time.Time {
			record, err := b.store.Resources().Get(ctx, uri)
			if err != nil {
				t.Fatal(err)
			}
			return record.NotBefore
		}
		return b.record(made.ID).NotBefore, of(orders), of(AdminResource(issuer))
	}
	for _, step := range []struct {
		name                    string
		revoke                  func() error
		client, resource, admin time.Time
		action                  string // "" for no event
	}{
		{"a client's", func() error { return b.RevokeClientTokens(ctx, system, "billing", noon) }, noon, time.Time{}, time.Time{}, "client.tokens_revoked"},
		{"never back", func() error { return b.RevokeClientTokens(ctx, system, "billing", noon.Add(-time.Hour)) }, noon, time.Time{}, time.Time{}, ""},
		{"until now", func() error { return b.RevokeClientTokens(ctx, system, "billing", time.Time{}) }, b.clock, time.Time{}, time.Time{}, "client.tokens_revoked"},
		{"a resource's", func() error { return b.RevokeResourceTokens(ctx, system, orders, noon.Add(time.Minute)) }, b.clock, noon.Add(time.Minute), time.Time{}, "resource.tokens_revoked"},
		{"all", func() error { return b.RevokeAllTokens(ctx, system, noon) }, b.clock, noon.Add(time.Minute), noon, "resource.tokens_revoked"},
		{"all, until now", func() error { return b.RevokeAllTokens(ctx, system, time.Time{}) }, b.clock, b.clock, b.clock, "resource.tokens_revoked"},
		{"all again", func() error { return b.RevokeAllTokens(ctx, system, time.Time{}) }, b.clock, b.clock, b.clock, ""},
	} {
		before := len(b.events())
		if err := step.revoke(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		client, resource, admin := notBefore()
		if !client.Equal(step.client) || !resource.Equal(step.resource) || !admin.Equal(step.admin) {
			t.Errorf("%s: got %s, %s, %s, want %s, %s, %s", step.name, client, resource, admin, step.client, step.resource, step.admin)
		}
		if event := b.lastEvent(); (len(b.events()) > before) != (step.action != "") || step.action != "" && (event.Action != step.action || !strings.Contains(event.Detail, "issued_before")) {
			t.Errorf("%s: event is %+v", step.name, event)
		}
	}
	ahead := b.clock.Add(time.Second)
	wantCode(t, b.RevokeClientTokens(ctx, system, "billing", ahead), Invalid)
	wantCode(t, b.RevokeResourceTokens(ctx, system, orders, ahead), Invalid)
	wantCode(t, b.RevokeAllTokens(ctx, system, ahead), Invalid)
	wantCode(t, b.RevokeResourceTokens(ctx, system, "urn:none", time.Time{}), NotFound)
}

// TestRevokedTokensOfOperators: the switch stops the tokens of the admin API, too, which nobody introspects.
func TestRevokedTokensOfOperators(t *testing.T) {
	b := withOrders(t)
	ann := b.operator("ann", ResourcesWrite, ClientsRead)
	b.clock = noon.Add(time.Minute)
	if err := b.RevokeAllTokens(t.Context(), ann, time.Time{}); err != nil {
		t.Fatal(err)
	}
	_, err := b.Client(t.Context(), ann, "ann")
	wantCode(t, err, Unauthorized)
	ann.Issued = b.clock
	if _, err := b.Client(t.Context(), ann, "ann"); err != nil {
		t.Error(err)
	}
}
