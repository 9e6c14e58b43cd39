package server

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A middleware wraps the handler of a listener.
type middleware func(http.Handler) http.Handler

// chain puts the first middleware outermost.
func chain(handler http.Handler, middlewares ...middleware) http.Handler {
	for _, wrap := range slices.Backward(middlewares) {
		handler = wrap(handler)
	}
	return handler
}

// RequestID returns what a request is called in the log, in the journal and in the X-Request-Id of its answer. It is for what is behind
// identify: anywhere else it would be what the caller likes to be called.
func RequestID(r *http.Request) string {
	if id := r.Header[headerRequestID]; len(id) > 0 {
		return id[0]
	}
	return ""
}

const headerRequestID = "X-Request-Id"

// identify gives each request an ID of our own making, 128 random bits: one that the caller chose could repeat another's,
// or carry a line break into the log. Whatever the caller sent under the name is replaced. RemoteAddr becomes the address of
// the client that the request came from, for everything behind. Both stand in the request itself: a context for them would be a copy
// of the request. Where a proxy does not say who the client is, a warning is logged once: all its callers then share one address, and
// one of them who guesses secrets makes the throttle slow down all.
func identify(p proxies, logger *slog.Logger) middleware {
	var unnamed sync.Once
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var random [16]byte
			rand.Read(random[:]) // never fails (crypto/rand)
			var text [22]byte
			base64.RawURLEncoding.Encode(text[:], random[:])
			id, over := []string{string(text[:])}, meterOf(r)
			peer := peerOf(r, over)
			client := p.clientOf(peer, r)
			if p.trusts(client) {
				unnamed.Do(func() {
					logger.Warn("a trusted proxy names no caller in X-Forwarded-For: all its callers count as one", "proxy", peer.String(), "request_id", id[0])
				})
			}
			r.Header[headerRequestID], w.Header()[headerRequestID] = id, id
			if client.IsValid() {
				r.RemoteAddr = over.text(client)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// recorder remembers what was answered, and tells clients to take another connection while the server is stopping, or while
// somebody waits for theirs: a client that is told loses no request to it. It hands on what http.ResponseController asks for.
type recorder struct {
	http.ResponseWriter
	draining *atomic.Bool
	over     *metered
	shed     bool // it is refused for want of room, as are many others
	status   int
	written  int64
}

// WriteHeader looks at the last moment whether the server is stopping: the request may have begun long before.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
		if r.draining.Load() || r.over.crowded() {
			r.Header().Set("Connection", "close")
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	n, err := r.ResponseWriter.Write(data)
	r.written += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// logAccess counts each request and writes a line about it: never the query string, the body or a header that can hold a
// credential.
func logAccess(logger *slog.Logger, draining *atomic.Bool, count *traffic) middleware {
	lines := linesOf(logger)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			start := time.Now()
			count.begin()
			rec := &recorder{ResponseWriter: w, draining: draining, over: meterOf(r)}
			defer func() { // also when the connection is torn down by a panic
				took := time.Since(start)
				count.end(r, rec.status, took)
				level := slog.LevelInfo
				if rec.status >= http.StatusInternalServerError && !rec.shed {
					level = slog.LevelError
				}
				switch {
				case !logger.Enabled(r.Context(), level):
				case lines != nil && level == slog.LevelInfo:
					lines.request(RequestID(r), r, rec, start.Add(took), took)
				default:
					logRequest(logger, level, r, rec, took)
				}
			}()
			next.ServeHTTP(rec, r)
			if rec.status == 0 {
				rec.WriteHeader(http.StatusOK) // as net/http does for a handler that wrote nothing
			}
		})
	}
}

// logRequest writes the line that logLines.request writes, to any logger.
func logRequest(logger *slog.Logger, level slog.Level, r *http.Request, rec *recorder, took time.Duration) {
	logger.LogAttrs(r.Context(), level, "request",
		slog.String("request_id", RequestID(r)), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", rec.status), slog.Int64("bytes", rec.written), slog.Int64("micros", took.Microseconds()),
		slog.String("remote", r.RemoteAddr), slog.String("protocol", r.Proto), slog.String("user_agent", r.UserAgent()))
}

// recoverPanics turns a panic into a generic 500 and a line in the log. The line has the stack, where Go prints no contents
// of strings, and the text of errors of the runtime; of anything else only the type, because a panic may hold what the caller sent.
func recoverPanics(logger *slog.Logger, panics *atomic.Int64) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				reason := recover()
				if reason == nil {
					return
				}
				panics.Add(1)
				logger.LogAttrs(r.Context(), slog.LevelError, "panic",
					slog.String("request_id", RequestID(r)), slog.String("reason", panicText(reason)), slog.String(keyStack, string(debug.Stack())))
				if rec, ok := w.(*recorder); ok && rec.status != 0 {
					panic(http.ErrAbortHandler) // half an answer is out: the connection must not look as if it were all
				}
				refuse(w, http.StatusInternalServerError, "server_error", "something went wrong here; the log has it")
			}()
			next.ServeHTTP(w, r)
		})
	}
}

func panicText(reason any) string {
	if err, ok := reason.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a value of type %T", reason)
}

// admit refuses peers that may not speak to a listener in clear. Nothing of the request is looked at (T38).
func admit(p proxies) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !p.admits(peerOf(r, meterOf(r)), r) {
				w.Header().Set("Connection", "close")
				refuse(w, http.StatusForbidden, "invalid_request", "this server speaks plain HTTP to its proxy only: use https")
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// hsts tells browsers to stay with TLS (RFC 6797); it may be sent over TLS only.
func hsts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// Bounds on the header of a request, beside its size in all.
const (
	maxHeaderFields = 100
	maxHeaderValue  = 16 << 10
)

// boundHeader refuses what no honest client sends.
func boundHeader(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fields, longest := 0, 0
		for _, values := range r.Header {
			fields += len(values)
			for _, value := range values {
				longest = max(longest, len(value))
			}
		}
		if fields > maxHeaderFields || longest > maxHeaderValue {
			w.Header().Set("Connection", "close")
			refuse(w, http.StatusRequestHeaderFieldsTooLarge, "invalid_request", "the header is too large")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// plainPaths answers 404 to a path that has a second spelling: //token, /../token, /%74oken. http.ServeMux would redirect
// to the first one with 307, and a client that follows sends its credentials again; a proxy's rule may have let the second
// one pass (GW-29). Escapes are for paths behind prefix only, where identifiers stand in them.
func plainPaths(escapesBehind string) middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sent := r.URL.EscapedPath()
			rooted := sent
			if !strings.HasPrefix(sent, "/") {
				rooted = "/" + sent
			}
			clean := path.Clean(rooted)
			if clean != "/" && strings.HasSuffix(sent, "/") {
				clean += "/"
			}
			escapes := strings.Contains(sent, "%") && (escapesBehind == "" || !strings.HasPrefix(sent, escapesBehind))
			if sent != clean || escapes || r.Method == http.MethodConnect {
				refuse(w, http.StatusNotFound, "not_found", "there is nothing here")
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// refuse answers with an OAuth error, with the headers that every answer has (STANDARDS, section 5). code and description are
// constants of ours.
func refuse(w http.ResponseWriter, status int, code, description string) {
	body := `{"error":"` + code + `","error_description":"` + description + `"}`
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	for _, name := range []string{"ETag", "WWW-Authenticate", "Access-Control-Allow-Origin"} {
		header.Del(name) // left by a handler that did not get to its end
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // a caller who has gone away is no error of ours
}
