//go:build !unix

package storetest

import (
	"os/exec"
	"testing"
)

// PostgreSQL skips the test: the server is kept by means of Unix.
func PostgreSQL(t testing.TB, _ ...string) (dsn string) {
	t.Helper()
	t.Skip("tests on PostgreSQL run on Unix")
	return ""
}

// StartPostgreSQL finds none.
func StartPostgreSQL(...string) (dsn string, err error) { return "", exec.ErrNotFound }
