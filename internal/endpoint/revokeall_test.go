package endpoint_test

import (
	"testing"
	"time"
)

// TestV12AllTokensForAResource: everything issued for it before a moment is dead, whoever has it; what was issued later, and
// for others, is not.
func TestV12AllTokensForAResource(t *testing.T) {
	s := newServer(t)
	jwt := s.token(t, "c-many", resourceA, "read")
	opaque := s.token(t, "c-many", resourceO, "read")
	s.clock.move(time.Second)
	record, err := s.store.Resources().Get(t.Context(), resourceA)
	must(t, err)
	record.NotBefore = s.clock.Now()
	must(t, s.store.Resources().Put(t.Context(), record))
	s.poll(t)
	s.active(t, "rs-a", jwt, false)
	s.active(t, "rs-o", opaque, true)
	s.active(t, "rs-a", s.token(t, "c-many", resourceA, "read"), true)
}
