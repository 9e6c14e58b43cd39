package audit

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What Linux calls these (linux/aio_abi.h).
const (
	opWrite        = 1 // IOCB_CMD_PWRITE
	opFsync        = 2 // IOCB_CMD_FSYNC
	flagResultFile = 1 // IOCB_FLAG_RESFD
)

// A controlBlock is struct iocb: what is asked of the kernel.
type controlBlock struct {
	_          uint64 // what the answer is to be called
	_, _       uint32
	operation  uint16
	_          int16
	file       uint32
	data       uint64 // the address of what is written, which is kept until the kernel answers
	size       uint64
	offset     int64
	_          uint64
	flags      uint32
	resultFile uint32
}

// A completion is struct io_event: what the kernel answers.
type completion struct {
	_, _      uint64
	result, _ int64 // of a write, how many bytes; below 0, an errno
}

// patience is how long the kernel may take before a thread does it too. What the kernel was asked for is done by a thread of its own
// (kworker), one for each processor, and that one starves while the threads of a server that has too much to do wake each other: on
// Linux 6.18 for up to half a second (SECURITY, drills R24 and R25).
const patience = 20 * time.Millisecond

// A kernel is asked for one thing at a time (io_submit) and says when it is done (eventfd), while no thread waits: the goroutine
// waits as one that reads from a connection does. One goroutine may use it at a time.
type kernel struct {
	context  uintptr  // of AIO
	done     *os.File // an eventfd; it may still tell of an answer that was collected already
	block    controlBlock
	asked    *controlBlock
	answer   completion
	waiting  bool // it may still be at what it was asked for last
	patience time.Duration
}

// newKernel returns a kernel, or nil where it, or what confines the process, does not allow it.
func newKernel() *kernel {
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil
	}
	k := &kernel{done: os.NewFile(uintptr(event), "eventfd"), patience: patience}
	if _, _, failed := unix.Syscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&k.context)), 0); failed != 0 { // #nosec G103 -- the kernel writes an integer there
		_ = k.done.Close() // nothing was written
		return nil
	}
	k.block.flags, k.block.resultFile = flagResultFile, uint32(event)
	k.asked = &k.block
	return k
}

// ask has the kernel do what the block says, and waits. An error that is os.ErrDeadlineExceeded says that it is still at it.
func (k *kernel) ask() (result int64, err error) {
	// The kernel may begin at once, and wait for the disk before it returns (a write to a file system that cannot do it later).
	if _, _, failed := unix.Syscall(unix.SYS_IO_SUBMIT, k.context, 1, uintptr(unsafe.Pointer(&k.asked))); failed != 0 { // #nosec G103 -- all of it lives as long as k
		return 0, fmt.Errorf("%w: %w", errNotAsked, failed)
	}
	k.waiting = true
	if err := k.done.SetReadDeadline(time.Now().Add(k.patience)); err != nil {
		return 0, err
	}
	for {
		var count [8]byte
		if _, err := k.done.Read(count[:]); err != nil {
			return 0, err
		}
		if answered, result, err := k.collect(); answered {
			return result, err
		}
	}
}

// collect takes the kernel's answer, if it is there.
func (k *kernel) collect() (answered bool, result int64, err error) {
	n, _, failed := uintptr(0), uintptr(0), unix.EINTR
	for failed == unix.EINTR { // a signal is enough, although nobody waits
		n, _, failed = unix.RawSyscall6(unix.SYS_IO_GETEVENTS, k.context, 0, 1, uintptr(unsafe.Pointer(&k.answer)), 0, 0) // #nosec G103 -- it lives as long as k
	}
	switch {
	case failed != 0:
		return true, 0, failed
	case n == 0:
		return false, 0, nil
	}
	k.waiting = false
	if k.answer.result < 0 {
		return true, 0, unix.Errno(-k.answer.result)
	}
	return true, k.answer.result, nil
}

// close waits until the kernel is done with what it was asked.
func (k *kernel) close() error {
	_, _, failed := unix.Syscall(unix.SYS_IO_DESTROY, k.context, 0, 0)
	k.waiting = false
	err := k.done.Close()
	if failed != 0 {
		return errors.Join(failed, err)
	}
	return err
}
