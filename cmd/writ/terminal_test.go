package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

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
