//go:build !unix

package storetest

import "testing"

// PostgreSQL skips the test: the server is kept by means of Unix.
func PostgreSQL(t testing.TB, _ ...string) (dsn string) {
	t.Helper()
	t.Skip("tests on PostgreSQL run on Unix")
	return ""
}
