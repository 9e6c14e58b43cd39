package audit

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepeatsAreSummed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := InMemory()
		defer closeJournal(t, j)
		repeat := func(client, token, remote, request string) {
			t.Helper()
			err := j.Repeat(Event{Kind: "token.repeated", ClientID: client, TokenID: token, Remote: remote, RequestID: request, Scope: "read"})
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			repeat("a", "1", "192.0.2.1", "x")
		}
		repeat("a", "1", "192.0.2.2", "y")
		repeat("a", "2", "192.0.2.1", "z")
		if m := j.storage.(*memory); len(m.events()) != 0 {
			t.Fatal("a repeat was written at once")
		}
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		told := map[string]string{}
		for _, event := range j.storage.(*memory).events() {
			told[event.ClientID+event.TokenID+event.Remote] = fmt.Sprint(event.Kind, event.Count, event.RequestID, event.Scope)
		}
		want := map[string]string{
			"a1192.0.2.1": "token.repeated3read", // of three requests, and so of none
			"a1192.0.2.2": "token.repeated0yread",
			"a2192.0.2.1": "token.repeated0zread",
		}
		if fmt.Sprint(told) != fmt.Sprint(want) {
			t.Errorf("got  %v\nwant %v", told, want)
		}
		repeat("a", "1", "192.0.2.1", "x")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := j.storage.(*memory).events(); len(got) != 4 || got[3].Count != 0 {
			t.Errorf("after the interval: %+v", got)
		}
	})
}

// TestRepeatsAreBounded: whatever comes, what waits takes no more memory, and nothing is lost from the sum.
func TestRepeatsAreBounded(t *testing.T) {
	sums := repeats{}
	const all = 3 * maxRepeats
	for i := range all {
		sums.add(&Event{Kind: "token.repeated", ClientID: "a", TokenID: fmt.Sprint(i)})
	}
	if len(sums) > maxRepeats+1 {
		t.Errorf("%d lines wait", len(sums))
	}
	total := int64(0)
	for _, event := range sums.take() {
		total += max(event.Count, 1)
	}
	if total != all || len(sums) != 0 {
		t.Errorf("%d repeats are told of %d, and %d wait", total, all, len(sums))
	}
}

// TestRepeatsAreNoRefusals: where there are too many for a line each, who looks for a refusal is not told of them.
func TestRepeatsAreNoRefusals(t *testing.T) {
	t.Parallel()
	j := InMemory()
	defer closeJournal(t, j)
	for i := range maxRepeats + 10 {
		if err := j.Repeat(Event{Kind: "token.repeated", ClientID: "a", TokenID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, err := j.FindRefusal(t.Context(), "abc", time.Time{}); err != nil || len(found.Counted) != 0 {
		t.Errorf("got %+v, %v", found, err)
	}
}

// TestRepeatsNeedTheJournal: none leaves while the disk fails, and what was counted before is written when it is back.
func TestRepeatsNeedTheJournal(t *testing.T) {
	dir := t.TempDir()
	disk, state := newBrokenDisk(t, dir)
	j := start(disk, state, Options{}.withDefaults())
	again := Event{Kind: "token.repeated", ClientID: "a", TokenID: "1"}
	for range 2 {
		if err := j.Repeat(again); err != nil {
			t.Fatal(err)
		}
	}
	disk.syncs.Store(true)
	if err := j.Flush(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("flush: got %v, want ErrUnavailable", err)
	}
	if err := j.Repeat(again); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Repeat: got %v, want ErrUnavailable", err)
	}
	disk.syncs.Store(false)
	forget(j)
	record(t, j, Event{Kind: "token.issued"})
	closeJournal(t, j)
	verified(t, dir)
	for _, event := range contents(t, dir) {
		if event.Kind == again.Kind {
			if event.Count != 2 {
				t.Errorf("got %+v, want a count of 2", event)
			}
			if err := j.Repeat(again); !errors.Is(err, ErrUnavailable) {
				t.Errorf("Repeat after Close: got %v, want ErrUnavailable", err)
			}
			began := time.Now()
			if err := j.Flush(t.Context()); !errors.Is(err, os.ErrClosed) || time.Since(began) > j.options.Timeout/2 {
				t.Errorf("Flush after Close: got %v after %v", err, time.Since(began))
			}
			return
		}
	}
	t.Error("what was counted before the disk failed is lost")
}
