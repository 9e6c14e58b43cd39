package audit

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

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
