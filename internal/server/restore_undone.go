package server

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/writ-auth/writ/internal/store"
)

// undone says what was changed between a backup and now, a line for each, as what becomes of it.
func undone(ctx context.Context, now, then store.Store, at time.Time) ([]string, error) {
	lines := []string{}
	for _, part := range []func() ([]string, error){
		func() ([]string, error) {
			return differences(ctx, now.Clients(), then.Clients(), "client", func(c store.Client) string { return c.Name }, func(is, was store.Client) []string { return clientUndone(is, was, at) })
		},
		func() ([]string, error) {
			return differences(ctx, now.Resources(), then.Resources(), "resource", store.Resource.Key, resourceUndone)
		},
		func() ([]string, error) {
			return differences(ctx, now.Roles(), then.Roles(), "role", store.Role.Key, roleUndone)
		},
		func() ([]string, error) { return keysUndone(ctx, now, then) },
		func() ([]string, error) { return revocationsUndone(ctx, now, then, at) },
	} {
		more, err := part()
		if err != nil {
			return nil, fmt.Errorf("server: restore: %w", err)
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// all reads a table.
func all[T store.Record](ctx context.Context, table store.Table[T]) (map[string]T, error) {
	found := map[string]T{}
	err := store.Each(ctx, table, func(record T) error {
		found[record.Key()] = record
		return nil
	})
	return found, err
}

func differences[T store.Record](ctx context.Context, now, then store.Table[T], kind string, name func(T) string, changed func(is, was T) []string) (lines []string, err error) {
	is, err := all(ctx, now)
	if err != nil {
		return nil, err
	}
	was, err := all(ctx, then)
	if err != nil {
		return nil, err
	}
	for _, key := range slices.Sorted(maps.Keys(is)) {
		if old, both := was[key]; both {
			lines = append(lines, changed(is[key], old)...)
		} else {
			lines = append(lines, fmt.Sprintf("%s %s was made: it is gone", kind, name(is[key])))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(was)) {
		if _, both := is[key]; !both {
			lines = append(lines, fmt.Sprintf("%s %s was deleted: it is back", kind, name(was[key])))
		}
	}
	return lines, nil
}

func clientUndone(is, was store.Client, at time.Time) (lines []string) {
	tell := func(format string, values ...any) {
		lines = append(lines, "client "+is.Name+": "+fmt.Sprintf(format, values...))
	}
	switch {
	case is.Suspended && !was.Suspended:
		tell("it was suspended, and is not any more")
	case was.Suspended && !is.Suspended:
		tell("it was resumed, and is suspended again")
	}
	if is.NotBefore.After(was.NotBefore) {
		tell("its tokens from before %s were revoked, and count again", is.NotBefore.Format(time.RFC3339))
	}
	for _, c := range credentialsUndone(credentialsOf(is), credentialsOf(was), at) {
		tell("%s", c)
	}
	rest := func(c store.Client) store.Client {
		c.Suspended, c.NotBefore, c.Updated, c.Secrets, c.Keys = false, time.Time{}, time.Time{}, nil, nil
		return c
	}
	if !reflect.DeepEqual(rest(is), rest(was)) {
		tell("what it may or how it authenticates was changed, and is as before")
	}
	return lines
}

// credentialsOf returns when each secret and key of a client ends, by what it is called.
func credentialsOf(c store.Client) map[string]time.Time {
	ends := map[string]time.Time{}
	for _, s := range c.Secrets {
		ends["secret "+s.ID] = s.Expires
	}
	for _, k := range c.Keys {
		ends["key "+k.ID] = k.Expires
	}
	return ends
}

func credentialsUndone(is, was map[string]time.Time, at time.Time) (lines []string) {
	over := func(end time.Time) bool { return !end.IsZero() && !end.After(at) }
	for _, name := range slices.Sorted(maps.Keys(was)) {
		end, still := is[name]
		switch {
		case over(was[name]):
		case !still:
			lines = append(lines, name+" was taken away, and is good again")
		case !end.IsZero() && (was[name].IsZero() || end.Before(was[name])):
			lines = append(lines, name+" was to end at "+end.Format(time.RFC3339)+", and is good for longer")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if _, had := was[name]; !had {
			lines = append(lines, name+" was added, and is gone: whoever uses it is locked out")
		}
	}
	return lines
}

func resourceUndone(is, was store.Resource) (lines []string) {
	if is.NotBefore.After(was.NotBefore) {
		lines = append(lines, fmt.Sprintf("resource %s: tokens from before %s were revoked, and count again", is.URI, is.NotBefore.Format(time.RFC3339)))
	}
	is.NotBefore, is.Updated, was.NotBefore, was.Updated = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	if !reflect.DeepEqual(is, was) {
		lines = append(lines, fmt.Sprintf("resource %s was changed, and is as before", is.URI))
	}
	return lines
}

func roleUndone(is, was store.Role) []string {
	is.Updated, was.Updated = time.Time{}, time.Time{}
	if reflect.DeepEqual(is, was) {
		return nil
	}
	return []string{fmt.Sprintf("role %s was changed, and is as before", is.Name)}
}

// keysUndone leaves out the keys that the schedule has dropped since: they are of no use.
func keysUndone(ctx context.Context, now, then store.Store) (lines []string, err error) {
	is, err := all(ctx, now.Keys())
	if err != nil {
		return nil, err
	}
	was, err := all(ctx, then.Keys())
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(is)) {
		old, had := was[id]
		switch {
		case !had:
			lines = append(lines, "signing key "+id+" was made, and is gone: tokens that it signed are refused")
		case !is[id].Revoked.IsZero() && old.Revoked.IsZero():
			lines = append(lines, "signing key "+id+" was withdrawn, and counts again")
		}
	}
	return lines, nil
}

func revocationsUndone(ctx context.Context, now, then store.Store, at time.Time) ([]string, error) {
	is, err := all(ctx, now.Revocations())
	if err != nil {
		return nil, err
	}
	was, err := all(ctx, then.Revocations())
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(is, func(id string, r store.Revocation) bool { _, had := was[id]; return had || r.Expires.Before(at) })
	if len(is) == 0 {
		return nil, nil
	}
	return []string{fmt.Sprintf("%d tokens were revoked, and count again until they expire", len(is))}, nil
}
