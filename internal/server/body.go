package server

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// A budget is the memory that all bodies of a listener take together, in bytes. Without it a few connections with many
// streams of HTTP/2, each with a body that never ends, take as much as they like: the bound on requests being answered does
// not count what has not arrived.
type budget struct{ left atomic.Int64 }

// newBudget has room for as many of the largest bodies as there may be requests being answered, and for four of the listener's own.
func newBudget(limits Limits, largest Size) *budget {
	b := &budget{}
	b.left.Store(max(int64(limits.InFlight)*int64(limits.Body), 4*int64(largest)))
	return b
}

func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

// freeBody is what one body at a time on each connection may take without asking: an honest form is smaller, so that it is
// never refused for what others take. It is one on a connection and not each, because streams are many.
const freeBody = 4 << 10

var errBudget = errors.New("server: the bodies of all requests take too much memory")

// An intake is one body on its way in, and what it has of the budget.
type intake struct {
	budget *budget
	over   *metered // nil in tests without a connection
	free   int64
	taken  int64
}

func newIntake(b *budget, over *metered) intake {
	in := intake{budget: b, over: over}
	if over == nil || over.receiving.CompareAndSwap(false, true) {
		in.free = freeBody
	}
	return in
}

// end gives back what the body had.
func (in *intake) end() {
	in.budget.left.Add(in.taken)
	if in.free > 0 && in.over != nil {
		in.over.receiving.Store(false)
	}
}

// grow pays for a buffer of a size. The first payment covers freeBody at least: a stream costs that much even if nothing arrives.
func (in *intake) grow(size int) error {
	n := max(int64(size), freeBody) - in.free - in.taken
	if n <= 0 {
		return nil
	}
	if !in.budget.take(n) {
		return errBudget
	}
	in.taken += n
	return nil
}

// read reads a body, and pays for it while it arrives. announced is its size, -1 if that is not known.
func (in *intake) read(body io.Reader, announced int64, limit Size) ([]byte, error) {
	size := 512
	if announced >= 0 {
		size = int(min(announced+1, freeBody)) // and not more, however much is announced: it may never come
	}
	var data []byte
	for {
		if err := in.grow(size); err != nil {
			return nil, err
		}
		data = append(make([]byte, 0, size), data...)
		for len(data) < size {
			n, err := body.Read(data[len(data):size])
			data = data[:len(data)+n]
			if errors.Is(err, io.EOF) {
				return data, nil
			}
			if err != nil {
				return data, err
			}
		}
		size = min(2*size, int(limit)+1) // one more than there can be, to see the end
	}
}

// receive takes in the whole body before the request counts as being answered, so that callers who send a byte a second
// hold a connection and some of the budget and nothing else. Whether a body is too large, or never came, a handler finds out
// when it reads, in its own order of checks. Only what no handler could use is refused here, and not read at all: a body
// where none belongs, and one that there is no memory for, which refused hears of. takes says which requests may have one.
func receive(limit Size, budget *budget, takes func(*http.Request) bool, refused func()) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
				next.ServeHTTP(w, r)
				return
			}
			sent := r.Body
			defer func() { r.Body = sent }() // net/http looks at it when it answers, and is to find its own
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				leaveUnread(w, r) // nobody sends one, except to smuggle a second request in it (RFC 9110, 9.3.1)
				refuse(w, http.StatusBadRequest, "invalid_request", "a request with this method has no body")
				return
			}
			if !takes(r) {
				leaveUnread(w, r)
				r.Body = &received{err: errUnread, rest: r.Body}
				next.ServeHTTP(w, r) // which answers 404 or 405
				return
			}
			in := newIntake(budget, meterOf(r))
			defer in.end()
			body := takeIn(w, r, &in, limit)
			if errors.Is(body.err, errBudget) {
				refused()
				leaveUnread(w, r)
				w.Header().Set("Retry-After", "1")
				refuse(w, http.StatusServiceUnavailable, "temporarily_unavailable", "too many requests at once; try again")
				return
			}
			r.Body = body
			next.ServeHTTP(w, r)
		})
	}
}

var errUnread = errors.New("server: the body of a request that has none was not read")

// linger is how long net/http may go on discarding a body that is not read, so that its sender gets to see the answer.
const linger = time.Second

// leaveUnread ends a connection of HTTP/1 with the answer: what stands behind the header is not read. A stream of HTTP/2 ends
// by itself, and its connection goes on.
func leaveUnread(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 {
		return
	}
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(linger)) // in tests without a connection there is none
}

// takeIn reads the body of a request, as far as it may be read.
func takeIn(w http.ResponseWriter, r *http.Request, in *intake, limit Size) *received {
	if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
		// Behind the end of the chunks may stand what a proxy, going by a Content-Length that net/http has dropped, took
		// for a part of this request: it must not become the next one (RFC 9112, 6.1).
		w.Header().Set("Connection", "close")
	}
	body := &received{rest: r.Body}
	if r.ContentLength > int64(limit) {
		body.err = &http.MaxBytesError{Limit: int64(limit)}
	} else {
		var data []byte
		rest := io.Reader(r.Body)
		if r.ContentLength < 0 { // else net/http reads no further than what was announced
			rest = http.MaxBytesReader(w, r.Body, int64(limit))
		}
		data, body.err = in.read(rest, r.ContentLength, limit)
		body.data.Reset(data)
	}
	switch {
	case body.err == nil:
		_ = r.Body.Close() // net/http need not look for what is left; nothing is
	case !errors.Is(body.err, errBudget):
		w.Header().Set("Connection", "close")
	}
	return body
}

// received is a body that is here already, and the error that its end was, if it was one.
type received struct {
	data bytes.Reader
	err  error
	rest io.Closer
}

func (b *received) Read(into []byte) (int, error) {
	if n, err := b.data.Read(into); n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	if b.err != nil {
		return 0, b.err
	}
	return 0, io.EOF
}

func (b *received) Close() error { return b.rest.Close() }
