// Package store says what Writ remembers: the records, and the small interface through which everything is read and
// written. It holds no SQL and no rule about the records; those are in sqlstore and in registry and authority.
//
// There are three implementations, held to one contract by storetest: memstore, and sqlstore on SQLite and PostgreSQL.
package store

import (
	"context"
	"errors"
	"time"
)

// The errors that callers tell apart. Every other error of a store means that it could not answer.
var (
	ErrNotFound = errors.New("store: not found")
	ErrExists   = errors.New("store: exists already")
	// ErrInvalid is the answer to text that PostgreSQL could not keep, see Check.
	ErrInvalid = errors.New("store: empty key, or text that is not UTF-8 or holds NUL")
	// ErrUnsupported is Watch's on a database that cannot tell of changes.
	ErrUnsupported = errors.New("store: the database cannot tell of changes")
)

// A Store remembers. Its methods are safe for concurrent use, except on the Store that Update hands out.
//
// When a method that writes returns nil, the write survives a crash of the process or of the machine.
type Store interface {
	Clients() Table[Client]
	Resources() Table[Resource]
	Roles() Table[Role]
	Keys() Table[SigningKey]
	Revocations() Table[Revocation]
	Checkpoints() Table[Checkpoint]
	InitialTokens() Table[InitialToken]

	// FindClients returns the clients that a query wants, up to its Limit, in its order. It returns ErrInvalid for a query
	// with text that no client can have, see Valid.
	FindClients(ctx context.Context, query ClientQuery) ([]Client, error)

	// ClientsCalled returns the clients whose ID or name is one of the words: in the order of their IDs, each once.
	ClientsCalled(ctx context.Context, words ...string) ([]Client, error)

	// ClientsDue returns up to limit clients that are due (Due) by a time, those that are due first coming first, and of those who are
	// at the same time in the order of their IDs: from behind a position, the zero one for the first; and the position of the last.
	ClientsDue(ctx context.Context, by time.Time, after DuePosition, limit int) ([]Client, DuePosition, error)

	// UseOnce remembers id until expires and returns nil the first time; from then on ErrExists, on every node and
	// across restarts, until expires has passed. With the zero time it never passes.
	UseOnce(ctx context.Context, id string, expires time.Time) error

	// NoteUses keeps, for each client and credential, the latest use. It does not change the Generation. The uses of a client
	// that is gone go with a later Sweep.
	NoteUses(ctx context.Context, uses []Use) error

	// Uses returns the last use of each credential that was used, of each of the clients: in the order of their IDs, and of one
	// in the order of the credentials' names.
	Uses(ctx context.Context, clientIDs ...string) ([]Use, error)

	// Append adds an event to the history of changes and gives it a Sequence and a Hash: an event that became visible later
	// has a greater Sequence, without gaps, so that a reader who goes on from the last he saw misses nothing, and a Hash that
	// continues the Chain. Called on the Store of an Update, the event and the change that it tells of are kept together or
	// not at all.
	Append(ctx context.Context, event Event) error

	// Events returns up to limit events with a Sequence above after, oldest first.
	Events(ctx context.Context, after int64, limit int) ([]Event, error)

	// Update runs change with a Store whose writes all happen or none: none if change returns an error, which Update
	// hands on as it is. Concurrent Updates behave as if they ran one after the other; change may therefore run more than
	// once and must have no other effect. The Store inside must not be used after change returns; Update on it just runs
	// the function.
	Update(ctx context.Context, change func(tx Store) error) error

	// Generation returns a number that grows with every committed write to clients, resources, roles or keys, by any node.
	// A copy in memory that was read at or after a generation is still true while the generation has not changed.
	Generation(ctx context.Context) (int64, error)

	// Watch calls changed when it begins, and then soon after commits that made the Generation grow: by any node on
	// PostgreSQL, by this process on other stores. Several commits may cause one call, and one may come without a commit. It
	// returns when it can hear no more, and always when ctx ends, or ErrUnsupported at once: whoever must know asks for the
	// Generation now and then.
	Watch(ctx context.Context, changed func()) error

	// Sweep deletes revocations and used IDs that expired before now, in short steps, and returns how many. Those with
	// the zero time stay. It deletes the uses of clients that are gone, too, and those that are older than KeepUses; where there
	// are many uses it looks at a part of them, and the next Sweep at the part behind it.
	Sweep(ctx context.Context, now time.Time) (int, error)

	// Ping reports whether the store can answer now.
	Ping(ctx context.Context) error

	Close() error
}

// KeepUses is how long a use is remembered: a client that publishes its keys itself may have another one every hour, and the
// addresses of callers are nothing to keep for ever.
const KeepUses = 400 * 24 * time.Hour

// A Record is what a Table holds.
type Record interface {
	// Key returns what identifies the record within its table.
	Key() string
}

// A Table holds the records of one kind. The records it returns share no memory with those it holds; their times are UTC
// with microsecond precision, and their empty lists are nil. A record that does not pass Check is refused with
// ErrInvalid. No error, ErrExists and ErrNotFound included, spoils the Update in which it happens.
type Table[T Record] interface {
	// Get returns the record with the key, or ErrNotFound.
	Get(ctx context.Context, key string) (T, error)
	// List returns up to limit records whose key sorts, byte by byte, behind after, in that order.
	List(ctx context.Context, after string, limit int) ([]T, error)
	// Insert adds a record, or returns ErrExists if its key, or another value that must be unique, is taken.
	Insert(ctx context.Context, record T) error
	// Put replaces the record with the same key, or returns ErrNotFound, or ErrExists for another value that must be unique.
	Put(ctx context.Context, record T) error
	// Delete removes the record with the key, or returns ErrNotFound.
	Delete(ctx context.Context, key string) error
}
