package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"writ": func() { os.Exit(run()) }})
}

// TestScripts runs what people type, a script for each command. Each has a directory and a HOME of its own, and servers in
// it take free ports.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("WRIT_LISTEN", "127.0.0.1:0")
			env.Setenv("WRIT_ADMIN_LISTEN", "127.0.0.1:0")
			env.Setenv("DOCS", docs)
			env.Setenv("GORACE", strings.TrimPrefix(raceOptions, "GORACE="))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "ready": ready, "source": source, "json": checkJSON, "mode": checkMode, "freeports": freePorts, "edit": edit, "pki": pki, "assertion": assertion, "until": until, "refusal": refusal,
		},
	})
}

// docs is where the documents are that commands must agree with.
var docs, _ = filepath.Abs("../../docs") // fails only where the working directory is gone

// exits CODE PROGRAM ARGUMENT… runs a program that must end with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT…]")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// until PATTERN PROGRAM ARGUMENT… runs a program until it writes what is waited for.
func until(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(30 * time.Second)
	for {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if regexp.MustCompile(args[0]).MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("there is no %s", args[0])
		}
		time.Sleep(100 * time.Millisecond) // for another process
	}
}

// refusal puts the ID of the refusal that standard error told of into REFUSAL.
func refusal(ts *testscript.TestScript, _ bool, _ []string) {
	found := regexp.MustCompile(`\(refusal ([0-9a-z]{10})\)`).FindStringSubmatch(ts.ReadFile("stderr"))
	if found == nil {
		ts.Fatalf("standard error tells of no refusal")
	}
	ts.Setenv("REFUSAL", found[1])
}

// ready FILE waits until the server answers that an env file or an operator's credential names, and its demo API if it
// has one.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := answers(ts.MkAbs(args[0]))
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: %v", args[0], err)
		}
		time.Sleep(10 * time.Millisecond) // for another process
	}
}

func answers(path string) error {
	var issuer, api string
	if filepath.Ext(path) == ".json" {
		credential, err := readOperator(path)
		if err != nil {
			return err
		}
		issuer = credential.Issuer
	} else {
		values, err := readEnvironment(path)
		if err != nil {
			return err
		}
		issuer, api = values["WRIT_ISSUER"], values["WRIT_API"]
	}
	for address, want := range map[string]int{issuer + "/jwks": http.StatusOK, api + "/orders": http.StatusUnauthorized} {
		if strings.HasPrefix(address, "/") {
			continue
		}
		response, err := http.Get(address)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode != want {
			return fmt.Errorf("%s answered %s", address, response.Status)
		}
	}
	return nil
}

// source FILE sets the variables that an env file exports.
func source(ts *testscript.TestScript, _ bool, args []string) {
	values, err := readEnvironment(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, name := range append([]string{variableDPoP}, credentials...) {
		ts.Setenv(name, "")
	}
	for name, value := range values {
		ts.Setenv(name, value)
	}
}

// json CHECK… reads the last standard output as JSON, one value and nothing behind it, and makes the checks: PATH (it is
// there), PATH=TEXT (it is that), PATH->NAME (put it into a variable). Paths have dots; count is the length of a list.
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	var root any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &root))
	for _, check := range args {
		path, want, compare := strings.Cut(check, "=")
		path, name, assign := strings.Cut(path, "->")
		value, found := find(root, path)
		switch {
		case found == neg:
			ts.Fatalf("%s: found %t", path, found)
		case compare && value != want:
			ts.Fatalf("%s is %q, want %q", path, value, want)
		case assign:
			ts.Setenv(name, value)
		}
	}
}

func find(value any, path string) (string, bool) {
	for part := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			member, ok := v[part]
			if !ok {
				return "", false
			}
			value = member
		case []any:
			if part == "count" {
				return strconv.Itoa(len(v)), true
			}
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(v) {
				return "", false
			}
			value = v[i]
		default:
			return "", false
		}
	}
	return fmt.Sprint(value), true
}

// mode OCTAL FILE… checks the permissions of files, and of all in them where they are directories.
func checkMode(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, want %s", name, got, args[0])
		}
		if !info.IsDir() {
			continue
		}
		ts.Check(filepath.WalkDir(ts.MkAbs(name), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err == nil && info.Mode().Perm() != 0o600 {
				err = fmt.Errorf("%s has mode %04o, want 0600", path, info.Mode().Perm())
			}
			return err
		}))
	}
}

// freeports NAME puts the first of three free ports in a row into a variable.
func freePorts(ts *testscript.TestScript, _ bool, args []string) {
	for range 100 {
		if port, ok := threeFree(); ok {
			ts.Setenv(args[0], strconv.Itoa(port))
			ts.Setenv(args[0]+"_1", strconv.Itoa(port+1))
			ts.Setenv(args[0]+"_2", strconv.Itoa(port+2))
			return
		}
	}
	ts.Fatalf("there are no three free ports in a row")
}

func threeFree() (int, bool) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, false
	}
	defer first.Close()
	port := first.Addr().(*net.TCPAddr).Port
	if port > 65533 {
		return 0, false
	}
	return port, free(port+1) && free(port+2)
}

func free(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}

// edit FILE OLD NEW replaces a text in a file.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o600))
}
