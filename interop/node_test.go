package interop_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain gives Node.js 18, which Debian 12 has, the web's crypto: there it is behind a flag.
func TestMain(m *testing.M) {
	if version, err := exec.Command("node", "--version").Output(); err == nil && strings.HasPrefix(string(version), "v18.") {
		_ = os.Setenv("NODE_OPTIONS", "--experimental-global-webcrypto") // cannot fail with this name and value
	}
	os.Exit(m.Run())
}

// node runs a script of node/ with the libraries of node/package-lock.json. A module finds its libraries beside itself,
// so the script is copied to them.
func node(t *testing.T, fixture any, script string, want ...string) {
	t.Helper()
	need(t, "node", "npm")
	directory := nodeLibraries(t)
	for _, file := range []string{script, "interop.mjs"} {
		// Written beside and renamed: another test may be reading it.
		temporary, err := os.CreateTemp(directory, file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = temporary.Write(read(t, filepath.Join("node", file)))
		if err := temporary.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary.Name(), filepath.Join(directory, file)); err != nil {
			t.Fatal(err)
		}
	}
	run(t, fixture, want, "node", filepath.Join(directory, script))
}

func nodeLibraries(t *testing.T) string {
	t.Helper()
	return installed(t, "node", []string{"package.json", "package-lock.json"}, func(directory string) *exec.Cmd {
		command := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		command.Dir = directory
		return command
	})
}

// TestNode runs the libraries of the Node world one after another: they share the installation.
func TestNode(t *testing.T) {
	t.Parallel()
	t.Run("oauth4webapi", func(t *testing.T) {
		node(t, start(t), "oauth4webapi.mjs",
			"metadata by RFC 8414", "metadata where OpenID Connect has it",
			"token with client_secret_basic", "token with client_secret_post", "wrong secret is invalid_client with a challenge",
			"foreign resource is invalid_target",
			"its own validator accepts the token", "its own validator refuses the token for another audience",
			"introspection", "signed introspection", "introspection of an opaque token",
			"introspection by a stranger hears nothing", "revocation")
	})
	t.Run("jose", func(t *testing.T) {
		node(t, start(t), "jose.mjs",
			"ES256 with typ at+jwt", "Ed25519 with typ at+jwt", "PS256 with typ at+jwt", "RS256 with typ at+jwt",
			"another audience is refused", "another typ is refused", "a changed token is refused")
	})
	t.Run("openid-client", func(t *testing.T) {
		node(t, start(t), "openid-client.mjs",
			"discovery by RFC 8414", "discovery as its README does it", "token with client_secret_basic", "token with client_secret_post",
			"introspection", "revocation", "wrong scope is invalid_scope")
	})
	t.Run("interop: openid-client", func(t *testing.T) {
		node(t, startKeyed(t, nil), "openid-client-keys.mjs",
			"private_key_jwt with ES256", "private_key_jwt with PS256", "private_key_jwt with Ed25519",
			"private_key_jwt of another client is invalid_client", "introspection and revocation with private_key_jwt",
			"DPoP with nonces of server and API", "DPoP: a stolen token is refused without the key",
			"DPoP: no proof for a client that must have one is invalid_request", "DPoP: its own validator accepts token and proof",
			"mTLS with tls_client_auth, token bound to the certificate", "mTLS with self_signed_tls_client_auth, token bound to the certificate",
			"mTLS: the certificate of another client is invalid_client", "mTLS and DPoP at the alias")
	})
}
