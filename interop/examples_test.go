package interop_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/authtest"
)

// TestExamples runs the programs of examples/ that are not written in Go: a client calls the API of its own language. It
// is not parallel, so that it comes first and installs what the others then find.
func TestExamples(t *testing.T) {
	t.Run("python", func(t *testing.T) {
		need(t, "python3")
		python := filepath.Join(pythonLibraries(t), binaries(), "python")
		in := absolute(t, "../examples/python")
		example(t, in, []string{python, "-m", "flask", "--app", "orders_api", "run"}, []string{python, "orders_client.py"})
	})
	t.Run("node", func(t *testing.T) {
		need(t, "node", "npm")
		in := nodeLibraries(t)
		for _, file := range []string{"orders_api.js", "orders_client.js"} { // a module finds its libraries beside itself
			copied := filepath.Join(in, strings.TrimSuffix(file, ".js")+".mjs")
			if err := os.WriteFile(copied, read(t, filepath.Join("../examples/node", file)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		example(t, in, []string{"node", "orders_api.mjs"}, []string{"node", "orders_client.mjs"})
	})
}

// example starts an API, which finds its port in the environment, and runs a client against it.
func example(t *testing.T, in string, api, client []string) {
	t.Helper()
	const audience = "https://orders.example"
	issuer := authtest.New(t)
	issuer.Resource(audience, "orders:read")
	registered := issuer.Client(audience, "orders:read")
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	environment := append(os.Environ(), "NODE_NO_WARNINGS=1", "PORT="+port, "FLASK_RUN_PORT="+port,
		"WRIT_ISSUER="+issuer.Issuer(), "WRIT_CLIENT_ID="+registered.ID, "WRIT_CLIENT_SECRET="+registered.Secret,
		"WRIT_RESOURCE="+audience, "WRIT_API=http://"+address, "AUTHLIB_INSECURE_TRANSPORT=1")

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server := exec.CommandContext(ctx, api[0], api[1:]...)
	server.Dir, server.Env = in, environment
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = server.Wait() }()
	if status := reachable(ctx, t, "http://"+address+"/orders"); status != http.StatusUnauthorized {
		t.Errorf("without a token the API answers %d, want 401", status)
	}

	caller := exec.CommandContext(ctx, client[0], client[1:]...)
	caller.Dir, caller.Env = in, environment
	out, err := caller.Output()
	if want := `"for":"` + registered.ID + `"`; err != nil || !strings.Contains(strings.ReplaceAll(string(out), ": ", ":"), want) {
		t.Errorf("got %q (%v), want an answer with %s", out, err, want)
	}
}

// reachable asks until something answers, and returns the status.
func reachable(ctx context.Context, t *testing.T, url string) int {
	t.Helper()
	for ctx.Err() == nil {
		response, err := http.Get(url)
		if err != nil {
			time.Sleep(20 * time.Millisecond) // another process is starting
			continue
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		return response.StatusCode
	}
	t.Fatal("the API does not answer")
	return 0
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
