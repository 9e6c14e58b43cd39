package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// pages are the documents whose commands are run as written, each on a machine of its own: an empty directory, and a
// network where every port is free.
var pages = []string{
	"client-authentication", "auth-client-secret", "auth-private-key-jwt", "auth-mtls", "dpop", "profile-fapi2", "migrate-secret-to-key", "operations",
	"declared-state", "explain", "doctor", "registration", "admin-api", "least-privilege",
}

// TestDocs does what the pages say. A block of sh is typed as it stands: one that begins with `writ serve` or `writ dev` in
// a terminal of its own, the others one after another in a second one. A block of text behind one is what it prints: each
// line of it, with … for anything. A command may fail only where the block of text has the line in which it says so.
func TestDocs(t *testing.T) {
	if dir := os.Getenv(walkVariable); dir != "" {
		if err := loopbackUp(); err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			t.Run(page, func(t *testing.T) { walkPage(t, dir, page) })
		}
		return
	}
	t.Parallel()
	for _, program := range []string{"bash", "curl", "openssl", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			skip(t, err.Error())
		}
	}
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			walkAway(t, page)
		})
	}
}

// walkAway walks a page in another process, in a network of its own.
func walkAway(t *testing.T, page string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestDocs$/^"+page+"$", "-test.v")
	cmd.Env = append(os.Environ(), walkVariable+"="+t.TempDir())
	cmd.WaitDelay = 10 * time.Second
	if err := ownNetwork(cmd); err != nil {
		skip(t, fmt.Sprintf("there is no network of its own: %v", err))
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestDocs/"+page+" ")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// walked are the sections that are walked, of documents of which not all is.
var walked = map[string]string{"operations.md": "## A year of a client's life\n"}

// blocksOf returns the fenced blocks of a document, or of its section that is walked.
func blocksOf(t *testing.T, path string) []block {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if heading, part := walked[filepath.Base(path)]; part {
		_, after, found := strings.Cut(string(text), heading)
		if !found {
			t.Fatalf("%s has no section %q", path, heading)
		}
		section, _, _ := strings.Cut(after, "\n## ")
		text = []byte(section)
	}
	var blocks []block
	for _, match := range fenced.FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block{match[1], match[2]})
	}
	return blocks
}

// A reader follows a page.
type reader struct {
	walker
	typing, serving *terminal
}

func walkPage(t *testing.T, dir, page string) {
	blocks := blocksOf(t, filepath.Join(docs, page+".md"))
	r := &reader{walker: walker{t: t, dir: dir}}
	bin, here := filepath.Join(dir, "bin"), filepath.Join(dir, "here")
	for _, name := range []string{bin, here, filepath.Join(dir, "home"), filepath.Join(dir, "tmp")} {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "writ")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	r.typing = r.terminal("typing", here)
	r.typing.run("trap 'echo \"== failed: $BASH_COMMAND\"' ERR\nset -o pipefail\nexport " + raceOptions + "\n")
	for i, b := range blocks {
		if b.language != "sh" {
			continue
		}
		var printed string
		if i+1 < len(blocks) && blocks[i+1].language == "text" {
			printed = blocks[i+1].text
		}
		r.follow(b.text, printed)
	}
}

// serves is how a block begins that runs until it is interrupted.
var serves = regexp.MustCompile(`^(WRIT_\S+ )*writ (serve|dev)\b`)

func (r *reader) follow(text, printed string) {
	if serves.MatchString(text) {
		r.serve(text)
		return
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		out := r.typing.run(text)
		missing := missingIn(out, printed)
		if missing == "" {
			r.failures(text, out, printed)
			return
		}
		// The server writes down every ten seconds what was used.
		if !toldLater.MatchString(text) || time.Now().After(deadline) {
			r.t.Errorf("there is no line %q in what this prints:\n%s\n%s", missing, text, out)
			return
		}
		time.Sleep(200 * time.Millisecond) // for another process
	}
}

// toldLater are the commands that tell what was used.
var toldLater = regexp.MustCompile(`^writ client (show|key list|secret list) `)

// serve runs a server until the next one is started or the page ends.
func (r *reader) serve(text string) {
	if r.serving != nil {
		r.serving.close()
	}
	r.serving = r.terminal("server", r.typing.cmd.Dir)
	r.serving.typed("export " + raceOptions + "\n" + text)
	awaitIn(r.t, r.serving, func() error {
		if strings.Contains(r.serving.output.String(), "== done") {
			return errors.New("it has ended")
		}
		for _, path := range []string{filepath.Join(devDirectory, "env"), filepath.Join(dataDirectory, operatorFile)} {
			if answers(filepath.Join(r.typing.cmd.Dir, path)) == nil {
				return nil
			}
		}
		return errors.New("nobody answers")
	})
}

// failures fails for commands that failed where the page does not say that they do.
func (r *reader) failures(text, out, printed string) {
	if failed := strings.Contains(out, "== failed: "); failed != refusalTold(printed) {
		r.t.Errorf("a command failed: %t; told by the page: %t\n%s\n%s", failed, !failed, text, out)
	}
}

func refusalTold(printed string) bool {
	return regexp.MustCompile(`(?m)^(writ: |✗ |Profile fapi2 would refuse:)`).MatchString(printed)
}

// spaces are what columns are padded with, by as much as the longest value takes.
var spaces = regexp.MustCompile(" +")

// missingIn returns the first line of printed that out does not have behind the ones before, or "".
func missingIn(out, printed string) string {
	out = spaces.ReplaceAllString(strings.ReplaceAll(out, "== done", "\n== done"), " ")
	for line := range strings.SplitSeq(printed, "\n") {
		if strings.TrimSpace(line) == "" || strings.TrimSpace(line) == "…" {
			continue
		}
		pattern := strings.ReplaceAll(regexp.QuoteMeta(spaces.ReplaceAllString(line, " ")), "…", ".*")
		found := regexp.MustCompile("(?m)^" + pattern + "$").FindStringIndex(out)
		if found == nil {
			return line
		}
		out = out[found[1]:]
	}
	return ""
}

// TestDocsGo compiles the Go of the pages.
func TestDocsGo(t *testing.T) {
	t.Parallel()
	packages := map[string]string{
		"client": "github.com/writ-auth/writ/client", "resource": "github.com/writ-auth/writ/resource",
		"admin": "github.com/writ-auth/writ/admin", "context": "context", "log": "log", "http": "net/http", "os": "os",
	}
	for _, page := range pages {
		for i, b := range blocksOf(t, filepath.Join(docs, page+".md")) {
			if b.language != "go" {
				continue
			}
			var text strings.Builder
			text.WriteString("package main\n\n")
			for name, path := range packages {
				if strings.Contains(b.text, name+".") {
					fmt.Fprintf(&text, "import %q\n", path)
				}
			}
			fmt.Fprintf(&text, "func main() {\n%s", b.text)
			if strings.Contains(b.text, "response, err :=") {
				text.WriteString("_, _ = response, err\n")
			}
			text.WriteString("}\n")
			file := filepath.Join(t.TempDir(), fmt.Sprintf("%s_%d.go", page, i))
			if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s\n%s", page, err, out, b.text)
			}
		}
	}
}

// TestDocsPages holds that every page on authentication is run, and that the README leads to it.
func TestDocsPages(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob(filepath.Join(docs, "auth-*.md"))
	if err != nil || len(found) == 0 {
		t.Fatal("there are no pages", err)
	}
	index, err := os.ReadFile(filepath.Join(docs, "client-authentication.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if name := strings.TrimSuffix(filepath.Base(path), ".md"); !slices.Contains(pages, name) {
			t.Errorf("%s is not among the pages that are run", name)
		}
	}
	for _, page := range pages[1:] {
		if _, part := walked[page+".md"]; !part && !bytes.Contains(index, []byte("("+page+".md")) {
			t.Errorf("client-authentication.md does not lead to %s.md", page)
		}
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil || !bytes.Contains(readme, []byte("(docs/client-authentication.md)")) {
		t.Errorf("README.md does not lead to docs/client-authentication.md: %v", err)
	}
}
