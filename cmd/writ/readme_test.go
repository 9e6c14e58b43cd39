package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
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

// A terminal is a bash that blocks are typed into.
type terminal struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *transcript
	blocks int
}

func (w *walker) terminal(name, dir string) *terminal {
	w.t.Helper()
	term := &terminal{t: w.t, name: name, output: &transcript{}}
	term.cmd = exec.Command("bash")
	term.cmd.Dir, term.cmd.Env = dir, append(goEnvironment(w.dir), "GOPROXY=off", "GOSUMDB=off")
	term.cmd.Stdout, term.cmd.Stderr = term.output, term.output
	term.cmd.WaitDelay = 5 * time.Second
	ownGroup(term.cmd)
	input, err := term.cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	term.input = input
	if err := term.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(term.close)
	return term
}

// typed types a block as it stands.
func (term *terminal) typed(text string) {
	term.t.Helper()
	term.blocks++
	file := filepath.Join(term.t.TempDir(), "block.sh")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		term.t.Fatal(err)
	}
	fmt.Fprintf(term.input, ". %s </dev/null\necho \"== done %d\"\n", file, term.blocks)
}

// run types a block and waits until it is done, and returns what it wrote.
func (term *terminal) run(text string) string {
	term.t.Helper()
	before := len(term.output.String())
	term.typed(text)
	mark := fmt.Sprintf("== done %d\n", term.blocks)
	awaitIn(term.t, term, func() error {
		if !strings.Contains(term.output.String()[before:], mark) {
			return errors.New("it is not done")
		}
		return nil
	})
	return term.output.String()[before:]
}

// close is Ctrl-C, and the end of the terminal.
func (term *terminal) close() {
	signalGroup(term.cmd, syscall.SIGINT)
	_ = term.input.Close()
	ended := time.AfterFunc(3*time.Second, func() { signalGroup(term.cmd, syscall.SIGKILL) })
	defer ended.Stop()
	_ = term.cmd.Wait() // ends by the signal
}

// awaitIn is await with more patience, for what compiles, and the terminal's output where it ends.
func awaitIn(t *testing.T, term *terminal, try func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s terminal: %v\n%s", term.name, err, term.output)
		}
		time.Sleep(10 * time.Millisecond) // for other processes
	}
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
