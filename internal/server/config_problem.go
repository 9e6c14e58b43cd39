package server

import (
	"fmt"
	"strings"
)

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	Field   string `json:"field"`           // path of the field; empty for a file that cannot be read at all
	Text    string `json:"text"`            // what is wrong and how to mend it; never the value of a secret
	Where   string `json:"where,omitempty"` // the place: FILE:LINE:COLUMN, WRIT_… or a flag; may be empty
	Excerpt string `json:"-"`               // the line with a caret below; may be empty
}

func (p Problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.Where, p.Field} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(p.Text)
	if p.Excerpt != "" {
		b.WriteString("\n" + p.Excerpt)
	}
	return b.String()
}

// Problems are all that is wrong with a configuration, so that a person mends them in one go.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// about reports whether there is a problem with the field already.
func (ps Problems) about(path string) bool {
	for _, p := range ps {
		if p.Field == path {
			return true
		}
	}
	return false
}

func (ps *Problems) add(path, format string, args ...any) {
	*ps = append(*ps, Problem{Field: path, Text: fmt.Sprintf(format, args...)})
}

// err returns the problems as an error, nil when there are none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
