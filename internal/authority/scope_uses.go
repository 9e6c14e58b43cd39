package authority

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// scopeInterval is how coarse the uses of scopes are: of each, no more than one is noted in it. They answer whether a right is
// needed at all, which is a question of weeks.
const scopeInterval = time.Hour

// maxScopeNotes bounds what is remembered of a client. One that asks for more different scopes in an hour has some of them
// noted more often.
const maxScopeNotes = 16

// scopeNotes are what was noted lately of the scopes that a client got: the list is replaced and never changed, so that a
// token takes no lock and allocates nothing while there is nothing to note. It is safe for concurrent use.
type scopeNotes struct{ list atomic.Pointer[[]scopeNote] }

// A scopeNote says that all scopes of a token for a resource were noted, the oldest of them at a time.
type scopeNote struct {
	resource, scope string
	at              int64 // Unix nanoseconds
}

func (n *scopeNotes) load() []scopeNote {
	if list := n.list.Load(); list != nil {
		return *list
	}
	return nil
}

// fresh reports whether what was noted at a time need not be noted again now. A clock that was set back stops nothing.
func (n scopeNote) fresh(now int64) bool {
	return n.at <= now && now-n.at < int64(scopeInterval)
}

// noteScopes notes which scopes of which resources a client got in a token.
func (a *Authority) noteScopes(client *client, audience []string, scope, remote string) {
	now := a.now()
	for _, uri := range audience {
		if !noted(client.noted.load(), uri, scope, now.UnixNano()) {
			a.noteScopesAt(client, uri, scope, remote, now)
		}
	}
}

func noted(list []scopeNote, resource, scope string, now int64) bool {
	for i := range list {
		if note := &list[i]; note.resource == resource && note.scope == scope && note.fresh(now) {
			return true
		}
	}
	return false
}

// noteScopesAt is noteScopes for one resource and what was not noted yet in just this way. Nothing that it keeps refers to
// memory of the request.
func (a *Authority) noteScopesAt(client *client, uri, scope, remote string, now time.Time) {
	known, before := client.grants[uri].resource, client.noted.list.Load()
	made := scopeNote{known.URI, strings.Clone(scope), now.UnixNano()}
	list := slices.DeleteFunc(slices.Clone(client.noted.load()), func(n scopeNote) bool { return !n.fresh(made.at) })
	for token := range strings.SplitSeq(made.scope, " ") {
		at, found := notedWith(list, known.URI, token)
		switch {
		case !knows(known, token):
		case found:
			made.at = min(made.at, at)
		case !a.uses.put(client.ID, store.ScopeUse(known.URI, token), remote, now):
			return // there is no room for it: the next token tries again
		}
	}
	if len(list) >= maxScopeNotes {
		list = slices.Delete(list, 0, len(list)-maxScopeNotes+1)
	}
	list = append(list, made)
	client.noted.list.CompareAndSwap(before, &list) // who was faster is right, too; it is noted once more
}

// notedWith returns when a scope was noted, be it together with others.
func notedWith(list []scopeNote, resource, token string) (at int64, found bool) {
	for _, note := range list {
		if note.resource == resource && note.at > at && slices.Contains(strings.Split(note.scope, " "), token) {
			at, found = note.at, true
		}
	}
	return at, found
}

// put lets a use wait to be taken. It reports whether there was room: half of it is for credentials.
func (u *uses) put(clientID, credential, remote string, now time.Time) bool {
	key := credentialOf{clientID, credential}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, waits := u.waiting[key]; !waits && len(u.waiting) >= maxNoted/2 {
		return false
	}
	u.waiting[key] = store.Use{ClientID: clientID, Credential: credential, Last: now.UTC(), Remote: addressOf(remote)}
	return true
}
