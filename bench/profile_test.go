package main

import (
	"strings"
	"testing"
)

// TestCount: each stack counts once, for the first part that it has a function of.
func TestCount(t *testing.T) {
	const script = `
	 1 crypto/ecdsa.signRFC6979
	 2 github.com/writ-auth/writ/internal/authority.(*Authority).token
	 3 net/http.(*conn).serve

	 1 runtime.memmove
	 2 github.com/writ-auth/writ/internal/audit.appendEvent
	 3 github.com/writ-auth/writ/internal/authority.(*Authority).mint


	 1 ksys_write
	 2 net/http.(*conn).serve

	 1 runtime.findRunnable`
	counts, total := count(strings.NewReader(script))
	got := map[string]int{}
	for i, n := range counts {
		if n > 0 {
			got[parts[i].name] = n
		}
	}
	for _, want := range []string{"the signature", "the journal", "HTTP and its sockets", "goroutines that wait and wake"} {
		if got[want] != 1 {
			t.Errorf("%s: got %d, want 1", want, got[want])
		}
	}
	if total != 4 || len(got) != 4 {
		t.Errorf("got %v of %d, want one of each of four", got, total)
	}
}
