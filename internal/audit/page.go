package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A Cursor is a place between two lines of a journal, to go on reading from. The zero value is the beginning.
type Cursor struct {
	File   int
	Offset int64 // in bytes
}

// ErrCursor is the error of a Cursor that is not between two lines.
var ErrCursor = errors.New("audit: the cursor is no place in the journal")

// A Read is one line that was read: its event, or why it is none, and where the next one begins.
type Read struct {
	Event
	Broken *Break // the line cannot be read; its number is not known, and 0
	Next   Cursor
}

// EventsFrom returns the events behind a cursor, oldest first, up to what is written now; a line that a writer is at work on
// is not there yet. If the cursor's file is in an archive, it goes on with the oldest that is here.
func EventsFrom(dir string, from Cursor) iter.Seq2[Read, error] {
	return func(yield func(Read, error) bool) {
		numbers, err := journalFiles(dir)
		for i, number := range numbers {
			if number < from.File || err != nil {
				continue
			}
			offset := int64(0)
			if number == from.File {
				offset = from.Offset
			}
			err = readBehind(dir, number, offset, i == len(numbers)-1, func(r Read) error {
				if !yield(r, nil) {
					return errStop
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(Read{}, err)
		}
	}
}

// readBehind hands the lines of one file behind an offset to visit.
func readBehind(dir string, number int, offset int64, last bool, visit func(Read) error) error {
	name := (&directory{path: dir}).name(number)
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("audit: read: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	if err := seek(f, offset); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := readLine(lines)
		offset += int64(len(line))
		r := Read{Next: Cursor{number, offset}}
		ended := len(line) > 0 && line[len(line)-1] == '\n'
		switch {
		case errors.Is(err, io.EOF) && (len(line) == 0 || last):
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("audit: read: %w", &Break{File: filepath.Base(name), Reason: "a line is too long"})
		case err != nil && !errors.Is(err, io.EOF):
			return fmt.Errorf("audit: read: %w", err)
		case ended:
			line = line[:len(line)-1]
		}
		var broken error
		if r.Event, _, broken = parseLine(line); broken != nil {
			r.Broken = &Break{File: filepath.Base(name), Reason: broken.Error()}
		}
		if err := visit(r); err != nil {
			return err
		}
	}
}

// seek goes to an offset, which must be behind a line's end: cursors come from callers.
func seek(f *os.File, offset int64) error {
	if offset == 0 {
		return nil
	}
	var before [1]byte
	if _, err := f.ReadAt(before[:], offset-1); err != nil || before[0] != '\n' {
		return ErrCursor
	}
	_, err := f.Seek(offset, io.SeekStart)
	return err
}

// Since returns a cursor before the first event that is not from before a time, found by the files' first lines alone: there
// may be earlier events behind it.
func Since(dir string, since time.Time) (Cursor, error) {
	numbers, err := journalFiles(dir)
	if err != nil {
		return Cursor{}, fmt.Errorf("audit: read: %w", err)
	}
	for _, number := range slices.Backward(numbers) {
		var first Event
		err := readBehind(dir, number, 0, true, func(r Read) error {
			first = r.Event
			return errStop
		})
		if err != nil && !errors.Is(err, errStop) {
			return Cursor{}, err
		}
		if !first.Time.IsZero() && first.Time.Before(since) {
			return Cursor{File: number}, nil
		}
	}
	return Cursor{}, nil
}
