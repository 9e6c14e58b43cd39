package interop_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"
)

// TestPython runs Authlib and joserfc, with what python/requirements.txt pins, in an environment of their own.
func TestPython(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	directory := pythonLibraries(t)
	run(t, start(t), []string{
		"token with client_secret_basic", "token with client_secret_post", "wrong secret is invalid_client",
		"RFC 9068 validator of Authlib accepts the token", "RFC 9068 validator of Authlib refuses another audience",
		"RFC 9068 validator of Authlib refuses a missing scope",
		"ES256 with joserfc", "Ed25519 with joserfc", "PS256 with joserfc", "RS256 with joserfc", "a changed token is refused",
		"introspection", "revocation",
	}, filepath.Join(directory, binaries(), "python"), filepath.Join("python", "authlib_client.py"))
}

// TestPythonKeys runs Authlib with keys instead of secrets, as docs/auth-private-key-jwt.md tells its users.
func TestPythonKeys(t *testing.T) {
	t.Parallel()
	advice := regexp.MustCompile("(?s)```python\n(.*?)```").FindSubmatch(read(t, "../docs/auth-private-key-jwt.md"))
	if advice == nil || !bytes.Contains(read(t, "python/authlib_keys.py"), advice[1]) {
		t.Error("python/authlib_keys.py does not do what docs/auth-private-key-jwt.md says")
	}
	need(t, "python3")
	directory := pythonLibraries(t)
	t.Run("interop: Authlib", func(t *testing.T) {
		run(t, startKeyed(t, nil), []string{
			"private_key_jwt with ES256", "private_key_jwt with PS256", "private_key_jwt with Ed25519",
			"an assertion for the token endpoint is invalid_client", "introspection and revocation with private_key_jwt",
		}, filepath.Join(directory, binaries(), "python"), filepath.Join("python", "authlib_keys.py"))
	})
}

func pythonLibraries(t *testing.T) string {
	t.Helper()
	return installed(t, "python", []string{"requirements.txt"}, func(directory string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "python3", "-c", createEnvironment, directory)
	})
}

// createEnvironment makes a virtual environment in the directory that is its argument.
const createEnvironment = `
import os, subprocess, sys, venv
directory = sys.argv[1]
venv.create(directory, with_pip=True)
python = os.path.join(directory, "Scripts" if os.name == "nt" else "bin", "python")
subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:",
    "-r", os.path.join(directory, "requirements.txt")], check=True)
`

func binaries() string {
	if runtime.GOOS == "windows" {
		return "Scripts"
	}
	return "bin"
}
