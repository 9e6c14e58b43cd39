package jose

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4/json"
)

// maxDepth is how deep JSON of another party may nest (SECURITY, section 5).
const maxDepth = 32

// DecodeObject reads a JSON object of another party by the rules of Token.Decode. It must be an object: null, an array
// or a string decode into a struct without complaint or with the zero value, and skip every check behind it
// (CVE-2026-107723).
func DecodeObject(data []byte, into any) error {
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) == 0 || start[0] != '{' {
		return errors.New("not a JSON object")
	}
	return decodeStrict(data, into)
}

// decodeStrict decodes one JSON value: case-sensitive member names, no duplicate member, bounded depth, valid UTF-8,
// nothing behind it. A parser that takes the last of two members disagrees with one that takes the first; an attacker
// lives in between.
func decodeStrict(data []byte, into any) error {
	if !utf8.Valid(data) {
		return errors.New("JSON is not UTF-8")
	}
	depth, objects := shape(data)
	if depth > maxDepth {
		return errors.New("JSON nests too deep")
	}
	if objects > 1 {
		// go-jose's decoder refuses duplicates where it decodes and skips over what nobody asked for: decode it all.
		var everything any
		if err := json.Unmarshal(data, &everything); err != nil {
			return plain(err)
		}
	}
	if err := json.Unmarshal(data, into); err != nil {
		return plain(err)
	}
	return nil
}

// plain keeps the other party's text from forging lines in our log: the decoder's error repeats a duplicate member's
// name as it came.
func plain(err error) error {
	text := err.Error()
	return errors.New(strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, text[:min(len(text), 200)]))
}

// shape returns how deep JSON nests and how many objects it has. It is exact for valid JSON, which is all that matters:
// the decoder scans its input without recursion and refuses the rest before it builds anything.
func shape(data []byte) (deepest, objects int) {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if c == '{' {
				objects++
			}
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest, objects
}
