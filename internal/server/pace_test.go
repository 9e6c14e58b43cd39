package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// limited is a listener's front that bears two requests of an address at once, and then one a minute.
func limited(p proxies) (ask func(remote string, header http.Header) *httptest.ResponseRecorder) {
	return limitedFront(p, newMetrics())
}

// limitedFront counts in m what it refuses.
func limitedFront(p proxies, m *metrics) (ask func(remote string, header http.Header) *httptest.ResponseRecorder) {
	f, _ := newFront(Default().Limits)
	f.full = m.decisions
	f.proxies, f.pace = p, &pace{interval: time.Minute, burst: 2, recent: map[netip.Prefix]time.Time{}}
	handler := f.public(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	return func(remote string, header http.Header) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodGet, "/jwks", nil)
		request.RemoteAddr = remote
		maps.Copy(request.Header, header)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer
	}
}

func TestOP09(t *testing.T) {
	t.Parallel()
	named := func(i int) http.Header {
		address := fmt.Sprint("198.51.100.", i)
		return http.Header{
			"X-Forwarded-For": {address}, "X-Real-Ip": {address}, "Forwarded": {"for=" + address}, "True-Client-Ip": {address},
			"Cf-Connecting-Ip": {address}, "X-Client-Ip": {address},
		}
	}
	count := func(ask func(string, http.Header) *httptest.ResponseRecorder, remote string, header func(int) http.Header) (refused int) {
		for i := range 10 {
			if ask(remote, header(i)).Code == http.StatusTooManyRequests {
				refused++
			}
		}
		return refused
	}
	t.Run("OP-09 a stranger names another address in each request", func(t *testing.T) {
		if got := count(limited(proxies{}), "203.0.113.7:1000", named); got != 8 {
			t.Errorf("%d of 10 are refused, want 8", got)
		}
	})
	t.Run("OP-09 what a stranger has put before the proxy's own hop does not count", func(t *testing.T) {
		behind := proxies{trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		forged := func(i int) http.Header {
			return http.Header{"X-Forwarded-For": {fmt.Sprintf("198.51.100.%d, 203.0.113.7", i)}}
		}
		if got := count(limited(behind), "10.0.0.1:1000", forged); got != 8 {
			t.Errorf("%d of 10 are refused, want 8", got)
		}
		if got := count(limited(behind), "10.0.0.1:1000", named); got != 0 {
			t.Errorf("%d of 10 callers, whom the proxy names, are refused", got)
		}
		if got := count(limited(behind), "10.0.0.1:1000", func(int) http.Header { return nil }); got != 0 {
			t.Errorf("%d of 10 are refused: the proxy names nobody, and its limit would be one for all", got)
		}
	})
}

func TestOP10(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		remotes []string
		refused int
	}{
		"OP-10 another address of the same /64":         {[]string{"[2001:db8:1:2::1]:1", "[2001:db8:1:2:ffff::2]:1", "[2001:db8:1:2::3%eth0]:1", "[2001:db8:1:2:1:2:3:4]:9"}, 2},
		"OP-10 another /64":                             {[]string{"[2001:db8:1:2::1]:1", "[2001:db8:1:3::1]:1", "[2001:db8:1:4::1]:1"}, 0},
		"OP-10 IPv4, and the same within IPv6":          {[]string{"203.0.113.7:1", "[::ffff:203.0.113.7]:2", "203.0.113.7:3", "[::ffff:203.0.113.7]:4"}, 2},
		"OP-10 neighbours are not taken for one":        {[]string{"203.0.113.7:1", "203.0.113.8:1", "203.0.113.9:1"}, 0},
		"OP-10 another port of the same address":        {[]string{"203.0.113.7:1", "203.0.113.7:2", "203.0.113.7:3"}, 1},
		"OP-10 this machine, whose callers are its own": {[]string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ask, refused := limited(proxies{}), 0
			for _, remote := range test.remotes {
				if ask(remote, nil).Code == http.StatusTooManyRequests {
					refused++
				}
			}
			if refused != test.refused {
				t.Errorf("%d are refused, want %d", refused, test.refused)
			}
		})
	}
}

// TestOP10Client: the client that is counted is the one that was authenticated. Another spelling of its ID is nobody, and takes
// nothing from it.
func TestOP10Client(t *testing.T) {
	t.Parallel()
	c := testConfig(t)
	c.Limits.ClientRate, c.Limits.ClientBurst = 1, 3
	clock := &clock{}
	r := startAt(t, c, clock.now)
	client, other := r.newClient(t, "billing", posting), r.newClient(t, "shipping", posting)
	ask := func(id, secret string) (int, string, string) {
		return r.ask(t, url.Values{"grant_type": {oauth.ClientCredentials}, "client_id": {id}, "client_secret": {secret}}, "")
	}
	for _, spelt := range []string{strings.ToUpper(client.ID), client.ID + " ", " " + client.ID, client.ID + "\t"} {
		if status, code, _ := ask(spelt, client.Secret.Reveal()); status != http.StatusUnauthorized && status != http.StatusBadRequest {
			t.Errorf("OP-10 %q: got %d %s", spelt, status, code)
		}
	}
	for i := range 3 {
		if status, code, _ := ask(client.ID, client.Secret.Reveal()); status != http.StatusOK {
			t.Errorf("OP-10 request %d of the client itself: got %d %s", i, status, code)
		}
	}
	status, code, after := ask(client.ID, client.Secret.Reveal())
	if status != http.StatusTooManyRequests || code != "temporarily_unavailable" || after != "1" {
		t.Errorf("OP-11 one too many: got %d %s, Retry-After %q", status, code, after)
	}
	if status, _, _ := ask(other.ID, other.Secret.Reveal()); status != http.StatusOK {
		t.Errorf("another client: got %d", status)
	}
	clock.add(time.Second)
	if status, _, _ := ask(client.ID, client.Secret.Reveal()); status != http.StatusOK {
		t.Errorf("a second later: got %d", status)
	}
	if _, text := r.health(t, pathMetrics); !strings.Contains(text, `writ_requests_limited_total{limit="client"} 1`) {
		t.Error("OP-11 it is not counted")
	}
}

func TestOP11(t *testing.T) {
	t.Parallel()
	t.Run("OP-11 the answer says when to come again, and nothing of who is registered", func(t *testing.T) {
		m := newMetrics()
		ask := limitedFront(proxies{}, m)
		for range 2 {
			ask("203.0.113.7:1", nil)
		}
		got := ask("203.0.113.7:1", nil)
		if counted := gathered(t, m).of("writ_requests_limited_total", "limit", "address"); counted != 1 {
			t.Errorf("%v are counted, want 1", counted)
		}
		var body struct{ Error string }
		after, err := strconv.Atoi(got.Header().Get("Retry-After"))
		if json.Unmarshal(got.Body.Bytes(), &body) != nil || got.Code != http.StatusTooManyRequests || body.Error != "temporarily_unavailable" ||
			err != nil || after < 1 || after > 60 || got.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("got %d %v %s", got.Code, got.Header(), got.Body)
		}
	})
	t.Run("OP-11 who asks on while it must wait does not wait longer for it", func(t *testing.T) {
		p, now := &pace{interval: time.Second, burst: 1, recent: map[netip.Prefix]time.Time{}}, time.Unix(0, 0)
		from := netip.MustParsePrefix("203.0.113.7/32")
		p.take(from, now)
		for range 100 {
			if wait := p.take(from, now); wait != time.Second {
				t.Fatalf("waits %v, want a second", wait)
			}
		}
		if wait := p.take(from, now.Add(time.Second)); wait != 0 {
			t.Errorf("a second later it waits %v", wait)
		}
	})
}

// TestOP11TakesNoMemory: OP-11, a million addresses take next to no memory. Not in parallel, as what all tests hold is counted.
func TestOP11TakesNoMemory(t *testing.T) {
	p := newPace(1000, 2000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	now := time.Now()
	for i := range 1_000_000 {
		p.take(netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 1}), 32), now)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if len(p.recent)+len(p.older) > maxPaced {
		t.Errorf("%d addresses are remembered, want at most %d", len(p.recent)+len(p.older), maxPaced)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
	runtime.KeepAlive(p)
}
