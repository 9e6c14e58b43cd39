package authority

import (
	"context"
	"errors"
	"time"

	"github.com/writ-auth/writ/internal/audit"
	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// keepTimeout is how long a request waits for the store to keep what it was told (SECURITY, drill R09).
const keepTimeout = time.Second

// Revoke makes a token of the calling client inactive (RFC 7009). A token that is not ours, has expired or was revoked
// before is no error: the caller wanted it dead and it is. When Revoke returns nil, the revocation is on disk.
func (a *Authority) Revoke(ctx context.Context, r *Request) error {
	if err := a.revoke(ctx, r); err != nil {
		return a.refuse(eventNotRevoked, r, err)
	}
	return nil
}

func (a *Authority) revoke(ctx context.Context, r *Request) error {
	token, err := r.required("token")
	if err != nil {
		return err
	}
	client, err := a.authenticate(ctx, r)
	if err != nil {
		return err
	}
	r.Outcome.Result = ResultUnchanged
	claims, err := a.decode(token)
	if err != nil {
		return nil // an unknown token is as good as revoked (RFC 7009, 2.2)
	}
	if claims.ClientID != client.ID {
		return oauth.Errorf(oauth.InvalidGrant, "the token was issued to another client")
	}
	expires := time.Unix(int64(claims.Expires), 0)
	if !a.now().Before(expires) {
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	// Kept a little longer than the token, for validators whose clocks are behind.
	err = a.store.Revocations().Insert(asking, store.Revocation{TokenID: claims.ID, Expires: expires.Add(time.Minute).UTC()})
	if err != nil && !errors.Is(err, store.ErrExists) {
		return unavailable(err)
	}
	a.reuse.revocations.Add(1)
	event := audit.Event{
		Time: a.now(), Kind: eventRevoked, ClientID: client.ID, TokenID: claims.ID, RequestID: r.ID, Remote: r.Remote,
	}
	if err := a.journal.Record(ctx, event); err != nil {
		return unavailable(err)
	}
	r.Outcome.Result = ResultRevoked
	return nil
}
