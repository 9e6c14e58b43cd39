package audit

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A brokenDisk is a real directory whose files fail while it says so.
type brokenDisk struct {
	*directory
	writes, syncs, creates atomic.Bool  // fail
	synced                 atomic.Int64 // how often something was made durable
}

func newBrokenDisk(t *testing.T, dir string) (*brokenDisk, found) {
	t.Helper()
	d, state, err := openDirectory(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	disk := &brokenDisk{directory: d}
	if d.ring != nil { // else the file system knows none: then every group is durable in its file
		d.ring.disk = brokenRing{d.ring.disk, disk}
	}
	if d.file != nil {
		d.file = brokenFile{d.file, disk}
	}
	d.create = func(name string) (file, error) {
		if disk.creates.Load() {
			return nil, &os.PathError{Op: "open", Path: name, Err: syscall.EROFS}
		}
		f, err := d.createFile(name)
		return brokenFile{f, disk}, err
	}
	return disk, state
}

type brokenFile struct {
	file
	disk *brokenDisk
}

// Write writes half of what it is given, as a disk does that fills up.
func (f brokenFile) Write(data []byte) (int, error) {
	if f.disk.writes.Load() {
		n, err := f.file.Write(data[:len(data)/2])
		return n, errors.Join(err, syscall.ENOSPC)
	}
	return f.file.Write(data)
}

func (f brokenFile) Sync() error {
	if f.disk.syncs.Load() {
		return syscall.EIO
	}
	f.disk.synced.Add(1)
	return f.file.Sync()
}

type brokenRing struct {
	ringDisk
	disk *brokenDisk
}

func (r brokenRing) write(data []byte, offset int64) error {
	if r.disk.syncs.Load() {
		return syscall.EIO
	}
	r.disk.synced.Add(1)
	return r.ringDisk.write(data, offset)
}

func TestDrillR05DiskFailsAndComesBack(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(*brokenDisk) *atomic.Bool
	}{
		{"no space", func(d *brokenDisk) *atomic.Bool { return &d.writes }},
		{"fsync fails", func(d *brokenDisk) *atomic.Bool { return &d.syncs }},
	} {
		for _, before := range []int{0, 2} {
			t.Run(test.name, func(t *testing.T) {
				dir := t.TempDir()
				disk, state := newBrokenDisk(t, dir)
				j := start(disk, state, Options{}.withDefaults())
				t.Cleanup(func() { _ = j.Close() })
				for range before {
					record(t, j, Event{Kind: "token.issued", Reason: "before"})
				}

				failing := test.fail(disk)
				failing.Store(true)
				for range 5 {
					err := j.Record(t.Context(), Event{Kind: "token.issued", Reason: "lost"})
					if !errors.Is(err, ErrUnavailable) {
						t.Fatalf("Record: got %v, want ErrUnavailable", err)
					}
					// Past the floor, so that the disk is tried and not only the memory of the last error.
					forget(j)
				}
				if j.Err() == nil {
					t.Error("Err: nil while nothing can be written")
				}
				disk.creates.Store(true)
				if err := j.Record(t.Context(), Event{Kind: "token.issued", Reason: "lost"}); err == nil {
					t.Error("recorded on a disk that can make no file")
				}
				failing.Store(false)
				disk.creates.Store(false)
				forget(j)
				record(t, j, Event{Kind: "token.issued", Reason: "after"})
				if err := j.Err(); err != nil {
					t.Errorf("Err: %v", err)
				}
				closeJournal(t, j)

				verified(t, dir)
				if _, err := os.Stat(disk.name(1)); err != nil {
					t.Errorf("the files do not begin with 1: %v", err)
				}
				events := contents(t, dir)
				want := append(slices.Repeat([]string{"token.issued"}, before), KindRecovered, "token.issued")
				if got := kinds(events); !slices.Equal(got, want) {
					t.Fatalf("got %v, want %v", got, want)
				}
				if got := events[before]; got.Count != 6 || got.Reason != syscall.EROFS.Error() {
					t.Errorf("recovered: got %+v, want 6 lost events and the reason of the last", got)
				}
			})
		}
	}
}

// forget ends the time in which a journal does not try again.
func forget(j *Journal) {
	j.mu.Lock()
	j.retryAt = time.Time{}
	j.mu.Unlock()
}

// A failed fsync drops the dirty pages: the one after it succeeds and says nothing. So there must be no second one on the
// same file.
func TestFailedFsyncIsNotTriedAgain(t *testing.T) {
	dir := t.TempDir()
	disk, state := newBrokenDisk(t, dir)
	j := start(disk, state, Options{}.withDefaults())
	record(t, j, Event{Kind: "token.issued"})
	first := disk.directory.file
	disk.syncs.Store(true)
	if err := j.Record(t.Context(), Event{Kind: "token.issued"}); err == nil {
		t.Fatal("recorded without fsync")
	}
	disk.syncs.Store(false)
	forget(j)
	record(t, j, Event{Kind: "token.issued"})
	if disk.directory.file == first {
		t.Error("the file whose fsync failed is still written to")
	}
	closeJournal(t, j)
	if got := verified(t, dir); got.Files != 2 || got.Lines != 3 {
		t.Errorf("got %+v, want 2 files: one event, then recovered and another", got)
	}
}

// The kernel's own full disk.
func TestDrillR05DevFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full on this system")
	}
	d, state, err := openDirectory(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	d.create = func(string) (file, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }
	j := start(d, state, Options{}.withDefaults())
	began := time.Now()
	err = j.Record(t.Context(), Event{Kind: "token.issued"})
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v, want ErrUnavailable because of ENOSPC", err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("Record took %v", took)
	}
	closeJournal(t, j)
}

// R05: a disk that hangs, as a stopped NFS server or a FIFO without a reader does, answers nothing at all.
func TestDrillR05DiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowStorage{hold: make(chan struct{})}
		j := start(disk, found{}, Options{}.withDefaults())
		for i := range 3 {
			began := time.Now()
			err := j.Record(context.Background(), Event{Kind: "token.issued", Reason: "hung"})
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			if took := time.Since(began); took > time.Second || i > 0 && took > 0 {
				t.Errorf("call %d took %v", i, took)
			}
		}
		for range 1000 {
			j.Refuse(Event{Kind: "token.refused", Reason: "unknown_client"}) // does not hang either
		}
		close(disk.hold) // the disk answers again
		synctest.Wait()
		if err := j.Record(context.Background(), Event{Kind: "token.issued", Reason: "after"}); err != nil {
			t.Errorf("after the disk is back: %v", err)
		}
		closeJournal(t, j)
		if got, want := kinds(disk.events()), []string{
			"token.issued", // written late; its caller was told no
			KindRecovered, "token.issued", "token.refused",
		}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if got := disk.events(); got[1].Count != 2 || got[3].Count != 1000 {
			t.Errorf("got %+v, want 2 lost events and 1000 refusals", got)
		}
	})
}

// What hung may fail in the end; then the journal tries again as after any other failure.
func TestDiskHangsThenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &hangingStorage{answer: make(chan error)}
		j := start(disk, found{}, Options{}.withDefaults())
		if err := j.Record(context.Background(), Event{Kind: "token.issued"}); !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		disk.answer <- syscall.EIO
		synctest.Wait()
		close(disk.answer)
		time.Sleep(retryFloor)
		if err := j.Record(context.Background(), Event{Kind: "token.issued"}); err != nil {
			t.Errorf("after the floor: %v", err)
		}
		closeJournal(t, j)
	})
}

// hangingStorage waits for the answer it is to give.
type hangingStorage struct {
	memory
	answer chan error
}

func (s *hangingStorage) commit(lines []byte) error {
	if err := <-s.answer; err != nil {
		return err
	}
	return s.memory.commit(lines)
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowStorage{hold: make(chan struct{})}
		j := start(disk, found{}, Options{}.withDefaults())
		go func() { _ = j.Record(context.Background(), Event{Kind: "token.issued"}) }()
		synctest.Wait() // the committer holds this one
		var refused, recorded atomic.Int64
		for range maxPendingEvents + 10 {
			go func() {
				if err := j.Record(context.Background(), Event{Kind: "token.issued"}); err != nil {
					refused.Add(1)
				} else {
					recorded.Add(1)
				}
			}()
		}
		synctest.Wait()
		if got := refused.Load(); got != 10 {
			t.Errorf("%d events were refused at once, want 10", got)
		}
		close(disk.hold)
		synctest.Wait()
		if got := recorded.Load(); got != maxPendingEvents {
			t.Errorf("%d events were recorded, want %d", got, maxPendingEvents)
		}
		closeJournal(t, j)
	})
}

// failingStorage fails until it is told not to.
type failingStorage struct {
	memory
	fails atomic.Bool
}

func (s *failingStorage) commit(lines []byte) error {
	if s.fails.Load() {
		return syscall.ENOSPC
	}
	return s.memory.commit(lines)
}

func TestRecoversWithoutTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &failingStorage{}
		disk.fails.Store(true)
		j := start(disk, found{}, Options{RefusalInterval: time.Hour}.withDefaults())
		j.Refuse(Event{Kind: "token.refused", Reason: "unknown_client"}) // fails with its batch, and is counted
		if err := j.Record(context.Background(), Event{Kind: "token.issued"}); err == nil {
			t.Fatal("recorded on a full disk")
		}
		time.Sleep(5 * time.Second)
		if j.Err() == nil {
			t.Error("Err: nil while the disk is full")
		}
		disk.fails.Store(false)
		time.Sleep(2 * time.Second)
		if err := j.Err(); err != nil {
			t.Errorf("Err: %v, two seconds after the disk was back", err)
		}
		if got := kinds(disk.events()); !slices.Equal(got, []string{KindRecovered}) {
			t.Errorf("got %v", got)
		}
		closeJournal(t, j)
		if lines, total := refusalsIn(disk.events()); lines != 1 || total != 1 {
			t.Errorf("%d lines tell of %d refusals, want the one that failed first", lines, total)
		}
	})
}

func TestFailsAtOnceBetweenAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &failingStorage{}
		disk.fails.Store(true)
		j := start(disk, found{}, Options{}.withDefaults())
		for range 3 {
			err := j.Record(context.Background(), Event{Kind: "token.issued"})
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space") {
				t.Errorf("got %v", err)
			}
		}
		disk.fails.Store(false)
		if err := j.Record(context.Background(), Event{Kind: "token.issued"}); err == nil {
			t.Error("the disk was tried again at once")
		}
		time.Sleep(retryFloor)
		if err := j.Record(context.Background(), Event{Kind: "token.issued"}); err != nil {
			t.Errorf("after the floor: %v", err)
		}
		closeJournal(t, j)
	})
}
