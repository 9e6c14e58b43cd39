package keyring

import (
	"encoding/json"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// actor is who changes keys when nobody has asked for it: the schedule, or a first key that something else takes.
const actor = "keyring"

// event tells of a change that was written and that nobody has asked for.
func (c change) event(now time.Time) store.Event {
	event := store.Event{Time: now, Actor: actor, Action: "key.dropped", Object: c.drop}
	switch {
	case c.create != nil:
		event.Action, event.Object, event.Detail = "key.created", c.create.ID, detailOf(*c.create)
	case c.put != nil:
		event.Action, event.Object, event.Detail = "key.updated", c.put.ID, detailOf(*c.put)
	}
	return event
}

// detailOf says of a key what is for everybody to read.
func detailOf(key store.SigningKey) string {
	detail, _ := json.Marshal(struct {
		Algorithm string    `json:"algorithm"`
		SignFrom  time.Time `json:"sign_from"`
		SignUntil time.Time `json:"sign_until"`
		DropAt    time.Time `json:"drop_at"`
	}{key.Algorithm, key.SignFrom, key.SignUntil, key.DropAt}) // texts and times of this age: it cannot fail
	return string(detail)
}
