// Package sqlstore keeps what Writ remembers in SQLite or PostgreSQL, with one SQL text for both through database/sql.
// It is the only package that speaks SQL. The rules that it keeps are those of store.Store; what the records mean is
// not its business.
package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

var (
	// ErrInUse says that another process has the SQLite database open.
	ErrInUse = errors.New("in use")
	// ErrSchema says that the schema does not fit this binary, and Open may not or cannot change it.
	ErrSchema = errors.New("schema does not fit")
)

// Options say where the database is and how to treat it.
type Options struct {
	// DSN is "sqlite:PATH", or a URL "postgres://USER:PASSWORD@HOST/DATABASE" with libpq's parameters.
	DSN string
	// Now says which used IDs have passed; nil means time.Now.
	Now func() time.Time
	// NoMigrate makes Open refuse a schema that is not current, instead of migrating it.
	NoMigrate bool
	// AllowNetworkFS lets SQLite work on a network file system. Its locks do not work on most of them: the database may be
	// corrupted without notice.
	AllowNetworkFS bool
	// MaxConnections limits the connections to PostgreSQL, of which one is for Watch alone; 0 means 16. At least 3 are used.
	MaxConnections int

	readOnly   bool                                              // see OpenReadOnly
	copies     bool                                              // see Backup
	migrations fs.FS                                             // for tests; nil means the embedded ones
	filesystem func(dir string) (kind string, net bool, _ error) // for tests; nil means the real one
}

const (
	operationTimeout = 10 * time.Second // of one statement, longer than every timeout of the databases
	updateTimeout    = 20 * time.Second // of one Update with its retries
	openTimeout      = 90 * time.Second // of Open, which may wait for another node's migration
)

// A Store is a store.Store in a database, safe for concurrent use. Open makes one.
//
// No call waits for ever: each has a deadline of its own besides the one of its context. The errors say which class of
// failure the database reported, never SQL, values or credentials.
type Store struct {
	view
	database *database
	now      func() time.Time
	writer   chan struct{} // holds one token: whose Update may run. Waiters hold no connection.
	close    func() error
	uses     *gathering
	walk     walk
	bell     store.Bell // rung for changes through this Store
}

var _ store.Store = (*Store)(nil)

// Open opens the database, creates it if it is a new SQLite file, and migrates its schema unless NoMigrate is set.
// Several nodes may do so at once.
func Open(ctx context.Context, options Options) (*Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	db, err := connect(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: open: %w", err)
	}
	if err := db.open(ctx, options); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlstore: open: %w", err), db.close())
	}
	return newStore(db, options), nil
}

func newStore(db *database, options Options) *Store {
	s := &Store{database: db, now: options.Now, writer: make(chan struct{}, 1), uses: newGathering(), walk: walk{most: sweepSeen}, close: sync.OnceValue(db.close)}
	if s.now == nil {
		s.now = time.Now
	}
	s.view = view{store: s}
	s.writer <- struct{}{}
	return s
}

// Close closes the database. It waits for the statements that are running.
func (s *Store) Close() error {
	if err := s.close(); err != nil {
		return fmt.Errorf("sqlstore: close: %w", err)
	}
	return nil
}

// database is a database of either kind, connected.
type database struct {
	dialect
	reads, writes *pool // the same on PostgreSQL
	migrations    migrations
	searches      map[search]sqlText
	listen        func(context.Context, func()) error // see Watch; nil where only this process writes
	release       func() error                        // called after the pools are closed
}

// A dialect is what differs between the databases once they are connected.
type dialect struct {
	schemaExists sqlText // counts 1 if the table writ_schema is there
	takeTurn     sqlText // first in a transaction that writes; empty if its BEGIN is enough
	notify       sqlText // in every transaction that makes the generation grow; empty where nobody could hear it
	grantsOf     sqlText // a client's grants and roles as the column "value" of a table
	rolesOf      sqlText
	grantsHold   sqlText // whether the text $6 stands somewhere in a client's grants, as it does in all of them if it is empty
	lowerName    sqlText // a client's, for LIKE, to which "A" to "Z" must be as "a" to "z"; SQLite's does that by itself
	lowerID      sqlText
	listed       sqlText // the texts of the list $1, likewise
	elements     sqlText // and its objects
}

func connect(ctx context.Context, options Options) (*database, error) {
	if options.migrations == nil {
		var err error
		if options.migrations, err = fs.Sub(embedded, "migrations"); err != nil {
			return nil, err
		}
	}
	if path, ok := strings.CutPrefix(options.DSN, "sqlite:"); ok {
		if options.readOnly {
			return lookIntoSQLite(path, options)
		}
		return connectSQLite(ctx, path, options)
	}
	if strings.HasPrefix(options.DSN, "postgres://") || strings.HasPrefix(options.DSN, "postgresql://") {
		return connectPostgreSQL(ctx, options)
	}
	return nil, errors.New(`the DSN must begin with "sqlite:" or "postgres://"`)
}

func (d *database) open(ctx context.Context, options Options) error {
	schema, err := d.readSchema(ctx)
	if err != nil {
		return err
	}
	if schema.Pending() && !options.NoMigrate {
		if schema, err = d.migrate(ctx); err != nil {
			return err
		}
	}
	if err := schema.Fits(); err != nil {
		return err
	}
	if err := d.triesNotify(ctx); err != nil {
		return fmt.Errorf("find out about NOTIFY: %w", err)
	}
	reads, writes := d.statements()
	if err := d.writes.prepare(ctx, writes); err != nil {
		return fmt.Errorf("prepare the statements: %w", describe(err))
	}
	if d.reads == d.writes {
		return nil
	}
	if err := d.reads.prepare(ctx, reads); err != nil {
		return fmt.Errorf("prepare the statements: %w", describe(err))
	}
	return nil
}

func (d *database) close() error {
	err := d.writes.close()
	if d.reads != d.writes {
		// The writer goes first, so that the last connection to close, which removes the WAL, is a reader's only if the
		// writer could not.
		err = errors.Join(err, d.reads.close())
	}
	return errors.Join(err, d.release())
}
