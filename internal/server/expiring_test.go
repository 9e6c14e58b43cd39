package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/internal/store"
)

// TestComingExpiries: a line in the log 30, 7 and 1 days before the end, each once, and none for what ends as it should.
func TestComingExpiries(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	r := startAt(t, testConfig(t), clock.now)
	system := registry.System("test")
	end := clock.now().Add(40 * day)
	ending, rotated := r.newClient(t, "ending", nil), r.newClient(t, "rotated", nil)
	made, err := r.registry.AddSecret(t.Context(), system, ending.ID, registry.SecretSettings{Expires: end}, "")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.loops, func(l loop) bool { return l.name == "coming expiries" })
	if i < 0 || r.loops[i].every > time.Hour {
		t.Fatal("the server does not look for them every hour")
	}
	lines := func() int { return strings.Count(r.log.String(), "a client's credential expires") }
	for _, step := range []struct {
		pass time.Duration
		want int // lines so far
	}{{0, 0}, {10*day - time.Hour, 0}, {time.Hour, 1}, {day, 1}, {22 * day, 2}, {time.Hour, 2}, {6 * day, 3}, {time.Hour, 3}, {day, 3}} {
		clock.add(step.pass)
		for range 2 {
			if err := r.loops[i].once(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := lines(); got != step.want {
			t.Errorf("%s before the end: %d lines, want %d:\n%s", end.Sub(clock.now()), got, step.want, r.log.String())
		}
	}
	if log := r.log.String(); strings.Contains(log, "writ_cs_") || strings.Contains(log, store.HashSecret(made.Secret.Reveal())) || !strings.Contains(log, made.ID) {
		t.Errorf("the log is %s", log)
	}

	// A secret that was rotated out is told of only while it is in use.
	if _, err := r.registry.RotateSecret(t.Context(), system, rotated.ID, registry.SecretRotation{Keep: 5 * day}, ""); err != nil {
		t.Fatal(err)
	}
	for _, used := range []bool{false, true} {
		clock.add(time.Hour)
		if used {
			use := store.Use{ClientID: rotated.ID, Credential: rotated.Secrets[0].ID, Last: clock.now(), Remote: "192.0.2.7"}
			if err := r.store.NoteUses(t.Context(), []store.Use{use}); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.loops[i].once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if told := strings.Contains(r.log.String(), rotated.Secrets[0].ID); told != used {
			t.Errorf("used %t, told %t: %s", used, told, r.log.String())
		}
	}
	if !strings.Contains(r.log.String(), "192.0.2.7") {
		t.Error("the log does not say who uses it")
	}
}
