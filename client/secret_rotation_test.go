package client_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/client"
)

// A rotator is an issuer that rotates secrets: one successor a secret, and the same for the same request.
type rotator struct {
	*issuer
	mu      sync.Mutex
	good    map[string]bool      // the secrets that count
	made    map[string][2]string // request and successor, by secret
	expires int64
	lost    bool // answers get lost
	refused http.HandlerFunc
}

func newRotator() *rotator {
	r := &rotator{issuer: newIssuer(issuerURL), good: map[string]bool{theSecret: true}, made: map[string][2]string{}}
	r.metadata = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{
			"issuer": r.url, "token_endpoint": r.url + "/token", "client_secret_rotation_endpoint": r.url + "/client/secret",
		})
	}
	issue := r.token
	r.answer(func(w http.ResponseWriter, request *http.Request) {
		if _, good := r.authenticate(request); !good {
			refuse(http.StatusUnauthorized, "invalid_client", "no")(w, request)
			return
		}
		issue(w, request)
	})
	return r
}

func (r *rotator) authenticate(request *http.Request) (string, bool) {
	_, secret, _ := request.BasicAuth()
	r.mu.Lock()
	defer r.mu.Unlock()
	return secret, r.good[secret]
}

func (r *rotator) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.URL.Path != "/client/secret" {
		r.issuer.ServeHTTP(w, request)
		return
	}
	secret, good := r.authenticate(request)
	r.mu.Lock()
	defer r.mu.Unlock()
	id := request.PostFormValue("request_id")
	made, before := r.made[secret]
	switch {
	case r.refused != nil:
		r.refused(w, request)
		return
	case !good || id == "":
		refuse(http.StatusUnauthorized, "invalid_client", "no")(w, request)
		return
	case before && made[0] != id:
		refuse(http.StatusBadRequest, "invalid_request", "rotated before")(w, request)
		return
	case !before:
		made = [2]string{id, fmt.Sprintf("successor-%d", len(r.made)+1)}
		r.made[secret], r.good[made[1]] = made, true
	}
	if r.lost {
		refuse(http.StatusServiceUnavailable, "temporarily_unavailable", "lost")(w, request)
		return
	}
	reply(w, http.StatusOK, map[string]any{"client_id": clientID, "client_secret": made[1], "client_secret_expires_at": r.expires})
}

// rotations returns how many secrets have a successor.
func (r *rotator) rotations() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.made)
}

// secretIn writes the secret to a new file.
func secretIn(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "billing.secret")
	noError(t, os.WriteFile(path, []byte(theSecret+"\n"), 0o600))
	noError(t, os.Chtimes(path, time.Now(), time.Now()))
	return path
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rotator) source(t *testing.T, path string) *client.Source {
	t.Helper()
	c := config(network{"as.example": r})
	c.Credential = client.RotatingSecretFile(path, 24*time.Hour)
	return source(t, c)
}

func wantFile(t *testing.T, path, want string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || string(data) != want+"\n" {
		t.Errorf("%s holds %q, %v, want %s", filepath.Base(path), data, err, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s: mode %v, %v", filepath.Base(path), info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestRotatingSecretFile: the secret is renewed when it has its age, by one of all who use the file, and nobody waits or fails.
func TestRotatingSecretFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, path := newRotator(), secretIn(t)
		one, two := r.source(t, path), r.source(t, path)
		token(t, one)
		synctest.Wait()
		if r.rotations() != 0 {
			t.Error("a young secret was rotated")
		}
		time.Sleep(24 * time.Hour)
		token(t, one)
		token(t, two)
		synctest.Wait()
		wantFile(t, path, "successor-1")
		time.Sleep(23 * time.Hour)
		token(t, one)
		token(t, two)
		synctest.Wait()
		wantFile(t, path, "successor-1")
		time.Sleep(time.Hour)
		token(t, two)
		synctest.Wait()
		wantFile(t, path, "successor-2")
	})
}

// TestRotationBeforeExpiry: what the issuer said of the end of a secret counts as well.
func TestRotationBeforeExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, path := newRotator(), secretIn(t)
		s := r.source(t, path)
		r.expires = time.Now().Add(9 * time.Hour).Unix()
		noError(t, s.RotateSecret(t.Context()))
		wantFile(t, path, "successor-1")
		time.Sleep(5 * time.Hour)
		token(t, r.source(t, path)) // it is known to another process, too
		synctest.Wait()
		wantFile(t, path, "successor-1")
		time.Sleep(time.Hour + time.Second)
		token(t, s)
		synctest.Wait()
		wantFile(t, path, "successor-2")
	})
}

// TestRotationSurvivesCrashes: after each step another process goes on, with one successor made, and a secret that counts in
// the file all the time.
func TestRotationSurvivesCrashes(t *testing.T) {
	t.Parallel()
	state := func(t *testing.T, path string) map[string]any {
		t.Helper()
		data, err := os.ReadFile(path + ".rotation")
		noError(t, err)
		var kept map[string]any
		noError(t, json.Unmarshal(data, &kept))
		return kept
	}
	keep := func(t *testing.T, path string, kept map[string]any) {
		t.Helper()
		data, err := json.Marshal(kept)
		noError(t, err)
		noError(t, os.WriteFile(path+".rotation", data, 0o600))
	}
	lost := func(t *testing.T) (*rotator, string) { // a rotation of which the answer was lost
		r, path := newRotator(), secretIn(t)
		r.lost = true
		wantError(t, r.source(t, path).RotateSecret(t.Context()), "lost")
		wantFile(t, path, theSecret)
		r.lost = false
		return r, path
	}
	t.Run("before the request", func(t *testing.T) {
		r, path := lost(t)
		clear(r.made)
		noError(t, r.source(t, path).RotateSecret(t.Context()))
		wantFile(t, path, "successor-1")
	})
	t.Run("before the answer", func(t *testing.T) {
		r, path := lost(t)
		noError(t, r.source(t, path).RotateSecret(t.Context()))
		wantFile(t, path, "successor-1")
	})
	t.Run("before the answer, and the next token goes on by itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, path := lost(t)
			token(t, r.source(t, path))
			synctest.Wait()
			wantFile(t, path, "successor-1")
		})
	})
	t.Run("before the file, for so long that the former secret has ended", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, path := lost(t)
			kept := state(t, path)
			kept["successor"] = "successor-1"
			keep(t, path, kept)
			delete(r.good, theSecret)
			token(t, r.source(t, path))
			synctest.Wait()
			wantFile(t, path, "successor-1")
			if r.rotations() != 1 {
				t.Errorf("%d secrets have a successor, want 1", r.rotations())
			}
		})
	})
	t.Run("before the state, with the file replaced", func(t *testing.T) {
		r, path := lost(t)
		before := maps.Clone(state(t, path))
		noError(t, r.source(t, path).RotateSecret(t.Context()))
		before["successor"] = "successor-1"
		keep(t, path, before)
		s := r.source(t, path)
		noError(t, s.RotateSecret(t.Context()))
		wantFile(t, path, "successor-2")
	})
	t.Run("a state that is cut off is none", func(t *testing.T) {
		r, path := newRotator(), secretIn(t)
		noError(t, os.WriteFile(path+".rotation", []byte(`{"secret":"`), 0o600))
		noError(t, r.source(t, path).RotateSecret(t.Context()))
		wantFile(t, path, "successor-1")
	})
}

func TestRotationFailures(t *testing.T) {
	t.Parallel()
	t.Run("another put a new secret there meanwhile", func(t *testing.T) {
		r, path := newRotator(), secretIn(t)
		r.refused = func(w http.ResponseWriter, request *http.Request) {
			noError(t, os.WriteFile(path, []byte("by-hand\n"), 0o600))
			refuse(http.StatusBadRequest, "invalid_request", "rotated before")(w, request)
		}
		noError(t, r.source(t, path).RotateSecret(t.Context()))
		wantFile(t, path, "by-hand")
	})
	t.Run("the directory cannot be written: nothing is asked for", func(t *testing.T) {
		if os.Geteuid() == 0 {
			t.Skip("root writes everywhere")
		}
		r, path := newRotator(), secretIn(t)
		noError(t, os.Chmod(filepath.Dir(path), 0o500))
		wantError(t, r.source(t, path).RotateSecret(t.Context()), "permission denied")
		noError(t, os.Chmod(filepath.Dir(path), 0o700))
		if r.rotations() != 0 {
			t.Error("there is a successor that nobody has")
		}
	})
	t.Run("it is refused: the warning says so once an hour, and tokens go on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, path := newRotator(), secretIn(t)
			count := 0
			r.refused = func(w http.ResponseWriter, request *http.Request) {
				count++
				refuse(http.StatusBadRequest, "unauthorized_client", "the client may not")(w, request)
			}
			s := r.source(t, path)
			time.Sleep(24 * time.Hour)
			for range 24 {
				token(t, s)
				time.Sleep(5 * time.Minute)
			}
			synctest.Wait()
			wantFile(t, path, theSecret)
			if count < 2 || count > 3 {
				t.Errorf("asked %d times in two hours", count)
			}
		})
	})
	for name, answer := range map[string]http.HandlerFunc{
		"no secret":        raw(200, "application/json", `{"client_id":"billing"}`),
		"another client's": raw(200, "application/json", `{"client_id":"other","client_secret":"x"}`),
		"the same":         raw(200, "application/json", `{"client_id":"billing","client_secret":"`+theSecret+`"}`),
		"two lines":        raw(200, "application/json", `{"client_id":"billing","client_secret":"a\nb"}`),
		"no JSON":          raw(200, "text/html", `<html>`),
		"a redirect": func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "https://evil.example/", http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, path := newRotator(), secretIn(t)
			r.refused = answer
			if err := r.source(t, path).RotateSecret(t.Context()); err == nil {
				t.Error("it was taken")
			} else {
				wantSilence(t, "error", err.Error())
			}
			wantFile(t, path, theSecret)
		})
	}
	c := config(network{})
	c.Credential = client.RotatingSecretFile(secretIn(t), time.Hour)
	_, err := client.New(c)
	wantError(t, err, "Credential", "too often")
	c.Credential = client.Secret(theSecret)
	wantError(t, source(t, c).RotateSecret(t.Context()), "no RotatingSecretFile")
	if text := fmt.Sprintf("%v %+v", client.RotatingSecretFile("x", time.Hour), client.RotatingSecretFile("x", time.Hour)); text != "REDACTED REDACTED" {
		t.Errorf("printed %q", text)
	}
}

// TestRotationByMany: many processes share a file, and rotate at the same moment.
func TestRotationByMany(t *testing.T) {
	t.Parallel()
	r, path := newRotator(), secretIn(t)
	var group sync.WaitGroup
	for range 8 {
		s := r.source(t, path)
		group.Go(func() {
			if err := s.RotateSecret(t.Context()); err != nil && !strings.Contains(err.Error(), "rotated before") {
				t.Error(err)
			}
		})
	}
	group.Wait()
	data, err := os.ReadFile(path)
	noError(t, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if secret := strings.TrimSpace(string(data)); !r.good[secret] || secret == theSecret {
		t.Errorf("the file holds %q; made were %v", secret, slices.Collect(maps.Values(r.made)))
	}
	if left, _ := fs.Glob(os.DirFS(filepath.Dir(path)), ".*"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
