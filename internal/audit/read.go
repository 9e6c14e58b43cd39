package audit

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
)

// A Break is where a journal does not hold together.
type Break struct {
	File   string // base name
	Line   int    // from 1
	Reason string
}

func (b *Break) Error() string {
	return fmt.Sprintf("audit: %s: line %d: %s", b.File, b.Line, b.Reason)
}

// A Report is what Verify found to hold.
type Report struct {
	Files int
	Lines int
	Torn  int // bytes of an incomplete last line: a writer is at work, or died there
}

// Events returns the events in a directory, oldest first, also while a journal writes to it. A line that cannot be read
// comes as a *Break, and reading goes on behind it; any other error ends the sequence. It does not check the chain.
func Events(dir string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		_, err := read(dir, func(at position, line []byte) error {
			if at.torn && at.lastFile {
				return nil // a writer is at work
			}
			event, _, err := parseLine(line)
			if err != nil {
				event, err = Event{}, at.broken(err.Error())
			}
			if !yield(event, err) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Event{}, err)
		}
	}
}

var errStop = errors.New("stop")

// Verify reads the journal in a directory and returns a *Break for the first line that was changed, removed, moved or put
// in. That lines were cut off at the end, or whole files at the start, the chain alone cannot tell.
func Verify(dir string) (Report, error) {
	var report Report
	var last link
	files, err := read(dir, func(at position, line []byte) error {
		_, before, err := parseLine(line)
		switch {
		case at.torn && at.lastFile:
			report.Torn = len(line)
			return nil
		case at.torn:
			return at.broken("the line is not complete")
		case err != nil:
			return at.broken(err.Error())
		case report.Lines == 0 && at.number > 1:
			// Older files were taken away, to an archive perhaps: the chain begins here.
		case before != last:
			return at.broken("it does not follow from the line before")
		}
		report.Lines++
		last = sha256.Sum256(line)
		return nil
	})
	report.Files = files
	return report, err
}

// A position is where a line stands.
type position struct {
	file     string
	number   int // of the file
	line     int
	lastFile bool
	torn     bool // the line has no end
}

func (p position) broken(reason string) *Break {
	return &Break{File: p.file, Line: p.line, Reason: reason}
}

// read hands every line of a directory to visit and returns how many files there are.
func read(dir string, visit func(position, []byte) error) (int, error) {
	numbers, err := journalFiles(dir)
	if err != nil {
		return 0, fmt.Errorf("audit: read: %w", err)
	}
	d := directory{path: dir}
	for i, number := range numbers {
		name := d.name(number)
		at := position{file: filepath.Base(name), number: number, lastFile: i == len(numbers)-1}
		if err := readFile(name, at, visit); err != nil {
			return len(numbers), err
		}
	}
	return len(numbers), nil
}

func readFile(name string, at position, visit func(position, []byte) error) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("audit: read: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	// ReadSlice bounds the memory that a file without line ends can take.
	lines := bufio.NewReaderSize(f, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		at.line++
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return at.broken("the line is too long")
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case errors.Is(err, io.EOF):
			at.torn = true
			return visit(at, line)
		case err != nil:
			return fmt.Errorf("audit: read: %w", err)
		}
		if err := visit(at, line[:len(line)-1]); err != nil {
			return err
		}
	}
}
