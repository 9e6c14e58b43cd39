package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A file is what the directory writes to; a seam for disks that fail.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// A directory keeps lines in numbered files.
type directory struct {
	path   string
	limit  int64 // bytes of a file
	create func(name string) (file, error)
	lock   *os.File
	syncer *syncer // nil: a thread waits for each fsync

	number   int   // of the file in use
	file     file  // nil when the next commit must begin one
	size     int64 // of the lines in the file that are durable
	lines    int   // that are durable, in the file
	end      place // of the last durable line
	poisoned bool  // the file may hold more than size, or less than was said
}

// found is what a directory held when it was opened.
type found struct {
	last     link   // of the last line
	lastLine []byte // itself
	notes    []Event
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
	if err != nil || len(numbers) == 0 {
		return state, err
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
	d.file, err = d.openFile(d.name(d.number), 0)
	return state, err
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
	if err := cut(d.name(d.number), seen.size); err != nil {
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
	return errors.Join(err, made.Close())
}

// cut shortens a file to size and makes that durable.
func cut(name string, size int64) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

func (d *directory) commit(lines []byte) error {
	if d.file != nil && d.size > 0 && d.size+int64(len(lines)) > d.limit {
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
	if err := d.file.Sync(); err != nil {
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
		return cut(d.name(d.number), d.size)
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
		err = d.file.Close()
	}
	return errors.Join(err, d.syncer.close(), d.lock.Close())
}

// scanned is what a look over a file found.
type scanned struct {
	last  link
	size  int64 // up to the end of the last good line
	lines int   // up to there
	// lastLine is the last good line, without its end.
	lastLine []byte
	rest     int64 // how many bytes are behind it
	broken   int   // line number of the first that does not continue the one before; 0 when all do
}

// scan looks over a file, a line at a time: a full one must not make the memory of a start larger than that of the service. A
// line's link proves the line before it bit by bit, so only lines that nothing proves are decoded: the last one, and those on
// both sides of a break.
func scan(name string) (scanned, error) {
	file, err := os.Open(name)
	if err != nil {
		return scanned{}, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return scanned{}, err
	}
	lines := bufio.NewReaderSize(file, 64<<10)
	var seen, back scanned
	number := 0
	for {
		whole, err := readLine(lines)
		if errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) {
			break // what is left has no end, or is no line of ours
		}
		if err != nil {
			return scanned{}, err
		}
		line := whole[:len(whole)-1]
		number++
		if number > 1 && !follows(line, seen.last) {
			if !wellFormed(seen.lastLine) || !wellFormed(line) {
				break
			}
			if seen.broken == 0 {
				seen.broken = number
			}
		}
		reuse := back.lastLine
		back = seen
		seen.last = sha256.Sum256(line)
		seen.size += int64(len(whole))
		seen.lines, seen.lastLine = seen.lines+1, append(reuse[:0], line...)
	}
	if seen.lines > 0 && !wellFormed(seen.lastLine) {
		seen = back
	}
	seen.rest = info.Size() - seen.size
	return seen, nil
}

func follows(line []byte, before link) bool {
	got, err := lineLink(line)
	return err == nil && got == before
}

func wellFormed(line []byte) bool {
	_, _, err := parseLine(line)
	return err == nil
}

// journalFiles returns the numbers of the files in a directory, in order.
func journalFiles(path string) ([]int, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, entry := range entries {
		var number int
		text, ok := strings.CutSuffix(entry.Name(), extension)
		if !ok || len(text) != 8 || entry.IsDir() {
			continue
		}
		if _, err := fmt.Sscanf(text, "%08d", &number); err == nil {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}
