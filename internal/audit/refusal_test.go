package audit

import (
	"fmt"
	"testing"
	"time"
)

// TestFindRefusal finds a refusal in whatever file it stands, and the counts of those that have no line of their own.
func TestFindRefusal(t *testing.T) {
	t.Parallel()
	now := noon
	options := Options{MaxFileBytes: 2000, RefusalsPerSecond: 1, Now: func() time.Time { return now }}
	dir := t.TempDir()
	j := open(t, dir, options)
	for i := range 30 { // ten have a line each
		j.Refuse(Event{Kind: "token.refused", Reason: "wrong_secret", Refusal: fmt.Sprintf("refusal%d", i), Presented: []string{"scope: read"}})
		record(t, j, Event{Kind: "token.issued", Scope: "count"})
	}
	closeJournal(t, j)
	j = open(t, dir, options)
	defer closeJournal(t, j)
	for id, want := range map[string]bool{"refusal0": true, "refusal9": true, "refusal10": false, "refusal": false, "": false} {
		found, err := j.FindRefusal(t.Context(), id, time.Time{})
		if err != nil || (found.Event != nil) != want {
			t.Errorf("%q: got %v, %v", id, found.Event, err)
		}
		if want && (found.Event.Refusal != id || len(found.Event.Presented) != 1) {
			t.Errorf("%q: got %+v", id, found.Event)
		}
	}
	found, err := FindRefusal(t.Context(), dir, "refusal10", noon)
	if err != nil || len(found.Counted) != 1 || found.Counted[0].Count != 20 || !found.Since.Equal(noon) {
		t.Errorf("got %+v, %v", found, err)
	}
	// What began before is not read any more, when the refusal cannot be in it.
	found, err = FindRefusal(t.Context(), dir, "refusal0", noon.Add(time.Second))
	if err != nil || found.Event != nil {
		t.Errorf("got %+v, %v", found, err)
	}
}

func TestFindRefusalInMemory(t *testing.T) {
	t.Parallel()
	j := InMemory()
	defer closeJournal(t, j)
	j.Refuse(Event{Kind: "token.refused", Reason: "wrong_secret", Refusal: "abc"})
	if found, err := j.FindRefusal(t.Context(), "abc", time.Time{}); err != nil || found.Event == nil {
		t.Errorf("got %+v, %v", found, err)
	}
}
