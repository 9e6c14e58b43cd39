package audit

import (
	"bytes"
	"context"
	"slices"
	"time"
)

// Found is what a journal knows of a refusal.
type Found struct {
	Event   *Event    // the refusal; nil if it has no line of its own
	Counted []Event   // the lines, oldest first, that each stand for refusals that have none of their own
	Since   time.Time // how far back was read; the zero time: to the first line
}

// FindRefusal looks in the journal of a directory for the refusal with an ID, the newest file first. It reads no further
// back than to a file that begins before since, if that is not the zero time, and than the refusal. It works beside a
// journal that writes.
func FindRefusal(ctx context.Context, dir, id string, since time.Time) (Found, error) {
	numbers, err := journalFiles(dir)
	if err != nil {
		return Found{}, err
	}
	search := refusalSearch{id: id, since: since, needle: []byte(`"refusal":"` + id + `"`)}
	files := directory{path: dir}
	for i, number := range slices.Backward(numbers) {
		if search.done() {
			break
		}
		at := position{number: number, lastFile: i == len(numbers)-1}
		search.begin()
		if err := readFile(files.name(number), at, search.visitor(ctx)); err != nil {
			return search.found, err
		}
	}
	return search.found, nil
}

// FindRefusal is the function FindRefusal for the journal's own directory, or what it has in memory.
func (j *Journal) FindRefusal(ctx context.Context, id string, since time.Time) (Found, error) {
	if kept, ok := j.storage.(*directory); ok {
		return FindRefusal(ctx, kept.path, id, since)
	}
	search := refusalSearch{id: id, since: since}
	search.begin()
	for _, event := range j.Events() {
		search.take(event)
	}
	return search.found, nil
}

// A refusalSearch goes through files, the newest first, and each from its first line.
type refusalSearch struct {
	id     string
	since  time.Time
	needle []byte // what a line has that is looked for
	found  Found
	begun  bool // a line of this file was read
	before int  // how many counted lines are of this file
}

func (s *refusalSearch) begin() { s.begun, s.before = false, 0 }

func (s *refusalSearch) done() bool {
	return s.found.Event != nil || !s.found.Since.IsZero() && s.found.Since.Before(s.since)
}

var counts = []byte(`,"count":`)

// visitor decodes only lines that matter: a journal has millions of others.
func (s *refusalSearch) visitor(ctx context.Context) func(position, []byte) error {
	return func(at position, line []byte) error {
		if at.line%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if s.begun && !bytes.Contains(line, s.needle) && !bytes.Contains(line, counts) {
			return nil
		}
		event, _, err := parseLine(line)
		if err != nil {
			return nil // Verify says what is wrong with it
		}
		s.take(event)
		return nil
	}
}

func (s *refusalSearch) take(event Event) {
	if !s.begun {
		s.begun, s.found.Since = true, event.Time
	}
	switch {
	case event.Refusal != "" && event.Refusal == s.id:
		s.found.Event = &event
	case event.Count > 0 && event.Kind != KindRecovered && event.Reason != "": // without one it tells of repeats
		s.found.Counted = slices.Insert(s.found.Counted, s.before, event)
		s.before++
	}
}
