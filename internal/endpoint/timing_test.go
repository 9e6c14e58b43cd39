package endpoint_test

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestCA26Timing is A28 as well: what a refusal takes does not tell who is registered. 2 x 2000 samples over loopback,
// interleaved. TestCA26SameWork in authority shows that the steps are the same; this one would see what it overlooks. The
// clock of a busy machine is no witness against us, so one quiet round of five is enough; a real difference shows in all, and
// grows with them, because they share a server.
func TestCA26Timing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := newServer(t)
	s.asks(t, "c-basic", http.StatusOK) // it is in the copy, which a stranger never is
	unknown := s.refusals(t, "c-xxxxx")
	known := s.refusals(t, "c-basic")
	for round := range 5 {
		a, b := sample(t, unknown, known, 2000)
		difference := math.Abs(median(a)-median(b)) / median(b)
		score := welch(a, b)
		t.Logf("round %d: medians %.1f µs and %.1f µs, %.2f %% apart, t = %.2f", round, median(a), median(b), 100*difference, score)
		if difference < 0.02 && math.Abs(score) < 4.5 {
			return
		}
	}
	t.Error("an unknown client is told from a wrong secret by the time it takes")
}

// refusals returns a function that has a client's wrong secret refused once, on a connection that stays open.
func (s *server) refusals(t *testing.T, id string) func() {
	t.Helper()
	connection, err := net.Dial("tcp", s.http.Listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	body := "grant_type=client_credentials&scope=read"
	request := fmt.Sprintf("POST /token HTTP/1.1\r\nHost: as.example\r\nAuthorization: %s\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", basic(id, "wrong"), len(body), body)
	reader := bufio.NewReader(connection)
	return func() {
		_, err := io.WriteString(connection, request)
		must(t, err)
		response, err := http.ReadResponse(reader, nil)
		must(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		must(t, err)
		if response.StatusCode != http.StatusUnauthorized {
			t.Fatalf("got %d", response.StatusCode)
		}
	}
}

// sample times two functions in turns, and leaves out the slowest tenth of each, which is the scheduler's.
func sample(t *testing.T, one, two func(), n int) (a, b []float64) {
	t.Helper()
	took := func(f func()) float64 {
		began := time.Now()
		f()
		return float64(time.Since(began).Nanoseconds()) / 1000
	}
	runtime.GC()
	for range n {
		a = append(a, took(one))
		b = append(b, took(two))
	}
	slices.Sort(a)
	slices.Sort(b)
	return a[:n*9/10], b[:n*9/10]
}

func median(sorted []float64) float64 { return sorted[len(sorted)/2] }

// welch returns Welch's t of two samples.
func welch(a, b []float64) float64 {
	meanA, varianceA := moments(a)
	meanB, varianceB := moments(b)
	return (meanA - meanB) / math.Sqrt(varianceA/float64(len(a))+varianceB/float64(len(b)))
}

func moments(sample []float64) (mean, variance float64) {
	n := float64(len(sample))
	for _, x := range sample {
		mean += x / n
	}
	for _, x := range sample {
		variance += (x - mean) * (x - mean) / (n - 1)
	}
	return mean, variance
}
