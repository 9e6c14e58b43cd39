package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"

	"github.com/writ-auth/writ/internal/store"
)

// OpenReadOnly opens a database that is there already, to look at it: also while another process has it. Nothing is made,
// migrated or changed; methods that write return an error. A database that is not there is an error that is
// fs.ErrNotExist, and one of another version one that is ErrSchema.
func OpenReadOnly(ctx context.Context, options Options) (store.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	options.readOnly = true
	db, err := connect(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: open read-only: %w", err)
	}
	if err := db.prepareReads(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("sqlstore: open read-only: %w", err), db.close())
	}
	return newStore(db, options), nil
}

func (d *database) prepareReads(ctx context.Context) error {
	schema, err := d.readSchema(ctx)
	if err != nil {
		return err
	}
	if err := schema.Fits(); err != nil {
		return err
	}
	reads, _ := d.statements()
	if err := d.reads.prepare(ctx, reads); err != nil {
		return fmt.Errorf("prepare the statements: %w", describe(err))
	}
	return nil
}

// lookIntoSQLite opens the file at path for reading. The lock of the process is taken if nobody has it, so that the files
// beside the database can be made safely; whoever has it has made them.
func lookIntoSQLite(path string, options Options) (*database, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	path, err := safePlace(path, options)
	if err != nil {
		return nil, err
	}
	release := func() error { return nil }
	lock, err := lockProcess(path)
	switch {
	case err == nil:
		release = lock.release
		err = safeCompanions(path)
	case errors.Is(err, ErrInUse):
		err = nil
	}
	if err != nil {
		return nil, errors.Join(err, release())
	}
	uri := strings.Replace(sqliteURI(path), "mode=rw", "mode=ro", 1)
	db, err := driver.Open(uri, func(c *sqlite3.Conn) error {
		if options.copies { // which writes: into the copy
			return c.Exec(`PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF`)
		}
		return c.Exec(`PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; PRAGMA trusted_schema = OFF`)
	})
	if err != nil {
		return nil, errors.Join(describe(err), release())
	}
	db.SetMaxOpenConns(max(4, runtime.GOMAXPROCS(0)))
	all := &pool{db: db}
	return &database{
		dialect: sqliteDialect, reads: all, writes: all,
		migrations: migrations{files: options.migrations}, release: release,
	}, nil
}
