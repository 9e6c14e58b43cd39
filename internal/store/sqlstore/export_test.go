package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// WithMigrations makes the options those of a binary that has other migrations.
func WithMigrations(options Options, files fs.FS) Options {
	options.migrations = files
	return options
}

// WithFilesystem makes the options believe in another file system under the database.
func WithFilesystem(options Options, of func(string) (string, bool, error)) Options {
	options.filesystem = of
	return options
}

// Setting returns a setting of PostgreSQL as the Store's connections have it.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.database.writes.db.QueryRowContext(ctx, `SELECT current_setting($1)`, name).Scan(&value)
	return value, err
}

// Waited returns how many had to wait for a connection.
func (s *Store) Waited() int64 { return s.database.writes.db.Stats().WaitCount }

// Statements returns the text of every statement, for both databases.
func Statements() (texts []string) {
	for _, d := range []dialect{sqliteDialect, postgresDialect} {
		_, all := (&database{dialect: d}).statements()
		for _, text := range all {
			texts = append(texts, string(text))
		}
	}
	return texts
}

// SQLiteVersion returns the version of SQLite that the Store runs on.
func (s *Store) SQLiteVersion(ctx context.Context) (version string, err error) {
	err = s.database.writes.scanOne(ctx, sqliteVersion, &version)
	return version, err
}

// Pragma returns the writer's value of a setting of SQLite.
func (s *Store) Pragma(ctx context.Context, name string) (value string, err error) {
	err = s.database.writes.db.QueryRowContext(ctx, `SELECT * FROM pragma_`+name).Scan(&value)
	return value, err
}

var (
	Embedded         fs.FS = embedded
	SupportedSQLite        = supportedSQLite
	FilesystemOf           = filesystemOf
	PostgresConfig         = postgresConfig
	Describe               = describe
	UnknownStatement       = unknownStatement
)

const (
	MaxRetries      = maxRetries
	MigrationLockID = migrationLockID
)

// Wait is how long a test waits for what must happen at once.
const Wait = 10 * time.Second

// Limit makes SQLite treat the disk as full at so many pages, and returns how many there are now; 0 takes the limit away.
func (s *Store) Limit(ctx context.Context, pages int) (now int, err error) {
	if pages == 0 {
		pages = 1 << 30
	}
	if err := s.database.writes.db.QueryRowContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, pages)).Scan(new(int)); err != nil {
		return 0, err
	}
	err = s.database.writes.db.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&now)
	return now, err
}

// WithoutNotify makes the Store one on an engine that does not know the statement.
func (s *Store) WithoutNotify() { s.database.withoutNotify() }

// Waiting returns how many calls of UseOnce wait for a batch to begin.
func (s *Store) Waiting() int {
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	return len(s.uses.waiting)
}

// SweepUsesAtMost makes a Sweep look at so many uses.
func (s *Store) SweepUsesAtMost(n int) { s.walk.most = n }

// SweepPlan returns how SQLite goes about the statements that sweep.
func (s *Store) SweepPlan(ctx context.Context) (plan []string, err error) {
	for text, arguments := range map[string]int{explainUsesStep: 3, explainSweepUses: 5, explainSweepRevocations: 2, explainSweepUsed: 2} {
		rows, err := s.database.writes.db.QueryContext(ctx, text, slices.Repeat([]any{"1"}, arguments)...)
		if err != nil {
			return nil, err
		}
		for rows.Next() && err == nil {
			var line string
			err = rows.Scan(new(int), new(int), new(int), &line)
			plan = append(plan, line)
		}
		if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
			return nil, err
		}
	}
	return plan, nil
}

const (
	explainUsesStep  = `EXPLAIN QUERY PLAN ` + readUsesStep
	explainSweepUses = `EXPLAIN QUERY PLAN ` + sweepUses

	explainSweepRevocations = `EXPLAIN QUERY PLAN ` + sweepRevocations
	explainSweepUsed        = `EXPLAIN QUERY PLAN ` + sweepUsed

	ReadUsesStep = readUsesStep
	SweepUses    = sweepUses
)
