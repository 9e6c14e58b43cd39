package authority

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// marks say what was noted of a client lately, and when, as 32 bits of a hash and the time in Unix seconds: two things have
// room, which is enough for one that has one credential and asks for one scope. To look for a mark takes no lock.
type marks [2]atomic.Uint64

func tagOf(what uint64) uint64 { return what &^ (1<<32 - 1) }

// find returns when a thing was noted, in Unix seconds; 0 if it is not known.
func (m *marks) find(what uint64) int64 {
	for i := range m {
		if mark := m[i].Load(); mark != 0 && tagOf(mark) == tagOf(what) {
			return int64(uint32(mark))
		}
	}
	return 0
}

// set reports whether there was room. No two callers may do it at once.
func (m *marks) set(what uint64, at int64, now time.Time) bool {
	for i := range m {
		mark := m[i].Load()
		if mark != 0 && tagOf(mark) != tagOf(what) && fresh(int64(uint32(mark)), now, scopeInterval) {
			continue
		}
		m[i].Store(tagOf(what) | uint64(uint32(at)))
		return true
	}
	return false
}

// fresh reports whether what was noted at a time, in Unix seconds, need not be noted again yet. A clock that was set back stops
// nothing.
func fresh(at int64, now time.Time, interval time.Duration) bool {
	age := now.Unix() - at
	return age >= 0 && age < int64(interval/time.Second)
}

// maxMarked bounds what is marked besides: past it, the older half is forgotten, and noted more often.
const maxMarked = 1 << 16

// marked are the marks of clients with more credentials or scopes than have room.
type marked struct{ recent, older map[uint64]int64 }

func (m *marked) find(key uint64) int64 { return max(m.recent[key], m.older[key]) }

func (m *marked) set(key uint64, at int64) {
	if len(m.recent) >= maxMarked/2 {
		m.older, m.recent = m.recent, map[uint64]int64{}
	}
	m.recent[key] = at
}

// last returns when a thing was noted of a client. The caller has mu.
func (u *uses) last(of *marks, clientID string, what uint64) int64 {
	if at := of.find(what); at != 0 {
		return at
	}
	return u.more.find(u.keyOf(clientID, what))
}

// mark marks that a thing was noted of a client. The caller has mu.
func (u *uses) mark(of *marks, clientID string, what uint64, at int64, now time.Time) {
	if !of.set(what, at, now) {
		u.more.set(u.keyOf(clientID, what), at)
	}
}

func (u *uses) keyOf(clientID string, what uint64) uint64 {
	return maphash.Comparable(u.seed, struct {
		clientID string
		what     uint64
	}{clientID, what})
}
