package sqlstore_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// TestNoConnectionToAStandby: of several servers only the primary is connected to, whatever the DSN says and whoever comes
// first. A suspended client that is read from a standby that is behind would stay unsuspended until the next change.
func TestNoConnectionToAStandby(t *testing.T) {
	const both = "postgres://u:p@127.0.0.1:5001,127.0.0.1:5002/writ?sslmode=disable"
	for name, test := range map[string]struct {
		dsn string
		err error
	}{
		"the standby first":      {both, nil},
		"a standby asked for":    {both + "&target_session_attrs=prefer-standby", nil},
		"nothing but a standby":  {"postgres://u:p@127.0.0.1:5001/writ?sslmode=disable", pgconn.ErrStandbyConnection},
		"a standby and no other": {both + "&target_session_attrs=standby", pgconn.ErrPrimaryConnection},
	} {
		t.Run(name, func(t *testing.T) {
			config := must(sqlstore.PostgresConfig(test.dsn))
			config.DialFunc = func(_ context.Context, _, address string) (net.Conn, error) {
				here, there := net.Pipe()
				go pretend(there, strings.HasSuffix(address, ":5001"))
				return here, nil
			}
			connection, err := pgx.ConnectConfig(t.Context(), config)
			if !errors.Is(err, test.err) {
				t.Fatalf("got %v, want %v", err, test.err)
			}
			if err != nil {
				return
			}
			defer connection.Close(t.Context())
			var standby bool
			if err := connection.QueryRow(t.Context(), "select pg_is_in_recovery()", pgx.QueryExecModeSimpleProtocol).Scan(&standby); err != nil || standby {
				t.Errorf("connected to a standby: %v, %v", standby, err)
			}
		})
	}
}

// pretend is a PostgreSQL that can say whether it is a standby, and nothing else.
func pretend(connection net.Conn, standby bool) {
	defer connection.Close()
	server := pgproto3.NewBackend(connection, connection)
	if _, err := server.ReceiveStartupMessage(); err != nil {
		return
	}
	server.Send(&pgproto3.AuthenticationOk{})
	server.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	server.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	for {
		server.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if server.Flush() != nil {
			return
		}
		message, err := server.Receive()
		if _, query := message.(*pgproto3.Query); err != nil || !query {
			return
		}
		value := []byte("f")
		if standby {
			value = []byte("t")
		}
		server.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("pg_is_in_recovery"), DataTypeOID: 16, DataTypeSize: 1, TypeModifier: -1}}})
		server.Send(&pgproto3.DataRow{Values: [][]byte{value}})
		server.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
	}
}
