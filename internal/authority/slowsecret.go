package authority

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/slowhash"
	"github.com/writ-auth/writ/internal/store"
)

// The bounds of slow hashes. They take a part of the processors and no more, and only what nothing else wants of it, whoever asks: a flood of wrong secrets delays what
// needs a slow hash itself, which is the first token of an imported client since the process began, and nothing else.
const (
	slowWait  = 2 * time.Second // how long a request waits for its turn
	slowQueue = 32              // how many requests wait
	slowShare = 4               // how many of them are of one address, when more than half of those that can wait do
)

// maxProven bounds how many secrets are remembered to have been good, and how many wait for a hash of ours.
const maxProven = 1 << 16

// errSlowBusy is why a request was not decided: others verify slow hashes.
var errSlowBusy = errors.New("authority: too many slow hashes at once")

// slowSecrets verifies the secrets that came with an import and that another server has hashed. One that was good is remembered
// by its fast hash, in memory, so that a client waits for the slow one once; and is put down for a hash of ours.
//
// As long as there are such secrets, every refusal of a secret takes the work of the slowest client's, whoever is named:
// slow hashing only where there is something to hash would tell who is registered (CVE-2026-41263). What can still be told: a
// node learns of them when it reads the first such client, or when Census comes to it, which goes through some 1 250 clients a
// second; until then, after a start or an import on another node, refusals are fast but for the very first of an imported client.
// A success is fast or slow as the case may be, which only the client itself sees. Under load, one whose hash is cheaper than the
// slowest waits twice for its turn.
type slowSecrets struct {
	turns  chan struct{} // as many as may work at once
	queue  chan struct{} // as many as may wait or work
	census sync.Mutex    // held by the one who counts
	begun  atomic.Int64  // hashes, ever

	mu          sync.Mutex
	need        slowhash.Work            // the most that the secrets of one client take; under mu
	since       slowhash.Work            // the same, of what was read since the last Census began; under mu
	counted     int64                    // the generation of the last Census; under mu
	proven, old map[string]string        // fast hashes of secrets that were good, by the slow one; under mu
	waiting     map[credentialOf]upgrade // to get a hash of ours; under mu
	spent       slowhash.Work            // all of it, ever; under mu
	sources     map[netip.Prefix]int     // how many wait or work, of each address; under mu
}

// An upgrade is a secret in clear whose hash is to be replaced. It is kept for the seconds until that is done.
type upgrade struct{ old, secret string }

// A slowRun is what slow hashing was done for one request. Its zero value is none.
type slowRun struct {
	remote   string          // where it came from
	source   netip.Prefix    // which of the sources that is, once it stands in the queue
	verdicts map[string]bool // by hash: a request verifies each once, although its client is read twice
	done     slowhash.Work
	busy     bool          // there was no turn for it
	proved   *store.Secret // the one that was slowly found to be good
}

func newSlowSecrets() *slowSecrets {
	turns := max(1, runtime.GOMAXPROCS(0)/2)
	return &slowSecrets{
		turns: make(chan struct{}, turns), queue: make(chan struct{}, turns+slowQueue), counted: -1,
		proven: map[string]string{}, waiting: map[credentialOf]upgrade{}, sources: map[netip.Prefix]int{},
	}
}

// isSlow reports whether a hash of a secret is one that takes its time.
func isSlow(hash string) bool {
	_, err := slowhash.Parse(hash)
	return err == nil
}

// workOf returns what it takes to verify all secrets of a client.
func workOf(record store.Client) (work slowhash.Work) {
	for _, secret := range record.Secrets {
		if hash, err := slowhash.Parse(secret.Hash); err == nil {
			work = work.Plus(hash.Work())
		}
	}
	return work
}

// learn takes note of a client that was read.
func (s *slowSecrets) learn(record store.Client) {
	work := workOf(record)
	if work == (slowhash.Work{}) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.need, s.since = s.need.Or(work), s.since.Or(work)
}

// verify reports whether a text is the secret with an ID that is kept by a slow hash. If there is no turn for it, it is not, and the run says so.
func (s *slowSecrets) verify(ctx context.Context, id, kept, text string, run *slowRun) bool {
	if verdict, found := run.verdicts[kept]; found || run.busy {
		return verdict
	}
	if fast, found := s.remembered(kept); found {
		return sameText(fast, store.HashSecret(text))
	}
	hash, err := slowhash.Parse(kept)
	if err != nil || !s.enter(ctx, run) {
		return false
	}
	defer s.leave(run)
	good := false
	slowhash.Aside(func() { good = hash.Verify(text) })
	s.note(run, hash.Work())
	if run.verdicts == nil {
		run.verdicts = map[string]bool{}
	}
	run.verdicts[kept] = good
	if good {
		run.proved = &store.Secret{ID: id, Hash: kept}
	}
	return good
}

// complete does what a refusal lacks of the work that it takes for the slowest client.
func (s *slowSecrets) complete(ctx context.Context, text string, run *slowRun) error {
	s.mu.Lock()
	missing := s.need.Minus(run.done)
	s.mu.Unlock()
	if missing != (slowhash.Work{}) && !run.busy && s.enter(ctx, run) {
		defer s.leave(run)
		slowhash.Aside(func() { missing.Do(text) })
		s.note(run, missing)
	}
	if run.busy {
		return &Unavailable{RetryAfter: time.Second, Fault: FaultHashes, Cause: errSlowBusy}
	}
	return nil
}

func (s *slowSecrets) note(run *slowRun, work slowhash.Work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	run.done, s.spent = run.done.Plus(work), s.spent.Plus(work)
}

// enter waits for a turn to work. There is none when too many wait, or too many from the same address, or for too long.
func (s *slowSecrets) enter(ctx context.Context, run *slowRun) bool {
	run.busy = !s.queueUp(run)
	if run.busy {
		return false
	}
	wait, cancel := context.WithTimeout(ctx, slowWait)
	defer cancel()
	select {
	case s.turns <- struct{}{}:
		s.begun.Add(1)
		return true
	case <-wait.Done():
		s.goAway(run)
		run.busy = true
		return false
	}
}

// queueUp takes one of the places to wait at, unless there is none, or the last ones are for others: who guesses from one address
// must not keep out those who come from elsewhere.
func (s *slowSecrets) queueUp(run *slowRun) bool {
	run.source = networkOf(run.remote)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sources[run.source] >= slowShare && len(s.queue) > cap(s.queue)/2 {
		return false
	}
	select {
	case s.queue <- struct{}{}:
		s.sources[run.source]++
		return true
	default:
		return false
	}
}

func (s *slowSecrets) goAway(run *slowRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	<-s.queue
	if s.sources[run.source]--; s.sources[run.source] <= 0 {
		delete(s.sources, run.source)
	}
}

func (s *slowSecrets) leave(run *slowRun) {
	<-s.turns
	s.goAway(run)
}

func (s *slowSecrets) remembered(hash string) (fast string, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fast, found = s.proven[hash]; !found {
		fast, found = s.old[hash]
	}
	return fast, found
}

// remember keeps the fast hash of a secret that was good. Past the bound, the older half is forgotten.
func (s *slowSecrets) remember(hash, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.proven) >= maxProven/2 {
		s.old, s.proven = s.proven, map[string]string{}
	}
	s.proven[hash] = store.HashSecret(secret)
}

// settled takes note that a client was let in by a secret with a slow hash.
func (s *slowSecrets) settled(clientID, secret string, run *slowRun) {
	if run.proved == nil {
		return
	}
	s.remember(run.proved.Hash, secret)
	if hash, err := slowhash.Parse(run.proved.Hash); err != nil || hash.Ours() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) < maxProven {
		s.waiting[credentialOf{clientID, run.proved.ID}] = upgrade{run.proved.Hash, strings.Clone(secret)}
	}
}

// maxUpgrades is how many hashes are replaced at once: each may take a slow hash of ours.
const maxUpgrades = 20

// UpgradeSecrets hands hashes of ours to replace, for secrets that were good and have another's: a fast one for what was
// generated, a slow one for what could be guessed. replace must change only what is still the same. If it fails, they are
// handed out again by the next call. It is background work, a few times a minute.
func (a *Authority) UpgradeSecrets(ctx context.Context, replace func(context.Context, []store.SecretChange) error) error {
	s := a.slow
	taken := s.take()
	var changes []store.SecretChange
	for of, upgrade := range taken {
		kept, err := slowhash.Keep(upgrade.secret)
		if err != nil {
			return err
		}
		changes = append(changes, store.SecretChange{ClientID: of.clientID, SecretID: of.credential, Old: upgrade.old, New: kept})
	}
	if len(changes) == 0 {
		return nil
	}
	if err := replace(ctx, changes); err != nil {
		return err
	}
	for _, change := range changes {
		s.finish(change, taken[credentialOf{change.ClientID, change.SecretID}].secret)
	}
	return nil
}

func (s *slowSecrets) take() map[credentialOf]upgrade {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := map[credentialOf]upgrade{}
	for of, upgrade := range s.waiting {
		if taken[of] = upgrade; len(taken) == maxUpgrades {
			break
		}
	}
	return taken
}

// finish forgets a secret whose hash was replaced.
func (s *slowSecrets) finish(change store.SecretChange, secret string) {
	s.remember(change.New, secret)
	s.mu.Lock()
	defer s.mu.Unlock()
	if of := (credentialOf{change.ClientID, change.SecretID}); s.waiting[of].old == change.Old {
		delete(s.waiting, of)
	}
}

// Census looks through the clients with hashes of somebody else's for slow ones, if any client changed since it did so last: so
// that refusals take the work of the slowest one although nobody has named it, and are fast again when there is none left. It is
// background work, every few minutes.
func (a *Authority) Census(ctx context.Context) error {
	s := a.slow
	s.census.Lock()
	defer s.census.Unlock()
	generation, err := a.store.Generation(ctx)
	if err != nil {
		return unavailable(err)
	}
	s.mu.Lock()
	same := s.counted == generation
	s.since = slowhash.Work{}
	s.mu.Unlock()
	if same {
		return nil
	}
	var need slowhash.Work
	err = store.EachDueAtEase(ctx, a.store, time.Time{}, func(record store.Client) error {
		if more := need.Or(workOf(record)); more != need { // counts at once: with many clients it takes minutes to see all
			need = more
			s.mu.Lock()
			s.need = s.need.Or(need)
			s.mu.Unlock()
		}
		return nil
	})
	if err != nil {
		return unavailable(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.need, s.counted = need.Or(s.since), generation
	return nil
}

// mayBeSlow reports whether credentials are ones that a slow hash could be of. It follows from what is presented alone.
func (c credentials) mayBeSlow() bool { return c.secret != "" && len(c.secret) <= maxSecretBytes }
