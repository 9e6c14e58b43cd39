package slowhash

import (
	"runtime"
	"syscall"
	"testing"
)

// TestAside: what is done aside comes behind everything else of the process, and takes nobody else with it.
func TestAside(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	priority := func() int {
		raw, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0) // the system call has 20 less of it
		if err != nil {
			t.Error(err)
		}
		return 20 - raw
	}
	before, during := priority(), 0
	Aside(func() { during = priority() })
	if after := priority(); after != before || during != max(before, asidePriority) {
		t.Errorf("the priority was %d, aside %d, and then %d", before, during, after)
	}
}
