package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/go-json-experiment/json"
)

// Bounds on what one event may take, in characters and entries.
const (
	maxText     = 256
	maxChecked  = 2048 // scope and audience of a recorded event: they were checked before, and are worth having whole
	maxAudience = 64
	// maxPresented is how many things a refusal may tell of what was presented.
	maxPresented = 24
	// maxLine is above what the bounds allow: a character takes at most 12 bytes, escaped.
	maxLine = 12 * ((10+maxPresented)*maxText + (2+maxAudience)*maxChecked)
)

const timeLayout = "2006-01-02T15:04:05.000000Z"

// A link is the hash of a line, which the next line begins with. The zero link stands before the first line.
type link [sha256.Size]byte

func (l link) String() string { return base64.RawURLEncoding.EncodeToString(l[:]) }

// linkText is the length of a link in base64url.
const linkText = 43

// linkPrefix begins every line; the link and a quote follow.
const linkPrefix = `{"prev":"`

// appendLine appends the line for an encoded event, without a line end, chained to the line before.
func appendLine(dst []byte, before link, event []byte) []byte {
	dst = append(dst, linkPrefix...)
	dst = base64.RawURLEncoding.AppendEncode(dst, before[:])
	dst = append(dst, `",`...)
	return append(dst, event...)
}

// appendEvent appends the members of an event and the closing brace. checked is the bound for Scope and Audience. It is
// written by hand because it runs once a token: a reflecting encoder takes three times as long.
func appendEvent(dst []byte, e *Event, checked int) []byte {
	dst = append(dst, `"time":"`...)
	dst = e.Time.UTC().AppendFormat(dst, timeLayout)
	dst = append(dst, '"')
	dst = appendMember(dst, "kind", e.Kind, maxText)
	dst = appendMember(dst, "client_id", e.ClientID, maxText)
	dst = appendMember(dst, "token_id", e.TokenID, maxText)
	dst = appendMember(dst, "reason", e.Reason, maxText)
	dst = appendMember(dst, "request_id", e.RequestID, maxText)
	dst = appendMember(dst, "remote", e.Remote, maxText)
	dst = appendMember(dst, "scope", e.Scope, checked)
	dst = appendList(dst, "audience", e.Audience[:min(len(e.Audience), maxAudience)], checked)
	if e.Count > 0 {
		dst = append(dst, `,"count":`...)
		dst = strconv.AppendInt(dst, e.Count, 10)
	}
	dst = appendMember(dst, "checkpoint", e.Checkpoint, maxChecked)
	dst = appendMember(dst, "refusal", e.Refusal, maxText)
	dst = appendMember(dst, "answer", e.Answer, maxText)
	dst = appendList(dst, "presented", e.Presented[:min(len(e.Presented), maxPresented)], maxText)
	return append(dst, '}')
}

// appendList appends a member with a list, if there is anything in it.
func appendList(dst []byte, name string, values []string, limit int) []byte {
	if len(values) == 0 {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	for i, value := range values {
		if i == 0 {
			dst = append(dst, '[')
		} else {
			dst = append(dst, ',')
		}
		dst = appendText(dst, value, limit)
	}
	return append(dst, ']')
}

func appendMember(dst []byte, name, value string, limit int) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return appendText(dst, value, limit)
}

// appendText appends a JSON string in printable ASCII, at most limit characters of it. A line break would forge a line,
// ESC a terminal's colours, U+2028 and the bidirectional controls what a person reads (CVE-2025-25294).
func appendText(dst []byte, s string, limit int) []byte {
	dst = append(dst, '"')
	count := 0
	for _, r := range s {
		if count++; count > limit {
			break
		}
		switch {
		case r >= 0x20 && r < 0x7f && r != '"' && r != '\\':
			dst = append(dst, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = appendEscape(appendEscape(dst, high), low)
		default:
			dst = appendEscape(dst, r)
		}
	}
	return append(dst, '"')
}

func appendEscape(dst []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// wire is a line as it is read.
type wire struct {
	Prev      string   `json:"prev"`
	Time      string   `json:"time"`
	Kind      string   `json:"kind"`
	ClientID  string   `json:"client_id"`
	TokenID   string   `json:"token_id"`
	Reason    string   `json:"reason"`
	RequestID string   `json:"request_id"`
	Remote    string   `json:"remote"`
	Scope     string   `json:"scope"`
	Audience  []string `json:"audience"`
	Count     int64    `json:"count"`

	Checkpoint string   `json:"checkpoint"`
	Refusal    string   `json:"refusal"`
	Answer     string   `json:"answer"`
	Presented  []string `json:"presented"`
}

// parseLine reads one line, without its end. It takes what appendLine writes and refuses unknown and repeated members.
func parseLine(line []byte) (Event, link, error) {
	var w wire
	if err := json.Unmarshal(line, &w, json.RejectUnknownMembers(true)); err != nil {
		return Event{}, link{}, fmt.Errorf("not a journal line: %w", err)
	}
	before, err := lineLink(line)
	if err != nil {
		return Event{}, link{}, err
	}
	at, err := time.Parse(timeLayout, w.Time)
	if err != nil {
		return Event{}, link{}, errors.New("not a journal line: time")
	}
	return Event{
		Time: at, Kind: w.Kind, ClientID: w.ClientID, TokenID: w.TokenID, Reason: w.Reason, RequestID: w.RequestID,
		Remote: w.Remote, Scope: w.Scope, Audience: w.Audience, Count: w.Count,
		Checkpoint: w.Checkpoint,
		Refusal:    w.Refusal, Answer: w.Answer, Presented: w.Presented,
	}, before, nil
}

// lineLink returns the link that a line begins with, without reading the rest.
func lineLink(line []byte) (link, error) {
	var before link
	text, ok := strings.CutPrefix(string(line[:min(len(line), len(linkPrefix)+linkText)]), linkPrefix)
	if !ok || len(text) != linkText {
		return before, errors.New("not a journal line: no link")
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(decoded) != len(before) {
		return before, errors.New("not a journal line: link")
	}
	copy(before[:], decoded)
	return before, nil
}
