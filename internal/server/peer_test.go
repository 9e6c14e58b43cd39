package server

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// A distant connection comes from anywhere.
type distant struct {
	net.Conn
	from net.Addr
}

func (d distant) RemoteAddr() net.Addr { return d.from }

// Whom a request came from does not depend on how that is found out: by what the connection has known since it was accepted, or by what
// net/http writes into the request.
func TestClientOfAConnection(t *testing.T) {
	t.Parallel()
	p := proxies{trusted: prefixes("10.0.0.0/8", "fe80::/10")}
	type identity struct {
		remote string
		peer   netip.Addr
	}
	for name, test := range map[string]struct {
		from net.Addr
		want string
	}{
		"IPv4":              {&net.TCPAddr{IP: net.IPv4(203, 0, 113, 7).To4(), Port: 1}, "203.0.113.7"},
		"IPv4 within IPv6":  {&net.TCPAddr{IP: net.IPv4(203, 0, 113, 7), Port: 1}, "203.0.113.7"},
		"IPv6":              {&net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 1}, "2001:db8::7"},
		"IPv6 with a zone":  {&net.TCPAddr{IP: net.ParseIP("fe80::7"), Port: 1, Zone: "eth0"}, "fe80::7"},
		"a proxy":           {&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 1}, "10.0.0.1"},
		"no address at all": {&net.UnixAddr{Name: "/run/x", Net: "unix"}, "/run/x"},
		"this machine":      {&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, "127.0.0.1"},
	} {
		m, err := newGate(nil, 1, nobody).admit(distant{from: test.from})
		if err != nil {
			t.Fatal(err)
		}
		identified := func(over *metered, forwarded string) (got identity) {
			handler := identify(p, slog.New(slog.DiscardHandler))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got.remote = r.RemoteAddr
			}))
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = test.from.String()
			if over != nil {
				r = r.WithContext(withMeter(t.Context(), over))
			}
			if forwarded != "" {
				r.Header.Set("X-Forwarded-For", forwarded)
			}
			got.peer = peerOf(r, over)
			handler.ServeHTTP(httptest.NewRecorder(), r)
			return got
		}
		// The last is of one connection with those before: what another caller was called there does not stay.
		for _, forwarded := range []string{"198.51.100.1", "2001:db8::1, 10.0.0.2", "203.0.113.7", "10.0.0.1", "?", ""} {
			got, want := identified(m, forwarded), identified(nil, forwarded)
			if got != want {
				t.Errorf("%s, forwarded for %q: %v, and without the connection %v", name, forwarded, got, want)
			}
			if forwarded == "" && got.remote != test.want {
				t.Errorf("%s: %s, want %s", name, got.remote, test.want)
			}
		}
	}
}
