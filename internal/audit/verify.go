package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Known is what a journal is held against. The zero value is nothing but the journal itself.
type Known struct {
	// Keys are public keys, as Signer.Key returns them, of which one must have signed each checkpoint. Without any, no
	// signature is checked.
	Keys []string
	// Kept are checkpoints of the journal that were kept elsewhere.
	Kept []string
}

// A Break is where a journal does not hold together.
type Break struct {
	File   string // base name
	Line   int    // from 1
	Reason string
}

func (b *Break) Error() string {
	return fmt.Sprintf("audit: %s: line %d: %s", b.File, b.Line, b.Reason)
}

// A Report is what Verify found.
type Report struct {
	Name        string // of the journal; "" if it never signed anything
	Files       int
	First       string // base name of the oldest file; those before it were taken away
	Lines       int    // that hold together with the one before
	Torn        int    // bytes of an incomplete last line: a writer is at work, or died there
	Checkpoints int
	Signed      time.Time // when the last checkpoint was
	After       int       // lines behind it: of those, nobody would know if they were cut off
	Histories   []History // what the checkpoints say of the history of changes, kept ones included, oldest first
	Breaks      []*Break  // in order; 100 at most
}

// maxBreaks bounds a Report: the first one is what counts.
const maxBreaks = 100

// Verify reads the journal in a directory and reports every line that was changed, removed, moved or put in. That lines were
// cut off at the end it finds by the checkpoints that were kept elsewhere, up to the last of them. Whole files may be missing
// at the start: an archive has them.
func Verify(dir string, known Known) (Report, error) {
	v := verifier{histories: map[int64]string{}}
	var err error
	if v.keys, err = verifiers(known.Keys); err != nil {
		return Report{}, err
	}
	if v.report.Name, err = journalName(dir); err != nil {
		v.report.Breaks = append(v.report.Breaks, &Break{File: nameFile, Line: 1, Reason: "it does not hold the name of a journal"})
	}
	numbers, err := journalFiles(dir)
	if err != nil {
		return Report{}, fmt.Errorf("audit: verify: %w", err)
	}
	if len(numbers) > 0 {
		v.first = numbers[0]
		v.report.First = filepath.Base((&directory{}).name(v.first))
	}
	v.expect(known.Kept)
	v.report.Files, err = read(dir, v.line)
	if broken, ok := errors.AsType[*Break](err); ok { // a line that cannot be read at all
		v.add(broken)
	} else if err != nil {
		return v.report, err
	}
	v.finish()
	return v.report, nil
}

// A verifier goes along the lines of a journal.
type verifier struct {
	report Report
	keys   note.Verifiers

	first int   // the oldest file
	begun bool  // a line was read
	at    place // of the line before
	file  string
	head  link // of the line before

	kept      []keptCheckpoint
	next      []keptCheckpoint // whose own line must be the next
	histories map[int64]string
}

// A keptCheckpoint is known from elsewhere. met says that the line was there that it speaks of, proved that its own followed.
type keptCheckpoint struct {
	checkpoint
	signed      string
	met, proved *bool
}

// expect takes the checkpoints that were kept elsewhere.
func (v *verifier) expect(kept []string) {
	for _, signed := range kept {
		c, err := openCheckpoint(signed, v.keys)
		if err != nil {
			v.add(&Break{Reason: "the checkpoint that is kept elsewhere: " + err.Error()})
			continue
		}
		k := keptCheckpoint{c, signed, new(bool), new(bool)}
		v.kept = append(v.kept, k)
		v.told(c, nil)
		if c.last == (place{}) {
			*k.met = true
			v.next = append(v.next, k)
		}
	}
}

func (v *verifier) add(b *Break) {
	if len(v.report.Breaks) < maxBreaks {
		v.report.Breaks = append(v.report.Breaks, b)
	}
}

func (v *verifier) line(at position, line []byte) error {
	if at.torn && at.lastFile {
		v.report.Torn = len(line)
		return nil
	}
	v.check(at, line)
	v.begun, v.at, v.file, v.head = true, place{at.number, at.line}, at.file, sha256.Sum256(line)
	for _, k := range v.kept {
		if k.last != v.at {
			continue
		}
		if *k.met = true; k.head != v.head {
			v.add(at.broken("the checkpoint of " + k.time.Format(time.RFC3339) + " that is kept elsewhere says otherwise: this line, or one before it, was changed"))
		}
		v.next = append(v.next, k)
	}
	return nil
}

func (v *verifier) check(at position, line []byte) {
	event, before, err := parseLine(line)
	switch {
	case at.torn:
		v.add(at.broken("the line is not complete"))
		return
	case err != nil:
		v.add(at.broken(err.Error()))
		return
	case v.beginsAt(at):
		// Older files were taken away, to an archive perhaps: the chain begins here.
	case before != v.head:
		v.add(at.broken("it does not follow from the line before: one of the two was changed, or lines were removed, moved or put in between"))
		return
	}
	v.report.Lines++
	v.report.After++
	for _, k := range v.next {
		if *k.proved = true; !bytes.Equal(line, k.line(k.signed)) {
			v.add(at.broken("the checkpoint of " + k.time.Format(time.RFC3339) + " that is kept elsewhere should stand here"))
		}
	}
	v.next = nil
	switch event.Kind {
	case KindCheckpoint:
		v.checkpoint(at, line, event, before)
	case KindBroken:
		v.add(at.broken("when the journal was opened, it was found: " + event.Reason))
	}
}

// checkpoint checks one that stands in the journal.
func (v *verifier) checkpoint(at position, line []byte, event Event, before link) {
	c, err := openCheckpoint(event.Checkpoint, v.keys)
	if err != nil {
		v.add(at.broken(err.Error()))
		return
	}
	switch {
	case v.report.Name == "":
		v.report.Name = c.journal
	case c.journal != v.report.Name:
		v.add(at.broken("the checkpoint is of another journal, " + c.journal))
		return
	}
	if c.head != before || !bytes.Equal(line, c.line(event.Checkpoint)) || c.last != v.at && !v.beginsAt(at) {
		v.add(at.broken("the checkpoint is of another line"))
		return
	}
	v.report.Checkpoints++
	v.report.Signed, v.report.After = c.time, 0
	v.told(c, &at)
}

// told notes what a checkpoint says of the history.
func (v *verifier) told(c checkpoint, at *position) {
	h := c.history
	known, ok := v.histories[h.Sequence]
	switch {
	case !ok:
		v.histories[h.Sequence] = h.Hash
		v.report.Histories = append(v.report.Histories, h)
	case known != h.Hash && at != nil:
		v.add(at.broken(fmt.Sprintf("the checkpoint says something else of change %d than another one", h.Sequence)))
	}
}

// finish looks for what should have come and did not: the end was cut off.
func (v *verifier) finish() {
	file := v.file
	if file == "" {
		file = filepath.Base((&directory{}).name(1))
	}
	for _, k := range v.kept {
		missing := *k.met && !*k.proved
		switch {
		case !*k.met && v.begun && !k.last.before(v.at) || missing:
			v.add(&Break{file, v.at.line, fmt.Sprintf("the journal ends here; the checkpoint of %s that is kept elsewhere says that it went beyond line %d of %s: its end was cut off",
				k.time.Format(time.RFC3339), k.last.line, filepath.Base((&directory{}).name(k.last.file)))})
		case !*k.met && !v.begun:
			v.add(&Break{file, 0, "there is no line; the checkpoint of " + k.time.Format(time.RFC3339) + " that is kept elsewhere says that there were some: all were removed"})
		case !*k.met && k.last.file >= v.first:
			v.add(&Break{filepath.Base((&directory{}).name(k.last.file)), k.last.line, "the line is missing that the checkpoint of " + k.time.Format(time.RFC3339) + " speaks of, which is kept elsewhere"})
		}
	}
}

// beginsAt reports whether a line is the first of a journal whose older files were taken away.
func (v *verifier) beginsAt(at position) bool { return !v.begun && at.number == v.first && v.first > 1 }

// holdsAgainst returns what is wrong with a journal by a checkpoint that was kept elsewhere; "" if it holds. It reads no more
// than it must, since it does so at every start; the whole is for Verify.
func holdsAgainst(dir, kept string, keys note.Verifiers) (wrong string, err error) {
	c, err := openCheckpoint(kept, keys)
	if err != nil {
		return "", nil //nolint:nilerr // it proves nothing, since somebody else signed it; Verify tells
	}
	numbers, err := journalFiles(dir)
	if err != nil || len(numbers) > 0 && c.last.file > 0 && c.last.file < numbers[0] {
		return "", err // that file is in an archive
	}
	met, proved := c.last == place{}, false
	_, err = readFrom(dir, c.last.file, func(at position, line []byte) error {
		here := place{at.number, at.line}
		switch {
		case at.torn:
		case here == c.last:
			met = sha256.Sum256(line) == c.head
		case c.last.before(here):
			proved = bytes.Equal(line, c.line(kept))
			return errStop
		}
		return nil
	})
	if _, broken := errors.AsType[*Break](err); err != nil && !broken && !errors.Is(err, errStop) {
		return "", err
	}
	if met && proved {
		return "", nil
	}
	return fmt.Sprintf("lines up to line %d of %s and a checkpoint of %s, which is kept elsewhere, are not there as they were",
		c.last.line, filepath.Base((&directory{}).name(c.last.file)), c.time.Format(time.RFC3339)), nil
}
