package slowhash

import "testing"

// TestAsidePanics: what goes wrong aside ends the request that it is for, and not the process.
func TestAsidePanics(t *testing.T) {
	defer func() {
		if got := recover(); got != "aside" {
			t.Errorf("recovered %v, want what the work panicked with", got)
		}
	}()
	Aside(func() { panic("aside") })
}
