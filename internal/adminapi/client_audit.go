package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AuditPage returns what passes the filter behind a place, "" for the beginning.
func (c *Caller) AuditPage(ctx context.Context, filter AuditFilter, after string, limit int) (AuditPage, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	for name, value := range map[string]string{
		"after": after, "client": filter.Client, "kind": filter.Kind, "actor": filter.Actor, "reason": filter.Reason, "request_id": filter.RequestID,
		"since": queryTime(filter.Since), "until": queryTime(filter.Until),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return call[AuditPage](ctx, c, http.MethodGet, "/audit?"+query.Encode(), nil)
}

func queryTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// VerifyAudit goes along the journal of the node that answers, and along the history.
func (c *Caller) VerifyAudit(ctx context.Context) (AuditReport, error) {
	return call[AuditReport](ctx, c, http.MethodGet, "/audit/verification", nil)
}
