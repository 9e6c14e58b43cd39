package server

import (
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store/sqlstore"
)

// TestST18 restores an old backup: not while a server has the database; what was revoked since is told, counts again, and does
// not where all tokens from before are ended; and the history says what happened.
func TestST18(t *testing.T) {
	t.Parallel()
	c, backup := testConfig(t), filepath.Join(t.TempDir(), "writ.db")
	c.Issuer = "https://as.example" // the same on every port
	r := start(t, c)
	client := r.newClient(t, "billing", nil)
	token := r.token(t, client)
	made, err := TakeBackup(t.Context(), c, backup)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := r.post(t, "/revoke", client, url.Values{"token": {token}}); status != 200 || r.active(t, client, token) {
		t.Fatalf("the token is not revoked: %d", status)
	}
	if _, err := Restore(t.Context(), c, backup, time.Time{}, false); !errors.Is(err, ErrInUse) {
		t.Errorf("ST-18: while a server has the database: got %v, want ErrInUse", err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}

	done, err := Restore(t.Context(), c, backup, time.Time{}, false)
	if err != nil {
		t.Fatal(err)
	}
	if want := "1 tokens were revoked, and count again until they expire"; !slices.Contains(done.Undone, want) {
		t.Errorf("ST-18: got undone %q, want %q among it", done.Undone, want)
	}
	r = start(t, c)
	if !r.active(t, client, token) {
		t.Fatal("the test shows nothing: the token is revoked in the backup, too")
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), c, backup, time.Now(), false); err != nil {
		t.Fatal(err)
	}
	r = start(t, c)
	if r.active(t, client, token) {
		t.Error("ST-18: a token that was revoked after the backup counts again in spite of --revoke-since")
	}
	events, err := r.store.Events(t.Context(), made.Changes, 10)
	if err != nil || len(events) != 2 || events[0].Action != "resource.tokens_revoked" || events[1].Action != "database.restored" || events[1].Actor != restorer {
		t.Errorf("ST-18: got events %+v, %v behind the backup, want the revocation and the restore", events, err)
	}
}

// TestST18Refused: a backup of other keys, or one that was changed, is refused and changes nothing.
func TestST18Refused(t *testing.T) {
	t.Parallel()
	theirs, ours := testConfig(t), testConfig(t)
	backup := filepath.Join(t.TempDir(), "writ.db")
	for _, c := range []Config{theirs, ours} {
		if err := start(t, c).stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := TakeBackup(t.Context(), theirs, backup); err != nil {
		t.Fatal(err)
	}
	before := generation(t, ours)
	if _, err := Restore(t.Context(), ours, backup, time.Time{}, false); err == nil || !strings.Contains(err.Error(), "root key") {
		t.Errorf("ST-18: a backup that another root key has sealed: got %v", err)
	}
	if _, err := TakeBackup(t.Context(), ours, filepath.Join(t.TempDir(), "none", "writ.db")); err == nil {
		t.Error("ST-18: a backup into nowhere: got no error")
	}
	if got := generation(t, ours); got != before {
		t.Errorf("ST-18: what was refused has changed the database: generation %d, want %d", got, before)
	}
	if left, _ := filepath.Glob(filepath.Join(ours.Data, ".restore-*")); len(left) > 0 {
		t.Errorf("ST-18: what was refused has left %q", left)
	}
}

func generation(t *testing.T, c Config) int64 {
	t.Helper()
	options, err := c.storeOptions()
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlstore.OpenReadOnly(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now, err := s.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return now
}
