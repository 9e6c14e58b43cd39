package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/internal/importer"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
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
	log.tells(t, causeSignatures, 1, times-1)
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

// tells holds the log to warnings of one cause, with how many were refused since the one before, and to no error.
func (l *logged) tells(t *testing.T, cause string, refused ...int) {
	t.Helper()
	var told, want []string
	for _, line := range l.lines(t) {
		switch line["level"] {
		case "WARN":
			told = append(told, fmt.Sprint(line["cause"], line["refused"]))
		case "ERROR":
			t.Errorf("an error in the log: %v", line)
		}
	}
	for _, n := range refused {
		want = append(want, fmt.Sprint(cause, n))
	}
	if !slices.Equal(told, want) {
		t.Errorf("the log tells of %v, want %v", told, want)
	}
}

// TestShedHashes: what is refused because of slow hashes is no error in the log either, which tells of it now and then.
func TestShedHashes(t *testing.T) { synctest.Test(t, testShedHashes) }

func testShedHashes(t *testing.T) {
	f, log := newFront(Default().Limits)
	hashes := f.overflow(causeHashes)
	handler := f.public(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hashes.shed(w)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	for range 3 {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://as.example/token", nil))
	}
	time.Sleep(overflowTold)
	synctest.Wait()
	log.tells(t, causeHashes, 1, 2)
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

// TestShedHashesOnTheWire: guesses that find no turn among the slow hashes are answered with 503 and when to come again, and the
// log has a warning of them and no error.
func TestShedHashesOnTheWire(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig(t))
	if _, err := r.registry.Import(t.Context(), registry.System("test"), exported(t, "hydra-bcrypt.json", importer.Hydra)); err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			status, code, after := r.ask(t, url.Values{
				"grant_type": {oauth.ClientCredentials}, "client_id": {"billing-bcrypt"}, "client_secret": {fmt.Sprint("a guess ", i)},
			}, "")
			switch {
			case status == http.StatusServiceUnavailable && code == "temporarily_unavailable" && after == "1":
				refused.Add(1)
			case status != http.StatusUnauthorized && status != http.StatusTooManyRequests:
				t.Errorf("got %d %s", status, code)
			}
		})
	}
	all.Wait()
	if refused.Load() == 0 {
		t.Error("none of 64 guesses at once is one too many")
	}
	r.waitLog(t, `"cause":"hashes"`)
	for _, line := range r.log.lines(t) {
		if line["level"] == "ERROR" {
			t.Errorf("an error in the log: %v", line)
		}
	}
}
