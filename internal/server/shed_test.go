package server

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestShed: while a node has too much to sign, it refuses requests for tokens at once, before it reads them, and answers all
// others. The log tells of it now and then, and not as of an error.
func TestShed(t *testing.T) { synctest.Test(t, testShed) }

func testShed(t *testing.T) {
	m := newMetrics()
	f, log := newFront(Default().Limits)
	f.full = m.decisions
	overloaded := true
	f.overloaded = forTokens("http://as.example", func() bool { return overloaded })
	handler := f.public(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	post := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://as.example"+path, strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if read, _ := r.Body.Read(make([]byte, 1)); w.Code == 503 && read == 0 {
			t.Error("the body of a request that was refused was read")
		}
		return w
	}
	const times = 20
	for range times {
		time.Sleep(time.Millisecond)
		w := post("/token")
		if w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Header().Get("X-Request-Id") == "" || !strings.Contains(w.Body.String(), "temporarily_unavailable") {
			t.Fatalf("got %d %v %s", w.Code, w.Header(), w.Body)
		}
	}
	if w := post("/introspect"); w.Code != 200 {
		t.Errorf("a request for something else: got %d", w.Code)
	}
	if got := gathered(t, m).of("writ_requests_unavailable_total", "cause", "signatures"); got != times {
		t.Errorf("%v requests are counted, want %d", got, times)
	}
	time.Sleep(overflowTold)
	synctest.Wait()
	var told []any
	for _, line := range log.lines(t) {
		switch line["level"] {
		case "WARN":
			told = append(told, line["refused"])
		case "ERROR":
			t.Errorf("an error in the log: %v", line)
		}
	}
	if want := []any{1., float64(times - 1)}; !slices.Equal(told, want) {
		t.Errorf("the log tells of %v refused requests, want %v", told, want)
	}
	time.Sleep(2 * overflowTold)
	post("/token") // the first of the next flood is told of at once
	if lines := log.lines(t); lines[len(lines)-2]["refused"] != 1. {
		t.Errorf("the log does not tell of another flood: %v", lines)
	}
	overloaded = false
	if w := post("/token"); w.Code != 200 {
		t.Errorf("afterwards: got %d", w.Code)
	}
}

// TestShedHashes: what is refused because of slow hashes is no error in the log either, which tells of it now and then.
func TestShedHashes(t *testing.T) { synctest.Test(t, testShedHashes) }

func testShedHashes(t *testing.T) {
	f, log := newFront(Default().Limits)
	handler := f.public(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(interface{ Shed() }).Shed()
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	for range 3 {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://as.example/token", nil))
	}
	time.Sleep(overflowTold)
	synctest.Wait()
	var told []any
	for _, line := range log.lines(t) {
		switch line["level"] {
		case "WARN":
			told = append(told, line["cause"], line["refused"])
		case "ERROR":
			t.Errorf("an error in the log: %v", line)
		}
	}
	if want := []any{causeHashes, 1., causeHashes, 2.}; !slices.Equal(told, want) {
		t.Errorf("the log tells of %v, want %v", told, want)
	}
}

// TestShedIsOfTokens: of the endpoints of an issuer, the one for tokens needs signatures.
func TestShedIsOfTokens(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{"/tenant/token": true, "/token": false, "/tenant/jwks": false, "/tenant/introspect": false} {
		for _, overloaded := range []bool{true, false} {
			tells := forTokens("https://as.example/tenant", func() bool { return overloaded })
			if got := tells(httptest.NewRequest(http.MethodPost, path, nil)); got != (want && overloaded) {
				t.Errorf("%s, overloaded %t: refused %t", path, overloaded, got)
			}
		}
	}
}
