package admin

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AuditPage returns up to limit records that pass the filter, behind a place, "" for the beginning. To follow the trail, ask
// again behind the page's Position.
func (a *API) AuditPage(ctx context.Context, filter AuditFilter, after string, limit int) (AuditPage, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	for name, value := range map[string]string{
		"cursor": after, "client": filter.Client, "kind": filter.Kind, "actor": filter.Actor, "reason": filter.Reason, "request_id": filter.RequestID,
		"since": queryTime(filter.Since), "until": queryTime(filter.Until),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return call[AuditPage](ctx, a, http.MethodGet, "/audit?"+query.Encode(), nil, nil)
}

// Audit returns all records that pass the filter, oldest first.
func (a *API) Audit(ctx context.Context, filter AuditFilter) iter.Seq2[AuditRecord, error] {
	return func(yield func(AuditRecord, error) bool) {
		for after := ""; ; {
			page, err := a.AuditPage(ctx, filter, after, maxPage)
			if err == nil && page.Next != "" && page.Next == after {
				err = errors.New("admin API: the audit trail does not go on")
			}
			if err != nil {
				yield(AuditRecord{}, err)
				return
			}
			for _, record := range page.Items {
				if !yield(record, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			after = page.Next
		}
	}
}

// maxPage is how much the API answers at once.
const maxPage = 500

func queryTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// VerifyAudit goes along the journal of the node that answers, and along the history of changes.
func (a *API) VerifyAudit(ctx context.Context) (AuditReport, error) {
	return call[AuditReport](ctx, a, http.MethodGet, "/audit/verification", nil, nil)
}

// Explain tells why a request was refused, by the ID that its answer had.
func (a *API) Explain(ctx context.Context, id string) (Explanation, error) {
	return call[Explanation](ctx, a, http.MethodGet, "/refusals/"+segment(id), nil, nil)
}
