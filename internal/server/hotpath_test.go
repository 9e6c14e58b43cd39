package server

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/oauth"
)

// A discarding writer is an answer that nobody reads.
type discarding struct {
	header http.Header
	status int
}

func (d *discarding) Header() http.Header         { return d.header }
func (d *discarding) WriteHeader(status int)      { d.status = status }
func (d *discarding) Write(p []byte) (int, error) { return len(p), nil }

// tokenCalls returns a function that asks the public listener's handler for a token, as net/http would call it, and does
// nothing else that allocates.
func tokenCalls(t testing.TB, r *running, authorization string) func() {
	request, err := http.NewRequest(http.MethodPost, "/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	body := strings.NewReader("")
	request.RemoteAddr = "192.0.2.7:4711"
	request = connected(request)
	closer := io.NopCloser(body)
	answer := &discarding{header: http.Header{}}
	const form = "grant_type=client_credentials"
	request.ContentLength = int64(len(form))
	request.Header.Set("Authorization", authorization)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return func() {
		clear(answer.header)
		body.Reset(form)
		request.Body, request.RemoteAddr = closer, "192.0.2.7:4711"
		r.public.http.Handler.ServeHTTP(answer, request)
		if answer.status != http.StatusOK {
			t.Fatalf("status %d", answer.status)
		}
	}
}

// BenchmarkToken is a token request without the connection: what Writ adds to a signature and to net/http.
func BenchmarkToken(b *testing.B) {
	c := testConfig(b)
	c.Limits.AddressRate, c.Limits.ClientRate = 0, 0
	r := start(b, c)
	client := r.newClient(b, "billing", nil)
	call := tokenCalls(b, r, basic(client))
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}

// TestTokenAllocates is for whoever adds to the path of a token: half of what it allocates is the signature's, and the rest is
// counted, because it is a tenth of the time and all of the collector's. It is not in parallel, as what all allocate is counted.
func TestTokenAllocates(t *testing.T) {
	c, clock := testConfig(t), &clock{}
	c.Log.Level = "info"
	r := startAt(t, c, clock.now)
	for name, most := range map[string]float64{"signed": 100, "again": 32} { // the race detector has pools forget some
		client := r.newClient(t, name, func(m *oauth.ClientMetadata) {
			if name == "again" {
				m.TokenReuseSeconds = 150
			}
		})
		clock.add(2 * time.Second) // a window begins with a whole second
		if got := testing.AllocsPerRun(200, tokenCalls(t, r, basic(client))); got > most {
			t.Errorf("%s: %v allocations, and may be %v", name, got, most)
		}
	}
}
