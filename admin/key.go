package admin

import (
	"context"
	"net/http"
)

// Keys returns the keys of the ring, which are few.
func (a *API) Keys(ctx context.Context) ([]Key, error) {
	page, err := call[Page[Key]](ctx, a, http.MethodGet, "/keys", nil, nil)
	return page.Items, err
}

// RotateKey announces a new key for an algorithm, or lets it sign at once.
func (a *API) RotateKey(ctx context.Context, rotation Rotation, options ...Option) (Key, error) {
	return call[Key](ctx, a, http.MethodPost, "/keys/rotate", rotation, options)
}

// RevokeKey withdraws a key at once: its tokens are dead wherever the key set is fetched again.
func (a *API) RevokeKey(ctx context.Context, id string, options ...Option) error {
	return a.order(ctx, http.MethodPost, "/keys/"+segment(id)+"/revoke", nil, options)
}
