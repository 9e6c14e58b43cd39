package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// verify implements adminapi.Audit: the journal by its chain, its signatures and what the database keeps of it; the history
// by its chain and by what was signed of it.
func (t trail) verify(ctx context.Context) (adminapi.AuditReport, error) {
	report := adminapi.AuditReport{Findings: []adminapi.AuditFinding{}, Notes: append([]string{}, t.notes...)}
	kept, err := t.kept(ctx) // before the journal is read: what is appended meanwhile is no finding
	if err != nil {
		return report, err
	}
	journal, err := t.verifyJournal(&report, kept)
	if err != nil {
		return report, err
	}
	heads := journal.Histories
	for _, c := range kept {
		if c.Journal == journal.Name {
			continue
		}
		signed, err := audit.ReadCheckpoint(c.Note, t.keys)
		switch {
		case err != nil:
			find(&report, adminapi.AuditFinding{Text: fmt.Sprintf("the database's checkpoint of journal %q: %v", c.Journal, err)})
		case t.alone:
			find(&report, adminapi.AuditFinding{Text: fmt.Sprintf("the journal %s is not here, which signed at %s that it was: it was removed, or replaced", c.Journal, signed.Time.Format(timeFormat))})
			fallthrough
		default:
			heads = append(heads, signed.History)
		}
	}
	if err := t.verifyHistory(ctx, &report, heads); err != nil {
		return report, err
	}
	report.Good = len(report.Findings) == 0
	return report, nil
}

const timeFormat = "2006-01-02T15:04:05Z"

// find adds a finding, up to a bound.
func find(report *adminapi.AuditReport, f adminapi.AuditFinding) {
	if len(report.Findings) < 100 {
		report.Findings = append(report.Findings, f)
	}
}

// verifyJournal holds the journal against what the database keeps of it.
func (t trail) verifyJournal(report *adminapi.AuditReport, kept []store.Checkpoint) (audit.Report, error) {
	name, err := audit.Name(t.dir)
	known := audit.Known{Keys: t.keys}
	for _, c := range kept {
		if c.Journal == name && err == nil {
			known.Kept = append(known.Kept, c.Note)
		}
	}
	found, err := audit.Verify(t.dir, known)
	if errors.Is(err, fs.ErrNotExist) {
		report.Notes = append(report.Notes, "there is no journal in "+t.dir)
		return found, nil
	}
	if err != nil {
		return found, fmt.Errorf("server: audit: %w", err)
	}
	for _, b := range found.Breaks {
		find(report, adminapi.AuditFinding{File: b.File, Line: b.Line, Text: b.Reason})
	}
	if found.Checkpoints > 0 && len(known.Kept) == 0 && t.store != nil {
		report.Notes = append(report.Notes, "the database keeps no checkpoint of this journal: if its end was cut off, nothing says so")
	}
	if found.Checkpoints == 0 && found.Lines > 0 {
		report.Notes = append(report.Notes, "nothing in the journal is signed yet: a server signs every minute, and when it stops")
	}
	report.Journal = adminapi.JournalReport{
		Name: found.Name, Files: found.Files, First: found.First, Lines: found.Lines, Checkpoints: found.Checkpoints, Signed: found.Signed,
		Unsigned: found.After, Keys: t.keys,
	}
	return found, nil
}

// verifyHistory goes along the history, and looks whether it says at each change what was signed about it.
func (t trail) verifyHistory(ctx context.Context, report *adminapi.AuditReport, heads []audit.History) error {
	if t.store == nil {
		return nil
	}
	signed := map[int64]string{}
	for _, h := range heads {
		if other, known := signed[h.Sequence]; known && other != h.Hash {
			find(report, adminapi.AuditFinding{Change: h.Sequence, Text: "two checkpoints say different things of it: one of the histories is not this one"})
		}
		signed[h.Sequence] = h.Hash
		report.History.Signed = max(report.History.Signed, h.Sequence)
	}
	end, err := store.Chain{}.Follow(ctx, t.store, func(e store.Event, at store.Chain, broken error) error {
		report.History.Changes++
		if broken != nil {
			find(report, adminapi.AuditFinding{Change: e.Sequence, Text: broken.Error()})
		}
		if hash, known := signed[e.Sequence]; known && hash != at.Hash && broken == nil {
			find(report, adminapi.AuditFinding{Change: e.Sequence, Text: "a checkpoint says otherwise: it, or one before it, was changed, and the hashes were made good again"})
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("server: audit: %w", err)
	}
	report.History.Checked = true
	if end.Sequence < report.History.Signed {
		find(report, adminapi.AuditFinding{Change: end.Sequence, Text: fmt.Sprintf("the history ends here; a checkpoint says that it went to change %d: its end was cut off", report.History.Signed)})
	}
	return nil
}

// kept returns the checkpoints in the database.
func (t trail) kept(ctx context.Context) (all []store.Checkpoint, err error) {
	if t.store == nil {
		return nil, nil
	}
	err = store.Each(ctx, t.store.Checkpoints(), func(checkpoint store.Checkpoint) error {
		all = append(all, checkpoint)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("server: audit: %w", err)
	}
	return all, nil
}

// OpenAudit returns the audit trail of a data directory for reading, also while a server runs on it. It changes nothing. What
// is not there, such as a database or the root key, is told in the report. keys are those of checkpoints, besides the one that
// the root key gives. Close it.
func OpenAudit(ctx context.Context, config Config, keys []string) (adminapi.Audit, func() error, error) {
	t := trail{dir: config.journal(), keys: keys}
	done := func() error { return nil }
	if _, err := os.Stat(config.Data); err != nil {
		return adminapi.Audit{}, done, fmt.Errorf("server: audit: %w", err)
	}
	root, err := keyring.LoadRoot(config.rootKeyPath())
	if err == nil {
		signer, err := audit.NewSigner(keyring.Derive(root, checkpointPurpose))
		if err != nil {
			return adminapi.Audit{}, done, err
		}
		t.keys = append(t.keys, signer.Key())
	} else if len(keys) == 0 {
		t.notes = append(t.notes, "signatures were not checked, since there is no key: name the one that the server logged when it started")
	}
	options, err := config.storeOptions()
	if err != nil {
		return adminapi.Audit{}, done, err
	}
	t.alone = isSQLite(options)
	opened, err := sqlstore.OpenReadOnly(ctx, options)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.notes = append(t.notes, "the history of changes was not checked, nor the journal's end: there is no database here")
	case err != nil:
		return adminapi.Audit{}, done, err
	default:
		t.store, done = opened, opened.Close
	}
	return adminapi.Audit{Page: t.page, Verify: t.verify}, done, nil
}

// isSQLite reports whether a database is one that only one node can have.
func isSQLite(options sqlstore.Options) bool { return strings.HasPrefix(options.DSN, "sqlite:") }

// audit returns what the admin API tells of this node's trail. Going along all of it takes a while: one at a time may.
func (s *Server) audit() (adminapi.Audit, error) {
	options, err := s.config.storeOptions()
	if err != nil {
		return adminapi.Audit{}, err
	}
	signer, err := audit.NewSigner(s.ring.Derive(checkpointPurpose))
	if err != nil {
		return adminapi.Audit{}, err
	}
	t := trail{dir: s.config.journal(), store: s.store, keys: []string{signer.Key()}, alone: isSQLite(options), flush: s.journal.Flush}
	var running sync.Mutex
	return adminapi.Audit{Page: t.page, Verify: func(ctx context.Context) (adminapi.AuditReport, error) {
		if !running.TryLock() {
			return adminapi.AuditReport{}, &registry.Error{Code: registry.Conflict, Text: "somebody verifies already: try again when that is done"}
		}
		defer running.Unlock()
		return t.verify(ctx)
	}}, nil
}
