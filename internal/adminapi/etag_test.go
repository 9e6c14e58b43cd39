package adminapi

import (
	"errors"
	"net/http"
	"testing"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/oauth"
)

// TestConditions: CO-25 over HTTP: every answer with an object has the ETag that the next request goes by.
func TestConditions(t *testing.T) {
	b := stocked(t)
	for path, update := range map[string]string{
		"/admin/v1/clients/billing":                      `{"client_name":"billing"}`,
		"/admin/v1/resources/" + wire.ResourceID(orders): `{"uri":"` + orders + `","scopes":[{"name":"orders:read"}],"token_ttl_seconds":60}`,
		"/admin/v1/roles/reader":                         `{"name":"reader","description":"Look","grants":[]}`,
	} {
		t.Run("CO-25 "+path, func(t *testing.T) {
			etag := b.call("GET", path, b.all(), "").Header.Get("ETag")
			if len(etag) < 10 || etag[0] != '"' {
				t.Fatalf("ETag is %q", etag)
			}
			for _, known := range []string{etag, "W/" + etag, `"x", ` + etag, "*"} {
				same := b.call("GET", path, b.all(), "", "If-None-Match", known)
				if same.StatusCode != http.StatusNotModified || text(t, same) != "" || same.Header.Get("ETag") != etag {
					t.Errorf("If-None-Match: %s: %d %s", known, same.StatusCode, text(t, same))
				}
			}
			if other := b.call("GET", path, b.all(), "", "If-None-Match", `"x"`); other.StatusCode != http.StatusOK {
				t.Errorf("another ETag: %d", other.StatusCode)
			}
			written := b.call("PUT", path, b.all(), update, "If-Match", etag)
			next := written.Header.Get("ETag")
			if written.StatusCode != http.StatusOK || next == etag || next != b.call("GET", path, b.all(), "").Header.Get("ETag") {
				t.Fatalf("%d %s with ETag %s after %s", written.StatusCode, text(t, written), next, etag)
			}
			for _, stale := range []string{etag, "W/" + next, `""`, "x", `"`, ","} {
				if stale == "," {
					continue // is no condition
				}
				wantProblem(t, b.call("PUT", path, b.all(), update, "If-Match", stale), http.StatusPreconditionFailed)
				wantProblem(t, b.call("DELETE", path, b.all(), "", "If-Match", stale), http.StatusPreconditionFailed)
			}
			wantProblem(t, b.call("DELETE", path+"x", b.all(), "", "If-Match", etag), http.StatusNotFound)
			if gone := b.call("DELETE", path, b.all(), "", "If-Match", `"x", *`); gone.StatusCode != http.StatusNoContent {
				t.Errorf("DELETE of anything: %d %s", gone.StatusCode, text(t, gone))
			}
		})
	}
}

func TestAPIConditions(t *testing.T) {
	b := newBench(t)
	c, ctx := b.caller(b.all()), t.Context()
	made, err := c.CreateClient(ctx, oauth.ClientMetadata{ClientName: "billing"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Client(ctx, "billing", admin.IfNoneMatch(made.ETag)); !errors.Is(err, admin.ErrNotModified) {
		t.Errorf("got %v", err)
	}
	update := ClientUpdate{ClientMetadata: made.ClientMetadata}
	updated, err := c.UpdateClient(ctx, "billing", update, admin.IfMatch(made.ETag))
	if err != nil || updated.ETag == made.ETag || updated.ETag == "" {
		t.Errorf("got %+v, %v", updated, err)
	}
	_, err = c.UpdateClient(ctx, "billing", update, admin.IfMatch(made.ETag))
	if p, ok := errors.AsType[*admin.Problem](err); !ok || p.Status != http.StatusPreconditionFailed {
		t.Errorf("got %v", err)
	}
}

// A client whose registration was answered, and the answer lost, is registered once.
func TestCreateAgain(t *testing.T) {
	b := newBench(t)
	first := decode[Registered](t, b.call("POST", "/admin/v1/clients", b.all(), `{"client_name":"billing"}`, "Idempotency-Key", "1"))
	again := decode[Registered](t, b.call("POST", "/admin/v1/clients", b.all(), `{"client_name":"billing"}`, "Idempotency-Key", "1"))
	if first.ID == "" || again.ID != first.ID || again.Secret != first.Secret || first.Secret == "" {
		t.Errorf("got %s, want %s", again.ID, first.ID)
	}
	wantProblem(t, b.call("POST", "/admin/v1/clients", b.all(), `{"client_name":"other"}`, "Idempotency-Key", "1"), http.StatusConflict)
}
