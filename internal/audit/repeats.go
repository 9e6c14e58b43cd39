package audit

import (
	"cmp"
	"fmt"
	"os"
	"slices"
)

// maxRepeats bounds how many lines wait to be written of what was done once more.
const maxRepeats = 1 << 12

// repeats counts what was done once more, by what it was, to whom and from where. The journal's mutex guards it.
type repeats map[repeated]*Event

type repeated struct{ kind, clientID, tokenID, remote string }

// Repeat notes that what Record has made durable before was done once more. It never waits for the disk: one line stands for all
// of RefusalInterval with the same Kind, ClientID, TokenID and Remote, and a crash loses how many there were since the last. Who
// gets an error, which is ErrUnavailable, must not go on: the journal cannot be written at the moment.
func (j *Journal) Repeat(event Event) error {
	j.stamp(&event)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.isClosed {
		return fmt.Errorf("%w: %w", ErrUnavailable, os.ErrClosed)
	}
	if j.failure != nil {
		return j.failure
	}
	j.repeats.add(&event)
	return nil
}

// add counts an event; those for which there is no room become one line of their kind.
func (r repeats) add(event *Event) {
	key := repeated{event.Kind, event.ClientID, event.TokenID, event.Remote}
	sum := r[key]
	if sum == nil && len(r) >= maxRepeats {
		key = repeated{kind: event.Kind}
		sum = r[key]
		event = &Event{Time: event.Time, Kind: event.Kind, Count: event.Count}
	}
	if sum == nil {
		kept := *event
		r[key] = &kept
		return
	}
	sum.Count = max(sum.Count, 1) + max(event.Count, 1)
	sum.Time, sum.RequestID = event.Time, "" // it is of many
}

// take returns what was counted, oldest first, and starts again at nothing.
func (r repeats) take() []Event {
	events := make([]Event, 0, len(r))
	for _, sum := range r {
		events = append(events, *sum)
	}
	clear(r)
	slices.SortFunc(events, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.TokenID, b.TokenID), cmp.Compare(a.Remote, b.Remote))
	})
	return events
}

// sumRepeats puts what was counted into the next batch. j.mu is held.
func (j *Journal) sumRepeats() {
	for _, event := range j.repeats.take() {
		b := j.batch()
		b.append(appendEvent(nil, &event, maxChecked))
		b.repeated = append(b.repeated, event)
	}
}
