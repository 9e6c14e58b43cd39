package server

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/writ-auth/writ/internal/adminapi"
	"github.com/writ-auth/writ/internal/authority"
	"github.com/writ-auth/writ/internal/registry"
)

// A front is what stands between a listener and a handler.
type front struct {
	proxies  proxies
	chains   []netip.Prefix // who may pass client certificates on
	limits   Limits
	logger   *slog.Logger
	panics   *atomic.Int64
	draining *atomic.Bool
	forms    func(*http.Request) bool // which requests may have a body
	traffic  *traffic                 // counts the requests; nil in tests
	full     *decisionMetrics         // counts those that there was no room for; nil in tests
	pace     *pace                    // of addresses; nil: without limit
	tracing  *tracing                 // nil: nothing is traced
	spans    map[string]string        // what the span of a request to a path is called
	// overloaded tells of a request whether it would be answered too late; nil: none is
	overloaded func(*http.Request) bool
}

// maxAdminBody bounds a request to the admin API (SECURITY, section 5).
const maxAdminBody = adminapi.MaxDeclaredBody

// public is the order of things on the listeners of the OAuth endpoints. A request has a name before anything can be logged about it, and
// is refused as early as can be told; it counts as being answered only when all of it is here.
func (f front) public(handler http.Handler) http.Handler {
	return chain(handler,
		unwatched, meter(f.limits.Body), identify(f.proxies, f.logger), logAccess(f.logger, f.draining, f.traffic), f.tracing.requests(f.spans), recoverPanics(f.logger, f.panics), hsts,
		shed(f.overloaded, f.overflow(causeSignatures)), admit(f.proxies), limitAddresses(f.proxies, f.pace, f.full.limited(limitAddress)), boundHeader, stripCertificates(f.chains), plainPaths(""), receive(f.limits.Body, newBudget(f.limits, f.limits.Body), f.forms, f.full.full(causeBodies)),
		bound(f.limits.InFlight, f.overflow(causeInFlight)))
}

// admin is the same for the admin listener, which no proxy stands in front of.
func (f front) admin(handler http.Handler) http.Handler {
	return chain(handler,
		meter(maxAdminBody), identify(proxies{}, f.logger), logAccess(f.logger, f.draining, f.traffic), f.tracing.requests(f.spans), recoverPanics(f.logger, f.panics), hsts,
		boundHeader, stripCertificates(nil), plainPaths(adminapi.Prefix+"/"), receive(maxAdminBody, newBudget(f.limits, maxAdminBody), inAdminAPI, f.full.full(causeBodies)),
		bound(f.limits.InFlight, f.overflow(causeInFlight)))
}

// inAdminAPI tells the only requests on the admin listener that may have a body.
func inAdminAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, adminapi.Prefix+"/") }

// bodies tells the requests on the public listener that may have a body: forms, and what a client says that registers itself.
func (c Config) bodies(issuer string) func(*http.Request) bool {
	forms, register := formsOf(issuer), pathOf(issuer)+registry.PathRegister
	if !c.Registration.Enabled {
		return forms
	}
	return func(r *http.Request) bool {
		return forms(r) || r.Method == http.MethodPost && r.URL.Path == register ||
			r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, register+"/")
	}
}

// formsOf tells the requests on a listener that may have a body: forms to the endpoints behind a URL that take one.
func formsOf(endpoints string) func(*http.Request) bool {
	base := ""
	if u, err := url.Parse(endpoints); err == nil {
		base = u.Path
	}
	paths := []string{base + authority.PathToken, base + authority.PathIntrospect, base + authority.PathRevoke, base + authority.PathSecret}
	return func(r *http.Request) bool { return r.Method == http.MethodPost && slices.Contains(paths, r.URL.Path) }
}
