package pop_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/pop"
)

// newNonces returns the nonces of a node whose clock shows what *clock says.
func newNonces(t *testing.T, fill byte, clock *time.Time) *pop.Nonces {
	t.Helper()
	nonces, err := pop.NewNonces(bytes.Repeat([]byte{fill}, 32), func() time.Time { return *clock })
	must(t, err)
	return nonces
}

func TestNonces(t *testing.T) {
	t.Parallel()
	clock := now
	nonces := newNonces(t, 1, &clock)
	first := nonces.Current()
	t.Run("rotation", func(t *testing.T) {
		for _, test := range []struct {
			after   time.Duration
			current bool
			good    bool
		}{
			{0, true, true},
			{2*time.Minute - 1, true, true},
			{2 * time.Minute, false, true},
			{4*time.Minute - 1, false, true},
			{4 * time.Minute, false, false},
			{time.Hour, false, false},
		} {
			clock = now.Add(test.after)
			if got := nonces.Current() == first; got != test.current {
				t.Errorf("after %v: it is the current one: %v, want %v", test.after, got, test.current)
			}
			if got := nonces.Good(first); got != test.good {
				t.Errorf("after %v: it is good: %v, want %v", test.after, got, test.good)
			}
		}
	})
	clock = now
	t.Run("of another node with the same key", func(t *testing.T) {
		if !newNonces(t, 1, &clock).Good(first) {
			t.Error("it is not good there")
		}
	})
	t.Run("of a node whose clock is a step ahead, and no further", func(t *testing.T) {
		for ahead, want := range map[time.Duration]bool{2 * time.Minute: true, 4*time.Minute - 1: true, 4 * time.Minute: false} {
			there := now.Add(ahead)
			if got := nonces.Good(newNonces(t, 1, &there).Current()); got != want {
				t.Errorf("%v ahead: good %v, want %v", ahead, got, want)
			}
		}
	})
	t.Run("of a foreign key", func(t *testing.T) {
		if nonces.Good(newNonces(t, 2, &clock).Current()) {
			t.Error("it is good")
		}
	})
	t.Run("that is none", func(t *testing.T) {
		for _, text := range []string{"", "n", first + "A", first[1:], strings.ToUpper(first), " " + first} {
			if nonces.Good(text) {
				t.Errorf("%q is good", text)
			}
		}
	})
	t.Run("of 144 bits, in characters that any header may carry (RFC 9449, 8.1)", func(t *testing.T) {
		if len(first) != 24 || strings.ContainsFunc(first, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			t.Errorf("nonce %q", first)
		}
	})
}

func TestNoncesNeedAKey(t *testing.T) {
	t.Parallel()
	if _, err := pop.NewNonces(make([]byte, 31), nil); err == nil {
		t.Error("31 bytes are taken for a key")
	}
	nonces, err := pop.NewNonces(make([]byte, 32), nil)
	must(t, err)
	if !nonces.Good(nonces.Current()) {
		t.Error("by the clock of the machine, the current nonce is not good")
	}
}
