package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// copyTree copies what a clone would have.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	left := map[string]bool{".git": true, "bin": true, "node_modules": true, "target": true, ".writ-dev": true, "writ-data": true, ".tools": true}
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // someone works beside us
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case left[entry.Name()]:
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// goEnvironment is what programs of the walk have: a HOME of their own, and of this machine only the modules and builds
// that it has already. There is no network.
func goEnvironment(dir string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(dir, "home"), "TMPDIR=" + filepath.Join(dir, "tmp"), "LANG=C.UTF-8",
		"GOTOOLCHAIN=local", "GOFLAGS=", "GOWORK=off",
	}
	for _, name := range []string{"GOMODCACHE", "GOCACHE", "GOPATH"} {
		value, _ := exec.Command("go", "env", name).Output() // without it go takes one below HOME, and finds nothing there
		env = append(env, name+"="+strings.TrimSpace(string(value)))
	}
	return env
}

// warm fetches the modules that the walk needs and this machine does not have yet, while there is a network.
func warm(t *testing.T, dir string) {
	t.Helper()
	hello := filepath.Join(dir, "warm")
	for _, name := range []string{hello, filepath.Join(dir, "home"), filepath.Join(dir, "tmp")} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range goFiles(t) {
		if err := os.WriteFile(filepath.Join(hello, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"go mod init hello", "go mod edit -replace github.com/writ-auth/writ=../writ", "go mod tidy"} {
		cmd := exec.Command("bash", "-c", line)
		cmd.Dir, cmd.Env = hello, goEnvironment(dir)
		for _, name := range []string{"GOPROXY", "GOSUMDB", "HTTPS_PROXY", "https_proxy"} {
			if value, set := os.LookupEnv(name); set {
				cmd.Env = append(cmd.Env, name+"="+value)
			}
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			skip(t, fmt.Sprintf("%s: %v\n%s", line, err, out))
		}
	}
}

// certificate makes a directory with tls.crt and tls.key for a name, and returns who vouches for them.
func certificate(t *testing.T, dir, name string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}
