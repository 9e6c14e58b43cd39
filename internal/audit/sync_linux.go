package audit

import (
	"errors"
	"os"
	"time"
)

// A syncer makes files durable while no thread waits. A thread that waits in fsync(2) takes a processor of the runtime with it
// until the runtime notices, and what it then starts to make up for that costs more than the fsync: on one core a fifth of all
// tokens, several hundred times a second. One goroutine may use it at a time.
type syncer struct{ *kernel }

// newSyncer returns what makes files like this one durable, or nil where that is not allowed.
func newSyncer(like *os.File) *syncer {
	k := newKernel()
	if k == nil {
		return nil
	}
	k.patience = time.Second
	s := &syncer{k}
	if err := s.ask(like); err != nil { // not sync, which does without the kernel's help where there is none
		_ = s.close() // what it says is less than what ask said
		return nil
	}
	k.patience = patience
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
		if answered, _, err := s.collect(); err != nil {
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

func (s *syncer) ask(f *os.File) error {
	s.block.operation, s.block.file = opFsync, uint32(f.Fd())
	_, err := s.kernel.ask()
	return err
}

func (s *syncer) close() error {
	if s == nil {
		return nil
	}
	return s.kernel.close()
}
