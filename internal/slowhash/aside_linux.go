package slowhash

import (
	"runtime"
	"syscall"
)

// asidePriority gives what is done aside a tenth of what anything else of the process gets, as long as that has something to do.
// It is not the lowest: the collector cannot do without any of the process' threads for long.
const asidePriority = 10

// Aside does long work on a thread of its own that everything else comes before, and returns when it is done. It panics with
// what work panics with: who called knows whose request that ends, and nobody stands behind a goroutine of its own.
func Aside(work func()) {
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		runtime.LockOSThread()                                          // for good: the thread cannot get its priority back, and ends with this
		_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, asidePriority) // of this thread; without it, all is as it was
		work()
	}()
	<-done
	if panicked != nil {
		panic(panicked)
	}
}
