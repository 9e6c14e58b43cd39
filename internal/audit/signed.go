package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// signed is a checkpoint that stands in the journal.
type signed struct {
	note    string
	end     place // of its line
	history History
	err     error
}

// prepare makes a journal that signs checkpoints, if there is a Signer, and holds the lines that are there against the
// checkpoint that is kept elsewhere.
func prepare(dir string, storage *directory, state found, options Options) (*Journal, error) {
	j := newJournal(storage, state, options)
	j.ringed = storage.ring != nil
	if options.Signer == nil {
		return j, nil
	}
	var err error
	if j.name, err = nameJournal(dir); err != nil {
		return nil, err
	}
	keys, err := verifiers([]string{options.Signer.Key()})
	if err != nil {
		return nil, err
	}
	if event, _, err := parseLine(state.lastLine); err == nil && event.Kind == KindCheckpoint {
		if c, err := openCheckpoint(event.Checkpoint, keys); err == nil && c.journal == j.name {
			j.signed, j.history = signed{note: event.Checkpoint, end: storage.end, history: c.history}, c.history
		}
	}
	if options.Kept == nil {
		return j, nil
	}
	kept, err := options.Kept(j.name)
	if err != nil || kept == "" {
		return j, err
	}
	wrong, err := holdsAgainst(dir, kept, keys)
	if wrong != "" {
		j.notes = append(j.notes, Event{Kind: KindBroken, Reason: wrong})
	}
	return j, err
}

// nameFile holds the name of a journal.
const nameFile = "name"

// Name returns what the journal in a directory is called in its checkpoints; "" if it never signed anything.
func Name(dir string) (string, error) {
	name, err := journalName(dir)
	if err != nil {
		return "", fmt.Errorf("audit: %w", err)
	}
	return name, nil
}

// journalName returns the name of the journal in a directory; "" if it has none.
func journalName(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, nameFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	name, ended := strings.CutSuffix(string(data), "\n")
	if decoded, err := hex.DecodeString(name); err != nil || len(decoded) != 8 || !ended {
		return "", fmt.Errorf("%s does not hold the name of a journal", filepath.Join(dir, nameFile))
	}
	return name, nil
}

// nameJournal returns the name of the journal in a directory, and gives it one if it has none.
func nameJournal(dir string) (string, error) {
	name, err := journalName(dir)
	if err != nil || name != "" {
		return name, err
	}
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails
	name = hex.EncodeToString(random)
	f, err := os.CreateTemp(dir, "new-name-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(name + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, nameFile)); err != nil {
		return "", err
	}
	return name, syncDirectory(dir)
}

// Name returns what the journal is called in its checkpoints; "" without a Signer.
func (j *Journal) Name() string { return j.name }

// Checkpoint signs how far the journal goes, and the history of changes as the caller knows it, writes that down and returns
// it, to be kept where nobody who can cut off the journal's end can reach it. If there is nothing new to sign it returns the
// last one; "" without a Signer.
func (j *Journal) Checkpoint(ctx context.Context, history History) (string, error) {
	if j.options.Signer == nil {
		return "", nil
	}
	answer := make(chan signed, 1)
	j.mu.Lock()
	if j.isClosed {
		j.mu.Unlock()
		return "", fmt.Errorf("%w: %w", ErrUnavailable, os.ErrClosed)
	}
	j.history = history
	j.asked = append(j.asked, answer)
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default: // it is awake
	}
	select {
	case got := <-answer:
		return got.note, got.err
	case <-j.stopped:
		return "", fmt.Errorf("%w: %w", ErrUnavailable, os.ErrClosed)
	case <-ctx.Done():
		return "", fmt.Errorf("audit: checkpoint: %w", ctx.Err())
	}
}

// checkpoint signs if it was asked to, or a file was filled, or the journal is being closed, and there is something new.
func (j *Journal) checkpoint(closing bool) {
	if j.options.Signer == nil {
		return
	}
	j.mu.Lock()
	asked, history, failing := j.asked, j.history, j.failure
	j.asked = nil
	j.mu.Unlock()
	at := j.storage.last()
	fresh := at != j.signed.end || history != j.signed.history
	due := len(asked) > 0 || closing || at.file != j.signed.end.file
	got := j.signed
	switch {
	case !fresh || !due:
	case failing != nil: // it is tried again with the next batch that can be written
		got = signed{err: failing}
	default:
		got = j.sign(at, history)
	}
	for _, answer := range asked {
		answer <- got
	}
}

// sign writes a checkpoint behind the last line.
func (j *Journal) sign(at place, history History) signed {
	c := checkpoint{journal: j.name, last: at, head: j.last, history: history, time: j.options.Now()}
	text, err := c.sign(j.options.Signer)
	if err != nil {
		return signed{err: fmt.Errorf("audit: checkpoint: %w", err)}
	}
	event := c.event(text)
	line, last := chain(nil, j.last, appendEvent(nil, &event, maxChecked))
	if err := j.storage.commit(line); err != nil {
		j.fail(err)
		return signed{err: fmt.Errorf("%w: %w", ErrUnavailable, err)}
	}
	j.last = last
	j.signed = signed{note: text, end: j.storage.last(), history: history}
	return j.signed
}

// fail notes that nothing can be written at the moment.
func (j *Journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.failed(err)
}
