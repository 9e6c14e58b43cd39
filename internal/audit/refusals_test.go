package audit

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// spaceStorage says how much space is left.
type spaceStorage struct {
	memory
	left atomic.Uint64
}

func (s *spaceStorage) free() (uint64, bool) { return s.left.Load(), true }

func refusalsIn(events []Event) (lines int, total int64) {
	for _, event := range events {
		if strings.HasSuffix(event.Kind, ".refused") {
			lines++
			total += max(event.Count, 1)
		}
	}
	return lines, total
}

func TestFloodIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &memory{}
		j := start(disk, found{}, Options{RefusalsPerSecond: 10, RefusalInterval: 10 * time.Second}.withDefaults())
		const seconds, perSecond = 60, 1000
		for range seconds {
			for i := range perSecond {
				reason := "unknown_client"
				if i%4 == 0 {
					reason = "wrong_secret"
				}
				j.Refuse(Event{Kind: "token.refused", Reason: reason, ClientID: fmt.Sprint("guess-", i)})
			}
			time.Sleep(time.Second)
		}
		if err := j.Record(context.Background(), Event{Kind: "token.issued"}); err != nil {
			t.Errorf("Record in the flood: %v", err)
		}
		closeJournal(t, j)
		lines, total := refusalsIn(disk.events())
		if total != seconds*perSecond {
			t.Errorf("the journal tells of %d refusals, want %d", total, seconds*perSecond)
		}
		// 100 at once, 10 a second, and two reasons every ten seconds.
		if most := 100 + 10*seconds + 2*(seconds/10+1); lines > most || lines < 100 {
			t.Errorf("%d lines, want 100 to %d", lines, most)
		}
	})
}

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []Commit
		options := Options{RefusalsPerSecond: 1, RefusalInterval: 10 * time.Second, Observe: func(c Commit) { seen = append(seen, c) }}
		j := start(&memory{}, found{}, options.withDefaults())
		for range 110 { // ten have a line each
			j.Refuse(Event{Kind: "token.refused", Reason: "wrong_secret"})
		}
		record(t, j, Event{Kind: "token.issued"})
		time.Sleep(11 * time.Second)
		closeJournal(t, j)
		events, counted := 0, int64(0)
		for _, c := range seen {
			events, counted = events+c.Events, counted+c.Counted
			if c.Err != nil {
				t.Errorf("got %v", c.Err)
			}
		}
		if events != 12 || counted != 100 {
			t.Errorf("%d events, of which %d refusals were counted; want 12 and 100", events, counted)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		failed := 0
		disk := &failingStorage{}
		disk.fails.Store(true)
		j := start(disk, found{}, Options{Observe: func(c Commit) {
			if c.Err != nil {
				failed++
			}
		}}.withDefaults())
		if err := j.Record(t.Context(), Event{Kind: "token.issued"}); err == nil {
			t.Error("recorded on a disk that fails")
		}
		synctest.Wait()
		if failed == 0 {
			t.Error("nobody heard of the failure")
		}
		disk.fails.Store(false)
		closeJournal(t, j)
	})
}

func TestFloodForADayIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &memory{}
		const budget = 1 << 20
		j := start(disk, found{}, Options{RefusalBytesPerDay: budget}.withDefaults())
		size := 0
		for range 24 * 60 {
			for range 10 {
				j.Refuse(Event{Kind: "token.refused", Reason: "unknown_client", ClientID: strings.Repeat("x", 10_000)})
			}
			time.Sleep(time.Minute)
		}
		closeJournal(t, j)
		for _, line := range disk.lines {
			size += len(line)
		}
		if _, total := refusalsIn(disk.events()); total != 24*60*10 {
			t.Errorf("the journal tells of %d refusals, want %d", total, 24*60*10)
		}
		if summed := 24 * 60 * 200; size > 2*budget+summed {
			t.Errorf("a day of flood wrote %d bytes", size)
		}
	})
}

func TestReasonsAreBounded(t *testing.T) {
	r := newRefusals(Options{}.withDefaults())
	for i := range 10_000 {
		r.count(Event{Kind: "token.refused", Reason: fmt.Sprint("made up ", i)})
	}
	events := r.take(noon)
	if len(events) > maxCounted+1 {
		t.Errorf("%d summaries, want at most %d", len(events), maxCounted+1)
	}
	if _, total := refusalsIn(events); total != 10_000 {
		t.Errorf("they tell of %d refusals, want 10000", total)
	}
	if again := r.take(noon); len(again) != 0 {
		t.Errorf("counted twice: %+v", again)
	}
}

func TestReserveIsForTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &spaceStorage{}
		disk.left.Store(10 << 20)
		j := start(disk, found{}, Options{Reserve: 64 << 20}.withDefaults())
		if err := j.Record(context.Background(), Event{Kind: "token.issued"}); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			j.Refuse(Event{Kind: "token.refused", Reason: "unknown_client"})
			time.Sleep(time.Minute)
		}
		if err := j.Record(context.Background(), Event{Kind: "token.issued"}); err != nil {
			t.Errorf("Record on the reserve: %v", err)
		}
		if lines, _ := refusalsIn(disk.events()); lines != 0 {
			t.Errorf("%d refusals were written on the reserve", lines)
		}
		disk.left.Store(100 << 20)
		time.Sleep(time.Minute)
		if lines, total := refusalsIn(disk.events()); lines != 1 || total != 5 {
			t.Errorf("with space again: %d lines that tell of %d refusals, want 1 and 5", lines, total)
		}
		closeJournal(t, j)
	})
}
