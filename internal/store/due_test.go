package store

import (
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	soon, later := noon.Add(time.Hour), noon.Add(2*time.Hour)
	ours := HashSecret("right")
	for name, test := range map[string]struct {
		client Client
		at     time.Time
		ever   bool
	}{
		"nothing":                 {Client{Secrets: []Secret{{Hash: ours}}, Keys: []ClientKey{{}}, Updated: noon, FormerUntil: soon}, time.Time{}, false},
		"a former method":         {Client{FormerMethod: "client_secret_basic", FormerUntil: soon, Secrets: []Secret{{Hash: ours, Expires: later}}}, soon, true},
		"the earlier secret":      {Client{Secrets: []Secret{{Hash: ours, Expires: later}, {Hash: ours}, {Hash: ours, Expires: soon}}}, soon, true},
		"the earlier key":         {Client{Keys: []ClientKey{{Expires: soon}, {}, {Expires: later}}}, soon, true},
		"somebody else's hash":    {Client{Secrets: []Secret{{Hash: ours, Expires: later}, {Hash: "$2a$10$x"}}}, time.Time{}, true},
		"registered, never used":  {Client{Updated: noon, Registration: Registration{FirstUse: time.Hour, Idle: 2 * time.Hour}}, soon, true},
		"registered, not used":    {Client{Updated: noon, Registration: Registration{Idle: 2 * time.Hour}}, later, true},
		"registered, it may stay": {Client{Updated: noon, Registration: Registration{Described: "{}"}}, time.Time{}, false},
		"the first of all times":  {Client{Keys: []ClientKey{{Expires: time.UnixMicro(0)}}}, time.Time{}, true},
		"before there were times": {Client{Keys: []ClientKey{{Expires: time.UnixMicro(-1)}}}, time.Time{}, true},
	} {
		if at, ever := test.client.Due(); !at.Equal(test.at) || ever != test.ever {
			t.Errorf("%s: got %v, %t, want %v, %t", name, at, ever, test.at, test.ever)
		}
	}
}
