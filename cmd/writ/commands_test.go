package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// noJSON are the commands without --json, and why.
var noJSON = map[string]string{
	"writ":               "prints help",
	"writ demo":          "tells a story to a person",
	"writ serve":         "writes its log, JSON by default",
	"writ curl":          "prints what the API answered",
	"writ config doc":    "prints a document",
	"writ completion":    "prints a script",
	"writ help":          "prints help",
	"writ client":        "prints help",
	"writ client key":    "prints help",
	"writ client secret": "prints help",
	"writ resource":      "prints help",
	"writ role":          "prints help",
	"writ key":           "prints help",
	"writ config":        "prints help",
	"writ import":        "prints help",
	"writ audit":         "prints help",

	"writ registration":       "prints help",
	"writ registration token": "prints help",
}

// TestCommands walks the tree: what PRODUCT.md promises of every command.
func TestCommands(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	walk(newRoot(nil), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		seen[path] = true
		t.Run(path, func(t *testing.T) {
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") || strings.ContainsRune(cmd.Short, '\n') {
				t.Errorf("Short is %q: say what it does, in one line without a full stop", cmd.Short)
			}
			if !strings.Contains(cmd.Example, path) {
				t.Errorf("the example does not show %s: %q", path, cmd.Example)
			}
			if cmd.Args == nil && path != "writ help" {
				t.Error("it takes any arguments: set Args")
			}
			if cmd.RunE == nil {
				t.Error("it has no RunE")
			}
			if reason, exempt := noJSON[path]; exempt == (cmd.Flags().Lookup("json") != nil) {
				t.Errorf("has --json: %t; named in noJSON: %t (%s)", !exempt, exempt, reason)
			}
			checkHelp(t, cmd)
		})
	})
	for path := range noJSON {
		if !seen[path] {
			t.Errorf("noJSON names %q, which is no command", path)
		}
	}
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

// columns is how wide help may be.
const columns = 100

func checkHelp(t *testing.T, cmd *cobra.Command) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.InitDefaultHelpFlag()
	if err := cmd.Help(); err != nil {
		t.Fatal(err)
	}
	help := out.String()
	for _, want := range []string{"Usage:", cmd.UseLine(), "Examples:", strings.TrimSpace(cmd.Example), "--help"} {
		if !strings.Contains(help, want) {
			t.Errorf("help does not have %q:\n%s", want, help)
		}
	}
	for line := range strings.Lines(help) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > columns {
			t.Errorf("%d columns are more than %d: %s", n, columns, line)
		}
	}
	// A flag without the name of its value says string, and nobody knows what to write.
	for _, kind := range []string{" string ", " stringArray ", " int "} {
		if strings.Contains(help, kind+" ") {
			t.Errorf("a flag has a value without a name:\n%s", help)
		}
	}
}

// TestExamplesParse runs every example that is a plain line of ours as far as its flags and arguments go.
func TestExamplesParse(t *testing.T) {
	t.Parallel()
	walk(newRoot(nil), func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "   #")
			for part := range strings.SplitSeq(line, " | ") {
				words, plain := split(part)
				if !plain || words[0] != "writ" {
					continue
				}
				found, rest, err := newRoot(nil).Find(words[1:])
				if err == nil {
					err = found.ParseFlags(rest)
				}
				if err == nil && found.Args != nil {
					err = found.Args(found, found.Flags().Args())
				}
				if err != nil {
					t.Errorf("%s: %v", part, err)
				}
			}
		}
	})
}

// split splits a line into words as a shell does, and reports whether it has nothing but words in it.
func split(line string) ([]string, bool) {
	var words []string
	var word strings.Builder
	quote := rune(0)
	for _, c := range line {
		switch {
		case quote == 0 && strings.ContainsRune("$<>&;(`", c):
			return nil, false
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && c == ' ':
			words = append(words, word.String())
			word.Reset()
		default:
			word.WriteRune(c)
		}
	}
	return append(words, word.String()), true
}
