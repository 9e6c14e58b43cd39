package store

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash"
)

// A Chain goes along the history of changes and computes what each event's Hash must be: the SHA-256 of the one before it
// and of everything that the event says. The zero value stands before the first event.
type Chain struct {
	Sequence int64 // of the last event
	Hash     string

	begun bool // an event had a hash
}

// Links that do not hold.
var (
	errGap     = errors.New("it does not come after the event before: events are missing, or were moved")
	errChanged = errors.New("its hash is not that of what it says and of the event before: one of the two was changed")
	errNoHash  = errors.New("it has no hash, although an event before it has one: it was put in by something else")
)

// Next returns the chain behind the event, and an error if the event does not continue it; then it goes on from what the
// event says its hash is, so that one change is told of once. Events that were written before there were hashes have none;
// those behind them cover them.
func (c Chain) Next(e Event) (Chain, error) {
	next := Chain{Sequence: e.Sequence, Hash: hashOf(c.Hash, e), begun: c.begun || e.Hash != ""}
	var err error
	switch {
	case e.Sequence != c.Sequence+1:
		err = errGap
	case e.Hash == "" && c.begun:
		err = errNoHash
	case e.Hash != "" && e.Hash != next.Hash:
		err = errChanged
	}
	if err != nil && e.Hash != "" {
		next.Hash = e.Hash
	}
	return next, err
}

// Link gives an event that is about to be appended its place in the chain.
func (c Chain) Link(e Event, sequence int64) Event {
	e.Sequence = sequence
	e.Hash = hashOf(c.Hash, e)
	return e
}

// hashOf hashes every field with its length before it, so that no two events are the same bytes.
func hashOf(before string, e Event) string {
	h := sha256.New()
	number(h, int64(len(before)))
	h.Write([]byte(before))
	number(h, e.Sequence)
	if e.Time.IsZero() {
		number(h, 0)
	} else {
		number(h, e.Time.UnixMicro())
	}
	for _, text := range []string{e.Actor, e.Action, e.Object, e.Detail} {
		number(h, int64(len(text)))
		h.Write([]byte(text))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func number(h hash.Hash, n int64) {
	var bytes [8]byte
	binary.BigEndian.PutUint64(bytes[:], uint64(n))
	h.Write(bytes[:])
}

// historyPage is how many events are read at once.
const historyPage = 500

// Follow goes along the history behind the chain up to its end, or until visit returns an error; visit hears of each event
// and why it does not hold, if it does not. It returns the chain at the last event that was visited.
func (c Chain) Follow(ctx context.Context, s Store, visit func(Event, Chain, error) error) (Chain, error) {
	for {
		events, err := s.Events(ctx, c.Sequence, historyPage)
		if err != nil {
			return c, err
		}
		for _, event := range events {
			next, broken := c.Next(event)
			if err := visit(event, next, broken); err != nil {
				return c, err
			}
			c = next
		}
		if len(events) < historyPage {
			return c, nil
		}
	}
}
