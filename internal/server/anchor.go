package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/store"
)

// checkpointPurpose is what the key of checkpoints is derived from the root key for.
const checkpointPurpose = "audit checkpoint"

// An anchor lets the journal sign how far it and the history of changes go, and keeps what was signed in the database, where
// nobody comes who can only cut off the end of a file. The journal in turn has what was signed about the history. One
// goroutine at a time may use it.
type anchor struct {
	journal *audit.Journal
	store   store.Store
	now     func() time.Time
	logger  *slog.Logger

	history store.Chain // as far as it holds
	broken  bool        // and it does not from there on
	kept    string      // the checkpoint that is in the database
}

// step goes along the history from where it was, signs, and keeps.
func (a *anchor) step(ctx context.Context) error {
	if err := a.follow(ctx); err != nil {
		return err
	}
	signed, err := a.journal.Checkpoint(ctx, audit.History{Sequence: a.history.Sequence, Hash: a.history.Hash})
	if err != nil || signed == "" || signed == a.kept {
		return err
	}
	if err := keepCheckpoint(ctx, a.store, store.Checkpoint{Journal: a.journal.Name(), Note: signed, Written: a.now()}); err != nil {
		return fmt.Errorf("server: checkpoint: %w", err)
	}
	a.kept = signed
	return nil
}

var errBroken = errors.New("the history does not hold")

// follow goes along the history up to its end, or to where it does not hold: nothing from there on is signed.
func (a *anchor) follow(ctx context.Context) (err error) {
	if a.broken {
		return nil
	}
	a.history, err = a.history.Follow(ctx, a.store, func(e store.Event, _ store.Chain, broken error) error {
		if broken == nil {
			return nil
		}
		a.logger.Error("the history of changes was tampered with: writ audit verify", "change", e.Sequence, "error", broken)
		return errBroken
	})
	if errors.Is(err, errBroken) {
		a.broken, err = true, nil
	}
	if err != nil {
		return fmt.Errorf("server: checkpoint: %w", err)
	}
	return nil
}

func keepCheckpoint(ctx context.Context, s store.Store, c store.Checkpoint) error {
	return s.Update(ctx, func(tx store.Store) error {
		err := tx.Checkpoints().Put(ctx, c)
		if errors.Is(err, store.ErrNotFound) {
			return tx.Checkpoints().Insert(ctx, c)
		}
		return err
	})
}

// keptCheckpoint returns what a journal signed last; "" if nothing is known.
func keptCheckpoint(ctx context.Context, s store.Store, journal string) (string, error) {
	c, err := s.Checkpoints().Get(ctx, journal)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("server: checkpoint: %w", err)
	}
	return c.Note, nil
}
