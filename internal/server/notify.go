package server

import (
	"context"

	"github.com/writ-auth/writ/internal/store"
)

// A notifying store tells when a change through it is committed, before Update returns: so that a change counts on this
// node at once, and not only when the next poll finds it. Registry and authority need not know each other for that.
type notifying struct {
	store.Store
	changed func(context.Context) error
}

// Update runs the change and then changed. That the copy could not be brought up to date is no failure of the change: the
// next poll will find it.
func (n notifying) Update(ctx context.Context, change func(store.Store) error) error {
	if err := n.Store.Update(ctx, change); err != nil {
		return err
	}
	_ = n.changed(ctx) // the poll loop logs it if it lasts
	return nil
}
