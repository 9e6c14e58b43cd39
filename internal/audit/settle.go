package audit

import "errors"

// settleBytes is how much the ring keeps before its lines are made durable in their file.
const settleBytes = ringBytes / 4

// A settling is an fsync for which no caller waits.
type settling struct {
	lines int        // bytes of unsettled that it covers
	held  int64      // of the ring
	done  chan error // holds one
}

// keep makes lines durable that were written to the file.
func (d *directory) keep(lines []byte) error {
	if d.ring == nil {
		return d.settle()
	}
	err := d.ring.write(d.number, d.size, lines)
	if errors.Is(err, errPassed) {
		return d.settle()
	}
	if err != nil {
		err = errors.Join(err, d.ring.close())
		d.ring = nil // what it has is read after a power failure, but nothing is written over it
		return err
	}
	d.unsettled = append(d.unsettled, lines...)
	if d.settling == nil && d.ring.held >= settleBytes {
		s := &settling{lines: len(d.unsettled), held: d.ring.held, done: make(chan error, 1)}
		go func(f file) { s.done <- f.Sync() }(d.file)
		d.settling = s
	}
	return nil
}

// settle makes all of the file durable.
func (d *directory) settle() error {
	if err := d.await(); err != nil {
		return err
	}
	if err := d.file.Sync(); err != nil {
		d.dropped = true
		return err
	}
	d.forget()
	return nil
}

// forget says that all of the file is durable.
func (d *directory) forget() {
	d.unsettled, d.dropped = d.unsettled[:0], false
	if d.ring != nil {
		d.ring.release(d.ring.held)
	}
}

// await waits for the fsync that was begun.
func (d *directory) await() error {
	if d.settling == nil {
		return nil
	}
	return d.settled(<-d.settling.done)
}

// look takes note of what came of the fsync that was begun, if it is over.
func (d *directory) look() error {
	if d.settling == nil {
		return nil
	}
	select {
	case err := <-d.settling.done:
		return d.settled(err)
	default:
		return nil
	}
}

// settled has the ring give up what an fsync made durable.
func (d *directory) settled(err error) error {
	s := d.settling
	d.settling = nil
	if err != nil {
		d.dropped = true
		return err
	}
	d.unsettled = append(d.unsettled[:0], d.unsettled[s.lines:]...)
	if d.ring != nil {
		d.ring.release(s.held)
	}
	return nil
}
