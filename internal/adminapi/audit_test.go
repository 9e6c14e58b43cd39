package adminapi

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
