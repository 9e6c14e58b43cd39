package main

import (
	"io"
	"slices"
	"strings"
	"time"
)

// settings say how long and how much to measure.
type settings struct {
	name        string
	rounds      int           // of each pair
	measure     time.Duration // one side of a round
	warm        time.Duration // before it
	connections []int         // that rows for tokens/s are measured at
	busy        int           // connections of the other rows, for which targets are stated
	starts      int
	clients     []int // sizes of the registry
	revoked     int
	issued      int
	unseen      int // tokens that are asked about in turn, so many that nothing is remembered of any (internal/authority, verified.go)
	operated    int // clients in the registry that the admin API is asked about
	declared    int // clients in the plan

	only        string
	source, out string
	document    string
	writ        string // a binary that is there already; "" builds one
	peer        peer
	progress    io.Writer
}

var fullRun = settings{
	name: "full", rounds: 5, measure: 1200 * time.Millisecond, warm: 300 * time.Millisecond, connections: []int{1, 16, 64, 256}, busy: 64, starts: 7,
	clients: []int{10, 10_000, 1_000_000}, revoked: 1_000_000, issued: 1_000_000, unseen: 9 * many, operated: 100_000, declared: 1000,
}

var quickRun = settings{
	name: "quick", rounds: 1, measure: 300 * time.Millisecond, warm: 100 * time.Millisecond, connections: []int{1, 16, 64, 256}, busy: 64, starts: 2,
	clients: []int{10, 1000, 10_000}, revoked: 10_000, issued: 10_000, unseen: 9 * many, operated: 10_000, declared: 1000,
}

// finely has more and shorter rounds, for sides that differ by less than the machine does from one second to the next.
func (s settings) finely() settings {
	s.rounds, s.measure, s.warm = 5*s.rounds, s.measure/3, s.warm/2
	return s
}

// wants reports whether a row is to be measured.
func (s settings) wants(name string) bool {
	return s.only == "" || slices.ContainsFunc(strings.Split(s.only, ","), func(word string) bool { return strings.HasPrefix(name, word) })
}

// wantsSome reports whether any row is wanted whose name begins so.
func (s settings) wantsSome(beginning string) bool {
	return s.wants(beginning) || slices.ContainsFunc(strings.Split(s.only, ","), func(word string) bool { return strings.HasPrefix(word, beginning) })
}

// A peer is a token endpoint of somebody else.
type peer struct {
	url, id, secret, form string
	pid                   int // 0: its processor time is not known
}
