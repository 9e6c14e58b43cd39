package store

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A ClientQuery says which clients are wanted, and in which order. Its members all hold at once; a zero one says nothing.
type ClientQuery struct {
	Name           string // the whole name; no two clients have the same
	Text           string // part of the name or of the ID; "A" to "Z" are as "a" to "z", and nothing is a wildcard
	AuthMethod     string // not the former one
	Resource       string // it has a grant of its own for the resource
	Role           string // it has the role
	Suspended      Choice
	SelfRegistered Choice

	Order      ClientOrder
	Descending bool
	After      ClientPosition // the last one seen; zero: from the start
	Limit      int
}

// A Choice is a yes or no, or neither.
type Choice int8

// The choices.
const (
	Either Choice = iota
	Yes
	No
)

// Allows reports whether the choice leaves room for an answer.
func (c Choice) Allows(answer bool) bool { return c == Either || (c == Yes) == answer }

// A ClientOrder is what clients are sorted by: names and IDs byte by byte, times to the microsecond. Of equals the IDs decide.
type ClientOrder int8

// The orders.
const (
	ByID ClientOrder = iota
	ByName
	ByCreated
	ByUpdated
)

// A ClientPosition is a place in an order of clients. The client that stood there need not be there any more.
type ClientPosition struct {
	Name string    // ByName
	Time time.Time // ByCreated, ByUpdated
	ID   string
}

// Position returns where a client stands in the order of the query.
func (q ClientQuery) Position(c Client) ClientPosition {
	switch q.Order {
	case ByName:
		return ClientPosition{Name: c.Name, ID: c.ID}
	case ByCreated:
		return ClientPosition{Time: c.Created, ID: c.ID}
	case ByUpdated:
		return ClientPosition{Time: c.Updated, ID: c.ID}
	}
	return ClientPosition{ID: c.ID}
}

// Compare is the order of the query: negative if a comes before b.
func (q ClientQuery) Compare(a, b ClientPosition) int {
	order := cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(micros(a.Time), micros(b.Time)), cmp.Compare(a.ID, b.ID))
	if q.Descending {
		return -order
	}
	return order
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Matches reports whether the query wants the client, and has not seen it yet.
func (q ClientQuery) Matches(c Client) bool {
	return (q.Name == "" || q.Name == c.Name) &&
		(q.Text == "" || contains(c.Name, q.Text) || contains(c.ID, q.Text)) &&
		(q.AuthMethod == "" || q.AuthMethod == c.AuthMethod) &&
		(q.Resource == "" || slices.ContainsFunc(c.Grants, func(g Grant) bool { return g.Resource == q.Resource })) &&
		(q.Role == "" || slices.Contains(c.Roles, q.Role)) &&
		q.Suspended.Allows(c.Suspended) && q.SelfRegistered.Allows(c.SelfRegistered()) &&
		(q.After.ID == "" || q.Compare(q.Position(c), q.After) > 0)
}

func contains(text, part string) bool { return strings.Contains(LowerASCII(text), LowerASCII(part)) }

// LowerASCII returns the text with "A" to "Z" as "a" to "z", and all else as it is.
func LowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, text)
}
