package server

import (
	"context"
	"maps"
	"slices"

	"github.com/writ-auth/writ/internal/store"
)

// maxUsesKept is how many uses are kept in one transaction: others who write wait for no more than these, however many clients
// have asked since the last flush.
const maxUsesKept = 500

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
	for some := range slices.Chunk(slices.Collect(maps.Values(u.waiting)), maxUsesKept) {
		if err := u.keep(ctx, some); err != nil {
			return err
		}
		for _, use := range some {
			delete(u.waiting, [2]string{use.ClientID, use.Credential})
		}
	}
	return nil
}
