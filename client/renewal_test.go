package client_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/writ-auth/writ/client"
)

// TestRenewal checks that a token is renewed before it dies, without anybody waiting for it.
func TestRenewal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i, _, s := start(t)
		wantToken(t, s, "token-1")
		i.answer(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(3 * time.Second) // a slow issuer
			i.issue(300)(w, r)
		})
		time.Sleep(239 * time.Second) // 80 % is 240 s
		wantToken(t, s, "token-1")
		synctest.Wait()
		wantAsked(t, i, 1)

		time.Sleep(32 * time.Second) // 90 % is 270 s
		begin := time.Now()
		wantToken(t, s, "token-1")
		wantToken(t, s, "token-1")
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("the caller waited %v for a renewal, want 0", waited)
		}
		time.Sleep(4 * time.Second)
		wantToken(t, s, "token-2")
		wantAsked(t, i, 2)
	})
}

// TestLastSeconds checks that a token is not handed out when it would arrive dead.
func TestLastSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, _, s := start(t)
		wantToken(t, s, "token-1")
		time.Sleep(291 * time.Second)
		wantToken(t, s, "token-2")
	})
}

// TestLastSecondsIssuerHangs checks that a caller does not wait until the token that it could have is dead.
func TestLastSecondsIssuerHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i, _, s := start(t)
		wantToken(t, s, "token-1")
		i.answer(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		time.Sleep(292 * time.Second)
		begin := time.Now()
		wantToken(t, s, "token-1")
		if waited := time.Since(begin); waited != 4*time.Second {
			t.Errorf("the caller waited %v, want half of the 8s that were left", waited)
		}
		time.Sleep(10 * time.Second) // the request gives up
	})
}

// TestSlowAnswer checks that a token's life is counted from the request: the issuer may have signed it before it was
// slow.
func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i, _, s := start(t)
		i.token = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(3 * time.Second)
			i.issue(300)(w, r)
		}
		if got, want := time.Until(token(t, s).Expires), 297*time.Second; got != want {
			t.Errorf("token lives %v, want %v", got, want)
		}
	})
}

// TestIssuerDown is the rule of row R36 for one client: while the old token lives, nobody hears of a failed renewal.
func TestIssuerDown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"503":                raw(http.StatusServiceUnavailable, "text/plain", ""),
		"secret was revoked": refuse(http.StatusUnauthorized, "invalid_client", ""),
		"hangs":              func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run("R36 "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, _, s := start(t)
				begin := time.Now()
				wantToken(t, s, "token-1")
				i.answer(answer)
				for time.Since(begin) < 299*time.Second {
					before := time.Now()
					wantToken(t, s, "token-1")
					if waited := time.Since(before); waited > 0 {
						t.Fatalf("a caller waited %v for an issuer that is known to be down", waited)
					}
					time.Sleep(100 * time.Millisecond)
				}
				if asked := i.asked(); asked < 2 || asked > 15 {
					t.Errorf("the issuer was asked %d times, want a few", asked)
				}
				time.Sleep(2 * time.Second)
				if got, err := s.Token(t.Context()); err == nil {
					t.Errorf("got %v after its end, want an error", got)
				}
				i.answer(i.issue(300))
				time.Sleep(30 * time.Second)
				wantToken(t, s, "token-2")
			})
		})
	}
}

// TestHerd is row R36: 500 processes whose tokens were issued in the same second, an issuer that is down for 30 s when
// they want new ones, and not one of them to go without a token or to knock again and again.
func TestHerd(t *testing.T) {
	t.Parallel()
	for name, down := range map[string]time.Duration{"issuer up": 0, "issuer down for 30 s": 30 * time.Second} {
		t.Run("R36 herd, "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				i := newIssuer(issuerURL)
				var mu sync.Mutex
				perSecond := map[int]int{} // requests in each second of the renewal
				i.token = func(w http.ResponseWriter, r *http.Request) {
					age := time.Since(begin)
					if age >= 240*time.Second {
						mu.Lock()
						perSecond[int(age/time.Second)]++
						mu.Unlock()
					}
					if age >= 240*time.Second && age < 240*time.Second+down {
						raw(http.StatusServiceUnavailable, "text/plain", "")(w, r)
						return
					}
					i.issue(300)(w, r)
				}
				n := network{"as.example": i}
				var processes sync.WaitGroup
				for range 500 {
					s := source(t, config(n))
					processes.Go(func() { useUntil(t, s, begin.Add(330*time.Second)) })
				}
				processes.Wait()
				wantSpread(t, perSecond)
			})
		})
	}
}

func useUntil(t *testing.T, s *client.Source, end time.Time) {
	for time.Now().Before(end) {
		if _, err := s.Token(t.Context()); err != nil {
			t.Errorf("an application went without a token: %v", err)
			return
		}
		time.Sleep(time.Second)
	}
}

// wantSpread checks that no second has three times the requests of the mean.
func wantSpread(t *testing.T, perSecond map[int]int) {
	t.Helper()
	peak, total, first, last := 0, 0, 1<<30, 0
	for second, requests := range perSecond {
		peak, total = max(peak, requests), total+requests
		first, last = min(first, second), max(last, second)
	}
	mean := float64(total) / float64(last-first+1)
	t.Logf("%d requests from second %d to %d, peak %d, mean %.1f", total, first, last, peak, mean)
	if total < 500 || float64(peak) >= 3*mean {
		t.Errorf("peak %d of %d requests in a second, want below 3 times the mean of %.1f", peak, total, mean)
	}
	if total > 4*500 {
		t.Errorf("500 processes made %d requests", total)
	}
}

// TestRenewalTimesDiffer checks the spread itself.
func TestRenewalTimesDiffer(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var times []time.Duration
	for range 1000 {
		renewAt, staleAt := client.Schedule(now, now.Add(100*time.Second))
		times = append(times, renewAt.Sub(now))
		if got, want := staleAt.Sub(now), 95*time.Second; got != want {
			t.Fatalf("callers wait from %v, want %v", got, want)
		}
	}
	slices.Sort(times)
	if times[0] < 80*time.Second || times[0] > 81*time.Second || times[999] < 89*time.Second || times[999] > 90*time.Second {
		t.Errorf("renewals start from %v to %v, want from 80s to 90s", times[0], times[999])
	}
}
