package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A Signer signs checkpoints. Make it with NewSigner.
type Signer struct {
	note.Signer

	key string
}

// keyName is what the key of checkpoints is called in their signatures.
const keyName = "writ-audit"

// NewSigner returns a Signer with the Ed25519 key of a seed of 32 bytes.
func NewSigner(seed []byte) (*Signer, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("audit: the seed of a key has %d bytes, not %d", len(seed), ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(seed)
	key, err := note.NewEd25519VerifierKey(keyName, private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("audit: key: %w", err)
	}
	_, rest, _ := strings.Cut(key, "+")
	hash, _, _ := strings.Cut(rest, "+")
	const ed25519Seed = 1 // how a note's keys say what they are
	secret := "PRIVATE+KEY+" + keyName + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{ed25519Seed}, seed...))
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, fmt.Errorf("audit: key: %w", err)
	}
	return &Signer{signer, key}, nil
}

// Key returns the public key, as golang.org/x/mod/sumdb/note writes it. It is what Verify needs to know checkpoints by.
func (s *Signer) Key() string { return s.key }

// A History is how far the history of changes in the database goes: its last event and that one's hash. The zero value is
// an empty history.
type History struct {
	Sequence int64
	Hash     string
}

// A place is a line of a file, both counted from 1; the zero place stands before the first line.
type place struct{ file, line int }

func (p place) before(other place) bool {
	return p.file < other.file || p.file == other.file && p.line < other.line
}

// A checkpoint says that a journal went to a line whose hash is head, and the history of changes to an event. Whoever has it
// finds out when either is cut off or written anew.
type checkpoint struct {
	journal string
	last    place
	head    link
	history History
	time    time.Time
}

const checkpointTitle = "writ audit checkpoint"

// text is what is signed.
func (c checkpoint) text() string {
	return fmt.Sprintf("%s\njournal %s\nline %d %d %s\nhistory %d %s\n%s\n", checkpointTitle, c.journal, c.last.file, c.last.line, c.head,
		c.history.Sequence, c.history.Hash, c.time.UTC().Format(timeLayout))
}

// event is the line that a checkpoint has in the journal, behind those that it covers. Nothing in it is free: what is not
// signed is the same in all of them.
func (c checkpoint) event(signed string) Event {
	return Event{Time: c.time, Kind: KindCheckpoint, Checkpoint: signed}
}

func (c checkpoint) line(signed string) []byte {
	event := c.event(signed)
	return appendLine(nil, c.head, appendEvent(nil, &event, maxChecked))
}

func (c checkpoint) sign(with *Signer) (string, error) {
	signed, err := note.Sign(&note.Note{Text: c.text()}, with)
	return string(signed), err
}

var errCheckpoint = errors.New("the checkpoint is not one that Writ wrote")

// openCheckpoint reads a signed checkpoint and checks its signature against the keys; without any, it is not checked.
func openCheckpoint(signed string, keys note.Verifiers) (checkpoint, error) {
	text, _, found := strings.Cut(signed, "\n\n")
	if !found {
		return checkpoint{}, errCheckpoint
	}
	c, err := parseCheckpoint(text + "\n")
	if err != nil || keys == nil {
		return c, err
	}
	opened, err := note.Open([]byte(signed), keys)
	if err != nil {
		return c, fmt.Errorf("the checkpoint's signature: %w", err)
	}
	// One spelling only: a base64 text has bits that mean nothing, and a note room for more signatures.
	signature, err := base64.StdEncoding.Strict().DecodeString(opened.Sigs[0].Base64)
	spelled := opened.Text + "\n— " + keyName + " " + base64.StdEncoding.EncodeToString(signature) + "\n"
	if err != nil || spelled != signed {
		return c, errCheckpoint
	}
	return c, nil
}

// parseCheckpoint reads the text and refuses every one that is not as text writes it.
func parseCheckpoint(text string) (c checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 6 {
		return c, errCheckpoint
	}
	c.journal = strings.TrimPrefix(lines[1], "journal ")
	var head string
	if _, err := fmt.Sscanf(lines[2], "line %d %d %s", &c.last.file, &c.last.line, &head); err != nil {
		return c, errCheckpoint
	}
	sequence, hash, _ := strings.Cut(strings.TrimPrefix(lines[3], "history "), " ")
	c.history.Hash = hash
	if c.history.Sequence, err = strconv.ParseInt(sequence, 10, 64); err != nil {
		return c, errCheckpoint
	}
	if c.time, err = time.Parse(timeLayout, lines[4]); err != nil {
		return c, errCheckpoint
	}
	decoded, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil || copy(c.head[:], decoded) != len(c.head) || c.text() != text {
		return c, errCheckpoint
	}
	return c, nil
}

// Signed is what a signed checkpoint says to who keeps it.
type Signed struct {
	Journal string
	Time    time.Time
	History History
}

// ReadCheckpoint reads a signed checkpoint, of any journal, whose signature must be good under one of the keys, as Known has them.
func ReadCheckpoint(signed string, keys []string) (Signed, error) {
	list, err := verifiers(keys)
	if err != nil {
		return Signed{}, err
	}
	c, err := openCheckpoint(signed, list)
	return Signed{c.journal, c.time, c.history}, err
}

// verifiers returns what checks signatures of any of the keys; nil without keys.
func verifiers(keys []string) (note.Verifiers, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var list []note.Verifier
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return nil, fmt.Errorf("audit: the key %.100q: %w", key, err)
		}
		list = append(list, verifier)
	}
	return note.VerifierList(list...), nil
}
