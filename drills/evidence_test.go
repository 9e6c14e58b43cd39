//go:build drills

package drills

import (
	"bytes"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	_ "github.com/ncruces/go-sqlite3/driver" // the drill looks at what is left behind
)

// sqliteCheck returns what SQLite says about the database of a node that has ended.
func sqliteCheck(t *testing.T, n *node) (said string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(n.data, "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&said); err != nil {
		return err.Error()
	}
	return said
}

// journal returns the lines of a node's journal, oldest first.
func journal(t *testing.T, n *node) (lines [][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(n.data, "audit", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files { // their names are numbers of eight digits
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, bytes.Split(text, []byte("\n"))...)
	}
	return lines
}

// countExpired returns how many IDs that a drill has put there as expired are left in the database of a node that has ended.
func countExpired(t *testing.T, n *node) (count int) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(n.data, "writ.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM used_ids WHERE id LIKE 'drill-expired-%'`).Scan(&count); err != nil {
		t.Fatal(err)
	}
	return count
}
