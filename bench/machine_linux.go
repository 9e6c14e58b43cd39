package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cores returns the core that servers are measured on, and those that load comes from. There is no pinning with less than two.
func cores() (server, load []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil || set.Count() < 2 {
		return nil, nil
	}
	for cpu := range 1024 {
		if !set.IsSet(cpu) {
			continue
		}
		if server == nil {
			server = []int{cpu}
		} else {
			load = append(load, cpu)
		}
	}
	return server, load
}

func setOf(cpus []int) *unix.CPUSet {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	return &set
}

// pinSelf keeps this process off the core that is measured. Threads that begin later begin where those before them are.
func pinSelf(cpus []int) error {
	if cpus == nil {
		return nil
	}
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(filepath.Base(thread))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, setOf(cpus)); err != nil && err != unix.ESRCH {
			return fmt.Errorf("pin: %w", err)
		}
	}
	runtime.GOMAXPROCS(len(cpus)) // threads that take turns on a core cost the load time
	return nil
}

// startPinned starts a command that stays on some cores. A child has what the thread has that makes it.
func startPinned(cmd *exec.Cmd, cpus []int) error {
	if cpus == nil {
		return cmd.Start()
	}
	runtime.LockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	if err := unix.SchedSetaffinity(0, setOf(cpus)); err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	err := cmd.Start()
	if back := unix.SchedSetaffinity(0, &before); back != nil {
		return fmt.Errorf("pin: %w", back) // the thread stays locked, and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// cpuTime returns the processor time of a process and all its threads, to the nanosecond: its clock has the number that
// clock_getcpuclockid(3) makes.
func cpuTime(pid int) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|2), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// busyTime returns the processor time that was used on the whole machine.
func busyTime() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	var ticks int64
	for i, field := range strings.Fields(string(line)) {
		if n, err := strconv.ParseInt(field, 10, 64); err == nil && (i < 4 || i == 8) { // not idle, waiting for a disk, or in interrupts, which are mostly the load's
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory returns a line of what /proc says of a process's memory, such as VmRSS, in bytes.
func memory(pid int, line string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), line+":")
	var kilobytes int64
	_, _ = fmt.Sscan(after, &kilobytes) // 0 if it is not there
	return kilobytes << 10
}

// machine returns the processor and the kernel.
func machine() (processor, kernel string) {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, after, _ := strings.Cut(string(text), "model name")
	processor, _, _ = strings.Cut(strings.TrimLeft(after, "\t :"), "\n")
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return processor, "Linux " + strings.TrimSpace(string(release))
}

// A waiter waits for a time more precisely than the runtime's timers, which are up to a millisecond late.
type waiter struct{}

func newWaiter() waiter {
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // else 50 µs late
	return waiter{}
}

func (waiter) close() { runtime.UnlockOSThread() }

func (waiter) until(at time.Time) {
	for left := time.Until(at); left > 0; left = time.Until(at) {
		t := unix.NsecToTimespec(int64(left))
		_ = unix.Nanosleep(&t, nil) // interrupted, it goes round again
	}
}
