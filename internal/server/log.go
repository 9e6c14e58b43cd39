package server

import (
	"context"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxLogged is how much of a value reaches the log: more than any honest one, and too little to fill a disk with.
const maxLogged = 256

// NewLogger returns the logger that Config.Log asks for.
//
// Every value passes one place on its way out: it is cut at 256 characters, and what looks like a secret or a token is
// struck out, wherever it came from. The handlers of slog escape control characters, so a value is never a line of its own
// and never a command to a terminal (CVE-2025-25294).
func NewLogger(w io.Writer, c Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: scrubAttr}
	if c.Format == "text" {
		return slog.New(scrubbing{Handler: slog.NewTextHandler(w, options)})
	}
	lines := &logLines{w: w}
	return slog.New(scrubbing{slog.NewJSONHandler(lines, options), lines})
}

// scrubbing cleans the message too, which ReplaceAttr cannot be relied on to see in every handler.
type scrubbing struct {
	slog.Handler
	lines *logLines // nil if a line about a request is not the same for all loggers that write there
}

func (h scrubbing) Handle(ctx context.Context, record slog.Record) error {
	record.Message = scrub(record.Message, maxLogged)
	return h.Handler.Handle(ctx, record)
}

func (h scrubbing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return scrubbing{Handler: h.Handler.WithAttrs(attrs)}
}
func (h scrubbing) WithGroup(name string) slog.Handler {
	return scrubbing{Handler: h.Handler.WithGroup(name)}
}

// keyStack is the one attribute that may be long: a stack trace, which holds no request data.
const keyStack, maxStack = "stack", 16 << 10

func scrubAttr(_ []string, attr slog.Attr) slog.Attr {
	limit := maxLogged
	if attr.Key == keyStack {
		limit = maxStack
	}
	switch value := attr.Value.Resolve(); value.Kind() {
	case slog.KindString:
		attr.Value = slog.StringValue(scrub(value.String(), limit))
	case slog.KindAny:
		switch any := value.Any().(type) {
		case error:
			attr.Value = slog.StringValue(scrub(any.Error(), limit))
		case *slog.Source:
		default:
			attr.Value = slog.StringValue(scrub(value.String(), limit))
		}
	}
	return attr
}

// secrets is what our own secrets and any JWT look like, wherever they were put by mistake: a path, a user agent, an error.
var secrets = regexp.MustCompile(`(?i)writ_[a-z]{2,4}_[A-Za-z0-9_-]{8,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+|(basic|bearer|dpop)\s+[A-Za-z0-9+/=._~-]{8,}`)

// suspect spares the expressions above almost every value of almost every line: it finds what each of their alternatives begins
// with, and more than that.
func suspect(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return true // a letter may have an odd other case
		}
		var begins []string
		switch text[i] | 0x20 {
		case 'w':
			begins = []string{"writ_"}
		case 'e':
			begins = []string{"eyJ"}
		case 'b':
			begins = []string{"basic", "bearer"}
		case 'd':
			begins = []string{"dpop"}
		case ':':
			begins = []string{"://"}
		}
		for _, beginning := range begins {
			if len(text)-i >= len(beginning) && strings.EqualFold(text[i:i+len(beginning)], beginning) {
				return true
			}
		}
	}
	return false
}

func scrub(text string, limit int) string {
	if len(text) > 64<<10 {
		text = text[:64<<10] // bounds the work below; far more than is kept
	}
	if suspect(text) {
		text = redactDSN(secrets.ReplaceAllString(text, "[secret]"))
	}
	if len(text) <= limit {
		return printable(text)
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return printable(text[:limit]) + "…"
}

// printable replaces what is valid in a string and still no text: bytes that are not UTF-8, C1 controls, and the marks
// that make a terminal show a line in another order. The handlers escape the rest.
func printable(text string) string {
	if plain(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, 0x7f <= r && r < 0xa0, 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069, r == 0x2028, r == 0x2029:
			return '\uFFFD'
		}
		return r
	}, text)
}

// plain reports whether a text is ASCII that can be seen.
func plain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
