package adminapi

import (
	"net/http"
	"sync"
	"time"
)

// quiet is how long nobody has to ask before the API is let go: longer than one takes who goes through it page by page.
const quiet = 10 * time.Second

// An onDemand is a handler that is made when somebody asks, and let go when nobody has asked for a while: it takes a few milliseconds
// to make. A node that issues tokens is seldom administered, and the schemas of this API, in ten thousand objects, would be a third of all
// that the collector looks through meanwhile, several times a second, while tokens wait. It is safe for concurrent use.
type onDemand struct {
	make func() http.Handler

	mu    sync.Mutex
	made  http.Handler // nil when there is none; under mu, like all below
	asked time.Time    // for it, last
}

func (o *onDemand) ServeHTTP(w http.ResponseWriter, r *http.Request) { o.handler().ServeHTTP(w, r) }

func (o *onDemand) handler() http.Handler {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = time.Now()
	if o.made == nil {
		o.made = o.make()
		time.AfterFunc(quiet, o.letGo)
	}
	return o.made
}

// letGo leaves the handler to those whose requests it still answers, or looks again when it may be time.
func (o *onDemand) letGo() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if left := quiet - time.Since(o.asked); left > 0 {
		time.AfterFunc(left, o.letGo)
		return
	}
	o.made = nil
}
