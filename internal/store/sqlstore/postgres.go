package sqlstore

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	postgresSchemaExists = `SELECT count(*) FROM (SELECT to_regclass('writ_schema') AS found) AS looked WHERE found IS NOT NULL`

	// LOCK TABLE comes before the transaction has looked at anything, so what it then sees is what the one before it left.
	// Readers do not wait for it.
	postgresTakeTurn = `LOCK TABLE counters IN SHARE ROW EXCLUSIVE MODE`

	tryMigrationLock = `SELECT pg_try_advisory_lock($1)`
	migrationUnlock  = `SELECT pg_advisory_unlock($1)`
)

var postgresDialect = dialect{
	schemaExists: postgresSchemaExists,
	takeTurn:     postgresTakeTurn,
	notify:       postgresNotify,
	grantsOf:     "json_array_elements(whole.grants::json)",
	rolesOf:      "json_array_elements_text(whole.roles::json)",
	grantsHold:   "strpos(whole.grants, $6) > 0",
	lowerName:    "lower(found.name)",
	lowerID:      "lower(found.id)",
	listed:       "json_array_elements_text($1::text::json)",
	elements:     "json_array_elements($1::text::json)",
}

func connectPostgreSQL(ctx context.Context, options Options) (*database, error) {
	config, err := postgresConfig(options.DSN)
	if err != nil {
		return nil, err
	}
	connections := options.MaxConnections
	if connections <= 0 {
		connections = 16
	}
	connections = max(2, connections-1) // the one that listens (Watch) or migrates counts, too; an Update must not keep readers out
	if options.readOnly {
		config.RuntimeParams["default_transaction_read_only"] = "on"
	}
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour) // so that nodes move to where a changed DNS name points

	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(describe(err), db.Close())
	}
	all := &pool{db: db}
	return &database{
		dialect: postgresDialect,
		reads:   all, writes: all,
		listen: listenTo(config),
		migrations: migrations{
			files:  collated{options.migrations},
			kind:   goose.DialectPostgres,
			open:   func() *sql.DB { return migrating(config) },
			locker: advisoryLock{},
		},
		release: func() error { return nil },
	}, nil
}

// postgresConfig parses the DSN and makes it safe: no clear text over a network, no interpolation of values by the
// driver, and no statement that waits for ever.
func postgresConfig(dsn string) (*pgx.ConnConfig, error) {
	parsed, err := url.Parse(dsn)
	if err != nil {
		return nil, errors.New("the DSN is not a URL") // the error would quote it, password included
	}
	parameters := parsed.Query()
	if mode := parameters.Get("default_query_exec_mode"); mode != "" {
		// The simple protocol puts values into the text of statements (CVE-2024-27304, CVE-2026-41889).
		return nil, errors.New("the DSN may not set default_query_exec_mode")
	}
	config, err := parsePostgres(dsn)
	if err != nil {
		return nil, err
	}
	if !parameters.Has("sslmode") && !parameters.Has("ssl") && os.Getenv("PGSSLMODE") == "" && remote(config) != "" {
		parameters.Set("sslmode", "verify-full")
		parsed.RawQuery = parameters.Encode()
		if config, err = parsePostgres(parsed.String()); err != nil {
			return nil, err
		}
	}
	if host := unencrypted(config); host != "" {
		return nil, fmt.Errorf("sslmode lets the connection to %s go over the network in clear text; use sslmode=verify-full", host)
	}
	setDefaults(config)
	return config, nil
}

func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		// What the parser found it says together with the DSN, whose password it may fail to mask.
		return nil, errors.New("the DSN is not valid: check its user, host, port, parameters, and the files that they name")
	}
	return config, nil
}

func setDefaults(config *pgx.ConnConfig) {
	config.ValidateConnect = primaryOnly(config.ValidateConnect)
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	if config.ConnectTimeout == 0 || config.ConnectTimeout > 30*time.Second {
		config.ConnectTimeout = 5 * time.Second
	}
	for name, value := range map[string]string{
		"application_name":                    "writ",
		"client_encoding":                     "UTF8",
		"statement_timeout":                   "5s",
		"lock_timeout":                        "3s",
		"idle_in_transaction_session_timeout": "15s",
		"jit":                                 "off", // it takes longer to compile a search than to run it
		"synchronous_commit":                  "on",  // an acknowledged write survives a crash, whatever the database's default
	} {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
}

// primaryOnly refuses a connection to a standby, where a DSN or a DNS name leads to several servers. One connection of a
// pool that reads behind the others is worse than none: a client read there with the generation read here would be
// taken for up to date until the next change, suspended or not.
func primaryOnly(asked pgconn.ValidateConnectFunc) pgconn.ValidateConnectFunc {
	return func(ctx context.Context, connection *pgconn.PgConn) error {
		if err := pgconn.ValidateConnectTargetSessionAttrsPrimary(ctx, connection); err != nil || asked == nil {
			return err
		}
		return asked(ctx, connection)
	}
}

// migrating opens the one connection that migrates.
func migrating(config *pgx.ConnConfig) *sql.DB {
	db := stdlib.OpenDB(*migrationConfig(config))
	db.SetMaxOpenConns(1)
	return db
}

// migrationConfig gives a migration's statement a minute, but still 3 s to get its lock: all other statements queue
// behind one that waits.
func migrationConfig(config *pgx.ConnConfig) *pgx.ConnConfig {
	config = config.Copy()
	config.RuntimeParams["statement_timeout"] = "60s"
	config.RuntimeParams["lock_timeout"] = "3s"
	return config
}

// remote returns the first host that is not this machine.
func remote(config *pgx.ConnConfig) string {
	return firstHost(config, func(host string, _ *tls.Config) bool { return !local(host) })
}

// unencrypted returns the first host to which a connection may go in clear text, fallbacks included: with sslmode=prefer
// and sslmode=allow an attacker on the path decides.
func unencrypted(config *pgx.ConnConfig) string {
	return firstHost(config, func(host string, tls *tls.Config) bool { return !local(host) && tls == nil })
}

func firstHost(config *pgx.ConnConfig, matches func(string, *tls.Config) bool) string {
	if matches(config.Host, config.TLSConfig) {
		return config.Host
	}
	for _, fallback := range config.Fallbacks {
		if matches(fallback.Host, fallback.TLSConfig) {
			return fallback.Host
		}
	}
	return ""
}

// local reports whether the host is a Unix socket or loopback.
func local(host string) bool {
	if strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// advisoryLock makes one node of a cluster migrate while the others wait. The database drops it with the connection, so
// a node that dies does not keep it.
type advisoryLock struct{}

const migrationLockID = 0x57726974 // "Writ"

func (advisoryLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	for {
		var locked bool
		if err := conn.QueryRowContext(ctx, tryMigrationLock, migrationLockID).Scan(&locked); err != nil || locked {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("wait for another node's migration: %w", err)
		}
	}
}

func (advisoryLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, migrationUnlock, migrationLockID)
	return err
}
