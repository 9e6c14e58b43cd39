package audit

import (
	"bytes"
	"context"
	"slices"
	"sync"
)

// maxInMemory is how many of the latest events a journal in memory keeps.
const maxInMemory = 1 << 16

// InMemory returns a journal that keeps the latest 65536 events in memory, for tests. It is the same machinery without a
// disk; refusals are written one by one up to 10 000 a second. Close it.
func InMemory() *Journal {
	return start(&memory{}, found{}, Options{RefusalsPerSecond: 10_000}.withDefaults())
}

// Events returns what a journal InMemory was told before the call, oldest first. A journal in a directory returns nil:
// it is read with the function Events.
func (j *Journal) Events() []Event {
	m, ok := j.storage.(*memory)
	if !ok {
		return nil
	}
	j.mu.Lock()
	running := !j.isClosed
	j.mu.Unlock()
	if running && j.Flush(context.Background()) != nil {
		return nil
	}
	return m.events()
}

type memory struct {
	mu    sync.Mutex
	lines [][]byte
	count int
}

func (m *memory) commit(lines []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for line := range bytes.Lines(lines) {
		m.lines = append(m.lines, bytes.Clone(line[:len(line)-1]))
		m.count++
	}
	if over := len(m.lines) - maxInMemory; over > 0 {
		m.lines = slices.Delete(m.lines, 0, over)
	}
	return nil
}

func (m *memory) events() []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	var events []Event
	for _, line := range m.lines {
		if event, _, err := parseLine(line); err == nil {
			events = append(events, event)
		}
	}
	return events
}

func (m *memory) last() place { return place{1, m.count} }

func (m *memory) free() (uint64, bool) { return 0, false }

func (m *memory) blocks() bool { return false }

func (m *memory) close() error { return nil }
