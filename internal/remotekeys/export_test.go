package remotekeys

import (
	"context"
	"net"
)

// Connect connects as a Cache in production does, to an address that was not vetted before.
func Connect(ctx context.Context, address string) (net.Conn, error) {
	return newGuard(Options{}).connect(ctx, "tcp", address)
}

// Remembered returns how many sources there are.
func (c *Cache) Remembered() int {
	c.sources.CleanUp()
	return c.sources.EstimatedSize()
}
