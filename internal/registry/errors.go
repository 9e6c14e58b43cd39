package registry

import (
	"errors"
	"fmt"
	"strings"

	"github.com/writ-auth/writ/oauth"
)

// A Code says what kind of Error it is. It is itself an error, so that errors.Is(err, registry.NotFound) holds.
type Code string

// The codes of the errors that a caller tells apart.
const (
	Invalid      Code = "invalid"      // what was asked for cannot be; Problems has the fields
	NotFound     Code = "not found"    // what it was asked about does not exist
	Conflict     Code = "conflict"     // it is not possible as things are now
	Changed      Code = "changed"      // it is not what the actor thinks that it is, see If
	Forbidden    Code = "forbidden"    // the actor may not
	Unauthorized Code = "unauthorized" // the actor's token counts no more
)

// Error returns the code.
func (c Code) Error() string { return string(c) }

// An Error is a refusal that says what to do about it. It holds no secret.
type Error struct {
	Code     Code
	Text     string
	Problems []Problem // of Invalid
	Scope    string    // of Forbidden: the scope that the actor lacks
}

// A Problem is one thing that is wrong with what was asked for.
type Problem struct {
	Field string // such as grants[0].scopes[1]
	Text  string
}

func (e *Error) Error() string {
	var parts []string
	for _, problem := range e.Problems {
		parts = append(parts, problem.Field+": "+problem.Text)
	}
	if len(parts) == 0 {
		return e.Text
	}
	return e.Text + ": " + strings.Join(parts, "; ")
}

// Is reports whether target is the error's code. An Invalid error is also oauth.InvalidClientMetadata (RFC 7591, 3.2.2).
func (e *Error) Is(target error) bool {
	if code, ok := errors.AsType[oauth.Code](target); ok {
		return e.Code == Invalid && code == oauth.InvalidClientMetadata
	}
	code, ok := errors.AsType[Code](target)
	return ok && code == e.Code
}

// maxProblems bounds an answer: 64 grants with 64 unknown scopes each would make a long one.
const maxProblems = 50

func invalid(problems ...Problem) error {
	if len(problems) == 0 {
		return nil
	}
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems:maxProblems], Problem{"…", fmt.Sprintf("and %d more problems", more)})
	}
	return &Error{Code: Invalid, Text: "not valid", Problems: problems}
}

func notFound(kind, name string) error {
	return &Error{Code: NotFound, Text: "there is no " + kind + " " + oauth.SafeText(name)}
}

func conflict(format string, values ...any) error {
	return &Error{Code: Conflict, Text: fmt.Sprintf(format, values...)}
}

func forbidden(scope, text string) error {
	return &Error{Code: Forbidden, Text: text, Scope: scope}
}
