package authority

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/store"
	"github.com/writ-auth/writ/oauth"
)

// noting returns note for clients by their IDs.
func noting(u *uses) func(clientID, credential, remote, agent string) {
	var clients sync.Map
	return func(clientID, credential, remote, agent string) {
		of, _ := clients.LoadOrStore(clientID, &marks{})
		u.note(of.(*marks), clientID, credential, remote, agent, time.Time{})
	}
}

func TestUses(t *testing.T) {
	now := start
	clock := func() time.Time { return now }
	take := func(u *uses) (all []string) {
		for _, use := range (&Authority{uses: u}).TakeUses() {
			all = append(all, fmt.Sprintf("%s %s %s %s", use.ClientID, use.Credential, use.Last.Sub(start), use.Remote))
		}
		slices.Sort(all)
		return all
	}
	want := func(t *testing.T, u *uses, want ...string) {
		t.Helper()
		if got := take(u); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	t.Run("one a minute for each credential, and each once", func(t *testing.T) {
		u := newUses(clock)
		note := noting(u)
		now = start
		note("a", "1", "192.0.2.1:443", "")
		note("a", "2", "[2001:db8::1]:443", "")
		note("b", "1", "a socket", "")
		want(t, u, "a 1 0s 192.0.2.1", "a 2 0s 2001:db8::1", "b 1 0s a socket")
		now = start.Add(59 * time.Second)
		note("a", "1", "", "")
		want(t, u)
		now = start.Add(time.Minute)
		note("a", "1", "", "")
		now = start.Add(2 * time.Minute)
		note("a", "1", "", "")
		want(t, u, "a 1 2m0s ")
	})
	t.Run("what the caller says that it is stands there in one short line, without a secret", func(t *testing.T) {
		for said, kept := range map[string]string{
			"billing/2.1": "billing/2.1", "": "", "a\nb\x1b[31m\u2028": "a?b?[31m???", strings.Repeat("a", 300): strings.Repeat("a", 100),
			"curl -u billing:writ_cs_5ef1JUD": "",
		} {
			u := newUses(clock)
			note := noting(u)
			note("a", "1", "", said)
			if got := (&Authority{uses: u}).TakeUses(); len(got) != 1 || !strings.HasPrefix(got[0].Agent, strings.TrimRight(kept, "?")) || len(got[0].Agent) > 100 || strings.ContainsAny(got[0].Agent, "\n\x1b") || kept == "" && got[0].Agent != "" {
				t.Errorf("%q: got %+v, want %q", said, got, kept)
			}
		}
	})
	t.Run("a clock that was set back stops nothing", func(t *testing.T) {
		u := newUses(clock)
		note := noting(u)
		now = start
		note("a", "1", "", "")
		now = start.Add(-time.Hour)
		note("a", "1", "", "")
		want(t, u, "a 1 -1h0m0s ")
	})
	t.Run("a few thousand at once are noted each minute", func(t *testing.T) {
		u := newUses(clock)
		note := noting(u)
		for minute := range 3 {
			now = start.Add(time.Duration(minute) * time.Minute)
			for i := range notePace.Burst/2 - 1 {
				note(fmt.Sprint(i), "1", "", "")
			}
			if got := len(take(u)); got != notePace.Burst/2-1 {
				t.Errorf("minute %d: %d were noted, want all of %d", minute, got, notePace.Burst/2-1)
			}
		}
	})
	t.Run("of all together there are so many a second", func(t *testing.T) {
		u := newUses(clock)
		note := noting(u)
		now = start
		for i := range notePace.Burst + 100 {
			note(fmt.Sprint(i), "1", "", "")
		}
		if got := len(take(u)); got != notePace.Burst {
			t.Errorf("%d at once, want %d", got, notePace.Burst)
		}
		now = start.Add(noteInterval)
		for i := range notePace.Burst {
			note(fmt.Sprint("later ", i), "1", "", "")
		}
		take(u)
		now = now.Add(time.Second)
		for i := range notePace.Burst { // these were noted a while ago, and make room
			note(fmt.Sprint(i), "1", "", "")
		}
		for i := range notePace.Burst { // for those who were not
			note(fmt.Sprint("new ", i), "1", "", "")
		}
		if got := take(u); len(got) != notePace.Rate || !strings.HasPrefix(got[0], "new ") {
			t.Errorf("%d in a second, want %d: %.60q", len(got), notePace.Rate, got)
		}
		now = start.Add(2 * time.Minute)
		note("0", "1", "", "")
		want(t, u, "0 1 2m0s ")
	})
	t.Run("memory is bounded, whether or not anybody takes them", func(t *testing.T) {
		u := newUses(clock)
		note := noting(u)
		const last = 2 * maxWaiting
		for i := range last + 1 {
			now = start.Add(time.Duration(i) * time.Second)
			note(fmt.Sprint(i), "1", "", "")
		}
		if len(u.waiting) != maxWaiting {
			t.Errorf("%d wait, want %d", len(u.waiting), maxWaiting)
		}
		note("0", "1", "somewhere else", "") // it waits already
		if got := u.waiting[credentialOf{"0", "1"}].Remote; got != "somewhere else" {
			t.Errorf("what waits says %q", got)
		}
		take(u)
		note(fmt.Sprint(last), "1", "", "") // there was no room for it before
		want(t, u, fmt.Sprintf("%d 1 %s ", last, now.Sub(start)))
		for i := range 2 * maxMarked {
			u.more.set(uint64(i), now.Unix())
		}
		if known := len(u.more.recent) + len(u.more.older); known > maxMarked {
			t.Errorf("%d marks, want at most %d", known, maxMarked)
		}
	})
	t.Run("of a client with many credentials each", func(t *testing.T) {
		u := newUses(clock)
		note := noting(u)
		now = start
		for range 3 {
			for i := range 20 {
				note("a", fmt.Sprint(i), "", "")
				note("b", fmt.Sprint(i), "", "")
			}
			now = now.Add(time.Second)
		}
		if got := take(u); len(got) != 40 || strings.Contains(fmt.Sprint(got), "s ") && !strings.HasSuffix(got[0], " 0s ") {
			t.Errorf("%d were noted, want each of 20 of two clients once: %q", len(got), got)
		}
	})
	t.Run("at once", func(t *testing.T) {
		u := newUses(clock)
		note := noting(u)
		now = start
		var group sync.WaitGroup
		var mu sync.Mutex
		var taken []store.Use
		for i := range 8 {
			group.Go(func() {
				for j := range 200 {
					note(fmt.Sprint(j), "1", fmt.Sprint(i), "")
					some := (&Authority{uses: u}).TakeUses()
					mu.Lock()
					taken = append(taken, some...)
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if len(taken) != 200 {
			t.Errorf("%d uses were taken, want one for each of 200 clients", len(taken))
		}
	})
}

// TestUsesOfTheRefused: what was refused was not used, an assertion that was replayed included.
func TestUsesOfTheRefused(t *testing.T) {
	a, s := traced(t)
	must(t, s.Store.Clients().Insert(t.Context(), keyed(t, "one", "ES256 a")))
	for _, r := range []*Request{
		as("known", "wrong", oauth.ClientSecretBasic), as("suspended", "right", oauth.ClientSecretBasic),
		as("expired", "right", oauth.ClientSecretBasic), asserting(t, "one", "ES256 x", "ES256 a"),
	} {
		if _, err := a.Token(t.Context(), r); err == nil {
			t.Fatal("it was not refused")
		}
	}
	if got := a.TakeUses(); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	good := asserting(t, "one", "ES256 a", "ES256 a")
	_, err := a.Token(t.Context(), good)
	must(t, err)
	_, err = a.Token(t.Context(), as("known", "right", oauth.ClientSecretBasic))
	must(t, err)
	if got := a.TakeUses(); len(got) != 4 {
		t.Errorf("got %v, want two, and two of a scope", got)
	}
}

// TestNoIssuer: without an issuer there is no audience to check an assertion against (CVE-2026-114618).
func TestNoIssuer(t *testing.T) {
	known, _ := traced(t)
	for _, issuer := range []string{"", "as.example", "https://", "https://as.example?x", "https://as.example#x", "https://u@as.example", "ftp://as.example"} {
		t.Run("CA-14 "+issuer, func(t *testing.T) {
			_, err := New(t.Context(), Options{Issuer: issuer, Store: known.store, Ring: known.ring, Journal: known.journal})
			if err == nil {
				t.Error("an authority began to work without an issuer")
			}
		})
	}
}

// TestUsesSinceARotation: however many others ask, whether a secret was used since its client's were rotated is written down within
// a minute: registry goes by it when it ends one, or gives another in its place.
func TestUsesSinceARotation(t *testing.T) {
	now, rotated := start, start.Add(10*time.Minute)
	u := newUses(func() time.Time { return now })
	fleet := make([]marks, 100_000)
	var billing marks
	var last time.Time
	noted := map[string]time.Duration{} // when, after the rotation
	for ; now.Before(rotated.Add(2 * time.Minute)); now = now.Add(time.Second) {
		for i := int(now.Sub(start)/time.Second) % 60; i < len(fleet); i += 60 {
			u.note(&fleet[i], fmt.Sprint("machine-", i), "1", "", "", time.Time{})
		}
		u.note(&billing, "billing", "former", "", "", last)
		if !now.Before(rotated) {
			last = rotated
			u.note(&billing, "billing", "successor", "", "", last)
		}
		for _, use := range (&Authority{uses: u}).TakeUses() {
			if _, known := noted[use.Credential]; use.ClientID == "billing" && !known && !use.Last.Before(rotated) {
				noted[use.Credential] = use.Last.Sub(rotated)
			}
		}
	}
	for _, credential := range []string{"former", "successor"} {
		if after, known := noted[credential]; !known || after > time.Minute {
			t.Errorf("%s: noted %v after the rotation (%v), want within a minute", credential, after, known)
		}
	}
}

// TestUsesOfWhoGoesUnused: of a client that is deleted when nobody uses it, a use is noted within half an hour, however many others ask:
// or it would go while it is in use.
func TestUsesOfWhoGoesUnused(t *testing.T) {
	operators, registered := withHash("operators", store.HashSecret("right")), withHash("registered", store.HashSecret("right"))
	registered.Registration = store.Registration{Idle: 24 * time.Hour}
	a, _ := tracing(t, operators, registered)
	now := start
	a.uses.now = func() time.Time { return now }
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{0, 1}, {notedAtLeast - time.Second, 0}, {time.Second, 1}} {
		now = now.Add(step.after)
		full := 1.5 * float64(notePace.Burst-1) / float64(notePace.Rate)
		a.uses.pace.Store(now.Add(time.Duration(full * float64(time.Second))).UnixNano())
		for _, id := range []string{"operators", "registered"} {
			_, err := a.Token(t.Context(), withBasic(id, "right"))
			must(t, err)
		}
		uses := a.TakeUses()
		if len(uses) != step.want || len(uses) > 0 && uses[0].ClientID != "registered" {
			t.Errorf("after %v: got %+v, want %d", step.after, uses, step.want)
		}
	}
}
