package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// hostile is what an attacker puts into a field to forge a line, colour a terminal or fill a disk.
var hostile = map[string]string{
	"line break and JSON": "\n" + `{"level":"info","event":"token.issued"}`,
	"quote and backslash": `","kind":"token.issued","x":"\`,
	"escape sequence":     "\x1b[31mred\x1b[0m",
	"line separator":      "a\u2028b\u2029c\u0085d",
	"right to left":       "\u202egnp.exe",
	"NUL and DEL":         "a\x00b\x7fc",
	"not UTF-8":           "\xff\xfe\xc3(",
	"beyond the BMP":      "\U0001f600",
	"1 MiB":               strings.Repeat("A", 1<<20),
	"1 MiB of escapes":    strings.Repeat("\u2028", 1<<18),
}

func TestOP13(t *testing.T) {
	for name, value := range hostile {
		t.Run("OP-13 "+name, func(t *testing.T) {
			event := Event{
				Time: noon, Kind: value, ClientID: value, TokenID: value, Reason: value, RequestID: value, Remote: value,
				Scope: value, Audience: []string{value}, Refusal: value, Answer: value, Presented: []string{value},
			}
			line := appendLine(nil, link{}, appendEvent(nil, &event, maxText))
			for i, c := range line {
				if c < 0x20 || c > 0x7e {
					t.Fatalf("byte %d of the line is %#x", i, c)
				}
			}
			var members map[string]any // a reader that is not ours
			if err := json.Unmarshal(line, &members); err != nil {
				t.Fatalf("the line is not JSON: %v", err)
			}
			got, _, err := parseLine(line)
			if err != nil {
				t.Fatal(err)
			}
			want := []rune(strings.ToValidUTF8(value, "\ufffd"))
			if name == "not UTF-8" { // each bad byte counts by itself
				want = []rune(value)
			}
			text := string(want[:min(len(want), 256)])
			cut := Event{
				Time: noon, Kind: text, ClientID: text, TokenID: text, Reason: text, RequestID: text, Remote: text,
				Scope: text, Audience: []string{text}, Refusal: text, Answer: text, Presented: []string{text},
			}
			if diff := cmp.Diff(cut, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOP13ThroughTheJournal(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{})
	for _, value := range hostile {
		record(t, j, Event{Kind: "token.issued", Remote: value, Scope: value, Audience: []string{value}})
		j.Refuse(Event{Kind: "token.refused", ClientID: value, Reason: value})
	}
	closeJournal(t, j)
	if got := verified(t, dir).Lines; got != 2*len(hostile) {
		t.Errorf("%d lines for %d events", got, 2*len(hostile))
	}
}

func TestBoundsOfALine(t *testing.T) {
	long := strings.Repeat("\U0001f600", 3000)
	event := Event{
		Time: noon, Kind: long, ClientID: long, TokenID: long, Reason: long, RequestID: long, Remote: long, Scope: long,
		Audience: strings.Split(strings.Repeat(long+" ", 100), " "), Count: 1 << 62,
	}
	line := appendLine(nil, link{}, appendEvent(nil, &event, maxChecked))
	if len(line) >= maxLine {
		t.Errorf("a line of %d bytes does not fit a reader of %d", len(line), maxLine)
	}
	got, _, err := parseLine(line)
	if err != nil {
		t.Fatal(err)
	}
	if n := utf8.RuneCountInString(got.Scope); n != maxChecked {
		t.Errorf("scope has %d characters, want %d", n, maxChecked)
	}
	if len(got.Audience) != maxAudience {
		t.Errorf("audience has %d entries, want %d", len(got.Audience), maxAudience)
	}
}

func TestParseLineRefuses(t *testing.T) {
	good := string(appendLine(nil, link{}, appendEvent(nil, &Event{Time: noon, Kind: "token.issued"}, maxText)))
	if _, _, err := parseLine([]byte(good)); err != nil {
		t.Fatalf("the line all others are made from: %v", err)
	}
	for name, line := range map[string]string{
		"nothing":             "",
		"null":                "null",
		"an array":            "[]",
		"no link":             `{"kind":"token.issued"}`,
		"a short link":        strings.Replace(good, "AAAA", "AAA", 1),
		"a link not base64":   strings.Replace(good, "AAAA", "A!AA", 1),
		"an unknown member":   strings.Replace(good, `"kind"`, `"sort"`, 1),
		"a repeated member":   strings.TrimSuffix(good, "}") + `,"kind":"x"}`,
		"a member in capital": strings.Replace(good, `"kind"`, `"Kind"`, 1),
		"something behind it": good + "{}",
		"a cut end":           good[:len(good)-1],
		"a time with zone":    strings.Replace(good, "Z", "+01:00", 1),
		"a count in quotes":   strings.TrimSuffix(good, "}") + `,"count":"1"}`,
	} {
		if event, _, err := parseLine([]byte(line)); err == nil {
			t.Errorf("%s: %q was taken as %+v", name, line, event)
		}
	}
}

// FuzzParseLine: no input panics, and what is taken says the same once written and read again.
func FuzzParseLine(f *testing.F) {
	f.Add(appendLine(nil, link{1}, appendEvent(nil, &Event{Time: noon, Kind: "k", Audience: []string{"a", "b"}, Count: 3}, maxText)))
	f.Add([]byte(`{"prev":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","time":"2026-11-22T12:00:00.000000Z","kind":"\u2028"}`))
	f.Add([]byte(`{"prev":"`))
	f.Fuzz(func(t *testing.T, line []byte) {
		event, before, err := parseLine(line)
		if err != nil {
			return
		}
		written := appendLine(nil, before, appendEvent(nil, &event, maxChecked))
		again, link, err := parseLine(written)
		if err != nil || link != before {
			t.Fatalf("%q became %q: %v", line, written, err)
		}
		if !bytes.Equal(written, appendLine(nil, link, appendEvent(nil, &again, maxChecked))) {
			t.Fatalf("%q is not stable", written)
		}
	})
}

// FuzzAppendText: whatever the text, the JSON is ASCII and says what was said, cut at the limit.
func FuzzAppendText(f *testing.F) {
	for _, value := range hostile {
		if len(value) < 1000 {
			f.Add(value)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		out := appendText(nil, text, maxText)
		var got string
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		want := []rune(text)
		if want := string(want[:min(len(want), maxText)]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if i := bytes.IndexFunc(out, func(r rune) bool { return r < 0x20 || r > 0x7e }); i >= 0 {
			t.Errorf("%q has %#x", out, out[i])
		}
	})
}
