package server

import (
	"context"
	"maps"
	"slices"

	"github.com/writ-auth/writ/internal/store"
)

// uses takes the last uses of credentials from the authority to the store, behind the requests that they tell of: no request
// waits for it or fails with it. What the store does not take is tried again. One goroutine at a time may use it.
type uses struct {
	take func() []store.Use
	keep func(context.Context, []store.Use) error

	waiting map[[2]string]store.Use // by client and credential: at most one for each, however long the store is away
}

func (u *uses) flush(ctx context.Context) error {
	if u.waiting == nil {
		u.waiting = map[[2]string]store.Use{}
	}
	for _, use := range u.take() {
		u.waiting[[2]string{use.ClientID, use.Credential}] = use
	}
	if len(u.waiting) == 0 {
		return nil
	}
	if err := u.keep(ctx, slices.Collect(maps.Values(u.waiting))); err != nil {
		return err
	}
	clear(u.waiting)
	return nil
}
