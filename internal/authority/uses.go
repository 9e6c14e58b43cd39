package authority

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// noteInterval is how coarse uses are: of each credential, no more than one is noted in it. Where there are too many it gets longer
// (intervalAt): who was noted a while ago makes room for who was not.
const noteInterval = time.Minute

// notePace is how many uses are noted, of all clients together, so that to write them down never takes a noticeable part of a
// processor: it is enough for 5 000 at once, and then for 3 000 a minute. Each is of another client where they are many, and changes
// another page of the database: 200 a second took 3 % of a processor with 300 000 clients.
var notePace = Pace{Rate: 50, Burst: 5000}

// maxWaiting bounds how many uses wait to be taken; half of them are for credentials.
const maxWaiting = 1 << 13

// uses notes which credentials were good for something lately, and who got which scopes. They are for an operator who wants to
// know whether a secret, or a right, is still in use. It is safe for concurrent use.
type uses struct {
	now  func() time.Time
	seed maphash.Seed
	pace atomic.Int64 // when notePace has worked off what was noted

	mu      sync.Mutex
	more    marked                     // what there is no room for with a client; under mu
	waiting map[credentialOf]store.Use // to be taken; under mu
}

type credentialOf struct{ clientID, credential string }

func newUses(now func() time.Time) *uses {
	return &uses{now: now, seed: maphash.MakeSeed(), more: marked{recent: map[uint64]int64{}}, waiting: map[credentialOf]store.Use{}}
}

// note notes the use of a credential, unless that was noted a moment ago. The first use since a time is noted however busy it is:
// since a secret of the client was rotated it says who has changed over to the new one, and who has not (registry.stillUsed,
// RotateOwnSecret).
func (u *uses) note(of *marks, clientID, credential, remote, agent string, since time.Time) {
	now, what := u.now(), maphash.String(u.seed, credential)
	busy := u.busy(now)
	at := of.find(what)
	if !overdue(at, now, since) && (busy > 1 || fresh(at, now, intervalAt(busy))) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	at = u.last(of, clientID, what)
	due := overdue(at, now, since) && len(u.waiting) < maxWaiting
	if !due && (busy > 1 || fresh(at, now, intervalAt(busy)) || !u.room(credentialOf{clientID, credential}, maxWaiting)) {
		return
	}
	u.waiting[credentialOf{clientID, credential}] = store.Use{
		ClientID: clientID, Credential: credential, Last: now.UTC(), Remote: addressOf(remote), Agent: agentOf(agent),
	}
	u.mark(of, clientID, what, now.Unix(), now)
}

// notedAtLeast is how often the uses of a client are noted, however many others are, that is deleted when nobody uses it: it has an
// hour more than it was promised (registry.goesLater).
const notedAtLeast = 30 * time.Minute

// notedSince returns when a use of the client must have been noted last; zero if it need not.
func (c *client) notedSince(now time.Time) time.Time {
	if c.goesUnused {
		return later(c.Rotated, now.Add(-notedAtLeast))
	}
	return c.Rotated
}

// overdue reports whether what was noted at a time was not noted since another, nor a moment ago.
func overdue(at int64, now, since time.Time) bool {
	return !since.IsZero() && at <= since.Unix() && !fresh(at, now, noteInterval)
}

// busy says how much of what notePace lets through at once was noted just now: 1 is all of it. A clock that was set back stops
// nothing.
func (u *uses) busy(now time.Time) float64 {
	until := u.pace.Load()
	behind := time.Duration(until - now.UnixNano())
	if behind <= 0 {
		return 0
	}
	busy := behind.Seconds() * float64(notePace.Rate) / float64(notePace.Burst-1)
	if busy > 2 {
		u.pace.CompareAndSwap(until, 0)
		return 0
	}
	return busy
}

// intervalAt is how coarse the uses of credentials are: noteInterval, until half of what may be noted at once was; then more and
// more, up to scopeInterval.
func intervalAt(busy float64) time.Duration {
	return noteInterval + time.Duration(max(0, 2*busy-1)*float64(scopeInterval-noteInterval))
}

// room reports whether one more use may wait, if no more than so many do. What there is no room for is tried again with the
// client's next token. The caller has mu.
func (u *uses) room(of credentialOf, most int) bool {
	if _, waits := u.waiting[of]; waits {
		return true
	}
	return len(u.waiting) < most && notePace.take(&u.pace, u.now) == nil
}

// addressOf returns the address of a caller without the port, which says nothing later, and not as a part of the request.
func addressOf(remote string) string {
	if withPort, err := netip.ParseAddrPort(remote); err == nil {
		return withPort.Addr().String()
	}
	return strings.Clone(remote)
}

// agentOf returns what a caller says that it is as one short line of text, and not as a part of the request; nothing of one
// that seems to hold a secret.
func agentOf(agent string) string {
	if slices.ContainsFunc(secretPrefixes, func(prefix string) bool { return strings.Contains(agent, prefix) }) {
		return ""
	}
	return strings.Clone(oauth.SafeText(agent[:min(len(agent), maxAgentBytes)]))
}

const maxAgentBytes = 100

// TakeUses returns the uses of credentials and scopes that were noted since it was called last, at most one for each. They are
// to be kept with store.NoteUses; what is not kept is lost.
func (a *Authority) TakeUses() []store.Use {
	u := a.uses
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.waiting) == 0 {
		return nil
	}
	taken := make([]store.Use, 0, len(u.waiting))
	for _, use := range u.waiting {
		taken = append(taken, use)
	}
	u.waiting = map[credentialOf]store.Use{}
	return taken
}
