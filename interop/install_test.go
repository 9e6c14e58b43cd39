package interop_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// cannot ends a test that this machine cannot run. In CI that is a failure: a test that nobody runs finds nothing.
func cannot(t *testing.T, format string, arguments ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, arguments...)
	}
	t.Skipf(format, arguments...)
}

func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			cannot(t, "%s is not installed: install it to run this test", program)
		}
	}
}

// installed returns a directory with the libraries that the named files pin. The first run installs them, later ones
// find them; other pins have another directory.
func installed(t *testing.T, source string, pins []string, install func(directory string) *exec.Cmd) string {
	t.Helper()
	hash := sha256.New()
	for _, pin := range pins {
		hash.Write(read(t, filepath.Join(source, pin)))
	}
	cache, err := filepath.Abs(filepath.Join("..", ".tools"))
	if err != nil {
		t.Fatal(err)
	}
	final := filepath.Join(cache, "interop-"+source+"-"+hex.EncodeToString(hash.Sum(nil))[:12])
	if _, err := os.Stat(final); err == nil {
		return final
	}
	// Built beside its place and renamed, so that a run that is cut off leaves nothing half done.
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	building, err := os.MkdirTemp(cache, "building-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(building)
	for _, pin := range pins {
		if err := os.WriteFile(filepath.Join(building, pin), read(t, filepath.Join(source, pin)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := install(building).CombinedOutput(); err != nil {
		cannot(t, "cannot install what %s pins: %v\n%s", source, err, out)
	}
	if err := os.Rename(building, final); err != nil {
		if _, other := os.Stat(final); other != nil { // another run was not faster either
			t.Fatal(err)
		}
	}
	return final
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// run runs a script, which gets the fixture in INTEROP, says "ok" and a claim for each thing that holds, and ends with an
// error at the first that does not. All the claims of want must come, in any order; each is a subtest.
func run(t *testing.T, fixture any, want []string, program string, arguments ...string) {
	t.Helper()
	data, err := json.Marshal(fixture)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(os.Environ(), "INTEROP="+string(data), "NODE_NO_WARNINGS=1", "AUTHLIB_INSECURE_TRANSPORT=1")
	if trusting, ok := fixture.(interface{ environment() []string }); ok {
		command.Env = append(command.Env, trusting.environment()...)
	}
	var out, problems bytes.Buffer
	command.Stdout, command.Stderr = &out, &problems
	if err := command.Run(); err != nil {
		t.Errorf("%s: %v\n%s", filepath.Base(arguments[0]), err, problems.String())
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		if claim, ok := strings.CutPrefix(strings.TrimSpace(line), "ok "); ok {
			got = append(got, claim)
		}
	}
	for _, claim := range want {
		t.Run(claim, func(t *testing.T) {
			if !slices.Contains(got, claim) {
				t.Error("was not shown")
			}
		})
	}
	for _, claim := range got {
		if !slices.Contains(want, claim) {
			t.Errorf("%q was shown and nobody expects it: add it to the test", claim)
		}
	}
}
