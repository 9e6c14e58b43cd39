package sqlstore_test

import (
	"database/sql"
	"net"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // side's driver
)

// side is a connection to PostgreSQL beside the Store: an operator, another program, an attacker.
type side struct{ *sql.DB }

func connect(t testing.TB, dsn string) side {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return side{db}
}

func (s side) exec(t testing.TB, text string) {
	t.Helper()
	if _, err := s.ExecContext(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func (s side) begin(t testing.TB) sideTx {
	t.Helper()
	tx, err := s.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return sideTx{tx}
}

type sideTx struct{ *sql.Tx }

func (s sideTx) exec(t testing.TB, text string) {
	t.Helper()
	if _, err := s.Exec(text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func (s sideTx) rollback(t testing.TB) {
	t.Helper()
	if err := s.Rollback(); err != nil {
		t.Fatal(err)
	}
}

// silentServer accepts connections and never answers.
func silentServer(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String() // the kernel accepts; nobody reads
}
