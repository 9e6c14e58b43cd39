package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newSigner(t testing.TB, seed byte) *Signer {
	t.Helper()
	signer, err := NewSigner(bytes.Repeat([]byte{seed}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (j *Journal) mustSign(t *testing.T, history History) string {
	t.Helper()
	signed, err := j.Checkpoint(t.Context(), history)
	if err != nil {
		t.Fatalf("Checkpoint: %v", err)
	}
	return signed
}

// sealed makes a journal of several files whose last line is a checkpoint, and returns what Verify needs to know.
func sealed(t *testing.T, dir string) Known {
	t.Helper()
	signer := newSigner(t, 1)
	j := open(t, dir, Options{Signer: signer, MaxFileBytes: 1200})
	for n := range 4 {
		record(t, j, Event{Kind: "token.issued", ClientID: "billing", TokenID: fmt.Sprint(n), Audience: []string{"https://api.example.com"}})
		if n == 1 {
			j.mustSign(t, History{1, "one"})
		}
	}
	kept := j.mustSign(t, History{2, "two"})
	closeJournal(t, j)
	return Known{Keys: []string{signer.Key()}, Kept: []string{kept}}
}

func holds(t *testing.T, dir string, known Known) Report {
	t.Helper()
	report, err := Verify(dir, known)
	if err != nil || len(report.Breaks) > 0 {
		t.Fatalf("Verify: %v, %v", report.Breaks, err)
	}
	return report
}

// files returns the content of the journal's files and of the one with its name.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(dir, "*"+extension))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, filepath.Join(dir, nameFile)) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = data
	}
	return found
}

func TestCheckpoint(t *testing.T) {
	dir := t.TempDir()
	known := sealed(t, dir)
	report := holds(t, dir, known)
	if report.Files < 2 || report.Checkpoints < report.Files || report.After != 0 || report.Signed.IsZero() {
		t.Errorf("got %+v, want a checkpoint for each file, one that was asked for, and nothing behind the last", report)
	}
	if got := report.Histories[len(report.Histories)-1]; !slices.Contains(report.Histories, History{1, "one"}) || !slices.Contains(report.Histories, History{2, "two"}) {
		t.Errorf("histories: %v", got)
	}
	holds(t, dir, Known{}) // whoever has no key still sees the chain
	j := open(t, dir, Options{Signer: newSigner(t, 1), Kept: func(name string) (string, error) {
		if name != report.Name {
			t.Errorf("the journal is called %q, and was %q", name, report.Name)
		}
		return known.Kept[0], nil
	}})
	if got := j.mustSign(t, History{2, "two"}); got != known.Kept[0] {
		t.Errorf("nothing happened, and it was signed again: %s", got)
	}
	closeJournal(t, j)
	if again := holds(t, dir, known); again.Lines != report.Lines {
		t.Errorf("%d lines after a start at which nothing happened, want %d", again.Lines, report.Lines)
	}
	if b := firstBreak(t, dir, Known{Keys: []string{newSigner(t, 2).Key()}}); b == nil {
		t.Error("another key's checkpoints are taken")
	}
}

// TestOP12EveryByte changes each byte of a small journal.
func TestOP12EveryByte(t *testing.T) {
	dir := t.TempDir()
	known := sealed(t, dir)
	for name, data := range files(t, dir) {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		put := func(c byte, at int) {
			if _, err := f.WriteAt([]byte{c}, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		for i, c := range data {
			for _, bits := range []byte{0x01, 0x20} {
				if put(c^bits, i); firstBreak(t, dir, known) == nil {
					t.Errorf("OP-12: byte %d of %s, %q for %q, is not noticed", i, filepath.Base(name), c^bits, c)
				}
			}
			put(c, i)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	holds(t, dir, known)
}

// TestOP12EveryLine removes, repeats, moves and cuts off every line.
func TestOP12EveryLine(t *testing.T) {
	dir := t.TempDir()
	known := sealed(t, dir)
	for name, data := range files(t, dir) {
		lines := bytes.SplitAfter(data, []byte("\n"))
		lines = lines[:len(lines)-1]
		noticed := func(what string, i int, changed ...[]byte) {
			t.Helper()
			write(t, name, bytes.Join(changed, nil))
			if firstBreak(t, dir, known) == nil {
				t.Errorf("OP-12: %s: line %d of %s: nobody notices", what, i+1, filepath.Base(name))
			}
		}
		for i := range lines {
			noticed("removed", i, slices.Delete(slices.Clone(lines), i, i+1)...)
			noticed("repeated", i, slices.Insert(slices.Clone(lines), i, lines[i])...)
			noticed("repeated at the end", i, append(slices.Clone(lines), lines[i])...)
			noticed("cut off from here", i, lines[:i]...)
			noticed("cut within", i, append(slices.Clone(lines[:i]), lines[i][:len(lines[i])/2])...)
			for k := range i {
				swapped := slices.Clone(lines)
				swapped[i], swapped[k] = swapped[k], swapped[i]
				noticed("swapped", i, swapped...)
			}
		}
		write(t, name, data)
	}
	holds(t, dir, known)
}

// TestOP12CutTail cuts off whole lines and files from the end, as somebody does who wants the last hour not to have been.
func TestOP12CutTail(t *testing.T) {
	dir := t.TempDir()
	known := sealed(t, dir)
	all := files(t, dir)
	delete(all, filepath.Join(dir, nameFile))
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Backward(names) {
		for len(all[name]) > 0 {
			all[name] = all[name][:bytes.LastIndexByte(all[name][:len(all[name])-1], '\n')+1]
			write(t, name, all[name])
			b := firstBreak(t, dir, known)
			if b == nil || !strings.Contains(b.Reason, "cut off") && !strings.Contains(b.Reason, "all were removed") {
				t.Fatalf("OP-12: %s was cut to %d bytes: got %v", filepath.Base(name), len(all[name]), b)
			}
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if firstBreak(t, dir, known) == nil {
			t.Fatalf("OP-12: %s was removed, and nobody notices", filepath.Base(name))
		}
	}
}

// forge writes the journal anew with another client in every line, the chain made good again.
func forge(t *testing.T, dir string, keepCheckpoints bool) {
	t.Helper()
	var last link
	all := files(t, dir)
	for number := 1; all[(&directory{path: dir}).name(number)] != nil; number++ {
		var out []byte
		name := (&directory{path: dir}).name(number)
		for line := range bytes.Lines(all[name]) {
			event, _, err := parseLine(line[:len(line)-1])
			if err != nil {
				t.Fatal(err)
			}
			if event.Kind == KindCheckpoint && !keepCheckpoints {
				continue
			}
			event.ClientID = strings.Replace(event.ClientID, "billing", "nobody", 1)
			from := len(out)
			out = appendLine(out, last, appendEvent(nil, &event, maxChecked))
			last = sha256.Sum256(out[from:])
			out = append(out, '\n')
		}
		write(t, name, out)
	}
}

func TestOP12WrittenAnew(t *testing.T) {
	for _, test := range []struct {
		name            string
		keepCheckpoints bool
		known           func(Known) Known
		found           bool
	}{
		{"OP-12 by the key", true, func(k Known) Known { return Known{Keys: k.Keys} }, true},
		{"OP-12 by the line that is kept elsewhere", false, func(k Known) Known { return k }, true},
		{"OP-12 without the key", true, func(Known) Known { return Known{} }, true},
		{"without key, checkpoints and anything kept it cannot be found", false, func(Known) Known { return Known{} }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			known := sealed(t, dir)
			forge(t, dir, test.keepCheckpoints)
			if b := firstBreak(t, dir, test.known(known)); (b != nil) != test.found {
				t.Errorf("got %v", b)
			}
		})
	}
}

// TestOP12CutAndStartedAgain: the server that starts on a journal that was cut says so in the journal, so that its next
// checkpoint does not cover it up.
func TestOP12CutAndStartedAgain(t *testing.T) {
	dir := t.TempDir()
	known := sealed(t, dir)
	name := (&directory{path: dir}).name(1)
	all := files(t, dir)
	for other := range all {
		if other != name && strings.HasSuffix(other, extension) {
			if err := os.Remove(other); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What is left ends with a checkpoint that is good by itself.
	end := bytes.LastIndex(all[name], []byte(KindCheckpoint))
	end += bytes.IndexByte(all[name][end:], '\n') + 1
	write(t, name, all[name][:end])
	holds(t, dir, Known{Keys: known.Keys})

	j := open(t, dir, Options{Signer: newSigner(t, 1), Kept: func(string) (string, error) { return known.Kept[0], nil }})
	record(t, j, Event{Kind: "token.issued"})
	kept := j.mustSign(t, History{})
	closeJournal(t, j)
	b := firstBreak(t, dir, Known{Keys: known.Keys, Kept: []string{kept}})
	if b == nil || !strings.Contains(b.Reason, "not there as they were") {
		t.Errorf("got %v, want what was found at the start", b)
	}
}

func TestArchivedFilesHoldNothingUp(t *testing.T) {
	dir := t.TempDir()
	known := sealed(t, dir)
	first := (&directory{path: dir}).name(1)
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if got := holds(t, dir, known); got.First != "00000002"+extension {
		t.Errorf("got %+v", got)
	}
	j := open(t, dir, Options{Signer: newSigner(t, 1), Kept: func(string) (string, error) { return known.Kept[0], nil }})
	closeJournal(t, j)
	holds(t, dir, known)
}

// TestCheckpointsCostNoFsyncOfATokens: a checkpoint is a line of its own, once a file and when it is asked for.
func TestCheckpointsCostNoFsyncOfATokens(t *testing.T) {
	dir := t.TempDir()
	disk, state := newBrokenDisk(t, dir) // which counts
	syncs := &disk.synced
	j, err := prepare(dir, disk.directory, state, Options{Signer: newSigner(t, 1)}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	go j.run()
	for range 50 {
		record(t, j, Event{Kind: "token.issued"})
	}
	j.mustSign(t, History{})
	closeJournal(t, j)
	if got := syncs.Load(); got > 50+4 {
		t.Errorf("%d fsyncs for 50 events, one after the other, two checkpoints and the end", got)
	}
}

// TestCheckpointWhileTheDiskFails: nothing hangs, and the checkpoint comes when the disk does.
func TestCheckpointWhileTheDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &failingStorage{}
		j := newJournal(disk, found{}, Options{Signer: newSigner(t, 1)}.withDefaults())
		j.name = "0123456789abcdef"
		go j.run()
		record(t, j, Event{Kind: "token.issued"})
		first := j.mustSign(t, History{})
		record(t, j, Event{Kind: "token.issued"})
		disk.fails.Store(true)
		if signed, err := j.Checkpoint(context.Background(), History{}); err == nil {
			t.Errorf("got %q", signed)
		}
		disk.fails.Store(false)
		time.Sleep(2 * probeAfter) // it tries again by itself
		if second := j.mustSign(t, History{}); second == first {
			t.Error("it was not signed again")
		}
		closeJournal(t, j)
		if _, err := j.Checkpoint(context.Background(), History{}); err == nil {
			t.Error("a closed journal signs")
		}
	})
}

func TestCheckpointText(t *testing.T) {
	signer := newSigner(t, 1)
	c := checkpoint{journal: "0123456789abcdef", last: place{7, 1234}, head: link{1, 2, 3}, history: History{57, "aGFzaA"}, time: noon}
	text, err := c.sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	const want = `writ audit checkpoint
journal 0123456789abcdef
line 7 1234 AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
history 57 aGFzaA
2026-11-22T12:00:00.123456Z

— writ-audit `
	if !strings.HasPrefix(text, want) {
		t.Errorf("got %s", text)
	}
	keys, err := verifiers([]string{signer.Key()})
	if err != nil {
		t.Fatal(err)
	}
	got, err := openCheckpoint(text, keys)
	if diff := cmp.Diff(c, got, cmp.AllowUnexported(checkpoint{}, place{})); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for i := range text { // there is one spelling of what was signed, and of its signature
		for _, bits := range []byte{0x01, 0x02, 0x04, 0x20, 0x80} {
			changed := []byte(text)
			changed[i] ^= bits
			if got, err := openCheckpoint(string(changed), keys); err == nil {
				t.Errorf("byte %d changed: taken as %+v", i, got)
			}
		}
	}
	if _, err := openCheckpoint(text+"— other AAAAAAAA\n", keys); err == nil {
		t.Error("a second signature is taken")
	}
	if _, err := NewSigner([]byte("short")); err == nil {
		t.Error("a short seed is taken")
	}
	if _, err := verifiers([]string{"nonsense"}); err == nil {
		t.Error("a key that is none is taken")
	}
}

// FuzzCheckpoint: no text makes the reader panic, and what it takes is exactly what it would write.
func FuzzCheckpoint(f *testing.F) {
	f.Add("writ audit checkpoint\njournal a\nline 7 1234 AQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nhistory 57 aGFzaA\n2026-11-22T12:00:00.123456Z\n")
	f.Add("writ audit checkpoint\njournal \nline 0 0 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nhistory 0 \n2026-11-22T12:00:00.123456Z\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCheckpoint(text)
		if err == nil && c.text() != text {
			t.Errorf("%q was taken as %q", text, c.text())
		}
		if _, err := openCheckpoint(text+"\n— x AAAA\n", nil); err == nil && c.text() != text {
			t.Errorf("%q was opened", text)
		}
	})
}
