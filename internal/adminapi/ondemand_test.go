package adminapi

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOnDemand: the API is made once for all who ask at once and after each other, and anew when nobody has asked for a while.
// Whoever is being answered meanwhile is answered.
func TestOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := 0
		o := &onDemand{make: func() http.Handler {
			made++
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					time.Sleep(3 * quiet)
				}
				w.WriteHeader(http.StatusNoContent)
			})
		}}
		ask := func(path string) {
			answer := httptest.NewRecorder()
			o.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
			if answer.Code != http.StatusNoContent {
				t.Errorf("%s: got %d", path, answer.Code)
			}
		}
		if made != 0 {
			t.Error("it is made before anybody asks")
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { ask("/") })
		}
		all.Wait()
		for range 10 {
			time.Sleep(quiet - time.Second)
			ask("/")
		}
		if made != 1 {
			t.Errorf("made %d times, want once", made)
		}
		all.Go(func() { ask("/slow") })
		time.Sleep(2 * quiet)
		o.mu.Lock()
		kept := o.made != nil
		o.mu.Unlock()
		if kept {
			t.Error("it is kept although nobody asks")
		}
		ask("/")
		if made != 2 {
			t.Errorf("made %d times, want anew", made)
		}
		all.Wait()
	})
}
