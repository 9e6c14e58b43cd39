package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
)

// A trail is what happened on this node, its journal, and what was changed on all of them, the history, as one.
type trail struct {
	dir   string                      // of the journal
	store store.Store                 // nil without a database: then there is no history
	keys  []string                    // of checkpoints
	alone bool                        // no other node has a journal with this database
	notes []string                    // what is missing, and why
	flush func(context.Context) error // has the journal write what it has; nil: it is nobody's, or another process's
}

// Bounds on one page.
const (
	maxScanned = 20_000          // records that are looked through
	clockSlack = 5 * time.Minute // by how much the times of records may go back
)

// A mark is how far a trail was read: the journal, and the history.
type mark struct {
	journal audit.Cursor
	history int64
}

func (m mark) String() string {
	return fmt.Sprintf("%d.%d.%d", m.journal.File, m.journal.Offset, m.history)
}

var errMark = &registry.Error{
	Code: registry.Invalid, Text: "not valid", Problems: []registry.Problem{{Field: "after", Text: "is not what a page before said"}},
}

// parseMark reads a mark in the one way that it is written.
func parseMark(text string) (m mark, err error) {
	if _, err := fmt.Sscanf(text, "%d.%d.%d", &m.journal.File, &m.journal.Offset, &m.history); err != nil || m.String() != text {
		return m, errMark
	}
	if m.journal.File < 0 || m.journal.Offset < 0 || m.history < 0 {
		return m, errMark
	}
	return m, nil
}

// page implements adminapi.Audit. Journal and history are each in their own order, and merged by time.
func (t trail) page(ctx context.Context, filter adminapi.AuditFilter, after string, limit int) (adminapi.AuditPage, error) {
	page := adminapi.AuditPage{Items: []adminapi.AuditRecord{}}
	if t.flush != nil {
		_ = t.flush(ctx) // what cannot be written cannot be read
	}
	at, err := t.start(filter, after)
	if err != nil {
		return page, err
	}
	matches, err := t.matcher(ctx, filter)
	if err != nil {
		return page, err
	}
	scanned, more := 0, false
	for r, err := range t.merged(ctx, at) {
		if errors.Is(err, audit.ErrCursor) {
			return page, errMark
		}
		if err != nil {
			return page, fmt.Errorf("server: audit: %w", err)
		}
		if past(r.Time, filter.Until) {
			break
		}
		if more = len(page.Items) == limit || scanned == maxScanned; more {
			break
		}
		if scanned++; matches(r.AuditRecord) {
			page.Items = append(page.Items, r.AuditRecord)
		}
		at = r.behind
	}
	page.Position = at.String()
	if more {
		page.Next = page.Position
	}
	return page, ctx.Err()
}

// past reports whether nothing more is to be expected before until.
func past(at, until time.Time) bool { return !until.IsZero() && at.After(until.Add(clockSlack)) }

func (t trail) start(filter adminapi.AuditFilter, after string) (mark, error) {
	if after != "" {
		return parseMark(after)
	}
	if filter.Since.IsZero() {
		return mark{}, nil
	}
	from, err := audit.Since(t.dir, filter.Since.Add(-clockSlack))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return mark{journal: from}, err
}

// matcher returns what a filter lets pass. Clients may be called by name.
func (t trail) matcher(ctx context.Context, f adminapi.AuditFilter) (func(adminapi.AuditRecord) bool, error) {
	client, err := t.idOf(ctx, f.Client)
	if err != nil {
		return nil, err
	}
	actor, err := t.idOf(ctx, f.Actor)
	if err != nil {
		return nil, err
	}
	is := func(value string, wanted ...string) bool {
		for _, w := range wanted {
			if w == "" || value == w {
				return true
			}
		}
		return false
	}
	return func(r adminapi.AuditRecord) bool {
		return !r.Time.Before(f.Since) && (f.Until.IsZero() || r.Time.Before(f.Until)) &&
			(is(r.ClientID, f.Client, client) || is(r.Object, f.Client, client)) &&
			(is(r.Kind, f.Kind) || strings.HasPrefix(r.Kind, f.Kind+".")) &&
			is(r.Actor, f.Actor, actor) && is(r.Reason, f.Reason) && is(r.RequestID, f.RequestID)
	}, nil
}

// idOf returns the ID of the client with a name, or the name itself: a client that is gone has no name any more.
func (t trail) idOf(ctx context.Context, name string) (string, error) {
	if name == "" || t.store == nil {
		return name, nil
	}
	id, err := registry.FindClientID(ctx, t.store, name)
	if errors.Is(err, registry.NotFound) {
		return name, nil
	}
	if err != nil {
		return "", fmt.Errorf("server: audit: %w", err)
	}
	return id, nil
}

// A traced is a record, and the mark behind it.
type traced struct {
	adminapi.AuditRecord

	behind mark
}

// merged returns all records behind a mark, of journal and history, the earlier one first.
func (t trail) merged(ctx context.Context, at mark) iter.Seq2[traced, error] {
	return func(yield func(traced, error) bool) {
		nextHappened, stopHappened := iter.Pull2(t.happened(at.journal))
		defer stopHappened()
		nextChanged, stopChanged := iter.Pull2(t.changed(ctx, at.history))
		defer stopChanged()
		happened, err, isHappened := nextHappened()
		changed, err2, isChanged := nextChanged()
		for isHappened || isChanged {
			if err := errors.Join(err, err2); err != nil {
				yield(traced{}, err)
				return
			}
			var next traced
			if isChanged && (!isHappened || !happened.Time.Before(changed.Time)) {
				next = changed
				at.history = changed.behind.history
				changed, err2, isChanged = nextChanged()
			} else {
				next = happened
				at.journal = happened.behind.journal
				happened, err, isHappened = nextHappened()
			}
			next.behind = at
			if !yield(next, nil) {
				return
			}
		}
	}
}

// happened returns the records of the journal.
func (t trail) happened(from audit.Cursor) iter.Seq2[traced, error] {
	return func(yield func(traced, error) bool) {
		last := time.Time{}
		for r, err := range audit.EventsFrom(t.dir, from) {
			if errors.Is(err, fs.ErrNotExist) {
				return // there is no journal yet
			}
			record := recordOf(r.Event)
			if r.Broken != nil {
				record = adminapi.AuditRecord{Time: last, Kind: "journal.unreadable", Reason: r.Broken.File + ": a line cannot be read: writ audit verify says where"}
			}
			record.Source, last = "journal", record.Time
			if !yield(traced{record, mark{journal: r.Next}}, err) {
				return
			}
		}
	}
}

func recordOf(e audit.Event) adminapi.AuditRecord {
	return adminapi.AuditRecord{
		Time: e.Time, Kind: e.Kind, ClientID: e.ClientID, TokenID: e.TokenID, Reason: e.Reason, Refusal: e.Refusal, RequestID: e.RequestID,
		Remote: e.Remote, Scope: e.Scope, Audience: e.Audience, Count: e.Count,
	}
}

// changed returns the records of the history.
func (t trail) changed(ctx context.Context, after int64) iter.Seq2[traced, error] {
	return func(yield func(traced, error) bool) {
		for t.store != nil {
			events, err := t.store.Events(ctx, after, registry.MaxLimit)
			if err != nil {
				yield(traced{}, err)
				return
			}
			for _, e := range events {
				after = e.Sequence
				record := adminapi.AuditRecord{
					Time: e.Time, Kind: e.Action, Source: "history", Actor: e.Actor, Object: e.Object, Detail: e.Detail, Sequence: e.Sequence,
				}
				record.Remote, record.RequestID = registry.OriginOf(e)
				if !yield(traced{record, mark{history: e.Sequence}}, nil) {
					return
				}
			}
			if len(events) < registry.MaxLimit {
				return
			}
		}
	}
}
