package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDirectory); dir != "" {
		recordForever(dir)
	}
	goleak.VerifyTestMain(m)
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)

func open(t *testing.T, dir string, options Options) *Journal {
	t.Helper()
	j, err := Open(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func record(t *testing.T, j *Journal, events ...Event) {
	t.Helper()
	for _, event := range events {
		if err := j.Record(t.Context(), event); err != nil {
			t.Fatalf("Record: %v", err)
		}
	}
}

func closeJournal(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// contents returns the events of a directory and fails on any line that cannot be read.
func contents(t *testing.T, dir string) []Event {
	t.Helper()
	var events []Event
	for event, err := range Events(dir) {
		if err != nil {
			t.Fatalf("Events: %v", err)
		}
		events = append(events, event)
	}
	return events
}

func verified(t *testing.T, dir string) Report {
	t.Helper()
	report, err := Verify(dir, Known{})
	if err != nil || len(report.Breaks) > 0 {
		t.Fatalf("Verify: %v, %v", report.Breaks, err)
	}
	return report
}

// firstBreak returns the first break that Verify finds, nil if there is none.
func firstBreak(t *testing.T, dir string, known Known) *Break {
	t.Helper()
	report, err := Verify(dir, known)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if len(report.Breaks) == 0 {
		return nil
	}
	return report.Breaks[0]
}

func kinds(events []Event) []string {
	var kinds []string
	for _, event := range events {
		kinds = append(kinds, event.Kind)
	}
	return kinds
}

func TestRecordedEventIsReadBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	j := open(t, dir, Options{})
	want := []Event{
		{
			Time: noon, Kind: "token.issued", ClientID: "billing-4fk2p9qz7a", TokenID: "0123abc", RequestID: "r-1",
			Remote: "192.0.2.7", Scope: "orders:read orders:write",
			Audience: []string{"https://api.example.com", "https://b.example"},
		},
		{Time: noon, Kind: "token.refused", Reason: "client_disabled", Count: 7},
	}
	record(t, j, want...)
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("while the journal is open (-want +got):\n%s", diff)
	}
	closeJournal(t, j)

	j = open(t, dir, Options{Now: func() time.Time { return noon.Add(time.Hour) }})
	record(t, j, Event{Kind: "token.issued"})
	closeJournal(t, j)
	want = append(want, Event{Time: noon.Add(time.Hour), Kind: "token.issued"})
	if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
		t.Errorf("after a second opening (-want +got):\n%s", diff)
	}
	if got := verified(t, dir); got.Files != 1 || got.Lines != 3 || got.First != "00000001.jsonl" {
		t.Errorf("Verify: got %+v", got)
	}
}

func TestJournalIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	j := open(t, dir, Options{})
	record(t, j, Event{Kind: "token.issued"})
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil {
		t.Error("a second journal opened on the same directory")
	}
}

// slowStorage counts commits and lets the test hold one.
type slowStorage struct {
	memory
	commits atomic.Int64
	hold    chan struct{} // receives once per commit, when not nil
}

func (s *slowStorage) commit(lines []byte) error {
	s.commits.Add(1)
	if s.hold != nil {
		<-s.hold
	}
	return s.memory.commit(lines)
}

func TestCallersShareFsyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowStorage{hold: make(chan struct{})}
		j := start(disk, found{}, Options{}.withDefaults())
		var callers sync.WaitGroup
		for i := range 64 {
			callers.Go(func() {
				if err := j.Record(context.Background(), Event{Kind: "token.issued", TokenID: fmt.Sprint(i)}); err != nil {
					t.Errorf("Record: %v", err)
				}
			})
		}
		synctest.Wait() // the first commit is held; everyone else is in the batch behind it
		disk.hold <- struct{}{}
		synctest.Wait()
		close(disk.hold)
		callers.Wait()
		if got := disk.commits.Load(); got > 2 {
			t.Errorf("64 callers took %d fsyncs, want at most 2", got)
		}
		if got := len(disk.events()); got != 64 {
			t.Errorf("got %d events, want 64", got)
		}
		closeJournal(t, j)
	})
}

func TestRecordReturnsAfterFsync(t *testing.T) {
	dir := t.TempDir()
	disk, state := newBrokenDisk(t, dir) // which counts
	syncs := &disk.synced
	j := start(disk, state, Options{}.withDefaults())
	for i := range 3 {
		record(t, j, Event{Kind: "token.issued"})
		if got := syncs.Load(); got != int64(i+1) {
			t.Fatalf("%d fsyncs after %d events, one after the other", got, i+1)
		}
	}
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(func() {
			for range 20 {
				record(t, j, Event{Kind: "token.issued"})
			}
		})
	}
	callers.Wait()
	if got := syncs.Load(); got > 64*20/4 {
		t.Errorf("%d fsyncs for %d events of 64 callers", got, 64*20)
	}
	closeJournal(t, j)
	if got := verified(t, dir); got.Lines != 3+64*20 {
		t.Errorf("Verify: got %+v", got)
	}
}

// TestRecordHonoursContext: a context that has ended keeps an event from being recorded, and one that ends later comes too late.
func TestRecordHonoursContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowStorage{hold: make(chan struct{})}
		j := start(disk, found{}, Options{}.withDefaults())
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		time.AfterFunc(500*time.Millisecond, func() { close(disk.hold) })
		if err := j.Record(ctx, Event{Kind: "token.issued"}); err != nil || ctx.Err() == nil {
			t.Errorf("got %v, and want what became of the event", err)
		}
		if err := j.Record(ctx, Event{Kind: "token.issued"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that is done: got %v", err)
		}
		closeJournal(t, j)
		if got := len(disk.events()); got != 1 {
			t.Errorf("got %d events, want 1", got)
		}
	})
}

func TestNewFileBySize(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir, Options{MaxFileBytes: 1000})
	for range 30 {
		record(t, j, Event{Kind: "token.issued", ClientID: strings.Repeat("c", 100)})
	}
	closeJournal(t, j)
	report := verified(t, dir)
	if report.Lines != 30 || report.Files < 5 {
		t.Errorf("got %+v", report)
	}
	numbers, err := journalFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range numbers {
		if info, err := os.Stat((&directory{path: dir}).name(number)); err != nil || info.Size() > 1000 {
			t.Errorf("file %d: %v, %v", number, info, err)
		}
	}
	// The oldest files may go to an archive; the rest still holds together.
	if err := os.Remove((&directory{path: dir}).name(1)); err != nil {
		t.Fatal(err)
	}
	verified(t, dir)
}

func TestInMemory(t *testing.T) {
	j := InMemory()
	record(t, j, Event{Time: noon, Kind: "token.issued"})
	j.Refuse(Event{Time: noon, Kind: "token.refused", Reason: "unknown_client"})
	if got := kinds(j.Events()); !slices.Equal(got, []string{"token.issued", "token.refused"}) {
		t.Errorf("got %v", got)
	}
	closeJournal(t, j)
	closeJournal(t, j)
	if got := len(j.Events()); got != 2 {
		t.Errorf("%d events after Close, want 2", got)
	}
	if err := j.Record(t.Context(), Event{Kind: "token.issued"}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Record after Close: got %v, want ErrUnavailable", err)
	}
}

func BenchmarkRecord(b *testing.B) {
	j, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	event := Event{
		Kind: "token.issued", ClientID: "billing-4fk2p9qz7a", TokenID: "JvX0YJ3JmW0l4fP1n9o3Tw", RequestID: "01J8ZKQ7Y0",
		Remote: "192.0.2.7", Scope: "orders:read orders:write", Audience: []string{"https://api.example.com"},
	}
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := j.Record(context.Background(), event); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	event := Event{
		Time: noon, Kind: "token.issued", ClientID: "billing-4fk2p9qz7a", TokenID: "JvX0YJ3JmW0l4fP1n9o3Tw", RequestID: "01J8ZKQ7Y0",
		Remote: "192.0.2.7", Scope: "orders:read orders:write", Audience: []string{"https://api.example.com"},
	}
	b.ReportAllocs()
	for b.Loop() {
		var scratch [768]byte
		_ = appendEvent(scratch[:0], &event, maxChecked)
	}
}

// diskTime is what quickDisk takes for a commit.
const diskTime = 300 * time.Microsecond

type quickDisk struct{ memory }

func (d *quickDisk) commit(lines []byte) error {
	time.Sleep(diskTime)
	return d.memory.commit(lines)
}

// TestGroupsKeepADistance: callers who record at the same time share their fsyncs, however fast the disk is, and one alone waits for
// nobody.
func TestGroupsKeepADistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var commits atomic.Int64
		options := Options{Observe: func(Commit) { commits.Add(1) }}.withDefaults()
		j := start(&quickDisk{}, found{}, options)
		defer closeJournal(t, j)
		for range 5 {
			record(t, j, Event{Kind: "token.issued"})
		}
		if took := time.Since(began); took != 5*diskTime {
			t.Errorf("one after the other they took %v", took)
		}
		synctest.Wait()
		began = time.Now()
		commits.Store(0)
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 100 {
					record(t, j, Event{Kind: "token.issued"})
				}
			})
		}
		callers.Wait()
		// Between two groups of several, one event may come alone.
		if took := time.Since(began); commits.Load() > 2*int64(took/groupInterval)+2 || took > 500*time.Millisecond {
			t.Errorf("%d groups in %v", commits.Load(), took)
		}
	})
}
