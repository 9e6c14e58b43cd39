package keyring

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/writ-auth/writ/internal/store"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// key returns a key whose times are in days since start.
func key(id string, created, from, until float64) store.SigningKey {
	at := func(days float64) time.Time { return start.Add(time.Duration(days * float64(day))) }
	k := store.SigningKey{ID: id, Algorithm: "ES256", Created: at(created), SignFrom: at(from)}
	return retire(k, at(until), DefaultPolicy)
}

func revoked(k store.SigningKey) store.SigningKey {
	k.Revoked = k.Created
	return k
}

func TestPlan(t *testing.T) {
	first := key("a", 0, 0, 30)
	second := key("b", 29, 30, 60)
	sealing := first
	sealing.ID, sealing.Algorithm = "s", Sealing
	for _, test := range []struct {
		name string
		now  float64 // days
		keys []store.SigningKey
		want []string
	}{
		{"an algorithm that never had a key gets none", 0, nil, nil},
		{"nothing to do in the middle of a life", 15, []store.SigningKey{first}, nil},
		{"nothing to do a moment before the announcement", 28.999, []store.SigningKey{first}, nil},
		{"a successor is announced a day ahead", 29, []store.SigningKey{first}, []string{"create ES256 from day 30 until 60"}},
		{"once", 29.5, []store.SigningKey{first, second}, nil},
		{
			"a server that was away announces first, and lets the old key sign on", 40, []store.SigningKey{first},
			[]string{"create ES256 from day 41 until 71", "put a until 41"},
		},
		{
			"even past the day the old key was to be dropped", 90, []store.SigningKey{first},
			[]string{"create ES256 from day 91 until 121", "put a until 91"},
		},
		{"a retired key stays while its tokens may live", 30.9, []store.SigningKey{first, second}, nil},
		{"and is dropped after that", 31.1, []store.SigningKey{first, second}, []string{"drop a"}},
		{"with all keys withdrawn, a new one signs at once", 5, []store.SigningKey{revoked(first)}, []string{"create ES256 from day 5 until 35"}},
		{
			"a key that was withdrawn before its time has no successor but the plan's", 29.5,
			[]store.SigningKey{first, revoked(second)}, []string{"create ES256 from day 30.5 until 60.5", "put a until 30.5"},
		},
		{"a withdrawn key is dropped when it would have been", 31.1, []store.SigningKey{revoked(first), second}, []string{"drop a"}},
		{
			"each algorithm has its own schedule", 29, []store.SigningKey{first, sealing},
			[]string{"create ES256 from day 30 until 60", "create XC20P from day 30 until 60"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := start.Add(time.Duration(test.now * float64(day)))
			var got []string
			for _, c := range plan(now, test.keys, DefaultPolicy) {
				got = append(got, describe(c))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func describe(c change) string {
	days := func(t time.Time) float64 { return t.Sub(start).Hours() / 24 }
	switch {
	case c.drop != "":
		return "drop " + c.drop
	case c.put != nil:
		return fmt.Sprintf("put %s until %v", c.put.ID, days(c.put.SignUntil))
	}
	return fmt.Sprintf("create %s from day %v until %v", c.create.Algorithm, days(c.create.SignFrom), days(c.create.SignUntil))
}

// TestPlanOverAYear lets a server run for a year with ticks that come when they come, outages of weeks included, under any
// sensible policy: there is always exactly one key that signs, nobody meets a key that they could not have seen, and no key
// is dropped before the last token that it signed is dead.
func TestPlanOverAYear(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := Policy{
			Lifetime:    time.Duration(rapid.Int64Range(int64(day), int64(60*day)).Draw(t, "lifetime")),
			MaxTokenTTL: time.Duration(rapid.Int64Range(int64(time.Minute), int64(2*day)).Draw(t, "token TTL")),
		}
		policy.Announce = time.Duration(rapid.Int64Range(int64(policy.Lifetime/100), int64(policy.Lifetime/2)).Draw(t, "announce"))
		signed := map[string]time.Time{} // when each key signed last
		keys := apply(nil, []change{{create: newKey(start, start, "ES256", policy)}})
		year := min(365*day, 20*policy.Lifetime)
		for now := start; now.Before(start.Add(year)); {
			keys = settle(t, now, keys, policy)
			// The server is up from now until then: who signs changes by itself at every SignFrom.
			then := now.Add(pause(t, policy))
			for _, moment := range moments(keys, now, then) {
				signer, found := signerAt(moment, keys, "ES256")
				if !found {
					t.Fatalf("at %v nobody signs", moment)
				}
				if immediate := signer.SignFrom.Equal(signer.Created); !immediate && moment.Sub(signer.Created) < policy.Announce {
					t.Fatalf("%s signs %v after it was made, announced for %v", signer.ID, moment.Sub(signer.Created), policy.Announce)
				}
				signed[signer.ID] = moment
			}
			now = then
			if away := rapid.Int64Range(0, 20).Draw(t, "away"); away == 0 {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(100*day)).Draw(t, "for")))
			}
			for id, last := range signed {
				dead := !now.Before(last.Add(policy.MaxTokenTTL))
				i := slices.IndexFunc(keys, func(k store.SigningKey) bool { return k.ID == id })
				if !dead && (i < 0 || !now.Before(keys[i].DropAt)) {
					t.Fatalf("%s has gone by %v, and signed until %v", id, now, last)
				}
			}
		}
	})
}

// settle applies the plan as two nodes do that tick one after the other, and checks that they come to an end.
func settle(t *rapid.T, now time.Time, keys []store.SigningKey, policy Policy) []store.SigningKey {
	for range 3 {
		changes := plan(now, keys, policy)
		if len(changes) == 0 {
			return keys
		}
		shuffled := rapid.Permutation(keys).Draw(t, "another node's order")
		if again := plan(now, shuffled, policy); len(again) != len(changes) {
			t.Fatalf("two nodes plan differently: %d changes and %d", len(changes), len(again))
		}
		keys = apply(keys, changes)
	}
	t.Fatalf("at %v there is always something to do", now)
	return nil
}

// pause is how long the server is up without a tick: never longer than keys are announced for, as it stops issuing when the
// store has been away for a quarter of an hour.
func pause(t *rapid.T, policy Policy) time.Duration {
	return time.Duration(rapid.Int64Range(int64(policy.Announce/8), int64(policy.Announce)).Draw(t, "tick after"))
}

// moments returns from, until, and the moment before and at every SignFrom between.
func moments(keys []store.SigningKey, from, until time.Time) []time.Time {
	all := []time.Time{from, until}
	for _, k := range keys {
		if k.SignFrom.After(from) && k.SignFrom.Before(until) {
			all = append(all, k.SignFrom.Add(-1), k.SignFrom)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// apply is what a Ring does with changes, without the key material.
func apply(keys []store.SigningKey, changes []change) []store.SigningKey {
	keys = slices.Clone(keys)
	for _, c := range changes {
		switch {
		case c.drop != "":
			keys = slices.DeleteFunc(keys, func(k store.SigningKey) bool { return k.ID == c.drop })
		case c.put != nil:
			keys[slices.IndexFunc(keys, func(k store.SigningKey) bool { return k.ID == c.put.ID })] = *c.put
		default:
			made := *c.create
			made.ID = made.Created.Format(time.RFC3339Nano)
			keys = append(keys, made)
		}
	}
	slices.SortFunc(keys, func(a, b store.SigningKey) int { return cmp.Compare(a.ID, b.ID) })
	return keys
}
