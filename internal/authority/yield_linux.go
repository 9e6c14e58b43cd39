package authority

import "syscall"

// yield lets another thread have the core, if one waits for it. The kernel would let this one go on for some milliseconds, a
// signature after the other, while a request that is refused in microseconds waits.
func yield() {
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) // it cannot fail
}
