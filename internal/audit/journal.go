package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A storage keeps lines. Only the journal's one committer calls it.
type storage interface {
	// commit makes lines durable behind those before, or returns an error and keeps none of them.
	commit(lines []byte) error
	// last returns the place of the last durable line.
	last() place
	// free returns the space that is left in bytes, and false if that cannot be told.
	free() (uint64, bool)
	// blocks reports whether a thread waits for each commit.
	blocks() bool
	close() error
}

// Bounds on what waits for a disk that is slow: above them Record fails at once.
const (
	maxPendingEvents = 16384
	maxPendingBytes  = 8 << 20
)

// keptBytes is the size up to which a buffer is kept for the next batch.
const keptBytes = 1 << 20

// retryFloor is the least time between two attempts to write after one that failed; Record fails at once in between.
const retryFloor = 50 * time.Millisecond

// groupInterval is the least time from one group of several events to the next. A disk that answers at once would be asked several
// thousand times a second: that costs the processor more than it gains the callers, and disks that are paid by the operation
// stand still when they have had enough. Where events come one at a time, each is written at once. In a ring a group costs a
// third less, and callers who are few would wait for the interval more than for anything else.
const (
	groupInterval = time.Millisecond
	ringInterval  = 300 * time.Microsecond
)

// probeAfter is when the journal tries again by itself.
const probeAfter = time.Second

// A Journal is an append-only list of events. It is safe for concurrent use: the events of callers who wait at the same
// time share one fsync. Close it.
type Journal struct {
	options Options
	storage storage
	ringed  bool          // when it was opened
	wake    chan struct{} // holds one: pending has something, or the state changed
	closing chan struct{}
	stopped chan struct{} // closed when the committer is gone

	mu       sync.Mutex
	pending  *batch // what the committer takes next; nil when there is nothing
	spare    []byte // the buffer of an earlier batch
	isClosed bool
	failure  error     // why the last attempt to write failed; nil when it did not
	hung     bool      // the disk has not answered within the timeout, and still has not
	retryAt  time.Time // no attempt before
	outage   outage
	refusals refusals
	repeats  repeats
	asked    []chan<- signed // for a checkpoint
	history  History         // what the next checkpoint says of it

	// The committer's alone:
	name       string  // of the journal, in its checkpoints; "" without a Signer
	signed     signed  // the last checkpoint
	last       link    // of the last line that is durable
	notes      []Event // written before anything else
	out        []byte
	spaceCheck time.Time
	next       time.Time // no group is written before
}

// A batch is written and fsynced as one.
type batch struct {
	events   []byte // encoded, one after the other
	ends     []int  // of each in events
	records  int    // how many are recorded events, not refusals
	refused  []Event
	repeated []Event
	timeout  *time.Timer

	finished bool          // the journal's mutex guards it
	done     chan struct{} // closed when err is set
	err      error
}

// finish tells the callers how it went, the first time it is called. The journal's mutex is held.
func (b *batch) finish(err error) {
	if !b.finished {
		b.finished = true
		b.timeout.Stop()
		b.err = err
		close(b.done)
	}
}

// An outage is what the journal has to say about itself once it can write again.
type outage struct {
	cause error
	lost  int64 // recorded events that were refused
}

// Open opens the journal in a directory, which it makes if need be (mode 0700, files 0600). An incomplete last line, as a
// crash leaves it, is set aside in a file of its own, and an event says so. Only one journal can be open on a directory.
func Open(dir string, options Options) (*Journal, error) {
	options = options.withDefaults()
	storage, state, err := openDirectory(dir, options.MaxFileBytes)
	if err != nil {
		return nil, fmt.Errorf("audit: open %s: %w", dir, err)
	}
	j, err := prepare(dir, storage, state, options)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("audit: open %s: %w", dir, err), storage.close())
	}
	go j.run()
	return j, nil
}

// start runs a journal behind the lines that the storage has, without checkpoints.
func start(storage storage, state found, options Options) *Journal {
	j := newJournal(storage, state, options)
	go j.run()
	return j
}

func newJournal(storage storage, state found, options Options) *Journal {
	return &Journal{
		options: options, storage: storage, last: state.last, notes: state.notes,
		wake: make(chan struct{}, 1), closing: make(chan struct{}), stopped: make(chan struct{}),
		refusals: newRefusals(options), repeats: repeats{},
	}
}

// Record writes an event and returns when it is durable. An error, which is ErrUnavailable or that of a context that had ended
// before, means that the event may be missing: nothing that it tells of may leave. It never takes much longer than
// Options.Timeout; a context that ends meanwhile does not hasten it, as the event is on its way and cannot be called back.
func (j *Journal) Record(ctx context.Context, event Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("audit: record: %w", err)
	}
	j.stamp(&event)
	var scratch [768]byte
	b, err := j.add(appendEvent(scratch[:0], &event, maxChecked))
	if err != nil {
		return err
	}
	<-b.done
	return b.err
}

// Refuse notes a request that was refused. It never waits for the disk, and what it writes is bounded: a flood of
// refusals leaves a line per kind and reason with a count.
func (j *Journal) Refuse(event Event) {
	j.stamp(&event)
	encoded := appendEvent(nil, &event, maxText)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.isClosed {
		return
	}
	if j.failure != nil || j.full() || !j.refusals.oneByOne(event.Time, len(encoded)) {
		j.refusals.count(event)
		return
	}
	b := j.batch()
	b.append(encoded)
	b.refused = append(b.refused, event)
}

// Err returns why the journal cannot be written at the moment, or nil. For a readiness check.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failure
}

// Blocks reports whether a thread waits in the system for each group of events; else a goroutine does, which costs no processor.
func (j *Journal) Blocks() bool { return j.storage.blocks() }

// HasRing reports whether the journal was opened with a ring, in which a group of events is durable in one write.
func (j *Journal) HasRing() bool { return j.ringed }

// Close writes what waits, counted refusals included, and closes the files. Record fails from then on.
func (j *Journal) Close() error {
	j.mu.Lock()
	if !j.isClosed {
		j.isClosed = true
		close(j.closing)
	}
	j.mu.Unlock()
	select {
	case <-j.stopped:
		return nil
	case <-time.After(j.options.Timeout):
		return fmt.Errorf("%w: it does not close", ErrUnavailable)
	}
}

func (j *Journal) stamp(event *Event) {
	if event.Time.IsZero() {
		event.Time = j.options.Now()
	}
}

// add puts a recorded event into the batch that is written next.
func (j *Journal) add(encoded []byte) (*batch, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.isClosed:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, os.ErrClosed)
	case j.failure != nil && (j.hung || time.Now().Before(j.retryAt)):
		j.outage.lost++
		return nil, j.failure
	case j.full():
		j.outage.lost++
		return nil, fmt.Errorf("%w: too many events wait for the disk", ErrUnavailable)
	}
	b := j.batch()
	b.append(encoded)
	b.records++
	return b, nil
}

func (b *batch) append(encoded []byte) {
	b.events = append(b.events, encoded...)
	b.ends = append(b.ends, len(b.events))
}

func (j *Journal) full() bool {
	return j.pending != nil && (len(j.pending.ends) >= maxPendingEvents || len(j.pending.events) >= maxPendingBytes)
}

// batch returns the batch that is being filled. j.mu is held.
func (j *Journal) batch() *batch {
	if j.pending == nil {
		b := &batch{done: make(chan struct{}), events: j.spare[:0]}
		j.spare = nil
		b.timeout = time.AfterFunc(j.options.Timeout, func() { j.stalled(b) })
		j.pending = b
		select {
		case j.wake <- struct{}{}:
		default:
		}
	}
	return j.pending
}

// stalled gives up on a batch that a hanging disk holds, so that its callers can answer 503 (SECURITY, drill R05). Its
// events may still be written later: an event without a token does no harm, a token without an event would.
func (j *Journal) stalled(b *batch) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if b.finished {
		return
	}
	j.failure, j.hung = fmt.Errorf("%w: the disk does not answer", ErrUnavailable), true
	j.outage.cause = j.failure
	b.finish(j.failure)
}

// run is the committer: while it waits for one fsync, the next batch gathers.
func (j *Journal) run() {
	defer close(j.stopped)
	defer func() { _ = j.storage.close() }() // every line in it is durable already
	ticker := time.NewTicker(j.options.RefusalInterval)
	defer ticker.Stop()
	for {
		select {
		case <-j.wake:
			time.Sleep(time.Until(j.next)) // not at all when that is over
		case <-ticker.C:
			j.sum(false)
		case <-j.closing:
			j.sum(true)
			j.commit()
			j.checkpoint(true)
			return
		}
		j.commit()
		j.checkpoint(false)
	}
}

// sum puts what was counted into the next batch, unless the space left is for recorded events.
func (j *Journal) sum(always bool) {
	j.checkSpace()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.refusals.low && !always {
		return
	}
	for _, event := range j.refusals.take(j.options.Now()) {
		b := j.batch()
		b.append(appendEvent(nil, &event, maxText))
		b.refused = append(b.refused, event)
	}
	j.sumRepeats()
}

// checkSpace looks at the free space, once a second at most.
func (j *Journal) checkSpace() {
	if time.Since(j.spaceCheck) < time.Second {
		return
	}
	j.spaceCheck = time.Now()
	free, known := j.storage.free()
	j.mu.Lock()
	j.refusals.low = known && free < j.options.Reserve
	j.mu.Unlock()
}

// commit writes the batch that has gathered.
func (j *Journal) commit() {
	j.checkSpace()
	j.mu.Lock()
	b, told := j.pending, j.outage
	j.pending = nil
	j.mu.Unlock()
	if b == nil {
		return
	}
	notes := j.notes
	if told.cause != nil {
		note := Event{Kind: KindRecovered, Reason: reason(told.cause), Count: told.lost}
		notes = append(slices.Clip(notes), note)
	}
	lines, last := j.lines(notes, b)
	var err error
	began := time.Now()
	if j.next = began; len(b.ends) > 1 {
		j.next = began.Add(j.interval())
	}
	if len(lines) > 0 {
		err = j.storage.commit(lines)
	}
	took := time.Since(began)
	if err == nil {
		j.last, j.notes = last, nil
	}
	seen := Commit{Events: len(notes) + len(b.ends), Counted: b.counted(), Took: took, Err: err}
	j.settle(b, told, err)
	if j.options.Observe != nil && len(lines) > 0 {
		j.options.Observe(seen)
	}
}

// interval is the least time from one group to the next.
func (j *Journal) interval() time.Duration {
	if j.ringed {
		return ringInterval
	}
	return groupInterval
}

// counted returns how many refusals the events stand for that have a number in them.
func (b *batch) counted() (n int64) {
	for _, event := range b.refused {
		n += event.Count
	}
	return n
}

// lines returns notes and batch as chained lines, and the link of the last one.
func (j *Journal) lines(notes []Event, b *batch) ([]byte, link) {
	out, before, from := j.out[:0], j.last, 0
	for _, note := range notes {
		j.stamp(&note)
		out, before = chain(out, before, appendEvent(nil, &note, maxText))
	}
	for _, end := range b.ends {
		out, before = chain(out, before, b.events[from:end])
		from = end
	}
	if cap(out) <= keptBytes {
		j.out = out
	}
	return out, before
}

func chain(out []byte, before link, event []byte) ([]byte, link) {
	from := len(out)
	out = appendLine(out, before, event)
	before = sha256.Sum256(out[from:])
	return append(out, '\n'), before
}

// settle remembers how an attempt to write ended, and tells the callers. Refusals that were not written are counted again.
func (j *Journal) settle(b *batch, told outage, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.hung = false
	if cap(b.events) <= keptBytes {
		j.spare = b.events
	}
	if err == nil {
		j.failure = nil
		j.outage.lost -= told.lost
		if j.outage.lost == 0 {
			j.outage.cause = nil
		}
		b.finish(nil)
		return
	}
	j.failed(err)
	j.outage.lost += int64(b.records)
	for _, event := range b.refused {
		j.refusals.count(event)
	}
	for _, event := range b.repeated {
		j.repeats.add(&event)
	}
	b.finish(j.failure)
}

// failed notes that an attempt to write failed, and when the next may be. The journal's mutex is held.
func (j *Journal) failed(err error) {
	j.failure = fmt.Errorf("%w: %w", ErrUnavailable, err)
	j.outage.cause = j.failure
	j.retryAt = time.Now().Add(retryFloor)
	time.AfterFunc(probeAfter, j.probe)
}

// probe tries to write again without being asked: a server that is taken out of service because its journal fails gets no
// request that would show that the disk is back.
func (j *Journal) probe() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failure != nil && !j.isClosed && !time.Now().Before(j.retryAt) {
		j.batch()
	}
}

// Flush writes what was counted of repeats until now, unless the space left is for recorded events, and returns when everything
// that came before is durable.
func (j *Journal) Flush(ctx context.Context) error {
	j.mu.Lock()
	if j.isClosed {
		j.mu.Unlock()
		return fmt.Errorf("%w: %w", ErrUnavailable, os.ErrClosed)
	}
	if !j.refusals.low {
		j.sumRepeats()
	}
	b := j.batch()
	j.mu.Unlock()
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reason returns the text of the innermost error: without our own words around it and without a path.
func reason(err error) string {
	var number syscall.Errno
	var path *os.PathError
	switch {
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return err.Error()
}
