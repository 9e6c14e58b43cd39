package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// readAll returns the IDs behind a cursor, and the cursor behind the last.
func readAll(t *testing.T, dir string, from Cursor) (ids []string, end Cursor) {
	t.Helper()
	end = from
	for r, err := range EventsFrom(dir, from) {
		if err != nil {
			t.Fatal(err)
		}
		ids, end = append(ids, r.TokenID), r.Next
		if r.Broken != nil {
			ids[len(ids)-1] = "broken in " + r.Broken.File
		}
	}
	return ids, end
}

func TestEventsFromEveryPlace(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{MaxFileBytes: 300})
	var want []string
	for n := range 9 {
		record(t, j, Event{Kind: "token.issued", TokenID: fmt.Sprint(n), Time: noon.Add(time.Duration(n) * time.Minute)})
		want = append(want, fmt.Sprint(n))
	}
	at := []Cursor{{}}
	for r, err := range EventsFrom(dir, Cursor{}) {
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, r.Next)
	}
	for n, from := range at {
		if got, _ := readAll(t, dir, from); !slices.Equal(got, want[n:]) {
			t.Errorf("behind %d lines, %+v: got %v", n, from, got)
		}
	}
	_, end := readAll(t, dir, Cursor{})
	record(t, j, Event{Kind: "token.issued", TokenID: "later"})
	if got, _ := readAll(t, dir, end); !slices.Equal(got, []string{"later"}) {
		t.Errorf("behind the end, later: got %v", got)
	}
	closeJournal(t, j)

	for n := range 9 {
		from, err := Since(dir, noon.Add(time.Duration(n)*time.Minute))
		got, _ := readAll(t, dir, from)
		if err != nil || !slices.Contains(got, want[n]) || len(got) > len(want)-n+4 {
			t.Errorf("since minute %d: got %v, %v", n, got, err)
		}
	}
	for _, wrong := range []Cursor{{1, 1}, {1, 1 << 40}, {1, -1}} {
		for _, err := range EventsFrom(dir, wrong) {
			if !errors.Is(err, ErrCursor) {
				t.Errorf("%+v: got %v", wrong, err)
			}
		}
	}
	if err := os.Remove((&directory{path: dir}).name(1)); err != nil {
		t.Fatal(err)
	}
	if got, _ := readAll(t, dir, at[1]); len(got) == 0 || got[len(got)-1] != "later" {
		t.Errorf("the cursor's file is in an archive: got %v", got)
	}
}

func TestEventsFromGoesOnBehindWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	file, data := written(t, dir, 2)
	write(t, file, append(append(data, "garbage\n"...), data...))
	write(t, (&directory{path: dir}).name(2), []byte("half a li"))
	got, end := readAll(t, dir, Cursor{})
	if want := []string{"", "", "broken in " + filepath.Base(file), "", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if end.File != 1 {
		t.Errorf("the end is %+v: the line that is being written is not there yet", end)
	}
}
