package audit

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dirty returns how many pages of a file the disk does not have yet, or ends the test where the kernel does not say.
func dirty(t *testing.T, f *os.File) uint64 {
	t.Helper()
	var pages unix.Cachestat_t
	if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &pages, 0); err != nil {
		t.Skipf("cachestat: %v", err)
	}
	return pages.Dirty + pages.Writeback
}

func TestSyncerMakesFilesDurable(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "lines"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := newSyncer(f)
	if s == nil {
		t.Skip("the kernel, or what confines this process, knows no asynchronous fsync")
	}
	write := func() {
		t.Helper()
		if _, err := f.WriteString("a line\n"); err != nil {
			t.Fatal(err)
		}
		if dirty(t, f) == 0 {
			t.Skip("a file system that writes at once, or never")
		}
	}
	for range 3 {
		write()
		if err := s.sync(f, f); err != nil {
			t.Fatal(err)
		}
		if left := dirty(t, f); left != 0 || s.waiting {
			t.Fatalf("%d pages are not on the disk", left)
		}
	}

	// Where the kernel does not take the request, and after an answer that never came, the system call does it.
	write()
	s.waiting = true
	if err := s.sync(f, f); err != nil || dirty(t, f) != 0 {
		t.Errorf("beside a request that is not answered: %v, %d pages left", err, dirty(t, f))
	}
	s.waiting = false

	// It does so, too, when the kernel takes too long, whose answer is then not taken for that of the next.
	for _, s.patience = range []time.Duration{0, 0, 0, time.Hour, time.Hour} {
		write()
		if err := s.sync(f, f); err != nil || dirty(t, f) != 0 {
			t.Errorf("with a patience of %v: %v, %d pages left", s.patience, err, dirty(t, f))
		}
	}
	write()
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if err := s.sync(f, f); err != nil || dirty(t, f) != 0 {
		t.Errorf("with a syncer that does not work: %v, %d pages left", err, dirty(t, f))
	}
}

func TestSyncerTellsWhatFailed(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if newSyncer(w) != nil {
		t.Error("a syncer for files that cannot be made durable")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "lines"))
	if err != nil {
		t.Fatal(err)
	}
	s := newSyncer(f)
	defer func() { _ = s.close() }() // it has nothing of ours
	if err := s.sync(w, w); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a pipe: got %v, want EINVAL", err)
	}
	_ = f.Close() // nothing was written
	if err := s.sync(f, f); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed file: got %v, want os.ErrClosed", err)
	}
}

// TestSignalIsNoAnswer: the kernel says EINTR of a look for an answer when a signal has come, as the runtime sends them.
func TestSignalIsNoAnswer(t *testing.T) {
	k := newKernel()
	if k == nil {
		t.Skip("the kernel, or what confines this process, knows no asynchronous writes")
	}
	defer k.close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread, over, gone := unix.Gettid(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-over:
				return
			default:
				_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG) // which the runtime takes for one of its own
			}
		}
	}()
	for range 20_000 {
		if answered, _, err := k.collect(); answered || err != nil {
			t.Errorf("nothing was asked for: got %v, %v", answered, err)
			break
		}
	}
	close(over)
	<-gone
}
