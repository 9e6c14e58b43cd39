package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/server"
)

// A place is a directory with an environment in which programs run, as in a terminal.
type place struct {
	dir string
	env []string
}

// raceOptions keeps a binary with the race detector from sleeping a second whenever it ends.
const raceOptions = "GORACE=atexit_sleep_ms=0"

func newPlace(t *testing.T, env ...string) place {
	t.Helper()
	dir := t.TempDir()
	env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, "home"), "TMPDIR=" + t.TempDir(),
		"WRIT_LISTEN=127.0.0.1:0", "WRIT_ADMIN_LISTEN=127.0.0.1:0", raceOptions,
	}, env...)
	return place{dir, env}
}

// writ returns a command of ours: this test's own binary, with the race detector if the test has it.
func (p place) writ(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return p.command(ctx, self, append([]string{"writ"}, args...)...)
}

func (p place) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program)
	cmd.Args, cmd.Dir, cmd.Env = args, p.dir, p.env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// A transcript collects what a process writes while it runs.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer // under mu
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// start runs a server until the test ends, or the function that it returns is called, which gives the error of the process.
func start(t *testing.T, cmd *exec.Cmd) (out *transcript, stop func() error) {
	t.Helper()
	out = &transcript{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceValue(func() error {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		return cmd.Wait()
	})
	t.Cleanup(func() { _ = stop() })
	return out, stop
}

// await calls until it succeeds.
func await(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(time.Millisecond) // for another process
	}
}

// operatorToken gets a token with the credential that a server left in a directory.
func operatorToken(data string) (string, error) {
	var credential server.Credential
	text, err := os.ReadFile(filepath.Join(data, operatorFile))
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(text, &credential); err != nil {
		return "", err
	}
	form := strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode())
	request, err := http.NewRequest(http.MethodPost, credential.Issuer+"/token", form)
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(credential.ClientID, credential.ClientSecret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		return "", errors.New(string(body))
	}
	return answer.Token, nil
}

// TestCtrlC interrupts servers: they end at once, well, and leave nothing half done.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"dev", "serve"} {
		t.Run(name, func(t *testing.T) {
			best := time.Hour
			for range 3 { // a machine that is busy with other tests may take its time once
				p := newPlace(t)
				args, data := []string{"serve"}, dataDirectory
				if name == "dev" {
					args, data = []string{"dev", "--port", "0"}, devDirectory
				}
				out, stop := start(t, p.writ(t.Context(), t, args...))
				await(t, "token", func() error { _, err := operatorToken(filepath.Join(p.dir, data)); return err })
				begin := time.Now()
				if err := stop(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if best = min(best, time.Since(begin)); best < time.Second {
					return
				}
			}
			t.Errorf("it took %v to end, want less than a second", best)
		})
	}
}
