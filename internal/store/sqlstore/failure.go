package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"
)

// A failure is an error of a database or its driver with a text that is safe in a log: which class of failure, and no
// SQL, no value of a column, no credential. What wraps it may be compared with errors.Is.
type failure struct {
	text  string
	cause error // never an error that holds the connection's configuration, and with it the password
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// describe returns what may be said about an error.
func describe(err error) error {
	var known *failure
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, errColumn):
		return err
	}
	if known := sentinel(err); known != nil {
		return &failure{known.Error(), known}
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return &failure{describePostgreSQL(refused), refused}
	}
	if refused, ok := errors.AsType[*sqlite3.Error](err); ok {
		return &failure{"SQLite: " + strings.TrimPrefix(refused.ExtendedCode().Error(), "sqlite3: "), refused.ExtendedCode()}
	}
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		// Its text names user, database, address and reason. The password is in its Config alone.
		return &failure{"PostgreSQL: " + connect.Error(), connect.Unwrap()}
	}
	if network, ok := errors.AsType[*net.OpError](err); ok {
		return &failure{"PostgreSQL: " + network.Error(), network}
	}
	return &failure{fmt.Sprintf("unexpected error of type %T", err), nil}
}

// sentinel returns the error of known text that err is, or nil.
func sentinel(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, sql.ErrConnDone, sql.ErrTxDone, driver.ErrBadConn} {
		if errors.Is(err, known) {
			return known
		}
	}
	return nil
}

// describePostgreSQL gives the server's message only for classes whose messages never quote a value or a statement.
func describePostgreSQL(err *pgconn.PgError) string {
	quotesNothing := []string{"08", "25", "28", "3D", "40", "53", "55", "57", "58", "42501", "42P01", "42703"}
	code := err.SQLState()
	if slices.ContainsFunc(quotesNothing, func(class string) bool { return strings.HasPrefix(code, class) }) {
		return "PostgreSQL: " + err.Message + " (SQLSTATE " + code + ")"
	}
	return "PostgreSQL: SQLSTATE " + code
}

// retryable reports whether the transaction had no effect and may succeed when it is tried again: a serialization
// failure or a deadlock. SQLite has none, since its writers wait at BEGIN.
func retryable(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (refused.SQLState() == "40001" || refused.SQLState() == "40P01")
}
