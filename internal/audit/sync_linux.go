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
	opFsync        = 2 // IOCB_CMD_FSYNC
	flagResultFile = 1 // IOCB_FLAG_RESFD
)

// A control block is struct iocb: what is asked of the kernel.
type controlBlock struct {
	_          uint64 // what the answer is to be called
	_, _       uint32
	operation  uint16
	_          int16
	file       uint32
	_, _, _, _ uint64 // buffer, length, offset
	flags      uint32
	resultFile uint32
}

// A completion is struct io_event: what the kernel answers.
type completion struct {
	_, _      uint64
	result, _ int64 // 0, or an errno below it
}

// patience is how long the kernel may take before a thread does it too. What the kernel was asked for is done by a thread of its own
// (kworker), one for each processor, and that one starves while the threads of a server that has too much to do wake each other: on
// Linux 6.18 for up to half a second (SECURITY, drills R24 and R25).
const patience = 20 * time.Millisecond

// A syncer makes files durable while no thread waits. A thread that waits in fsync(2) takes a processor of the runtime with it
// until the runtime notices, and what it then starts to make up for that costs more than the fsync: on one core a fifth of all
// tokens, several hundred times a second. Here the kernel is asked (io_submit) and says when it is done (eventfd), and the
// goroutine waits as one that reads from a connection does. One goroutine may use it at a time.
type syncer struct {
	kernel   uintptr  // an AIO context
	done     *os.File // an eventfd; it may still tell of an answer that was collected already
	block    controlBlock
	asked    *controlBlock
	answer   completion
	waiting  bool // the kernel may still be at what it was asked for last
	patience time.Duration
}

// newSyncer returns what makes files like this one durable, or nil where the kernel or what confines the process does not allow it.
func newSyncer(like *os.File) *syncer {
	s := &syncer{patience: time.Second}
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil
	}
	s.done = os.NewFile(uintptr(event), "eventfd")
	if _, _, failed := unix.Syscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&s.kernel)), 0); failed != 0 { // #nosec G103 -- the kernel writes an integer there
		_ = s.done.Close() // nothing was written
		return nil
	}
	s.block = controlBlock{operation: opFsync, flags: flagResultFile, resultFile: uint32(event)}
	s.asked = &s.block
	if err := s.ask(like); err != nil { // not sync, which does without the kernel's help where there is none
		_ = s.close() // what it says is less than what ask said
		return nil
	}
	s.patience = patience
	return s
}

// sync is fsync(2) of a file that was opened twice: the kernel tells each of the two of an error once, so that neither what it was
// asked for nor what a thread did instead takes the other's. A syncer that does not work hands over to the system call, and so
// does one whom the kernel does not answer.
func (s *syncer) sync(f, again *os.File) error {
	if s == nil {
		return f.Sync()
	}
	if s.waiting {
		if answered, err := s.collect(); err != nil {
			return err // perhaps of something that was written since
		} else if !answered {
			return f.Sync()
		}
	}
	err := s.ask(again)
	if errors.Is(err, errNotAsked) || errors.Is(err, os.ErrDeadlineExceeded) {
		return f.Sync()
	}
	return err
}

// errNotAsked says that the kernel has not begun.
var errNotAsked = errors.New("audit: the kernel takes no request")

func (s *syncer) ask(f *os.File) error {
	s.block.file = uint32(f.Fd())
	if _, _, failed := unix.RawSyscall(unix.SYS_IO_SUBMIT, s.kernel, 1, uintptr(unsafe.Pointer(&s.asked))); failed != 0 { // #nosec G103 -- both live as long as s
		return fmt.Errorf("%w: %w", errNotAsked, failed)
	}
	s.waiting = true
	if err := s.done.SetReadDeadline(time.Now().Add(s.patience)); err != nil {
		return err
	}
	for {
		var count [8]byte
		if _, err := s.done.Read(count[:]); err != nil {
			return err
		}
		if answered, err := s.collect(); answered {
			return err
		}
	}
}

// collect takes the kernel's answer, if it is there.
func (s *syncer) collect() (answered bool, err error) {
	n, _, failed := unix.RawSyscall6(unix.SYS_IO_GETEVENTS, s.kernel, 0, 1, uintptr(unsafe.Pointer(&s.answer)), 0, 0) // #nosec G103 -- it lives as long as s
	switch {
	case failed != 0:
		return true, failed
	case n == 0:
		return false, nil
	}
	s.waiting = false
	if s.answer.result != 0 {
		return true, unix.Errno(-s.answer.result)
	}
	return true, nil
}

// close waits until the kernel is done with what it was asked.
func (s *syncer) close() error {
	if s == nil {
		return nil
	}
	_, _, failed := unix.Syscall(unix.SYS_IO_DESTROY, s.kernel, 0, 0)
	err := s.done.Close()
	if failed != 0 {
		return errors.Join(failed, err)
	}
	return err
}
