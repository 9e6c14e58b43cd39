package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// Restored says what Restore did, or would do.
type Restored struct {
	Backup
	Database      string    `json:"database"`
	Former        string    `json:"former_database,omitempty"` // where the one that was there is now
	FormerJournal string    `json:"former_journal,omitempty"`  // and the journal
	RevokedBefore time.Time `json:"revoked_before,omitzero"`   // tokens that were issued before do not count
	// Undone is what was changed since the backup, and is not any more; Unknown, what nobody can tell.
	Undone  []string `json:"undone"`
	Unknown []string `json:"unknown"`
}

// Restore puts a backup into the place of the configured SQLite database, which no process may have meanwhile, and writes that
// into the history. The database that was there is kept, and so is the journal: it has signed a history that is no more.
// A backup that was sealed with another root key is refused before anything is changed. With a time, tokens that were issued
// before do not count any more. A dry run changes nothing and tells what would be undone.
func Restore(ctx context.Context, config Config, file string, revokeBefore time.Time, dry bool) (done Restored, err error) {
	options, err := config.storeOptions()
	if err != nil {
		return done, err
	}
	if !isSQLite(options) {
		return done, ErrOwnMeans
	}
	if err := makeDataDirectory(config.Data); err != nil {
		return done, err
	}
	path, release, err := sqlstore.Hold(options)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, release()) }()
	r := restoring{config: config, options: options, path: path, revokeBefore: revokeBefore}
	if r.backup, err = readBackup(ctx, file); err != nil {
		return done, err
	}
	if r.dir, err = os.MkdirTemp(filepath.Dir(path), ".restore-"); err != nil { // beside it, so that it can be moved
		return done, fmt.Errorf("server: restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	if done, err = r.prepare(ctx, dry); err != nil || dry {
		return done, err
	}
	err = r.swap(ctx, &done)
	return done, err
}

// A restoring makes the backup ready in a place of its own: what can fail fails there.
type restoring struct {
	config       Config
	options      sqlstore.Options
	path         string // of the database
	backup       Backup
	dir          string // where the copy is made ready
	revokeBefore time.Time
}

func (r *restoring) copied() string { return filepath.Join(r.dir, "writ.db") }

func (r *restoring) prepare(ctx context.Context, dry bool) (done Restored, err error) {
	if err := copyFile(r.backup.File, r.copied()); err != nil {
		return done, err
	}
	config := r.config
	config.Database, config.DatabaseFile, config.Migrate = "sqlite:"+r.copied(), "", "auto"
	s := &Server{config: config, logger: slog.New(slog.DiscardHandler), now: time.Now}
	defer s.Close()
	s.issuer, s.adminURL, _ = config.ownURLs() // "" where the port is open; the history has it for people
	for _, step := range []func(context.Context) error{s.openStore, s.openRing} {
		if err := step(ctx); err != nil {
			return done, err
		}
	}
	done = Restored{Backup: r.backup, Database: r.path, RevokedBefore: r.revokeBefore, Undone: []string{}}
	if err := r.compare(ctx, s.store, &done); err != nil || dry {
		return done, err
	}
	if !r.revokeBefore.IsZero() {
		changes := registry.New(registry.Options{Issuer: s.issuer, Store: s.store, Ring: s.ring, Now: s.now})
		if err := changes.RevokeAllTokens(ctx, registry.System(restorer), r.revokeBefore); err != nil {
			return done, err
		}
	}
	return done, r.record(ctx, s.store)
}

// restorer is whom the history calls the one who restored.
const restorer = "restore"

// record writes into the restored history that it is one. What the journals had signed is of another.
func (r *restoring) record(ctx context.Context, s store.Store) error {
	detail, err := json.Marshal(struct {
		Backup
		RevokedBefore time.Time `json:"revoked_before,omitzero"`
	}{r.backup, r.revokeBefore})
	if err != nil {
		return fmt.Errorf("server: restore: %w", err)
	}
	err = s.Update(ctx, func(tx store.Store) error {
		kept, err := tx.Checkpoints().List(ctx, "", 1000)
		if err != nil {
			return err
		}
		for _, c := range kept {
			if err := tx.Checkpoints().Delete(ctx, c.Journal); err != nil {
				return err
			}
		}
		return tx.Append(ctx, store.Event{
			Time: time.Now().UTC(), Actor: restorer, Action: "database.restored", Object: filepath.Base(r.backup.File), Detail: string(detail),
		})
	})
	if err != nil {
		return fmt.Errorf("server: restore: %w", err)
	}
	return nil
}

// swap puts what was made ready into its place.
func (r *restoring) swap(ctx context.Context, done *Restored) (err error) {
	if err := sqlstore.Settle(ctx, r.copied()); err != nil {
		return err
	}
	stamp := time.Now().UTC().Format("20060102T150405.000Z")
	if done.Former, err = sqlstore.Replace(r.path, r.copied(), stamp); err != nil {
		return err
	}
	journal := r.config.journal()
	former := journal + ".before-" + stamp
	switch err := os.Rename(journal, former); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("server: restore: the database is restored, but the journal could not be put aside: %w", err)
	}
	done.FormerJournal = former
	return nil
}

// compare tells what is undone: what the database that is there has, and the backup does not.
func (r *restoring) compare(ctx context.Context, then store.Store, done *Restored) error {
	done.Unknown = []string{"which assertions and proofs were used since: until they expire, minutes after they were made, they could be used once more"}
	now, err := sqlstore.OpenReadOnly(ctx, r.options)
	if err != nil {
		why := err.Error()
		if info, statErr := os.Stat(r.path); statErr == nil && info.Size() == 0 {
			why = "there is no database here"
		}
		done.Unknown = append(done.Unknown, "what was changed since, such as revocations, secrets and suspensions: "+why)
		return nil
	}
	done.Undone, err = undone(ctx, now, then, time.Now())
	return errors.Join(err, now.Close())
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("server: restore: %w", err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("server: restore: %w", err)
	}
	_, err = io.Copy(target, source)
	if err = errors.Join(err, target.Sync(), target.Close()); err != nil {
		return fmt.Errorf("server: restore: %w", err)
	}
	return nil
}
