package authority

import (
	"hash/maphash"
	"strings"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// scopeInterval is how coarse the uses of scopes are: of each, no more than one is noted in it. They answer whether a right is
// needed at all, which is a question of weeks.
const scopeInterval = time.Hour

// noteScopes notes which scopes of which resources a client got in a token. It takes no lock and allocates nothing while there is
// nothing to note.
func (a *Authority) noteScopes(client *client, audience []string, scope, remote string) {
	for _, uri := range audience {
		a.uses.noteScopes(client, &client.grants[uri].resource, scope, remote)
	}
}

// noteScopes notes the scopes of a token for a resource. All of them together have a mark, too, with the time of the oldest.
func (u *uses) noteScopes(client *client, resource *store.Resource, scope, remote string) {
	now, all := u.now(), u.scopeOf(resource.URI, scope)
	if u.busy(now) > 1 || fresh(client.noted.find(all), now, scopeInterval) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if fresh(u.last(&client.noted, client.ID, all), now, scopeInterval) {
		return
	}
	oldest := now.Unix()
	for token := range strings.SplitSeq(scope, " ") {
		if !knows(*resource, token) {
			continue
		}
		one := u.scopeOf(resource.URI, token)
		if at := u.last(&client.noted, client.ID, one); fresh(at, now, scopeInterval) {
			oldest = min(oldest, at)
			continue
		}
		of := credentialOf{client.ID, store.ScopeUse(resource.URI, token)}
		if !u.room(of, maxWaiting/2) {
			return
		}
		u.waiting[of] = store.Use{ClientID: of.clientID, Credential: of.credential, Last: now.UTC(), Remote: addressOf(remote)}
		u.mark(&client.noted, client.ID, one, now.Unix(), now)
	}
	u.mark(&client.noted, client.ID, all, oldest, now)
}

// scopeOf stands for scopes of a resource.
func (u *uses) scopeOf(resource, scope string) uint64 {
	return maphash.Comparable(u.seed, [2]string{resource, scope})
}
