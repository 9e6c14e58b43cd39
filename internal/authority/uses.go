package authority

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// noteInterval is how coarse uses are: of each credential, no more than one is noted in it.
const noteInterval = time.Minute

// maxNoted bounds the memory that notes take: past it, the older half is forgotten, or, of those that nobody takes, the
// newer. They are for an operator who wants to know whether a secret is still in use.
const maxNoted = 1 << 16

// uses notes which credentials were good for something lately. It is safe for concurrent use.
type uses struct {
	now func() time.Time

	mu            sync.Mutex
	recent, older map[credentialOf]time.Time // when a use was last noted; under mu
	waiting       map[credentialOf]store.Use // to be taken; under mu
}

type credentialOf struct{ clientID, credential string }

func newUses(now func() time.Time) *uses {
	return &uses{now: now, recent: map[credentialOf]time.Time{}, waiting: map[credentialOf]store.Use{}}
}

func (u *uses) note(clientID, credential, remote, agent string) {
	now, key := u.now(), credentialOf{clientID, credential}
	u.mu.Lock()
	defer u.mu.Unlock()
	last, found := u.recent[key]
	if !found {
		last, found = u.older[key]
	}
	if found && now.Sub(last) < noteInterval && now.After(last.Add(-noteInterval)) {
		return
	}
	if len(u.recent) >= maxNoted/2 {
		u.older, u.recent = u.recent, map[credentialOf]time.Time{}
	}
	u.recent[key] = now
	if _, waits := u.waiting[key]; waits || len(u.waiting) < maxNoted {
		u.waiting[key] = store.Use{ClientID: clientID, Credential: credential, Last: now.UTC(), Remote: addressOf(remote), Agent: agentOf(agent)}
	}
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

// TakeUses returns the uses of credentials that were noted since it was called last, at most one for each. They are to be
// kept with store.NoteUses; what is not kept is lost.
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
