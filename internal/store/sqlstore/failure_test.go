package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/ncruces/go-sqlite3"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/internal/store/sqlstore"
	"github.com/writ-auth/writ/internal/store/storetest"
)

// TestDescribe: no text of a database's error that could quote a value or a statement gets through, and those that help
// an operator do.
func TestDescribe(t *testing.T) {
	const canary = "canary"
	for name, test := range map[string]struct {
		err  error
		want string // the whole text
	}{
		"value out of range":   {&pgconn.PgError{Code: "22003", Message: canary, Detail: canary}, "PostgreSQL: SQLSTATE 22003"},
		"unique violation":     {&pgconn.PgError{Code: "23505", Message: canary, Detail: canary}, "PostgreSQL: SQLSTATE 23505"},
		"syntax error":         {&pgconn.PgError{Code: "42601", Message: canary, InternalQuery: canary}, "PostgreSQL: SQLSTATE 42601"},
		"raised by a trigger":  {&pgconn.PgError{Code: "P0001", Message: canary}, "PostgreSQL: SQLSTATE P0001"},
		"too many connections": {&pgconn.PgError{Code: "53300", Message: "sorry, too many clients already", Detail: canary}, "PostgreSQL: sorry, too many clients already (SQLSTATE 53300)"},
		"no permission":        {&pgconn.PgError{Code: "42501", Message: "permission denied for table clients"}, "PostgreSQL: permission denied for table clients (SQLSTATE 42501)"},
		"wrapped by others":    {fmt.Errorf("%s: %w", canary, &pgconn.PgError{Code: "22021", Message: canary}), "PostgreSQL: SQLSTATE 22021"},
		"SQLite":               {fmt.Errorf("%s: %w", canary, sqlite3Error(t)), "SQLite: "},
		"deadline":             {fmt.Errorf("%s: %w", canary, context.DeadlineExceeded), "context deadline exceeded"},
		"anything else":        {errors.New(canary), "unexpected error of type *errors.errorString"},
	} {
		got := sqlstore.Describe(test.err)
		if !strings.HasPrefix(got.Error(), test.want) || test.want == "" || strings.Contains(fmt.Sprintf("%v %+v %s", got, got, got), canary) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
	if err := sqlstore.Describe(fmt.Errorf("x: %w", context.Canceled)); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled call: got %v, want one that is context.Canceled", err)
	}
	if err := sqlstore.Describe(io.EOF); errors.Is(err, io.EOF) {
		t.Error("an unknown error can be unwrapped, and then printed")
	}
	if sqlstore.Describe(nil) != nil {
		t.Error("no error became one")
	}
}

// sqlite3Error makes SQLite complain about a statement.
func sqlite3Error(t *testing.T) error {
	t.Helper()
	db, err := sqlite3.Open(":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return db.Exec(`SELECT canary FROM canary`)
}

// TestErrorsKeepSecrets opens databases that it cannot open, with a password in the DSN.
func TestErrorsKeepSecrets(t *testing.T) {
	t.Parallel()
	const password = "pa55-canary"
	right := storetest.PostgreSQL(t)
	with := func(change func(*url.URL)) string {
		u := must(url.Parse(right))
		u.User = url.UserPassword("postgres", password)
		change(u)
		return u.String()
	}
	for name, dsn := range map[string]string{
		"wrong password":    with(func(*url.URL) {}),
		"wrong port":        with(func(u *url.URL) { u.Host = "127.0.0.1:1" }),
		"wrong database":    strings.Replace(right, "/writ", "/nowhere", 1),
		"wrong parameter":   with(func(u *url.URL) { u.RawQuery = "sslmode=maybe" }),
		"clear text":        with(func(u *url.URL) { u.Host = "192.0.2.1" }),
		"no URL":            "postgres://postgres:" + password + "@[::1/writ",
		"bad port":          "postgres://postgres:" + password + "@localhost:port/writ",
		"percent":           "postgres://postgres:" + password + "%zz@localhost/writ",
		"password in query": "postgres://localhost:1/writ?user=postgres&password=" + password,
		"other scheme":      "mysql://postgres:" + password + "@localhost/writ",
	} {
		_, err := sqlstore.Open(t.Context(), sqlstore.Options{DSN: dsn})
		if err == nil {
			t.Errorf("%s: got no error", name)
			continue
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, password) {
				t.Errorf("%s: the error shows the password: %s", name, text)
			}
		}
	}
}

// TestSpoiledColumns: somebody edited the rows by hand.
func TestSpoiledColumns(t *testing.T) {
	t.Parallel()
	dsn := storetest.PostgreSQL(t)
	s, side := open(t, dsn), connect(t, dsn)
	insert(t, s, "a")
	if err := s.Keys().Insert(t.Context(), store.SigningKey{ID: "a", Sealed: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	side.exec(t, `UPDATE clients SET secrets = '[{"hash":"canary"'; UPDATE signing_keys SET sealed_key = 'canary!'`)
	_, jsonErr := s.Clients().Get(t.Context(), "a")
	_, base64Err := s.Keys().List(t.Context(), "", 1)
	for what, err := range map[string]error{"JSON": jsonErr, "base64": base64Err} {
		if err == nil || strings.Contains(err.Error(), "canary") || errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: got %v, want an error without the content", what, err)
		}
	}
}

// TestNothingHangs: a caller without a deadline, on a database that takes the connection and then says nothing.
func TestNothingHangs(t *testing.T) {
	t.Parallel()
	dsn := "postgres://u:p@" + silentServer(t) + "/writ?sslmode=disable&connect_timeout=1"
	began := time.Now()
	if _, err := sqlstore.Open(context.WithoutCancel(t.Context()), sqlstore.Options{DSN: dsn}); err == nil {
		t.Error("got no error")
	}
	if took := time.Since(began); took > sqlstore.Wait {
		t.Errorf("took %s, want about a second", took)
	}
}
