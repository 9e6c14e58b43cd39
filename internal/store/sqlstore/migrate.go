package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var embedded embed.FS

// A Schema is what a database is like, and what this binary is made for.
type Schema struct {
	Version      int64 // newest migration that the database has; 0 if it is empty
	ReadableFrom int64 // oldest binary that may serve it, by the newest migration that the binary has
	Binary       int64 // newest migration that this binary has
}

// Pending reports whether there is something to migrate.
func (s Schema) Pending() bool { return s.Version < s.Binary }

// Fits returns nil if this binary may serve the database, else an error that is ErrSchema and says what to do.
//
// A schema newer than the binary fits as long as every migration in it has declared so: then a cluster may be upgraded
// node by node, and back. The step that takes away what older binaries need declares the opposite.
func (s Schema) Fits() error {
	switch {
	case s.Pending():
		return fmt.Errorf("%w: the database is at version %d, this binary needs %d; run writ migrate", ErrSchema, s.Version, s.Binary)
	case s.ReadableFrom > s.Binary:
		return fmt.Errorf("%w: the database is at version %d and asks for a binary of version %d or newer; this one has %d: upgrade it",
			ErrSchema, s.Version, s.ReadableFrom, s.Binary)
	}
	return nil
}

// Status returns the schema of the database and changes nothing, except that a SQLite file that is not there is made.
func Status(ctx context.Context, options Options) (Schema, error) {
	return withDatabase(ctx, options, "status", (*database).readSchema)
}

// Migrate brings the schema up to date and returns what it is then. It needs a role that may create tables.
func Migrate(ctx context.Context, options Options) (Schema, error) {
	return withDatabase(ctx, options, "migrate", (*database).migrate)
}

func withDatabase(ctx context.Context, options Options, what string,
	do func(*database, context.Context) (Schema, error)) (Schema, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	db, err := connect(ctx, options)
	if err != nil {
		return Schema{}, fmt.Errorf("sqlstore: %s: %w", what, err)
	}
	schema, err := do(db, ctx)
	if err = errors.Join(err, db.close()); err != nil {
		return Schema{}, fmt.Errorf("sqlstore: %s: %w", what, err)
	}
	return schema, nil
}

// migrations are the steps from an empty database, one file each.
type migrations struct {
	files  fs.FS
	kind   goose.Dialect
	open   func() *sql.DB     // with time enough for a migration
	locker lock.SessionLocker // one node or goroutine at a time
}

// newest returns the number of the last one.
func (m migrations) newest() (int64, error) {
	names, err := fs.Glob(m.files, "*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("no migrations: %w", err)
	}
	number, _, _ := strings.Cut(names[len(names)-1], "_") // Glob sorts
	return strconv.ParseInt(number, 10, 64)
}

func (d *database) readSchema(ctx context.Context) (schema Schema, err error) {
	if schema.Binary, err = d.migrations.newest(); err != nil {
		return schema, err
	}
	if err := d.writes.scanOne(ctx, d.schemaExists, &schema.Version); err != nil || schema.Version == 0 {
		return schema, err
	}
	err = d.writes.scanOne(ctx, readSchema, &schema.Version, &schema.ReadableFrom)
	return schema, err
}

func (p *pool) scanOne(ctx context.Context, text sqlText, to ...any) error {
	if err := p.db.QueryRowContext(ctx, string(text)).Scan(to...); err != nil {
		return fmt.Errorf("read the schema's version: %w", describe(err))
	}
	return nil
}

// migrate applies what is pending, each migration in a transaction of its own.
func (d *database) migrate(ctx context.Context) (Schema, error) {
	schema, err := d.readSchema(ctx)
	if err != nil || !schema.Pending() {
		return schema, errors.Join(err, schema.Fits())
	}
	db := d.migrations.open()
	if db != d.writes.db {
		defer db.Close()
	}
	provider, err := goose.NewProvider(d.migrations.kind, db, d.migrations.files,
		goose.WithTableName("writ_migrations"), goose.WithSessionLocker(d.migrations.locker),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return schema, fmt.Errorf("migrate: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return schema, fmt.Errorf("migrate from version %d: %w", schema.Version, describe(err))
	}
	schema, err = d.readSchema(ctx)
	if err == nil && schema.Pending() {
		err = errors.New("migrate: a migration has not written its row into writ_schema")
	}
	return schema, errors.Join(err, schema.Fits())
}

// collated gives the files of the one SQL text with PostgreSQL's name of the order by bytes.
type collated struct{ fs.FS }

func (c collated) Open(name string) (fs.File, error) {
	file, err := c.FS.Open(name)
	if err != nil || path.Ext(name) != ".sql" {
		return file, err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &collatedFile{file, bytes.NewReader(bytes.ReplaceAll(text, []byte("COLLATE BINARY"), []byte(`COLLATE "C"`)))}, nil
}

type collatedFile struct {
	fs.File
	text io.Reader
}

func (f *collatedFile) Read(p []byte) (int, error) { return f.text.Read(p) }
