package server

import (
	"context"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
)

const day = 24 * time.Hour

// warnings are how long before its end a credential of a client is told of, the shortest first.
var warnings = []time.Duration{day, 7 * day, 30 * day}

// An ending is a credential whose end is near, as it was told.
type ending struct{ clientID, credential string }

// told remembers how short before its end each credential was told of last, so that it is told once for each of the
// warnings, by this process. One goroutine at a time may use it.
type told map[ending]time.Duration

// lookForExpiriesEvery is how often the clients are read for it.
const lookForExpiriesEvery = 30 * time.Minute

// tellExpiring writes a line to the log for each secret and key of a client that comes to its end, if it is time to look again.
func (s *Server) tellExpiring(ctx context.Context) error {
	before, next, now := s.told, told{}, s.now()
	if now.Before(s.toldAt.Add(lookForExpiriesEvery)) {
		return nil
	}
	err := s.registry.Expiring(ctx, store.EachDueAtEase, warnings[len(warnings)-1], func(e registry.Expiry) {
		left := e.Expires.Sub(now)
		key, due := ending{e.ClientID, e.Kind + " " + e.ID}, warnings[len(warnings)-1]
		for _, warning := range warnings {
			if left <= warning {
				due = warning
				break
			}
		}
		next[key] = due
		if last, again := before[key]; again && last <= due {
			return
		}
		attrs := []any{"client", e.ClientID, "kind", e.Kind, "credential", e.ID, "expires", e.Expires, "within_days", int(due / day)}
		if !e.LastUsed.IsZero() {
			attrs = append(attrs, "last_used", e.LastUsed, "last_used_from", e.LastUsedFrom)
		}
		s.logger.Warn("a client's credential expires", attrs...)
	})
	if err != nil {
		for key, due := range before { // of those that were not reached
			if _, reached := next[key]; !reached {
				next[key] = due
			}
		}
	}
	s.told = next // of those that are gone nothing is kept
	if err == nil {
		s.toldAt = now
	}
	return err
}
