package keyring_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/writ-auth/writ/internal/jose"
	"github.com/writ-auth/writ/internal/keyring"
	"github.com/writ-auth/writ/internal/store"
)

// told returns what the history has about keys, and checks who did it.
func told(t *testing.T, s store.Store) (lines []string) {
	t.Helper()
	events, err := s.Events(t.Context(), 0, 100)
	must(t, err)
	for _, event := range events {
		if event.Actor != "keyring" || event.Time.IsZero() {
			t.Errorf("event is %+v", event)
		}
		if strings.Contains(strings.ToLower(event.Detail), "sealed") {
			t.Errorf("the detail has the private half: %s", event.Detail)
		}
		lines = append(lines, event.Action+" "+event.Object)
	}
	return lines
}

// TestScheduleIsTold: what the schedule does without anybody asking is in the history of changes: who looks there why APIs met
// a key finds it.
func TestScheduleIsTold(t *testing.T) {
	n, s := newNode(t, jose.ES256)
	first := n.signer(t).KeyID
	must(t, n.Ensure(t.Context(), jose.ES256)) // is there
	n.after(t, keyring.DefaultPolicy.Lifetime-keyring.DefaultPolicy.Announce)
	n.after(t, keyring.DefaultPolicy.Announce)
	second := n.signer(t).KeyID
	n.after(t, keyring.DefaultPolicy.MaxTokenTTL+time.Hour)
	want := []string{"key.created " + first, "key.created " + second, "key.dropped " + first}
	if got := told(t, s); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	n.after(t, 60*24*time.Hour) // the server was away: the key signs on until its successor was seen
	if got := told(t, s); len(got) != 5 || got[4] != "key.updated "+second {
		t.Errorf("got %v, want the second prolonged", got)
	}
}

var errMute = errors.New("the history cannot be written")

// mute is a store without a history.
type mute struct{ store.Store }

func (m mute) Update(ctx context.Context, change func(store.Store) error) error {
	return m.Store.Update(ctx, func(tx store.Store) error { return change(mute{tx}) })
}

func (mute) Append(context.Context, store.Event) error { return errMute }

// TestNoKeyWithoutEvent: the schedule changes nothing that the history does not tell.
func TestNoKeyWithoutEvent(t *testing.T) {
	n, s := newNode(t, jose.ES256)
	silent := open(t, mute{s}, n.now)
	if err := silent.Ensure(t.Context(), jose.PS256); !errors.Is(err, errMute) {
		t.Errorf("got %v", err)
	}
	*n.now = n.now.Add(keyring.DefaultPolicy.Lifetime)
	if err := silent.Tick(t.Context()); !errors.Is(err, errMute) {
		t.Errorf("got %v", err)
	}
	keys, err := s.Keys().List(t.Context(), "", 10)
	if err != nil || len(keys) != 1 {
		t.Errorf("%d keys, %v: want the one that was", len(keys), err)
	}
}
