package store

import "time"

// Due returns when a client is to be looked at next because something of it ends with time alone, at the earliest: a former method, a
// secret, a key, or a client that registered itself and is not used. It is the zero time for a client with a hash that is not
// HashSecret's, which is to be replaced. Of most clients nothing ends, and ever is false.
func (c Client) Due() (at time.Time, ever bool) {
	next := func(end time.Time) {
		if !ever || end.Before(at) {
			at, ever = end, true
		}
	}
	if c.FormerMethod != "" {
		next(c.FormerUntil)
	}
	for _, secret := range c.Secrets {
		if !secret.Expires.IsZero() {
			next(secret.Expires)
		}
		if _, ours := SumOf(secret.Hash); !ours {
			next(time.Time{})
		}
	}
	for _, key := range c.Keys {
		if !key.Expires.IsZero() {
			next(key.Expires)
		}
	}
	for _, unused := range []time.Duration{c.Registration.FirstUse, c.Registration.Idle} {
		if unused > 0 {
			next(c.Updated.Add(unused))
		}
	}
	if !at.After(time.UnixMicro(0)) {
		at = time.Time{}
	}
	return at, ever
}

// A DuePosition is a place in the order in which clients are due.
type DuePosition struct {
	At time.Time
	ID string
}
