package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
)

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
	return readFrom(dir, 0, visit)
}

// readFrom is read from a file on.
func readFrom(dir string, from int, visit func(position, []byte) error) (int, error) {
	numbers, err := journalFiles(dir)
	if err != nil {
		return 0, fmt.Errorf("audit: read: %w", err)
	}
	d := directory{path: dir}
	for i, number := range numbers {
		if number < from {
			continue
		}
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
	lines := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := readLine(lines)
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

// readLine returns the next line with its end, and bounds the memory that a file without line ends can take:
// bufio.ErrBufferFull is the error of a line longer than maxLine. The line is good until the next call.
func readLine(from *bufio.Reader) ([]byte, error) {
	line, err := from.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxLine {
		line, err = from.ReadSlice('\n')
		long = append(long, line...)
	}
	if len(long) > maxLine {
		return nil, bufio.ErrBufferFull
	}
	return long, err
}
