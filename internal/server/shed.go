package server

import (
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/writ-auth/writ/internal/authority"
)

// overflowTold is how often the log says that requests are refused for want of room.
const overflowTold = 10 * time.Second

// An overflow answers requests that there is no room for: 503, and when to come again. A node that has too much to do does it more
// often than anything else, so it costs little: the log has a warning now and then, and no error for each.
type overflow struct {
	logger  *slog.Logger
	cause   string
	counted func()
	refused atomic.Int64 // since the log was told
	telling atomic.Bool  // the log was told less than overflowTold ago
}

func (f front) overflow(cause string) *overflow {
	return &overflow{logger: f.logger, cause: cause, counted: f.full.full(cause)}
}

// refuse answers one request.
func (o *overflow) refuse(w http.ResponseWriter) {
	o.counted()
	o.shed(w)
	w.Header()["Retry-After"] = oneSecond
	refuse(w, http.StatusServiceUnavailable, "temporarily_unavailable", "too many requests at once; try again")
}

// shed has an answer be one of many in the log.
func (o *overflow) shed(w http.ResponseWriter) {
	if rec, is := w.(*recorder); is {
		rec.shed = true
	}
	o.refused.Add(1)
	if o.telling.CompareAndSwap(false, true) {
		o.tell()
	}
}

// tell tells the log at once of the first, and of all that follow when they are over, or every overflowTold.
func (o *overflow) tell() {
	if n := o.refused.Swap(0); n > 0 {
		o.logger.Warn("requests are refused with 503: there are more than can be answered", "cause", o.cause, "refused", n)
		time.AfterFunc(overflowTold, o.tell)
		return
	}
	o.telling.Store(false)
	if o.refused.Load() > 0 && o.telling.CompareAndSwap(false, true) { // refused in between
		o.tell()
	}
}

// oneSecond is a header's value that nobody changes.
var oneSecond = []string{"1"}

// shed refuses requests that would be answered too late, before anything else of them is looked at: what it costs to refuse a flood
// is taken from those who are answered.
func shed(overloaded func(*http.Request) bool, o *overflow) middleware {
	return func(next http.Handler) http.Handler {
		if overloaded == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if overloaded(r) {
				o.refuse(w)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// bound answers at most n requests at once. The others are told so at once instead of waiting: a queue without an end only
// makes everyone late.
func bound(n int, o *overflow) middleware {
	slots := make(chan struct{}, n)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				next.ServeHTTP(w, r)
			default:
				o.refuse(w)
			}
		})
	}
}

// forTokens tells which requests to the endpoints behind a URL would be answered too late while there is too much to sign: those
// for tokens.
func forTokens(base string, overloaded func() bool) func(*http.Request) bool {
	path := pathOf(base) + authority.PathToken
	return func(r *http.Request) bool { return overloaded() && r.URL.Path == path }
}
