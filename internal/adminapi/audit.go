package adminapi

import (
	"context"
	"fmt"

	"github.com/writ-auth/writ/internal/registry"
)

// An Audit tells what happened and what was changed. Its methods are safe for concurrent use.
type Audit struct {
	// Page returns records that pass the filter, behind the place that after names ("" is the beginning), oldest first.
	Page func(ctx context.Context, filter AuditFilter, after string, limit int) (AuditPage, error)
	// Verify goes along all of it.
	Verify func(ctx context.Context) (AuditReport, error)
}

// audited asks for a page of what happened.
type audited struct {
	AuditFilter
	Cursor string `query:"cursor" minLength:"1" doc:"What next or position of the page before said, with the same filter" maxLength:"1024"`
	Limit  int    `query:"limit" doc:"How many at most" minimum:"1" maximum:"500" default:"100"`
}

var errNoAudit = &registry.Error{Code: registry.NotFound, Text: "this server keeps no audit trail"}

func (a *api) listAudit(ctx context.Context, in *audited) (*answer[AuditPage], error) {
	if err := a.registry.Allow(ctx, actor(ctx), registry.AuditRead); err != nil {
		return nil, err
	}
	if a.audit.Page == nil {
		return nil, errNoAudit
	}
	list := a.list("audit", fmt.Sprintf("%q", in.AuditFilter))
	after, err := list.open(in.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := a.audit.Page(ctx, in.AuditFilter, after, in.Limit)
	page.Next, page.Position = list.seal(page.Next), list.seal(page.Position)
	return answered(page, err)
}

func (a *api) verifyAudit(ctx context.Context, _ *struct{}) (*answer[AuditReport], error) {
	if err := a.registry.Allow(ctx, actor(ctx), registry.AuditRead); err != nil {
		return nil, err
	}
	if a.audit.Verify == nil {
		return nil, errNoAudit
	}
	return answered(a.audit.Verify(ctx))
}
