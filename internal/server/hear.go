package server

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

const (
	firstSilence   = 100 * time.Millisecond // before listening is tried again
	longestSilence = 30 * time.Second
)

// hear has what depends on the Generation done as soon as the store tells of a change, until ctx ends. Deaf, the node does it at
// its intervals, and is as right as before.
func (s *Server) hear(ctx context.Context) {
	silence, deaf := firstSilence, false
	for {
		err := s.store.Watch(ctx, func() {
			if deaf {
				s.logger.Info("hears of changes by other nodes at once again")
			}
			silence, deaf = firstSilence, false
			s.changed()
		})
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrUnsupported):
			s.logger.Info("the database cannot tell of changes by other nodes: they count here when it is asked, within a second")
			return
		case !deaf:
			deaf = true
			s.logger.Warn("does not hear of changes by other nodes at once: they count here when the database is asked, within a second", "error", err)
		}
		_ = store.Rest(ctx, silence/2+rand.N(silence)) // not all nodes at once
		silence = min(2*silence, longestSilence)
	}
}

// changed has all loops that can be told do their step now.
func (s *Server) changed() {
	for _, l := range s.loops {
		select {
		case l.soon <- struct{}{}:
		default: // nobody to tell, or told already
		}
	}
}
