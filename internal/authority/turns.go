package authority

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/jose"
)

// longestWait is for how long a token may have to wait for its signature, as far as that can be told beforehand: well below what
// callers bear, and far above what a group of requests takes that arrives together.
const longestWait = 100 * time.Millisecond

// turns bound how many signatures are made at once: one on each processor that the machine has. Where they take long, the runtime
// has a processor more (LongWork), and as what waits for its turn is not runnable, that one does meanwhile what else there is to
// do: a request that takes microseconds would otherwise wait behind the signatures of all that came before it, and one that is
// refused for that reason as long as one that is not.
//
// What does not wait pays for it with two atomic additions.
type turns struct {
	most  int64
	came  atomic.Int64  // who have a turn, and who wait for one
	next  chan struct{} // turns that are handed on
	lasts atomic.Int64  // how long a turn has lasted of late, in nanoseconds
	long  atomic.Int64  // signatures that take long, ever
}

func newTurns(most int) *turns {
	// Its elements have no size: the channel takes no memory, and has room for more than there can be.
	return &turns{most: int64(most), next: make(chan struct{}, 1<<30)}
}

// take waits for a turn, and returns since when one that had to wait has it. give gives it back.
func (t *turns) take() (since time.Time) {
	if t.came.Add(1) > t.most {
		<-t.next
		return time.Now()
	}
	return time.Time{}
}

func (t *turns) give(since time.Time) {
	if !since.IsZero() {
		t.note(int64(time.Since(since)))
	}
	if t.came.Add(-1) >= t.most {
		t.next <- struct{}{}
	}
}

// note keeps how long turns last, as an average in which the last sixteen count most. Where two do this at once, one of them is
// lost, and does not matter.
func (t *turns) note(lasted int64) {
	before := t.lasts.Load()
	if before == 0 {
		before = lasted
	}
	t.lasts.Store(before + (lasted-before)/16)
}

// full reports whether one that came now would wait for too long. As many as there are turns may wait in any case: it is by them
// that it is seen how long it takes.
func (t *turns) full() bool {
	waiting := t.came.Load() - t.most
	return waiting >= t.most && waiting*t.lasts.Load() > int64(longestWait)*t.most
}

// Overloaded reports whether a token that is asked for now would wait for too long for its signature. It takes two loads: who
// asks before a request is looked at refuses it at a fraction of what a token costs.
func (a *Authority) Overloaded() bool { return a.turns.full() }

// Waiting returns how many tokens wait for their signatures.
func (a *Authority) Waiting() int { return int(max(0, a.turns.came.Load()-a.turns.most)) }

// takeLong are the algorithms whose signatures take a large part of a millisecond, which is ten and more of those with ES256.
var takeLong = []string{jose.RS256, jose.PS256, jose.ES384}

// sign signs when its turn has come.
func (a *Authority) sign(signer *jose.Signer, typ string, payload []byte) (string, error) {
	if slices.Contains(takeLong, signer.Algorithm) {
		a.turns.long.Add(1)
		defer yield() // when the turn is given back
	}
	defer a.turns.give(a.turns.take())
	return signer.Sign(typ, payload)
}

// LongWork returns how many signatures that take long, and how many slow hashes, were begun until now. While there are many, a
// processor more in the runtime than in the machine keeps everything else from waiting for them.
func (a *Authority) LongWork() (signatures, hashes int64) {
	return a.turns.long.Load(), a.slow.begun.Load()
}
