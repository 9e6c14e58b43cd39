package server

import (
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/writ-auth/writ/internal/adminapi"
)

// A front is what stands between a listener and a handler.
type front struct {
	proxies  proxies
	limits   Limits
	logger   *slog.Logger
	panics   *atomic.Int64
	draining *atomic.Bool
}

// maxAdminBody bounds a request to the admin API (SECURITY, section 5).
const maxAdminBody = 1 << 20

// public is the order of things on the public listener. A request has a name before anything can be logged about it, and
// is refused as early as can be told; it counts as being answered only when all of it is here.
func (f front) public(handler http.Handler) http.Handler {
	return chain(handler,
		meter(f.limits.Body), identify(f.proxies), logAccess(f.logger, f.draining), recoverPanics(f.logger, f.panics), hsts,
		admit(f.proxies), boundHeader, plainPaths(""), receive(f.limits.Body), bound(f.limits.InFlight))
}

// admin is the same for the admin listener, which no proxy stands in front of.
func (f front) admin(handler http.Handler) http.Handler {
	return chain(handler,
		meter(maxAdminBody), identify(proxies{}), logAccess(f.logger, f.draining), recoverPanics(f.logger, f.panics), hsts,
		boundHeader, plainPaths(adminapi.Prefix+"/"), receive(maxAdminBody), bound(f.limits.InFlight))
}
