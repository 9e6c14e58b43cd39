package adminapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/internal/registry"
)

func TestAudit(t *testing.T) {
	b := newBench(t)
	response := b.call("GET", "/admin/v1/audit?since=2026-11-22T12:00:00Z&until=2026-11-23T12:00:00.5Z&client=billing&kind=token&actor=operator&reason=wrong_secret&request_id=r-1&limit=7",
		b.token("audit:read"), "")
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", response.StatusCode, text(t, response))
	}
	want := []asked{{AuditFilter{
		Since: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Until: time.Date(2026, 11, 23, 12, 0, 0, 500_000_000, time.UTC),
		Client: "billing", Kind: "token", Actor: "operator", Reason: "wrong_secret", RequestID: "r-1",
	}, "", 7}}
	if diff := cmp.Diff(want, b.asked, cmp.AllowUnexported(asked{})); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if page := decode[AuditPage](t, response); page.Position == "" || page.Next != "" || len(page.Items) != 1 {
		t.Errorf("got %+v", page)
	}
	for _, query := range []string{"limit=0", "limit=501", "since=yesterday", "until=1", "kind=a&kind=b", "sort=time"} {
		wantProblem(t, b.call("GET", "/admin/v1/audit?"+query, b.all(), ""), 400)
	}
	if got := b.call("GET", "/admin/v1/audit/verification", b.token("audit:read"), ""); got.StatusCode != http.StatusOK || !decode[AuditReport](t, got).Good {
		t.Errorf("verification: %d %s", got.StatusCode, text(t, got))
	}
	b.handler = New(b.registry, b.verifier(), Options{Logger: slog.New(slog.DiscardHandler)})
	for _, path := range []string{"/admin/v1/audit", "/admin/v1/audit/verification"} {
		wantProblem(t, b.call("GET", path, b.all(), ""), 404)
	}
}

// TestOriginInHistory: who reads the history sees from where a change was made.
func TestOriginInHistory(t *testing.T) {
	b := newBench(t)
	for remote, want := range map[string]string{"192.0.2.7:4711": "192.0.2.7", "[2001:db8::7]:4711": "2001:db8::7", "192.0.2.8": "192.0.2.8"} {
		r := httptest.NewRequest("POST", issuer+Prefix+"/roles", strings.NewReader(`{"name":"r`+want[len(want)-1:]+want[:1]+`","grants":[]}`))
		r.Header.Set("Authorization", "Bearer "+b.token(registry.RolesWrite))
		r.Header.Set("Content-Type", "application/json")
		r.RemoteAddr = remote
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, r)
		events, err := b.store.Events(t.Context(), 0, 100)
		if err != nil || w.Code != 201 {
			t.Fatalf("%d: %v, %s", w.Code, err, w.Body)
		}
		if got, _ := registry.OriginOf(events[len(events)-1]); got != want {
			t.Errorf("from %s: the event says %q, want %q", remote, got, want)
		}
	}
}
