package interop_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/admin"
	"github.com/writ-auth/writ/client"
	"github.com/writ-auth/writ/internal/server"
)

// TestSchemathesis lets schemathesis send to a running server what the OpenAPI document of the admin API allows, and what it
// does not, thousands of requests from a fixed seed. schemathesis/schemathesis.toml says what it checks.
func TestSchemathesis(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	directory := installed(t, "schemathesis", []string{"requirements.txt"}, func(directory string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "python3", "-c", createEnvironment, directory)
	})
	configuration := must(filepath.Abs(filepath.Join("schemathesis", "schemathesis.toml")))
	api, operator := startAdmin(t)
	shown := httptest.NewServer(api)
	t.Cleanup(shown.Close)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(directory, binaries(), "python"), "-c", "from schemathesis.cli import schemathesis; schemathesis()",
		"--config-file", configuration, "--no-color", "run", shown.URL+admin.Path+"/openapi.json", "--url", shown.URL+admin.Path,
		"--header", "Authorization: Bearer "+placeholder, "--seed", "1", "--max-examples", "10", "--workers", "1", "--continue-on-failure",
		"--suppress-health-check", "all")
	command.Dir = t.TempDir() // it keeps a database of examples where it runs
	out, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("schemathesis: %v\n%s", err, tail(string(out), 12000))
	}
	// What it did must not have been nothing: an operator who is gone is refused everything, as the document says.
	if _, err := operator.Client(t.Context(), "operator"); err != nil {
		t.Errorf("the operator at the end: %v", err)
	}
	for _, phase := range []string{"✅ Examples", "✅ Coverage", "✅ Fuzzing", "✅ Stateful"} {
		if !strings.Contains(string(out), phase) {
			t.Errorf("%s is not in the report", phase)
		}
	}
}

func tail(text string, most int) string { return text[max(0, len(text)-most):] }

// placeholder stands for a token where programs can be listed with their arguments.
const placeholder = "the-operators"

// startAdmin starts a server, and returns its admin API with a token for the placeholder, and the same for Go.
func startAdmin(t *testing.T) (http.Handler, *admin.API) {
	t.Helper()
	config := server.Default()
	config.Data, config.Log.Level = filepath.Join(t.TempDir(), "data"), "error"
	config.Listen, config.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	s := must(server.New(t.Context(), config, server.Options{}))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	var operator server.Credential
	if err := json.Unmarshal(read(t, filepath.Join(config.Data, "operator.json")), &operator); err != nil {
		t.Fatal(err)
	}
	address := must(url.Parse(s.AdminURL()))
	source := must(client.New(client.Config{
		Issuer: operator.Issuer, ClientID: operator.ClientID, Credential: client.Secret(operator.ClientSecret),
		Resource: operator.Issuer + admin.Path, AllowHosts: []string{address.Host},
	}))
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(address)
		if r.In.Header.Get("Authorization") == "Bearer "+placeholder {
			r.Out.Header.Set("Authorization", "Bearer "+must(source.Token(r.In.Context())).AccessToken())
		}
	}}
	spared := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Who saws off the branch that it sits on is refused everything from then on.
		if r.Method != http.MethodGet && strings.HasPrefix(r.URL.Path, admin.Path+"/clients/operator") {
			r.URL.Path, r.URL.RawPath = admin.Path+"/clients/somebody-else", ""
		}
		proxy.ServeHTTP(w, r)
	})
	return spared, must(admin.New(admin.Config{URL: s.AdminURL(), HTTPClient: source.Client()}))
}
