package server

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// FuzzAccessLine holds the line that is written by hand against the one of slog.
func FuzzAccessLine(f *testing.F) {
	f.Add("/token", "curl/7.88.1", "192.0.2.7", 200, int64(514))
	f.Add("/a b\n\x1b[31m\u2028\"\\<>&", "Bearer writ_at_0123456789abcdef", "2001:db8::1", 404, int64(0))
	f.Add("/\xff\xfe", "eyJhbGciOiJFUzI1NiJ9.e30.x Mozilla/5.0 (X11; Linux x86_64)", "", 405, int64(-1))
	f.Add(strings.Repeat("ü", 300), "postgres://user:password@host", "\u202e", 100, int64(1))
	f.Fuzz(func(t *testing.T, path, agent, remote string, status int, written int64) {
		r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: path}, RemoteAddr: remote, Proto: "HTTP/1.1", Header: http.Header{"User-Agent": {agent}, "X-Request-Id": {"JvX0YJ3JmW0l4fP1n9o3Tw"}}}
		rec := &recorder{status: status, written: written}
		var lines [2]map[string]any
		for i, write := range []func(*slog.Logger){
			func(l *slog.Logger) { logRequest(l, slog.LevelInfo, r, rec, 1234*time.Microsecond) },
			func(l *slog.Logger) {
				linesOf(l).request(RequestID(r), r, rec, time.Now(), 1234*time.Microsecond)
			},
		} {
			log := &logged{}
			write(NewLogger(log, Log{Format: "json"}))
			if text := log.String(); strings.Count(text, "\n") != 1 || json.Unmarshal([]byte(text), &lines[i]) != nil {
				t.Fatalf("not one line of JSON: %q", text)
			}
			if _, err := time.Parse(time.RFC3339Nano, lines[i]["time"].(string)); err != nil {
				t.Error(err)
			}
			delete(lines[i], "time")
		}
		if !reflect.DeepEqual(lines[0], lines[1]) {
			t.Errorf("got %v, slog writes %v", lines[1], lines[0])
		}
	})
}

// FuzzSuspect checks that the quick look misses nothing that would be struck out.
func FuzzSuspect(f *testing.F) {
	for _, text := range []string{"WRIT_cs_0123456789", "x EYJabcdefgh.x", "Basic\tabcdefghij", "DPoP abcdefgh", "://u:p@", "ba\u017fic abcdefgh", "writ_", "e", "https://a"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got := redactDSN(secrets.ReplaceAllString(text, "[secret]")); got != text && !suspect(text) {
			t.Errorf("%q is not suspect and would become %q", text, got)
		}
	})
}

// TestAccessLinesWaitForEachOther: the first line after a pause is written at once, those behind it together, and none is
// overtaken by a line of another kind, or waits for long.
func TestAccessLinesWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logged{}
		logger := NewLogger(log, Log{Format: "json"})
		lines := linesOf(logger)
		write := func(path string) {
			lines.request("id", httptest.NewRequest(http.MethodGet, path, nil), &recorder{status: 200}, time.Now(), 0)
		}
		paths := func() (all []string) {
			for _, line := range log.lines(t) {
				if path, is := line["path"].(string); is {
					all = append(all, path)
				} else {
					all = append(all, line["msg"].(string))
				}
			}
			return all
		}
		expect := func(when string, want ...string) {
			t.Helper()
			if got := paths(); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %v, want %v", when, got, want)
			}
		}
		write("/1")
		expect("the first", "/1")
		write("/2")
		write("/3")
		expect("right behind it", "/1")
		logger.Warn("other")
		expect("another kind of line", "/1", "/2", "/3", "other")
		write("/4")
		time.Sleep(logDelay + time.Nanosecond)
		synctest.Wait()
		expect("after a while", "/1", "/2", "/3", "other", "/4")
		write("/5")
		write("/6")
		time.Sleep(logDelay + time.Nanosecond)
		synctest.Wait()
		expect("after the next while", "/1", "/2", "/3", "other", "/4", "/5", "/6")
		before := len(log.String())
		write("/7")
		for range 2 * logLength / 100 {
			write("/8")
		}
		if len(log.String())-before < logLength {
			t.Error("many lines wait for the timer")
		}
	})
}
