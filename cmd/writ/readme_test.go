package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A block is a fenced block of README.md.
type block struct{ language, text string }

var fenced = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")

func readme(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	for _, match := range fenced.FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block{match[1], match[2]})
	}
	return blocks
}

// TestREADMESnippets holds README.md to the programs in examples, which are run elsewhere: every line of a block in
// another language stands in a program of that language.
func TestREADMESnippets(t *testing.T) {
	t.Parallel()
	programs := map[string]string{
		"python": "python/*.py", "js": "node/*.js", "java": "spring/src/main/java/example/*.java",
		"yaml": "spring/src/main/resources/*.yaml",
	}
	seen := map[string]bool{}
	for _, b := range readme(t) {
		pattern, ok := programs[b.language]
		if !ok || strings.HasPrefix(b.text, "issuer: ") { // that one is run by TestREADME
			continue
		}
		seen[b.language] = true
		files, err := filepath.Glob("../../examples/" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: there are no programs in %s", b.language, pattern)
		}
		var known strings.Builder
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				known.WriteString("\n" + bare(line) + "\n")
			}
		}
		for line := range strings.Lines(b.text) {
			if !strings.Contains(known.String(), "\n"+bare(line)+"\n") {
				t.Errorf("%s: this line stands in none of %v:\n%s", b.language, files, line)
			}
		}
	}
	for language := range programs {
		if !seen[language] {
			t.Errorf("README.md has no block of %s", language)
		}
	}
}

// bare is a line without indentation and without a comment behind it.
func bare(line string) string {
	line, _, _ = strings.Cut(line, "  # ")
	return strings.TrimSpace(line)
}

// walkVariable is set in the process that walks, and names its directory.
const walkVariable = "WRIT_TEST_README"

// TestREADME does what README.md says, as it says it, on a copy of this repository: its shell blocks in bash, in the
// terminals that it speaks of, on the ports that it names. For these to be free it runs in a network of its own, where
// the system has such a thing.
func TestREADME(t *testing.T) {
	if dir := os.Getenv(walkVariable); dir != "" {
		walkREADME(t, dir)
		return
	}
	t.Parallel()
	for _, program := range []string{"bash", "make", "curl", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, err.Error())
		}
	}
	dir := t.TempDir()
	copyTree(t, "../..", filepath.Join(dir, "writ"))
	warm(t, dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestREADME$", "-test.v")
	cmd.Env = append(os.Environ(), walkVariable+"="+dir)
	cmd.Dir, cmd.WaitDelay = ".", 10*time.Second
	if err := ownNetwork(cmd); err != nil {
		if busy := busyPorts(); len(busy) > 0 {
			skip(t, fmt.Sprintf("there is no network of its own (%v), and in this one ports are taken: %v", err, busy))
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestREADME ")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// skip gives up for want of something; in CI nothing is skipped.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func busyPorts() (busy []string) {
	for _, address := range []string{"127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8090", ":443"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			busy = append(busy, err.Error())
			continue
		}
		l.Close()
	}
	return busy
}

// goFiles are the complete Go programs of README.md, by the name that it gives them, and its fragment in a program.
func goFiles(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, b := range readme(t) {
		switch {
		case b.language != "go":
		case strings.Contains(b.text, "func main()"):
			files["main.go"] = b.text
		case strings.Contains(b.text, "testing.T"):
			files["main_test.go"] = b.text
		default:
			files["call.go"] = "//go:build call\n\npackage main\n\nimport (\n\t\"io\"\n\t\"log\"\n\t\"os\"\n\n\t\"github.com/writ-auth/writ/client\"\n)\n\nfunc call() {\n" +
				b.text + "if err != nil {\n\tlog.Fatal(err)\n}\nio.Copy(os.Stdout, response.Body)\n}\n\nfunc init() {\n\tcall()\n\tos.Exit(0)\n}\n"
		}
	}
	if len(files) != 3 {
		t.Fatalf("README.md has other Go blocks than this test knows: %d", len(files))
	}
	return files
}

// A walker goes through the blocks of README.md.
type walker struct {
	t      *testing.T
	dir    string // with the clone in writ, and hello beside it
	blocks []block
}

// next returns the next block of a language, which must begin with what the walk expects there.
func (w *walker) next(language, begin string) string {
	w.t.Helper()
	for len(w.blocks) > 0 {
		b := w.blocks[0]
		w.blocks = w.blocks[1:]
		if b.language == language && strings.HasPrefix(b.text, begin) {
			return b.text
		}
		if b.language == "sh" || b.language == "go" {
			break
		}
	}
	w.t.Fatalf("README.md has no block of %s here that begins with %q", language, begin)
	return ""
}

func (w *walker) wants(got string, want ...string) {
	w.t.Helper()
	for _, text := range want {
		if !strings.Contains(got, text) {
			w.t.Errorf("there is no %q in\n%s", text, got)
		}
	}
}

func walkREADME(t *testing.T, dir string) {
	if err := loopbackUp(); err != nil {
		t.Fatal(err)
	}
	w := &walker{t: t, dir: dir, blocks: readme(t)}
	clone, hello := filepath.Join(dir, "writ"), filepath.Join(dir, "hello")
	files := goFiles(t)
	save := func(name string) {
		if err := os.WriteFile(filepath.Join(hello, name), []byte(files[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(url string, want int) func() error {
		return func() error {
			response, err := http.Get(url)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if response.StatusCode != want {
				return errors.New(response.Status)
			}
			return nil
		}
	}

	first := w.terminal("first", clone)
	w.wants(first.run(w.next("sh", "make demo\n")), "1  An operator registers", "← 403 Forbidden", "✓ All as it should be.", "Next: bin/writ dev")
	first.typed(w.next("sh", "make build\nbin/writ dev\n"))
	awaitIn(t, first, func() error { return answers(filepath.Join(clone, devDirectory, "env")) })

	second := w.terminal("second", clone)
	w.wants(second.run(w.next("sh", ". .writ-dev/env")), `"iss": "http://127.0.0.1:8080"`, "✓ good", "parchment",
		"403 Forbidden", "the token lacks a scope that this route needs: orders:write")
	third := w.terminal("third", dir)
	w.wants(third.run(w.next("sh", "mkdir hello && cd hello\n")), "creating new go.mod: module hello")
	w.next("go", "package main\n")
	save("main.go")
	third.typed(w.next("sh", "go mod tidy\ngo run .\n"))
	awaitIn(t, third, answered("http://127.0.0.1:8090/hello", http.StatusUnauthorized))
	w.wants(second.run(w.next("sh", "writ resource create")), "Registered http://127.0.0.1:8090 with hello:read.", "Registered greeter-", "hello, greeter-")

	w.next("go", "source, err := client.FromEnvironment()")
	save("call.go")
	w.wants(second.run("(cd ../hello && go run -tags call .)\n"), "hello, greeter-")
	w.wants(second.run(w.next("sh", "TOKEN=")), "hello, greeter-")
	w.wants(second.run(w.next("sh", "writ key generate")), "Registered greeter-2-", "by the key ", "hello, greeter-2-")
	w.wants(second.run("(cd ../hello && go run -tags call .)\n"), "hello, greeter-2-")
	w.next("go", "package main\n")
	save("main_test.go")
	fourth := w.terminal("fourth", hello)
	w.wants(fourth.run("go mod tidy\ngo test\n"), "ok  \thello")

	first.close()
	third.close()
	w.production(clone)
	for _, b := range w.blocks {
		if b.language == "sh" || b.language == "go" {
			t.Errorf("README.md has a block that was not tried:\n%s", b.text)
		}
	}
}

// production sets up what the section on production names, with a certificate of our own and SQLite where it has a
// PostgreSQL server, and runs its commands.
func (w *walker) production(clone string) {
	t := w.t
	config := w.next("yaml", "issuer: ")
	if lines := strings.Count(config, "\n"); lines > 25 {
		t.Errorf("the production file has %d lines, want at most 25", lines)
	}
	etc, lib := filepath.Join(w.dir, "etc"), filepath.Join(w.dir, "lib")
	authority := certificate(t, etc, "auth.example.com")
	dsn := regexp.MustCompile(`postgres://\S+`).FindString(config)
	config = strings.NewReplacer("/etc/writ", etc, "/var/lib/writ", lib).Replace(config)
	file := filepath.Join(etc, "writ.yaml")
	term := w.terminal("production", etc)
	block := w.next("sh", "writ config check --config writ.yaml")

	for name, text := range map[string]string{file: config, filepath.Join(etc, "database"): dsn + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	term.run("PATH=" + quoted(filepath.Join(clone, "bin")) + `:"$PATH"` + "\n")
	w.wants(term.run("writ config check --config writ.yaml\n"), "The configuration is sound. Issuer: https://auth.example.com")
	if err := os.WriteFile(filepath.Join(etc, "database"), []byte("sqlite:"+filepath.Join(lib, "writ.db")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	term.typed(block)
	caller := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: authority},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:443")
		},
	}}
	awaitIn(t, term, func() error {
		response, err := caller.Get("https://auth.example.com/.well-known/oauth-authorization-server")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && !bytes.Contains(body, []byte(`"issuer":"https://auth.example.com"`)) {
			err = fmt.Errorf("it answers %s", body)
		}
		return err
	})
	w.wants(term.output.String(), "The configuration is sound", "Ready. The operator's credential", filepath.Join(lib, operatorFile))
}
