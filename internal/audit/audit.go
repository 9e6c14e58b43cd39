// Package audit keeps the journal: what was issued, refused and revoked, one JSON line an event, in files that are only
// ever appended to. A token may leave the process only after Record has returned nil for it.
//
// Each line carries the hash of the line before it, so that Verify finds a line that was changed, removed or put in. Signed
// checkpoints say how far the journal went, and the history of changes in the database with it: one that is kept elsewhere
// shows when the end was cut off, or everything written anew.
//
// It does not decide what is worth an event and knows nothing of tokens; authority and server call it.
package audit

import (
	"errors"
	"time"
)

// An Event is one line of the journal. Any string may come from an attacker: it is escaped to printable ASCII and cut at
// 256 characters (Scope and Audience of recorded events, which were checked before, at 2048). Secrets and tokens have no
// place in it: TokenID is the "jti".
type Event struct {
	Time      time.Time // the journal's own clock when zero; kept in UTC with microseconds
	Kind      string    // object.verb, such as token.issued, token.refused, revocation.done
	ClientID  string
	TokenID   string
	Reason    string // why a request was refused: a fixed word, so that refusals can be summed by it
	RequestID string
	Remote    string // address of the caller
	Scope     string
	Audience  []string
	Count     int64 // how many refusals, or repeats, this one line stands for; 0 means one
	// Checkpoint is the signed one, of a KindCheckpoint.
	Checkpoint string

	// Of a refusal, for whoever asks why:
	Refusal   string   // the short ID that its answer had
	Answer    string   // what the caller was told
	Presented []string // what the request had, "name: value" each, as far as it is no secret
}

// Kinds of events that the journal writes about itself.
const (
	KindRepaired   = "journal.repaired"   // an incomplete last line was set aside when the journal was opened
	KindBroken     = "journal.broken"     // the hash chain does not hold; Verify says where
	KindCheckpoint = "journal.checkpoint" // what the journal signed about itself, see Options.Signer
	KindRecovered  = "journal.recovered"  // writing works again; Count events were refused meanwhile
)

// ErrUnavailable is the error of Record while the journal cannot be written. No token may leave then.
var ErrUnavailable = errors.New("audit: the journal cannot be written")

// Options of a journal. The zero value is what a server runs with.
type Options struct {
	// MaxFileBytes is the size at which a new file is begun; 64 MiB when 0.
	MaxFileBytes int64
	// RefusalsPerSecond is how many refusals are written one by one, with ten seconds' worth at once; 10 when 0. The rest
	// is counted and written as one event per kind and reason every RefusalInterval.
	RefusalsPerSecond int
	// RefusalBytesPerDay bounds what refusals written one by one may add in a day; 64 MiB when 0.
	RefusalBytesPerDay int64
	// RefusalInterval is how often counted refusals and repeats are written; 10 s when 0.
	RefusalInterval time.Duration
	// Reserve is the free space, in bytes, that is left to recorded events: with less, refusals are only counted; 64 MiB
	// when 0.
	Reserve uint64
	// Timeout is how long Record waits for a disk that does not answer; 900 ms when 0.
	Timeout time.Duration
	// Signer signs checkpoints: when a file is full, when the journal is closed, and when Checkpoint is called. Without it
	// there are none.
	Signer *Signer
	// Kept returns the checkpoint of the journal with a name that is kept elsewhere, or "". Open holds the journal against
	// it, before a newer one takes its place.
	Kept func(journal string) (signed string, err error)
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Observe hears of each attempt to write, when its callers have been told; nil: nobody does. It must not call the journal.
	Observe func(Commit)
}

// A Commit is one attempt to make a group of events durable.
type Commit struct {
	Events  int
	Counted int64         // refusals that some of the events stand for, where they have a number in place of a line each
	Took    time.Duration // to write and fsync
	Err     error
}

func (o Options) withDefaults() Options {
	o.MaxFileBytes = either(o.MaxFileBytes, 64<<20)
	o.RefusalsPerSecond = either(o.RefusalsPerSecond, 10)
	o.RefusalBytesPerDay = either(o.RefusalBytesPerDay, 64<<20)
	o.RefusalInterval = either(o.RefusalInterval, 10*time.Second)
	o.Reserve = either(o.Reserve, 64<<20)
	o.Timeout = either(o.Timeout, 900*time.Millisecond)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func either[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
