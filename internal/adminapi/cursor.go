package adminapi

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/writ-auth/writ/internal/registry"
)

// A list is one that is read page by page: what it holds and the filter that it was asked with. Its cursors are good for it
// alone, and nobody but the server can make one: a cursor that a caller could write would be a query that nobody checked
// (CVE-2026-33504).
type list struct {
	key    []byte
	of     string
	filter string
}

// macSize is how much of the HMAC a cursor has.
const macSize = 16

func (a *api) list(of, filter string) list { return list{a.registry.CursorKey(), of, filter} }

// seal makes a cursor of a place, and "" of "".
func (l list) seal(place string) string {
	if place == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(l.mac(place), place...))
}

// open returns the place of a cursor.
func (l list) open(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(data) <= macSize || !hmac.Equal(data[:macSize], l.mac(string(data[macSize:]))) {
		return "", &registry.Error{Code: registry.Invalid, Text: "not valid", Problems: []registry.Problem{
			{Field: "cursor", Text: "is not what a page of this list, with this filter and order, said: begin again without it"},
		}}
	}
	return string(data[macSize:]), nil
}

func (l list) mac(place string) []byte {
	mac := hmac.New(sha256.New, l.key)
	for _, part := range []string{l.of, l.filter, place} { // none can hold a NUL: they come in a query, or from us
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	return mac.Sum(nil)[:macSize]
}
