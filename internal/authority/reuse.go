package authority

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// A client that is registered for it (store.Client.TokenReuse) and asks again for what it asked for a moment ago gets the same
// token, to the byte, on every node and after a restart, although nothing is stored: the token says that it was issued when the
// window began, its ID is derived from all that it says and from the key that makes it, and what makes it makes the same of the
// same. So whatever changes what a token says changes its ID, and every change of the client, of a resource of the token or of a
// role begins a window.
//
// What was made is remembered, so that to make it again costs one hash; what is forgotten is made anew, and comes out the same.
// Once a second at least, the store is asked whether the token was revoked: then the next ID takes its place, the same on all
// nodes. Where that cannot be told, the client gets a token of its own, as any other client does.

// Bounds of what is remembered, and of how many tokens of one window may be revoked before each is a new one.
const (
	maxReused      = 1 << 12 // tokens, in two halves
	maxReusedBytes = 4 << 10 // of one of them; a larger one is made anew
	maxSteps       = 8
)

// A digest stands for all that a token says, but for its ID, and for the key that makes it.
type digest [sha256.Size]byte

// reuse remembers the tokens of clients that may get one twice. It is safe for concurrent use.
type reuse struct {
	macs        sync.Pool     // of hash.Hash
	revocations atomic.Uint64 // counts those through this node
	made        *memory[digest, reused]
}

// A reused token was not revoked when the store was asked last.
type reused struct {
	id, token   string
	asked       time.Time
	revocations uint64 // that this node knew of then
}

func newReuse(ring *keyring.Ring) *reuse {
	key := ring.Derive("token reuse")
	return &reuse{
		macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }},
		made: newMemory[digest, reused](maxReused),
	}
}

// A minted token, what it says, and whether it was given before.
type minted struct {
	token    string
	claims   *oauth.Claims
	repeated bool
	remember func() // is called when the journal has it: none is given again whose first time may be missing; nil: nothing to do
}

// again returns the token of an authorization that is the same for the whole of a window, or nil for a client that gets a new
// one each time, and where the same one cannot be made or may be revoked.
func (a *Authority) again(ctx context.Context, client *client, authorization *Authorization, now time.Time) *minted {
	issued, some := windowOf(client, authorization, now)
	if !some {
		return nil
	}
	key, same := a.makes(authorization)
	if !same {
		return nil
	}
	claims := claimsOf(a.issuer, issued, "", authorization)
	sum := a.reuse.digest(key, authorization.payload(claims))
	known, found, lately := a.reuse.find(sum, now)
	if lately {
		claims.ID = known.id
		return &minted{token: known.token, claims: claims, repeated: true}
	}
	revocations := a.reuse.revocations.Load() // before the store is asked: a revocation after that counts
	for step := range byte(maxSteps) {
		claims.ID = a.reuse.id(sum, step)
		revoked, err := a.revoked(ctx, claims.ID)
		if err != nil {
			return nil
		}
		if revoked {
			continue
		}
		token := known.token
		if repeated := found && known.id == claims.ID; !repeated {
			if token, err = a.encode(authorization, claims, true); err != nil {
				return nil
			}
			found = false
		}
		remember := func() { a.reuse.keep(sum, reused{claims.ID, token, now, revocations}) }
		return &minted{token, claims, found, remember}
	}
	return nil
}

// makes returns the ID of the key that makes a token now, and whether it makes the same token of the same claims.
func (a *Authority) makes(authorization *Authorization) (key string, same bool) {
	if authorization.Format == store.FormatOpaque {
		key, err := a.ring.SealingKey()
		return key, err == nil
	}
	signer, err := a.ring.Signer(authorization.Algorithm)
	if err != nil {
		return "", false
	}
	return signer.KeyID, signer.Repeats()
}

// windowOf returns when the window of a moment began, in whole seconds, and whether there is one. It is never longer than half
// of the token's life, so that what is left is at least as much. Windows of different clients begin at different times: at the
// end of one that all had in common, all would want a signature.
func windowOf(client *client, authorization *Authorization, now time.Time) (begun time.Time, some bool) {
	length := int64(min(client.TokenReuse, authorization.Lifetime/2) / time.Second)
	if length < 1 {
		return time.Time{}, false
	}
	id := fnv.New32a()
	_, _ = id.Write([]byte(client.ID))
	shift := int64(id.Sum32()) % length
	begun = time.Unix(now.Unix()-(now.Unix()-shift)%length, 0)
	if changed := client.changed(authorization.Audience); begun.Before(changed) {
		// The first whole second behind it: no token from before says the same.
		begun = changed.Add(time.Second - time.Nanosecond).Truncate(time.Second)
	}
	return begun, !begun.After(now)
}

// changed returns when anything changed last that the client's tokens for an audience follow from, or that made older ones bad.
func (c *client) changed(audience []string) time.Time {
	last := later(c.Updated, c.NotBefore)
	for _, uri := range audience {
		of := c.grants[uri]
		last = later(later(last, of.resource.NotBefore), later(of.resource.Updated, of.changed))
	}
	return last
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (u *reuse) mac(parts ...[]byte) (sum digest) {
	mac := u.macs.Get().(hash.Hash)
	defer u.macs.Put(mac)
	mac.Reset()
	for _, part := range parts {
		_, _ = mac.Write(part)
	}
	mac.Sum(sum[:0])
	return sum
}

// digest returns what stands for a payload without an ID. Key IDs are letters and digits, and a payload begins with a brace.
func (u *reuse) digest(key string, payload []byte) digest { return u.mac([]byte(key), payload) }

// id returns a "jti" of 128 bits: the first one, and for each that was revoked the next.
func (u *reuse) id(sum digest, step byte) string {
	sum = u.mac([]byte("jti"), sum[:], []byte{step})
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// find returns what is remembered, and whether it was known lately that the token is not revoked: less than a second ago, and
// no revocation came by here since.
func (u *reuse) find(sum digest, now time.Time) (known reused, found, lately bool) {
	known, found = u.made.find(sum)
	age := now.Sub(known.asked)
	return known, found, found && 0 <= age && age < maxAge && known.revocations == u.revocations.Load()
}

func (u *reuse) keep(sum digest, token reused) {
	if len(token.token) <= maxReusedBytes {
		u.made.keep(sum, token)
	}
}

// revoked asks the store whether a token was revoked.
func (a *Authority) revoked(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	_, err := a.store.Revocations().Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
