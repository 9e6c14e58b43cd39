package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSettlingCoversWhatWasThere: what comes while a file is made durable is not yet, and is written again when the next attempt fails.
func TestSettlingCoversWhatWasThere(t *testing.T) {
	disk, _ := openFrail(t, t.TempDir(), rand.New(rand.NewPCG(1, 2)))
	disk.directory.ring.disk = emptyDisk{}
	gate := make(chan struct{})
	first := disk.createFile
	disk.create = func(name string) (file, error) {
		f, err := first(name)
		return gatedFile{f, name, disk, gate}, err
	}
	lines, last := chain(nil, link{}, appendEvent(nil, &Event{Time: noon, Kind: "token.issued"}, maxChecked))
	var all []byte
	commit := func() {
		t.Helper()
		if err := disk.commit(lines); err != nil {
			t.Fatal(err)
		}
		all = append(all, lines...)
		lines, last = chain(nil, last, appendEvent(nil, &Event{Time: noon, Kind: "token.issued"}, maxChecked))
	}
	for disk.settling == nil {
		commit()
	}
	commit() // behind what is being made durable
	gate <- struct{}{}
	if err := disk.await(); err != nil || len(disk.unsettled) == 0 || len(disk.unsettled) == len(all) || disk.ring.held != ringBlock {
		t.Fatalf("%v, and of %d bytes %d are not durable; the ring holds %d", err, len(all), len(disk.unsettled), disk.ring.held)
	}
	disk.fails = true
	for disk.settling == nil {
		commit()
	}
	gate <- struct{}{}
	if err := disk.await(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	_ = disk.poison(syscall.EIO)
	commit()
	if held := holdsAll(t, disk.losePower(t), all); len(held) != len(all) {
		t.Errorf("%d bytes, want %d", len(held), len(all))
	}
	close(gate)
	if err := disk.close(); err != nil {
		t.Error(err)
	}
}

// A gatedFile is made durable when the gate opens.
type gatedFile struct {
	file
	name string
	disk *frailDisk
	gate chan struct{}
}

func (f gatedFile) Sync() error {
	disk := f.disk
	frail := frailFile{f.file, f.name, disk}
	disk.mu.Lock()
	size := sizeOf(f.name)
	disk.mu.Unlock()
	<-f.gate
	err := frail.Sync()
	disk.mu.Lock()
	defer disk.mu.Unlock()
	disk.durable[f.name] = min(disk.durable[f.name], size)
	return err
}

// The kernel's own ring: what the file has not yet is read from there.
func TestRingGivesBackWhatTheFileLost(t *testing.T) {
	dir := t.TempDir()
	d, state, err := openDirectory(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if d.ring == nil {
		t.Skip("the file system, or the kernel, knows no direct writes that are durable")
	}
	j := start(d, state, Options{}.withDefaults())
	for i := range 100 {
		record(t, j, Event{Kind: "token.issued", TokenID: fmt.Sprint(i)})
	}
	after := t.TempDir()
	for name, data := range everything(t, dir) {
		if filepath.Ext(name) == extension {
			data = data[:len(data)/3] // in the middle of a line
		}
		write(t, filepath.Join(after, filepath.Base(name)), data)
	}
	closeJournal(t, j)

	for range 2 { // the second time, all is there
		j = open(t, after, Options{})
		record(t, j, Event{Kind: "token.revoked"})
		closeJournal(t, j)
	}
	verified(t, after)
	want := append(slices.Repeat([]string{"token.issued"}, 100), KindRepaired, KindRepaired, "token.revoked", "token.revoked")
	if got := kinds(contents(t, after)); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestWhatWasTakenAwayStaysAway: who removes the journal's files has a new journal, of which the old one's ring knows nothing.
func TestWhatWasTakenAwayStaysAway(t *testing.T) {
	dir := t.TempDir()
	old := newPlainRing(t, dir)
	old.sequence, old.next = 8, 64*ringBlock
	lines, _ := chain(nil, link{}, appendEvent(nil, &Event{Time: noon, Kind: "token.issued"}, maxChecked))
	if err := errors.Join(old.write(1, 0, lines), old.close()); err != nil {
		t.Fatal(err)
	}
	j := open(t, dir, Options{})
	record(t, j, Event{Kind: "token.revoked"})
	after := t.TempDir()
	for name, data := range everything(t, dir) {
		if filepath.Ext(name) == extension && j.storage.(*directory).ring != nil { // a file that has lost all
			data = nil
		}
		write(t, filepath.Join(after, filepath.Base(name)), data)
	}
	closeJournal(t, j)
	closeJournal(t, open(t, after, Options{}))
	if got := kinds(contents(t, after)); len(got) == 0 || got[0] != "token.revoked" {
		t.Errorf("got %v", got)
	}
}

// newPlainRing makes a ring that is written as files are.
func newPlainRing(t *testing.T, dir string) *ring {
	t.Helper()
	name := filepath.Join(dir, ringName)
	if err := makeRing(dir, name); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &ring{disk: plainDisk{f}}
}

// TestOfTwoGroupsTheLaterIsMeant: one that failed may be there, too, and is given up by the one that follows the same line.
func TestOfTwoGroupsTheLaterIsMeant(t *testing.T) {
	for _, order := range [][]uint64{{7, 8}, {8, 7}} {
		dir := t.TempDir()
		r := newPlainRing(t, dir)
		for _, sequence := range order {
			r.sequence = sequence - 1
			lines, _ := chain(nil, link{}, fmt.Appendf(nil, `,"of":%d}`, sequence))
			if err := r.write(3, int64(100*sequence), lines); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.close(); err != nil {
			t.Fatal(err)
		}
		found, err := lostOf(dir, 3, link{})
		lines := found.lines
		if err != nil || found.sequence != 8 || found.from != 700 || !bytes.HasSuffix(lines, []byte(`"of":8}`+"\n")) || bytes.Count(lines, []byte("\n")) != 1 {
			t.Errorf("got %+v, %v", found, err)
		}
		if found, err := lostOf(dir, 4, link{}); err != nil || found.any {
			t.Errorf("of another file: got %+v, %v", found, err)
		}
	}
}

// TestWhatIsCutOffAfterAStopIsNotPutBack: nor where the ring could not be told of the stop.
func TestWhatIsCutOffAfterAStopIsNotPutBack(t *testing.T) {
	for name, before := range map[string]func(*directory){
		"in order": func(*directory) {},
		"late":     func(d *directory) { d.ring.disk = lateDisk{d.ring.disk} },
		"without a ring": func(d *directory) {
			_ = d.ring.close() // as after an error
			d.ring = nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d, lines := committed(t, dir)
			before(d)
			if err := d.close(); err != nil {
				t.Fatal(err)
			}
			cut := int64(bytes.IndexByte(lines, '\n') + 1)
			if err := os.Truncate(d.name(1), cut); err != nil {
				t.Fatal(err)
			}
			closeJournal(t, open(t, dir, Options{}))
			if got := contents(t, dir); len(got) != 1 {
				t.Errorf("%d lines, want what was left", len(got))
			}
		})
	}
}

// committed opens a directory with a ring, on any system, and commits a group of lines.
func committed(t *testing.T, dir string) (*directory, []byte) {
	t.Helper()
	disk, state := openFrail(t, dir, rand.New(rand.NewPCG(1, 2)))
	d := disk.directory
	d.ring.disk, d.create = plainDisk{d.ring.disk.(frailRing).File}, d.createFile
	lines, _ := disk.lines(state.last)
	if err := d.commit(lines); err != nil {
		t.Fatal(err)
	}
	return d, lines
}

// A lateDisk answers nothing in time.
type lateDisk struct{ ringDisk }

func (lateDisk) write([]byte, int64) error { return os.ErrDeadlineExceeded }

// TestWhatMayNotBeDurableIsWrittenAgain: a process before this one may have been told of an error, and the page cache shows nothing of it.
func TestWhatMayNotBeDurableIsWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	d, lines := committed(t, dir)
	killed := t.TempDir()
	for name, data := range everything(t, dir) {
		write(t, filepath.Join(killed, filepath.Base(name)), data)
	}
	name, long := (&directory{path: killed}).name(1), time.Unix(1e9, 0)
	for _, again := range []bool{true, false} {
		if err := os.Chtimes(name, long, long); err != nil {
			t.Fatal(err)
		}
		after, _, err := openDirectory(killed, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil || info.ModTime().Equal(long) == again {
			t.Errorf("written again is to be %v: %v, %v", again, info, err)
		}
		if err := after.close(); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(name); err != nil || !bytes.Equal(data, lines) {
			t.Errorf("%d bytes, want %d: %v", len(data), len(lines), err)
		}
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
}

// TestOldGroupsAreOfNoUse: one that the ring has come around without writing over does not have half of the file written again.
func TestOldGroupsAreOfNoUse(t *testing.T) {
	dir := t.TempDir()
	r := newPlainRing(t, dir)
	first, last := chain(nil, link{}, appendEvent(nil, &Event{Time: noon, Kind: "token.issued"}, maxChecked))
	second, _ := chain(nil, last, appendEvent(nil, &Event{Time: noon, Kind: "token.revoked"}, maxChecked))
	if err := r.write(1, 0, first); err != nil {
		t.Fatal(err)
	}
	r.sequence = 5000
	if err := errors.Join(r.write(1, int64(len(first)), second), r.close()); err != nil {
		t.Fatal(err)
	}
	found, err := lostOf(dir, 1, last)
	if err != nil || found.from != int64(len(first)) || !bytes.Equal(found.lines, second) {
		t.Errorf("got %+v, %v", found, err)
	}
}

// TestUnreadableRing: a start does not pass over what may be only there, and says what can be done.
func TestUnreadableRing(t *testing.T) {
	dir := t.TempDir()
	written(t, dir, 1)
	name := filepath.Join(dir, ringName)
	if err := errors.Join(removeRing(dir), os.Mkdir(name, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "move "+name+" away") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, open(t, dir, Options{}))
}

// TestNoTextMakesAGroup: who has their own words in a line, such as the name of a program, cannot have them read as a group.
func TestNoTextMakesAGroup(t *testing.T) {
	event := appendEvent(nil, &Event{Kind: ringMark, ClientID: ringMark, Reason: ringMark, Audience: []string{ringMark}}, maxText)
	if bytes.Contains(event, []byte(ringMark)[:1]) {
		t.Errorf("got %q", event)
	}
}

// TestRingIsNotWrittenOver: what is held stays, and a group that finds no room is not taken.
func TestRingIsNotWrittenOver(t *testing.T) {
	r := &ring{disk: emptyDisk{}}
	lines := make([]byte, ringBlock-ringHeader)
	for range ringBytes / ringBlock {
		if err := r.write(1, 0, lines); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.write(1, 0, lines); !errors.Is(err, errPassed) {
		t.Errorf("a group too many: got %v", err)
	}
	r.release(ringBlock)
	if err := r.write(1, 0, make([]byte, ringBlock)); !errors.Is(err, errPassed) {
		t.Errorf("two blocks, and one is free: got %v", err)
	}
	if err := r.write(1, 0, lines); err != nil || r.next != ringBlock {
		t.Errorf("one block: got %v", err)
	}
	r.release(r.held)
	if err := r.write(1, 0, make([]byte, ringGroup)); !errors.Is(err, errPassed) {
		t.Errorf("a group too large: got %v", err)
	}
}

// A plainDisk is a file that is written as files are.
type plainDisk struct{ *os.File }

func (d plainDisk) write(data []byte, offset int64) error {
	_, err := d.WriteAt(data, offset)
	return err
}
func (plainDisk) busy() (bool, error) { return false, nil }
func (d plainDisk) close() error      { return d.Close() }

// An emptyDisk keeps nothing.
type emptyDisk struct{}

func (emptyDisk) write([]byte, int64) error { return nil }
func (emptyDisk) busy() (bool, error)       { return false, nil }
func (emptyDisk) close() error              { return nil }
