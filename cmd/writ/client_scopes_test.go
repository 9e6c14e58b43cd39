package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/writ-auth/writ/admin"
)

func TestDescribeScopes(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	day := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	scopes := []admin.ScopeUse{
		{Resource: "https://a.test", Scope: "write", Roles: []string{"clerk", "boss"}},
		{Resource: "https://a.test", Scope: "read", Default: true, LastUsed: day(2)},
		{Resource: "https://b.test", Scope: "read", LastUsed: day(100)},
		{Resource: "https://b.test", Scope: "list", LastUsed: day(89), Default: true, Roles: []string{"clerk"}},
	}
	for _, test := range []struct {
		name    string
		created time.Time
		want    []string
	}{
		{"an old client", day(400), []string{
			"used", "read at https://a.test, last 2026-11-21 12:00, by default",
			"used", "list at https://b.test, last 2026-08-26 12:00, by default, by role clerk",
			"not used", "write at https://a.test, in the last 90 days, by role clerk and boss",
			"not used", "read at https://b.test, in the last 90 days; last 2026-08-15 12:00",
		}},
		{"a young client", day(3), []string{
			"used", "read at https://a.test, last 2026-11-21 12:00, by default",
			"used", "list at https://b.test, last 2026-08-26 12:00, by default, by role clerk",
			"not used", "write at https://a.test, since the client was registered 3 days ago, by role clerk and boss",
			"not used", "read at https://b.test, in the last 90 days; last 2026-08-15 12:00",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := admin.Client{ScopeUses: scopes, Created: test.created}
			if diff := cmp.Diff(test.want, describeScopeUses(client, now)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
