package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// A file is what the directory writes to; a seam for disks that fail.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// A directory keeps lines in numbered files, and the last of them in a ring, too, where they are durable first.
type directory struct {
	path   string
	limit  int64 // bytes of a file
	create func(name string) (file, error)
	lock   *os.File
	syncer *syncer // nil: a thread waits for each fsync
	ring   *ring   // nil: each group of lines is made durable in its file

	number   int   // of the file in use
	file     file  // nil when the next commit must begin one
	size     int64 // of the lines in the file that are durable
	lines    int   // that are durable, in the file
	end      place // of the last durable line
	poisoned bool  // the file may hold more than size, or less than was said

	unsettled []byte    // the last lines of size, which are durable in the ring; none when a file begins
	dropped   bool      // an fsync has failed: pages of the file may be gone
	settling  *settling // the fsync of the file that was begun; nil when none was
}

// found is what a directory held when it was opened.
type found struct {
	last     link   // of the last line
	lastLine []byte // itself
	notes    []Event
	sequence uint64 // of the ring's last group
}

const extension = ".jsonl"

func (d *directory) name(number int) string {
	return filepath.Join(d.path, fmt.Sprintf("%08d%s", number, extension))
}

func openDirectory(path string, limit int64) (*directory, found, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, found{}, err
	}
	lock, err := lockDirectory(filepath.Join(path, "lock"))
	if err != nil {
		return nil, found{}, err
	}
	d := &directory{path: path, limit: limit, lock: lock, syncer: newSyncer(lock)}
	d.create = d.createFile
	state, err := d.resume()
	if err != nil {
		return nil, found{}, errors.Join(err, d.close())
	}
	if d.syncer != nil {
		d.ring = openRing(path, state.sequence)
	}
	if d.ring == nil { // one that nobody marks would put back what is cut off later
		if err := removeRing(path); err != nil {
			return nil, found{}, errors.Join(err, d.close())
		}
	}
	return d, state, nil
}

// A lineFile becomes durable as its directory makes files so.
type lineFile struct {
	*os.File
	again  *os.File // the same, for the syncer; nil without one
	syncer *syncer
}

func (f lineFile) Sync() error { return f.syncer.sync(f.File, f.again) }

func (f lineFile) Close() error {
	if f.again == nil {
		return f.File.Close()
	}
	return errors.Join(f.File.Close(), f.again.Close())
}

func (d *directory) createFile(name string) (file, error) {
	return d.openFile(name, os.O_CREATE|os.O_EXCL)
}

// openFile opens a file of lines to write behind them.
func (d *directory) openFile(name string, flags int) (file, error) {
	f, err := os.OpenFile(name, flags|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if d.syncer == nil {
		return lineFile{File: f}, nil
	}
	again, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return lineFile{f, again, d.syncer}, nil
}

// resume finds the last line and opens its file to write behind it.
func (d *directory) resume() (found, error) {
	var state found
	numbers, err := journalFiles(d.path)
	if err != nil {
		return state, err
	}
	if len(numbers) == 0 {
		return state, removeRing(d.path)
	}
	d.number = numbers[len(numbers)-1]
	for _, number := range slices.Backward(numbers) {
		seen, err := scan(d.name(number))
		if err != nil {
			return state, err
		}
		if number == d.number {
			d.size, d.lines = seen.size, seen.lines
			if state.notes, err = d.setAside(seen); err != nil {
				return state, err
			}
		}
		if seen.size > 0 { // else it was begun and never written: the last line is in the file before
			state.last, state.lastLine = seen.last, seen.lastLine
			d.end = place{number, seen.lines}
			break
		}
	}
	if err := d.restore(&state); err != nil {
		return state, err
	}
	d.file, err = d.openFile(d.name(d.number), 0)
	return state, err
}

// restore puts back what the last file has lost in a power failure, and makes durable all that it has, for the ring is used anew. What
// may not be durable is cut off and written again: the file may look whole in the page cache and not be so on the disk, where a process before
// this one was told of an error, and the kernel writes nothing again that nobody changes.
func (d *directory) restore(state *found) error {
	lost, err := lostOf(d.path, d.number, state.last)
	if err != nil {
		return fmt.Errorf("the last lines may be only in the ring, which cannot be read: mend the disk, or move %s away to go on with what the files have: %w", filepath.Join(d.path, ringName), err)
	}
	if state.sequence = lost.sequence; !lost.any {
		return nil
	}
	name := d.name(d.number)
	from := max(0, min(lost.from, d.size))
	tail, err := partOf(name, from, d.size)
	if err != nil {
		return err
	}
	if err := rewrite(name, from, append(tail, lost.lines...)); err != nil || len(lost.lines) == 0 {
		return err
	}
	count := bytes.Count(lost.lines, []byte{'\n'})
	d.size += int64(len(lost.lines))
	d.lines += count
	d.end = place{d.number, d.lines}
	lines := lost.lines[:len(lost.lines)-1]
	state.lastLine = bytes.Clone(lines[bytes.LastIndexByte(lines, '\n')+1:])
	state.last = sha256.Sum256(state.lastLine)
	text := fmt.Sprintf("%s had lost its last lines, which were taken from the ring: %d", filepath.Base(name), count)
	state.notes = append(state.notes, Event{Kind: KindRepaired, Reason: text})
	return nil
}

// partOf returns what a file has from an offset on, up to its size.
func partOf(name string, from, size int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.NewSectionReader(f, from, size-from))
}

// setAside moves what follows the last whole line into a file of its own and returns events that say what was found.
// Nothing is thrown away: it may be evidence.
func (d *directory) setAside(seen scanned) ([]Event, error) {
	var notes []Event
	if seen.broken > 0 {
		text := fmt.Sprintf("the chain breaks at line %d of %s", seen.broken, filepath.Base(d.name(d.number)))
		notes = append(notes, Event{Kind: KindBroken, Reason: text})
	}
	if seen.rest == 0 {
		return notes, nil
	}
	name := fmt.Sprintf("%s.torn-%d", d.name(d.number), seen.size)
	if err := copyFrom(d.name(d.number), seen.size, name); err != nil {
		return nil, err
	}
	if err := rewrite(d.name(d.number), seen.size, nil); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("%d bytes behind the last line were moved to %s", seen.rest, filepath.Base(name))
	return append(notes, Event{Kind: KindRepaired, Reason: text}), nil
}

// copyFrom writes what a file has from an offset on to another file.
func copyFrom(name string, offset int64, to string) error {
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // only read
	if _, err := from.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	made, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(made, from)
	return errors.Join(err, made.Sync(), made.Close())
}

// rewrite cuts a file to size, writes lines behind that, and makes it durable.
func rewrite(name string, size int64, lines []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_ = f.Sync() // tells of what failed before, which is made good now
	err = f.Truncate(size)
	if err == nil && len(lines) > 0 {
		_, err = f.WriteAt(lines, size)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func (d *directory) commit(lines []byte) error {
	if err := d.look(); err != nil {
		return d.poison(err)
	}
	if d.file != nil && d.size > 0 && d.size+int64(len(lines)) > d.limit {
		if err := d.settle(); err != nil {
			return d.poison(err)
		}
		_ = d.file.Close() // all of it is durable
		d.file = nil
	}
	if d.file == nil {
		if err := d.begin(); err != nil {
			return err
		}
	}
	if _, err := d.file.Write(lines); err != nil {
		return d.poison(err)
	}
	if err := d.keep(lines); err != nil {
		return d.poison(err)
	}
	d.size += int64(len(lines))
	d.lines += bytes.Count(lines, []byte{'\n'})
	d.end = place{d.number, d.lines}
	return nil
}

func (d *directory) last() place { return d.end }

// poison gives a file up after a failed write or fsync. A second fsync may succeed without having written anything: the
// kernel drops the dirty pages with the first error. So nothing is tried again on the file.
func (d *directory) poison(err error) error {
	_ = d.await()      // whatever came of it, all of unsettled is written again
	_ = d.file.Close() // it failed already
	d.file, d.poisoned = nil, true
	return err
}

// begin starts the next file. A poisoned one is first cut to what is known to be durable, so that the chain goes on from
// a line that is there.
func (d *directory) begin() error {
	if d.poisoned {
		if err := d.repair(); err != nil {
			return err
		}
		d.poisoned = false
	}
	f, err := d.create(d.name(d.number + 1))
	if err != nil {
		return err
	}
	d.number++
	d.file, d.size, d.lines = f, 0, 0
	if err := syncDirectory(d.path); err != nil {
		return d.poison(err)
	}
	return nil
}

func (d *directory) repair() error {
	if d.size > 0 {
		from, lines := d.size, []byte(nil)
		if d.dropped {
			from, lines = d.size-int64(len(d.unsettled)), d.unsettled
		}
		d.dropped = true // until this has made all of it durable
		if err := rewrite(d.name(d.number), from, lines); err != nil {
			return err
		}
		d.forget()
		return nil
	}
	// Nothing in it was ever acknowledged. Its number is used again.
	if err := os.Remove(d.name(d.number)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	d.number--
	return nil
}

func (d *directory) free() (uint64, bool) { return freeSpace(d.path) }

func (d *directory) blocks() bool { return d.syncer == nil }

func (d *directory) close() error {
	var err error
	if d.file != nil {
		if err = d.settle(); err == nil { // else the ring, if there is one, has what is acknowledged
			err = d.stop()
		}
		err = errors.Join(err, d.file.Close())
	}
	return errors.Join(err, d.ring.close(), d.syncer.close(), d.lock.Close())
}

// stop leaves a ring behind that puts nothing back.
func (d *directory) stop() error {
	if d.ring != nil && d.ring.mark() == nil {
		return nil
	}
	return removeRing(d.path)
}
