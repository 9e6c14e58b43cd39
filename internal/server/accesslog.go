package server

import (
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// How lines about requests wait to be written together: not at all when the log was quiet for a moment, and else until there
// are so many bytes, or for so long. Who watches a log sees each line at once; under load a write a line would cost as much
// as a tenth of a signature.
const (
	logQuiet  = 10 * time.Millisecond
	logDelay  = 50 * time.Millisecond
	logLength = 16 << 10
)

// logLines is where a log goes. Lines about requests may wait for each other, and leave before any other line does: nothing
// overtakes them. It is safe for concurrent use.
type logLines struct {
	w io.Writer

	mu      sync.Mutex
	waiting []byte      // whole lines; under mu, like all below
	written time.Time   // when something was written last
	flush   *time.Timer // writes what waits; nil before there was anything
	armed   bool
}

// Write implements io.Writer for what is no line about a request.
func (l *logLines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave()
	return l.w.Write(line)
}

// leave writes what waits. The caller has mu.
func (l *logLines) leave() {
	if len(l.waiting) > 0 {
		_, _ = l.w.Write(l.waiting) // a log that cannot be written has nowhere to say so
		l.waiting = l.waiting[:0]
	}
}

// request adds the line about a request: the same as slog's JSON handler writes, by hand because it is one for each token.
func (l *logLines) request(id string, r *http.Request, rec *recorder, at time.Time, took time.Duration) {
	method, path, remote, protocol, agent := scrub(r.Method, maxLogged), scrub(r.URL.Path, maxLogged), scrub(r.RemoteAddr, maxLogged), scrub(r.Proto, maxLogged), scrub(agentOf(r), maxLogged)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := append(l.waiting, `{"time":"`...)
	b = at.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"INFO","msg":"request","request_id":"`...)
	b = append(b, id...) // of our own making
	b = appendLogged(append(b, `","method":`...), method)
	b = appendLogged(append(b, `,"path":`...), path)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(rec.status), 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), rec.written, 10)
	b = strconv.AppendInt(append(b, `,"micros":`...), took.Microseconds(), 10)
	b = appendLogged(append(b, `,"remote":`...), remote)
	b = appendLogged(append(b, `,"protocol":`...), protocol)
	b = appendLogged(append(b, `,"user_agent":`...), agent)
	l.waiting = append(b, '}', '\n')
	switch {
	case at.Sub(l.written) >= logQuiet || len(l.waiting) >= logLength:
		l.leave()
		l.written = at
	case !l.armed:
		l.arm()
	}
}

// agentOf is r.UserAgent without spelling its name anew.
func agentOf(r *http.Request) string {
	if values := r.Header["User-Agent"]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// arm sees to it that what waits does not wait for long. The caller has mu.
func (l *logLines) arm() {
	l.armed = true
	if l.flush != nil {
		l.flush.Reset(logDelay)
		return
	}
	l.flush = time.AfterFunc(logDelay, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.armed = false
		l.leave()
	})
}

// appendLogged appends a JSON string.
func appendLogged(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text) // the error is of bytes that are not UTF-8, which scrub has replaced
	return b
}

// linesOf returns where a logger writes JSON, or nil if it writes anything else, or adds to each line.
func linesOf(logger *slog.Logger) *logLines {
	if handler, ours := logger.Handler().(scrubbing); ours {
		return handler.lines
	}
	return nil
}
