package registry

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/writ-auth/writ/internal/store"
)

// An origin says where a change came from. It stands in the detail of the event, beside what was changed.
type origin struct {
	Remote    string `json:"remote,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// did returns an event of the actor's: who did it, when, and from where.
func (a Actor) did(event store.Event, now time.Time) store.Event {
	event.Time, event.Actor = now, a.ID
	if from := detail(origin{a.Remote, a.RequestID}); from != "{}" {
		members := strings.TrimSuffix(strings.TrimPrefix(event.Detail, "{"), "}")
		if members != "" {
			members += ","
		}
		event.Detail = "{" + members + strings.TrimPrefix(from, "{")
	}
	return event
}

// OriginOf returns the address and the ID of the request that an event says it came from; "" where it says nothing, as of what the
// server did by itself.
func OriginOf(event store.Event) (remote, requestID string) {
	var from origin
	_ = json.Unmarshal([]byte(event.Detail), &from) // ours, or empty
	return from.Remote, from.RequestID
}
