package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
)

const (
	sqliteCopy       = `VACUUM INTO $1`
	sqliteCheckpoint = `PRAGMA wal_checkpoint(TRUNCATE)`
)

// ErrNotSQLite says that a database has means of its own to be backed up.
var ErrNotSQLite = errors.New("the database is not SQLite")

func sqlitePath(options Options) (string, error) {
	path, is := strings.CutPrefix(options.DSN, "sqlite:")
	if !is {
		return "", fmt.Errorf("sqlstore: %w", ErrNotSQLite)
	}
	return path, nil
}

// Backup writes what a SQLite database holds at one moment into a new file, the owner's alone, also while another process has
// the database and writes to it.
func Backup(ctx context.Context, options Options, to string) (err error) {
	if _, err := sqlitePath(options); err != nil {
		return err
	}
	options.readOnly, options.copies = true, true
	db, err := connect(ctx, options)
	if err != nil {
		return fmt.Errorf("sqlstore: backup: %w", err)
	}
	defer func() { err = errors.Join(err, db.close()) }()
	// Made here, so that nobody else can read it from its first moment on; SQLite takes a file that is empty.
	file, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
	if err != nil {
		return fmt.Errorf("sqlstore: backup: %w", err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = errors.Join(err, os.Remove(to)) // half of one is none
		}
	}()
	absolute, err := filepath.Abs(to)
	if err != nil {
		return fmt.Errorf("sqlstore: backup: %w", err)
	}
	if _, err := db.reads.db.ExecContext(ctx, sqliteCopy, absolute); err != nil {
		return fmt.Errorf("sqlstore: backup: %w", describe(err))
	}
	return errors.Join(file.Sync(), syncDirectory(filepath.Dir(absolute)))
}

// A Snapshot says what a copy of a database holds.
type Snapshot struct {
	Schema
	Generation int64
	Changes    int64 // sequence of the last one in the history
}

// Look returns what a file that Backup wrote holds, and leaves nothing beside it.
func Look(ctx context.Context, path string) (found Snapshot, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return found, err
	}
	query := url.Values{"mode": {"ro"}, "immutable": {"1"}}
	db, err := driver.Open((&url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: query.Encode()}).String(),
		func(c *sqlite3.Conn) error { return c.Exec(`PRAGMA query_only = ON; PRAGMA trusted_schema = OFF`) })
	if err != nil {
		return found, fmt.Errorf("sqlstore: look: %w", describe(err))
	}
	defer db.Close()
	p := pool{db: db}
	for _, step := range []func() error{
		func() error { return p.scanOne(ctx, readSchema, &found.Version, &found.ReadableFrom) },
		func() error { return p.scanCounter(ctx, readCounter, "generation", &found.Generation) },
		func() error { return p.scanCounter(ctx, readCounter, "event", &found.Changes) },
	} {
		if err := step(); err != nil {
			return found, fmt.Errorf("sqlstore: %s is not a backup of Writ: %w", path, err)
		}
	}
	files, err := embeddedMigrations()
	if err != nil {
		return found, err
	}
	found.Binary, err = migrations{files: files}.newest()
	return found, err
}

func (p *pool) scanCounter(ctx context.Context, text sqlText, name string, to *int64) error {
	return describe(p.db.QueryRowContext(ctx, string(text), name).Scan(to))
}

func embeddedMigrations() (fs.FS, error) { return fs.Sub(embedded, "migrations") }

// Hold keeps every other process from opening a SQLite database, or returns ErrInUse if somebody has it. The path is that of the file, which is made
// if need be.
func Hold(options Options) (path string, release func() error, err error) {
	if path, err = sqlitePath(options); err != nil {
		return "", nil, err
	}
	if path, err = safePlace(path, options); err != nil {
		return "", nil, fmt.Errorf("sqlstore: %w", err)
	}
	lock, err := lockAlone(path)
	if err != nil {
		return "", nil, fmt.Errorf("sqlstore: %w", err)
	}
	return path, lock.release, nil
}

// Settle brings all that was written to a SQLite database into its one file, which may then be moved. No Store may be open on it.
func Settle(ctx context.Context, path string) error {
	db, err := driver.Open(sqliteURI(path), prepareWriter)
	if err != nil {
		return fmt.Errorf("sqlstore: settle: %w", describe(err))
	}
	db.SetMaxOpenConns(1)
	var busy, pages, moved int64
	err = db.QueryRowContext(ctx, sqliteCheckpoint).Scan(&busy, &pages, &moved)
	if err == nil && busy != 0 {
		err = errors.New("somebody reads it")
	}
	if err = errors.Join(describe(err), db.Close()); err != nil {
		return fmt.Errorf("sqlstore: settle: %w", err)
	}
	return nil
}

// Replace puts a settled database into the place of the one at path, which is kept under another name, its end in .before-STAMP;
// "" if there was nothing in it. Whoever calls it must Hold the database. Ended in the middle, it leaves the one or the other.
func Replace(path, with, stamp string) (former string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("sqlstore: replace: %w", err)
	}
	if info.Size() > 0 {
		former = path + ".before-" + stamp
		if err := os.Link(path, former); err != nil {
			return "", fmt.Errorf("sqlstore: replace: keep the former one: %w", err)
		}
	}
	// What is in the WAL belongs to the former one: beside the new one, SQLite would take it for its own.
	for _, name := range []string{"-wal", "-shm"} {
		move := func() error { return os.Remove(path + name) }
		if former != "" && name == "-wal" {
			move = func() error { return os.Rename(path+name, former+name) }
		}
		if err := move(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return former, fmt.Errorf("sqlstore: replace: %w", err)
		}
	}
	if err := os.Rename(with, path); err != nil {
		return former, fmt.Errorf("sqlstore: replace: %w", err)
	}
	return former, syncDirectory(filepath.Dir(path))
}
