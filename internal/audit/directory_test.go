package audit

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// written makes a journal of n events and returns the file's name and content.
func written(t *testing.T, dir string, n int) (string, []byte) {
	t.Helper()
	j := open(t, dir, Options{})
	for range n {
		record(t, j, Event{Kind: "token.issued", ClientID: "billing"})
	}
	closeJournal(t, j)
	name := (&directory{path: dir}).name(1)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return name, data
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTornEndIsSetAside(t *testing.T) {
	for name, tear := range map[string]func([]byte) []byte{
		"half a line":         func(data []byte) []byte { return append(data, data[:50]...) },
		"a line without end":  func(data []byte) []byte { return data[:len(data)-1] },
		"cut within a line":   func(data []byte) []byte { return data[:len(data)-30] },
		"zeros":               func(data []byte) []byte { return append(data, make([]byte, 4096)...) },
		"zeros with an end":   func(data []byte) []byte { return append(append(data, make([]byte, 100)...), '\n') },
		"garbage, then lines": func(data []byte) []byte { return append(append(data, "\x00\x01\n"...), data...) },
		"a line of which only the link was written": func(data []byte) []byte {
			last := sha256.Sum256(bytes.SplitAfter(data, []byte("\n"))[2][:len(data)/3-1])
			return append(appendLine(data, last, make([]byte, 100)), '\n')
		},
		"garbage lines": func(data []byte) []byte { return append(data, "\n\nx\n{}\n"...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file, data := written(t, dir, 3)
			torn := tear(bytes.Clone(data))
			write(t, file, torn)
			j := open(t, dir, Options{})
			record(t, j, Event{Kind: "token.revoked"})
			closeJournal(t, j)

			verified(t, dir)
			events := contents(t, dir)
			if slices.Contains(kinds(events), KindBroken) {
				t.Errorf("kinds are %v: a torn end is no tampering", kinds(events))
			}
			if got := events[len(events)-2].Kind; got != KindRepaired {
				t.Errorf("kinds are %v, want one of %s", kinds(events), KindRepaired)
			}
			if got := len(events); got < 2+2 {
				t.Errorf("%d events left: acknowledged ones are gone", got)
			}
			aside, err := filepath.Glob(filepath.Join(dir, "*.torn-*"))
			if err != nil || len(aside) != 1 {
				t.Fatalf("set aside: %v, %v", aside, err)
			}
			kept, err := os.ReadFile(aside[0])
			if err != nil || !bytes.HasSuffix(torn, kept) || len(kept) == 0 {
				t.Errorf("set aside %q, %v", kept, err)
			}
		})
	}
}

func TestR35VerifyFindsTampering(t *testing.T) {
	line := func(data []byte, n int) []byte { return bytes.SplitAfter(data, []byte("\n"))[n-1] }
	for _, test := range []struct {
		name   string
		tamper func([]byte) []byte
		line   int
	}{
		{"a word changed", func(d []byte) []byte {
			return bytes.Replace(d, line(d, 2), bytes.Replace(line(d, 2), []byte("billing"), []byte("billinG"), 1), 1)
		}, 3},
		{"a line removed", func(d []byte) []byte { return bytes.Replace(d, line(d, 2), nil, 1) }, 2},
		{"the first line removed", func(d []byte) []byte { return d[len(line(d, 1)):] }, 1},
		{"two lines swapped", func(d []byte) []byte {
			return bytes.Join([][]byte{line(d, 1), line(d, 3), line(d, 2), line(d, 4), line(d, 5)}, nil)
		}, 2},
		{"a line twice", func(d []byte) []byte { return append(bytes.Clone(line(d, 1)), d...) }, 2},
		{"a line made up", func(d []byte) []byte { return append(d, line(d, 1)...) }, 6},
		{"not JSON", func(d []byte) []byte { return bytes.Replace(d, line(d, 3), []byte("hello\n"), 1) }, 3},
		{"a member more", func(d []byte) []byte {
			return bytes.Replace(d, line(d, 5), bytes.Replace(line(d, 5), []byte("}"), []byte(`,"x":1}`), 1), 1)
		}, 5},
		{"a line without end", func(d []byte) []byte { return append(d, bytes.Repeat([]byte("x"), maxLine+1)...) }, 6},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			file, data := written(t, dir, 5)
			verified(t, dir)
			write(t, file, test.tamper(bytes.Clone(data)))
			if b := firstBreak(t, dir, Known{}); b == nil || b.Line != test.line || b.File != filepath.Base(file) {
				t.Errorf("got %v, want a break at line %d", b, test.line)
			}
		})
	}
}

// A journal that was tampered with goes on, says so, and leaves the evidence where it is.
func TestOpenLeavesATamperedLine(t *testing.T) {
	dir := t.TempDir()
	file, data := written(t, dir, 5)
	data = bytes.Replace(data, []byte("billing"), []byte("BILLING"), 1)
	write(t, file, data)
	j := open(t, dir, Options{})
	record(t, j, Event{Kind: "token.issued"})
	closeJournal(t, j)
	after, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(after, data) {
		t.Errorf("the file was changed: %v", err)
	}
	events := contents(t, dir)
	if got := events[5]; got.Kind != KindBroken || !strings.Contains(got.Reason, "line 2 of 00000001.jsonl") {
		t.Errorf("got %+v", got)
	}
}

func TestVerifyAcrossFiles(t *testing.T) {
	fill := func(t *testing.T) (string, []int) {
		dir := t.TempDir()
		j := open(t, dir, Options{MaxFileBytes: 300})
		for range 6 {
			record(t, j, Event{Kind: "token.issued", ClientID: "billing"})
		}
		closeJournal(t, j)
		numbers, err := journalFiles(dir)
		if err != nil || len(numbers) < 3 {
			t.Fatalf("%v, %v", numbers, err)
		}
		return dir, numbers
	}
	t.Run("a file in the middle removed", func(t *testing.T) {
		dir, numbers := fill(t)
		d := directory{path: dir}
		if err := os.Remove(d.name(numbers[1])); err != nil {
			t.Fatal(err)
		}
		if b := firstBreak(t, dir, Known{}); b == nil || b.File != filepath.Base(d.name(numbers[2])) || b.Line != 1 {
			t.Errorf("got %v, want a break in file %d", b, numbers[2])
		}
	})
	for _, bytes := range []int64{1, 5} {
		t.Run("a file cut short", func(t *testing.T) {
			dir, numbers := fill(t)
			d := directory{path: dir}
			info, err := os.Stat(d.name(numbers[0]))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(d.name(numbers[0]), info.Size()-bytes); err != nil {
				t.Fatal(err)
			}
			if b := firstBreak(t, dir, Known{}); b == nil || b.File != filepath.Base(d.name(numbers[0])) {
				t.Errorf("got %v, want a break in file %d", b, numbers[0])
			}
		})
	}
	t.Run("a writer is in the middle of the last line", func(t *testing.T) {
		dir := t.TempDir()
		file, data := written(t, dir, 2)
		write(t, file, append(data, data[:60]...))
		if got := len(contents(t, dir)); got != 2 {
			t.Errorf("%d events, want 2", got)
		}
		if got := verified(t, dir); got.Torn != 60 || got.Lines != 2 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a last file begun and not written", func(t *testing.T) {
		dir, numbers := fill(t)
		d := directory{path: dir}
		write(t, d.name(numbers[len(numbers)-1]+1), nil)
		j := open(t, dir, Options{})
		record(t, j, Event{Kind: "token.issued"})
		closeJournal(t, j)
		verified(t, dir)
	})
}

// TestOpenTakesNoMemory opens a journal whose file is large: not in parallel, as what all of them allocate is counted.
func TestOpenTakesNoMemory(t *testing.T) {
	dir := t.TempDir()
	name, data := written(t, dir, 1)
	before := link(sha256.Sum256(data[:len(data)-1]))
	last := Event{Time: noon, Kind: "token.issued", Scope: strings.Repeat("s", maxChecked)}
	event := appendEvent(nil, &last, maxChecked)
	for len(data) < 16<<20 {
		data, before = chain(data, before, event)
	}
	write(t, name, append(data, `{"torn":`...))
	var began, ended runtime.MemStats
	runtime.ReadMemStats(&began)
	j := open(t, dir, Options{})
	runtime.ReadMemStats(&ended)
	closeJournal(t, j)
	if taken := ended.TotalAlloc - began.TotalAlloc; taken > 4<<20 {
		t.Errorf("to open a journal of %d MiB took %d KiB", len(data)>>20, taken>>10)
	}
}
