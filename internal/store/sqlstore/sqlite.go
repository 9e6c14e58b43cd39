package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/pressly/goose/v3"
)

const (
	sqliteVersion      = `SELECT sqlite_version()`
	sqliteTables       = `SELECT count(*) FROM sqlite_schema` // the first reading makes the WAL
	sqliteSchemaExists = `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'writ_schema'`
)

var sqliteDialect = dialect{
	schemaExists: sqliteSchemaExists,
	grantsOf:     "json_each(whole.grants)",
	rolesOf:      "json_each(whole.roles)",
	grantsHold:   "instr(whole.grants, $6) > 0",
	lowerName:    "found.name",
	lowerID:      "found.id",
	listed:       "json_each($1)",
	elements:     "json_each($1)",
}

// connectSQLite opens the file at path, made if need be. It has one connection that writes, since SQLite has one writer
// at a time and waiting for it in Go knows about contexts and is fair, and several that can only read.
func connectSQLite(ctx context.Context, path string, options Options) (*database, error) {
	path, err := safePlace(path, options)
	if err != nil {
		return nil, err
	}
	lock, err := lockProcess(path)
	if err != nil {
		return nil, err
	}
	db, err := openSQLite(ctx, path, lock)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	db.migrations = migrations{
		files: options.migrations, kind: goose.DialectSQLite3, locker: lock,
		open: func() *sql.DB { return db.writes.db },
	}
	return db, nil
}

func openSQLite(ctx context.Context, path string, lock *processLock) (*database, error) {
	writes, err := driver.Open(sqliteURI(path), prepareWriter)
	if err != nil {
		return nil, describe(err)
	}
	writes.SetMaxOpenConns(1)
	reads, err := driver.Open(sqliteURI(path), prepareReader)
	if err != nil {
		return nil, errors.Join(describe(err), writes.Close())
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	reads.SetMaxOpenConns(readers)
	reads.SetMaxIdleConns(readers)

	db := &database{
		dialect: sqliteDialect,
		reads:   &pool{db: reads}, writes: &pool{db: writes},
		release: lock.release,
	}
	if err := db.openAlone(ctx, path, lock); err != nil {
		return nil, errors.Join(err, reads.Close(), writes.Close())
	}
	return db, nil
}

// openAlone opens the connection that writes, one Store at a time: the first one turns the journal into a WAL, for which
// it must be alone, and makes files.
func (d *database) openAlone(ctx context.Context, path string, lock *processLock) (err error) {
	if err := lock.SessionLock(ctx, nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.SessionUnlock(ctx, nil)) }()
	if err := safeCompanions(path); err != nil {
		return err
	}
	var version string
	var tables int
	if err := d.writes.scanOne(ctx, sqliteVersion, &version); err != nil {
		return err
	}
	if err := d.writes.scanOne(ctx, sqliteTables, &tables); err != nil {
		return err
	}
	return supportedSQLite(version)
}

// sqliteURI names the file. modeof gives files that SQLite makes beside it the permissions of the database.
func sqliteURI(path string) string {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // C:/…
	}
	query := url.Values{"mode": {"rw"}, "modeof": {path}, "_txlock": {"immediate"}}
	encoded := strings.ReplaceAll(query.Encode(), "+", "%20") // SQLite takes + for itself
	return (&url.URL{Scheme: "file", Path: slashed, RawQuery: encoded}).String()
}

// keepFiles keeps the WAL when the last connection closes. SQLite makes one that everybody may read, and takes that back a
// moment later; so it must be made once, by safeCompanions.
func keepFiles(c *sqlite3.Conn) error {
	_, err := c.FileControl("main", sqlite3.FCNTL_PERSIST_WAL, true)
	return err
}

// prepareWriter: an acknowledged write survives a power failure (FULL).
func prepareWriter(c *sqlite3.Conn) error {
	if err := keepFiles(c); err != nil {
		return err
	}
	if err := c.Exec(`PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
		PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF`); err != nil {
		return err
	}
	if mode, err := journalMode(c); err != nil || mode != "wal" {
		return errors.Join(err, fmt.Errorf("journal mode is %q, not wal", mode))
	}
	_, err := c.Config(sqlite3.DBCONFIG_DEFENSIVE, true)
	return err
}

func journalMode(c *sqlite3.Conn) (mode string, err error) {
	statement, _, err := c.Prepare(`PRAGMA journal_mode`)
	if err != nil {
		return "", err
	}
	if statement.Step() {
		mode = statement.ColumnText(0)
	}
	return mode, errors.Join(statement.Err(), statement.Close())
}

func prepareReader(c *sqlite3.Conn) error {
	if err := keepFiles(c); err != nil {
		return err
	}
	return c.Exec(`PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; PRAGMA trusted_schema = OFF`)
}

// supportedSQLite refuses the versions that can corrupt a database in WAL mode (the WAL-reset bug, fixed in 3.51.3, and
// back in 3.52.0).
func supportedSQLite(version string) error {
	var number int
	for i, part := range strings.SplitN(version, ".", 3) {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > 999 || i > 2 {
			return fmt.Errorf("SQLite has version %q, which is no version", version)
		}
		number = number*1000 + n
	}
	if number < 3_051_003 || number == 3_052_000 {
		return fmt.Errorf("this binary is linked with SQLite %s, which can corrupt databases; 3.51.3 or newer is needed, but not 3.52.0", version)
	}
	return nil
}
