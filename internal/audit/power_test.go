package audit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A frailDisk is a directory whose disk is late, fails and loses power, as a generator of chances says. It knows what would be left.
type frailDisk struct {
	*directory
	chance *rand.Rand

	mu      sync.Mutex // an fsync runs beside all else
	durable map[string]int64
	fails   bool   // the next fsync of a file, and what it drops
	late    []byte // what the ring was given and does not have yet, and where
	lateAt  int64
	dying   bool // the power fails while the ring writes
}

func openFrail(t *testing.T, dir string, chance *rand.Rand) (*frailDisk, found) {
	t.Helper()
	d, state, err := openDirectory(dir, ringBytes/3)
	if err != nil {
		t.Fatal(err)
	}
	disk := &frailDisk{directory: d, chance: chance, durable: map[string]int64{}}
	if d.ring == nil { // as on other systems: what is tested here is not how it is written
		if err := makeRing(dir, filepath.Join(dir, ringName)); err != nil {
			t.Fatal(err)
		}
		d.ring = &ring{sequence: state.sequence}
	} else if err := d.ring.close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ringName), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.ring.disk = frailRing{f, disk}
	d.create = func(name string) (file, error) {
		f, err := d.createFile(name)
		return frailFile{f, name, disk}, err
	}
	if d.file != nil {
		disk.durable[d.name(d.number)] = d.size
		d.file = frailFile{d.file, d.name(d.number), disk}
	}
	return disk, state
}

type frailFile struct {
	file
	name string
	disk *frailDisk
}

func (f frailFile) Write(data []byte) (int, error) {
	if f.disk.oneIn(100) {
		n, err := f.file.Write(data[:len(data)/2])
		return n, errors.Join(err, syscall.ENOSPC)
	}
	return f.file.Write(data)
}

// Sync fails as it was told, and then what was not durable is gone for good, whatever says the page cache.
func (f frailFile) Sync() error {
	size := sizeOf(f.name)
	err := f.file.Sync()
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.fails || f.disk.dying {
		f.disk.fails = false
		gone, kept := make([]byte, size-f.disk.durable[f.name]), f.disk.durable[f.name]
		return errors.Join(syscall.EIO, patch(f.name, gone, kept))
	}
	f.disk.durable[f.name] = size
	return err
}

type frailRing struct {
	*os.File
	disk *frailDisk
}

func (r frailRing) write(data []byte, offset int64) error {
	d := r.disk
	switch {
	case d.dying || d.oneIn(20):
		d.late, d.lateAt = data, offset
		return os.ErrDeadlineExceeded
	case d.oneIn(60):
		return errNotAsked
	case d.oneIn(150):
		_, err := r.WriteAt(data[:d.chance.IntN(len(data))], offset)
		return errors.Join(syscall.EIO, err)
	}
	_, err := r.WriteAt(data, offset)
	return err
}

func (r frailRing) busy() (bool, error) {
	d := r.disk
	if d.late != nil && d.oneIn(3) {
		_, err := r.WriteAt(d.late, d.lateAt)
		d.late = nil
		return false, err
	}
	return d.late != nil, nil
}

func (r frailRing) close() error { return r.Close() }

func (d *frailDisk) oneIn(n int) bool { return d.chance.IntN(n) == 0 }

func sizeOf(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}

// patch writes over a part of a file.
func patch(name string, data []byte, offset int64) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, offset)
	return errors.Join(err, f.Close())
}

// losePower returns a copy of the directory as a power failure leaves it: of what was written and not made durable, any part.
func (d *frailDisk) losePower(t *testing.T) string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	dir := t.TempDir()
	for name, data := range everything(t, d.path) {
		if kept, ok := d.durable[name]; ok && name == d.name(d.number) {
			d.tear(data[kept:])
			data = data[:kept+d.chance.Int64N(int64(len(data))-kept+1)]
		}
		if filepath.Base(name) == ringName && d.late != nil {
			sectors := bytes.Clone(d.late)
			for at := 0; at < len(sectors); at += 512 {
				if d.oneIn(2) {
					copy(sectors[at:at+512], data[d.lateAt+int64(at):])
				}
			}
			copy(data[d.lateAt:], sectors)
		}
		write(t, filepath.Join(dir, filepath.Base(name)), data)
	}
	return dir
}

// everything returns the content of all files in a directory, by their names.
func everything(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if found[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// tear leaves zeros where a sector was not written.
func (d *frailDisk) tear(data []byte) {
	for ; len(data) > 0; data = data[min(512, len(data)):] {
		if d.oneIn(20) {
			clear(data[:min(512, len(data))])
		}
	}
}

// TestR35PowerFailureLosesNothingAcknowledged: whatever fails and comes late before, all that commit said was durable is there.
func TestR35PowerFailureLosesNothingAcknowledged(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			chance := rand.New(rand.NewPCG(seed, 35))
			var acknowledged []byte
			dir := t.TempDir()
			for range 5 {
				disk, state := openFrail(t, dir, chance)
				acknowledged = append(acknowledged, disk.live(state.last, chance.IntN(250))...)
				dir = disk.losePower(t)
				_ = disk.close() // what it does now comes too late
				acknowledged = holdsAll(t, dir, acknowledged)
			}
		})
	}
}

// live commits groups behind a line until the power fails, and returns what was acknowledged.
func (d *frailDisk) live(last link, groups int) (acknowledged []byte) {
	for range groups {
		lines, after := d.lines(last)
		d.mu.Lock()
		d.fails = d.fails || d.oneIn(20)
		d.mu.Unlock()
		if err := d.commit(lines); err == nil {
			acknowledged, last = append(acknowledged, lines...), after
		}
	}
	d.mu.Lock()
	d.dying = true
	d.mu.Unlock()
	lines, _ := d.lines(last)
	if err := d.commit(lines); err == nil {
		acknowledged = append(acknowledged, lines...)
	}
	return acknowledged
}

// lines returns a group of lines behind one, and its last.
func (d *frailDisk) lines(last link) ([]byte, link) {
	var lines []byte
	count := 1 + d.chance.IntN(40)
	if d.oneIn(60) {
		count = 1000 // more than the ring takes
	}
	for range count {
		event := Event{Time: noon, Kind: "token.issued", TokenID: fmt.Sprint(d.chance.Uint64()), Reason: strings.Repeat("x", d.chance.IntN(600))}
		lines, last = chain(lines, last, appendEvent(nil, &event, maxChecked))
	}
	return lines, last
}

// holdsAll opens a directory and returns what it holds: acknowledged lines, and perhaps some of which the power failure kept the answer.
func holdsAll(t *testing.T, dir string, acknowledged []byte) []byte {
	t.Helper()
	d, _, err := openDirectory(dir, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if len(acknowledged) > 0 {
		verified(t, dir)
	}
	var held []byte
	numbers, err := journalFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range numbers {
		data, err := os.ReadFile(d.name(number))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, data...)
	}
	if !bytes.HasPrefix(held, acknowledged) {
		at := 0
		for at < min(len(held), len(acknowledged)) && held[at] == acknowledged[at] {
			at++
		}
		t.Fatalf("of %d bytes that were acknowledged %d are there, of %d", len(acknowledged), at, len(held))
	}
	return held
}
