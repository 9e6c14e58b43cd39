package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// A ring is a file of fixed size in which each group of lines is durable a moment before it is in its own file for good. A file that grows
// is made durable by the file system, in many steps: it writes the lines, and in its own journal where they are. The ring's
// place on the disk is settled, and what it is given goes there past the page cache, in one write. So a group of lines costs a third less of the
// processor, and what a busy machine can hold up is one step. The lines are written to their own file at once, too, where everybody
// reads them, and are made durable there later, many groups in one fsync; until then the ring holds them.
//
// After a power failure the ring gives back what the file has lost: the lines that follow the file's last, by their links. That they are
// linked is all that is asked: what of the ring is older than the file, or came to nothing, follows no line that is last.
type ring struct {
	disk     ringDisk
	sequence uint64 // of the last group
	next     int64  // where the next group is written
	held     int64  // bytes up to there that must not be written over: their lines may not be durable in their file
	buffer   []byte // begins at a page of memory
}

// A ringDisk is the ring's file.
type ringDisk interface {
	// write makes data durable at offset, both of them whole blocks and the data at a page of memory. After os.ErrDeadlineExceeded
	// it is still being written, and must not be changed while busy; after errNotAsked nothing was. The first has more time.
	write(data []byte, offset int64) error
	// busy reports whether a write that took too long is still going on, and what came of it once it is not.
	busy() (bool, error)
	close() error
}

const (
	ringName  = "ring"
	ringBytes = 2 << 20
	// ringGroup is the most that a group may take of the ring; larger ones are made durable in their file.
	ringGroup = ringBytes / 8
	// ringBlock is what disks write at a time.
	ringBlock = 4096
)

// A group in the ring begins with this, in bytes that no line has (appendText), at the beginning of a block:
//
//	8 bytes  ringMark
//	4        CRC-32C of all that follows, up to the end of the lines
//	4        the length of the lines
//	8        the group's sequence number
//	8        the number of the file that has the lines; 0: a mark
//	8        where in the file they begin
const (
	ringMark   = "\x00writ\x01rg"
	ringHeader = 40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errNotAsked says that the kernel has not begun.
var errNotAsked = errors.New("audit: the kernel takes no request")

// errPassed says that the ring did not take a group, which must be made durable in its file.
var errPassed = errors.New("audit: not by the ring")

// write makes lines of a file durable that begin at offset, or returns errPassed. After any other error the ring must not be used again.
func (r *ring) write(file int, offset int64, lines []byte) error {
	if busy, err := r.disk.busy(); err != nil {
		return err
	} else if busy {
		return errPassed // the kernel has the buffer
	}
	size := (int64(ringHeader+len(lines)) + ringBlock - 1) &^ (ringBlock - 1)
	at, skipped := r.next, int64(0)
	if at+size > ringBytes {
		at, skipped = 0, ringBytes-at
	}
	if size > ringGroup || r.held+skipped+size > ringBytes {
		return errPassed
	}
	r.sequence++
	err := r.disk.write(r.group(file, offset, lines, size), at)
	if errors.Is(err, errNotAsked) || errors.Is(err, os.ErrDeadlineExceeded) {
		return errPassed
	}
	if err == nil {
		r.next, r.held = at+size, r.held+skipped+size
	}
	return err
}

// group returns lines as they are in the ring, in the ring's buffer.
func (r *ring) group(file int, offset int64, lines []byte, size int64) []byte {
	if int64(len(r.buffer)) < size {
		r.buffer = pages(max(int(size), 8*ringBlock))
	}
	b := r.buffer[:size]
	copy(b, ringMark)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(lines))) // at most ringGroup
	binary.LittleEndian.PutUint64(b[16:], r.sequence)
	binary.LittleEndian.PutUint64(b[24:], uint64(file))
	binary.LittleEndian.PutUint64(b[32:], uint64(offset))
	n := ringHeader + copy(b[ringHeader:], lines)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[12:n], castagnoli))
	clear(b[n:])
	return b
}

// release says that the lines of the first n bytes that are held are durable in their file.
func (r *ring) release(n int64) { r.held -= n }

// mark writes a group that says that all lines before it are durable in their files: what a file has lost from then on,
// somebody took away, and it is not put back.
func (r *ring) mark() error {
	r.release(r.held)
	return r.write(0, 0, nil)
}

func (r *ring) close() error {
	if r == nil {
		return nil
	}
	return r.disk.close()
}

// A group is what was read of one.
type group struct {
	sequence uint64
	file     uint64
	offset   int64
	lines    []byte
}

// lost is what a directory's ring has of a file that may not be durable there.
type lost struct {
	from     int64  // where in the file the first of it begins, if there is any
	lines    []byte // those that follow the file's last line
	sequence uint64 // of the ring's last group
	any      bool
}

// lostOf looks for what may be lost of a file that ends with a line. Of two lines that follow the same one the later is meant: the other's
// group failed, and was given up.
func lostOf(dir string, file int, last link) (found lost, err error) {
	marked := uint64(0)
	err = readRing(dir, func(g group) {
		if found.sequence = max(found.sequence, g.sequence); g.file == 0 {
			marked = max(marked, g.sequence)
		}
	})
	if err != nil || marked == found.sequence {
		return found, err
	}
	next := map[link]group{} // of one line each
	err = readRing(dir, func(g group) {
		if g.sequence < marked || g.sequence+2*ringBytes/ringBlock < found.sequence || g.file != uint64(file) {
			return // durable in its file long since: the ring cannot hold so many
		}
		if !found.any || g.offset < found.from {
			found.any, found.from = true, g.offset
		}
		for line := range bytes.Lines(g.lines) {
			if before, err := lineLink(line); err == nil && g.sequence >= next[before].sequence {
				next[before] = group{sequence: g.sequence, lines: bytes.Clone(line)}
			}
		}
	})
	for g, ok := next[last]; ok; g, ok = next[last] {
		found.lines = append(found.lines, g.lines...)
		last = sha256.Sum256(g.lines[:len(g.lines)-1])
	}
	return found, err
}

// readRing calls with each group of a directory's ring that is whole, in no order. There are none in a ring that is not there.
func readRing(dir string, each func(group)) error {
	name := filepath.Join(dir, ringName)
	if info, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	b := make([]byte, ringGroup)
	for at := int64(0); at < ringBytes; at += ringBlock { // what is in the middle of a group begins as none does
		n, err := f.ReadAt(b[:ringHeader], at)
		size := ringHeader + int64(binary.LittleEndian.Uint32(b[12:]))
		if n == ringHeader && string(b[:8]) == ringMark && size <= ringGroup {
			n, err = f.ReadAt(b[:size], at)
			if int64(n) == size && binary.LittleEndian.Uint32(b[8:]) == crc32.Checksum(b[12:size], castagnoli) { // else half of it was written over
				offset := int64(binary.LittleEndian.Uint64(b[32:])) // checked by who uses it
				each(group{binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:]), offset, b[ringHeader:size]})
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// removeRing removes the ring of a directory: all that it has is durable in its files, or somebody has taken them away, and what is
// missing from then on is not to come back.
func removeRing(dir string) error {
	if err := os.Remove(filepath.Join(dir, ringName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// openRing opens the ring of a directory, which it makes if need be, or returns nil where there can be none: all of it is only
// for speed. It writes over what is in a ring that is there, which must be durable in its file, from the group after sequence on.
func openRing(dir string, sequence uint64) *ring {
	name := filepath.Join(dir, ringName)
	if info, err := os.Stat(name); err != nil || info.Size() != ringBytes {
		if err := makeRing(dir, name); err != nil {
			return nil
		}
	}
	disk := openRingDisk(name)
	if disk == nil {
		return nil
	}
	r := &ring{disk: disk, sequence: sequence}
	if err := r.mark(); err != nil { // a file system may take no such write
		_ = disk.close() // it has nothing of ours
		return nil
	}
	r.release(r.held)
	return r
}

// makeRing makes a ring's file, whose blocks are all there: none is given to it later, which the file system would have to write down.
func makeRing(dir, name string) error {
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	zeros := make([]byte, ringBytes/32)
	for range 32 {
		if _, err = f.Write(zeros); err != nil {
			break
		}
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name+".new"))
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return syncDirectory(dir)
}
