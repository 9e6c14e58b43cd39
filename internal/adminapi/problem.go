package adminapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/writ-auth/writ/admin/wire"
	"github.com/writ-auth/writ/internal/registry"
	"github.com/writ-auth/writ/oauth"
	"github.com/writ-auth/writ/resource"
)

// A Problem is a refusal as huma writes it.
type Problem struct{ wire.Problem }

// refusal returns a problem with what is wrong, field by field.
func refusal(status int, detail string, fields ...wire.FieldProblem) *Problem {
	return &Problem{wire.Problem{Title: http.StatusText(status), Status: status, Detail: detail, Errors: fields}}
}

// GetStatus and ContentType are how huma asks an error what it is.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of a problem.
func (*Problem) ContentType(string) string { return "application/problem+json" }

// huma keeps what every API of a process does alike in variables of its own; this package is the only one that uses it.
func init() {
	huma.NewErrorWithContext = func(_ huma.Context, status int, detail string, problems ...error) huma.StatusError {
		return newProblem(status, detail, problems...)
	}
	huma.NewError = func(status int, detail string, problems ...error) huma.StatusError {
		return newProblem(status, detail, problems...)
	}
	huma.DefaultArrayNullable = false // we never send null for a list
}

// newProblem is what huma's own refusals become. A request that is not valid is a 400, whatever the reason, as for every
// other endpoint of ours. What was sent is not sent back: it may hold what nobody should see.
func newProblem(status int, detail string, problems ...error) *Problem {
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	p := refusal(status, detail)
	if status >= http.StatusInternalServerError {
		return p
	}
	for _, problem := range problems {
		if detail, ok := errors.AsType[*huma.ErrorDetail](problem); ok {
			p.Errors = append(p.Errors, wire.FieldProblem{
				Location: oauth.SafeText(detail.Location), Message: oauth.SafeText(strings.ReplaceAll(detail.Message, `"`, "")),
			})
		}
	}
	return p
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = strictJSON.Marshal(w, p) // nobody is left to tell
}

var statuses = map[registry.Code]int{
	registry.Invalid:      http.StatusBadRequest,
	registry.NotFound:     http.StatusNotFound,
	registry.Conflict:     http.StatusConflict,
	registry.Changed:      http.StatusPreconditionFailed,
	registry.Forbidden:    http.StatusForbidden,
	registry.Unauthorized: http.StatusUnauthorized,
}

// problem returns what a caller may know of an error. What is not for the caller is logged, here and nowhere else.
func (a *api) problem(ctx context.Context, err error) error {
	refused, ok := errors.AsType[*registry.Error](err)
	if !ok {
		a.logger.ErrorContext(ctx, "admin request failed", slog.Any("error", err))
		down := newProblem(http.StatusServiceUnavailable, "the server cannot do this now")
		return huma.ErrorWithHeaders(down, http.Header{"Retry-After": {strconv.Itoa(retryAfter)}})
	}
	p := newProblem(statuses[refused.Code], refused.Text)
	for _, problem := range refused.Problems {
		p.Errors = append(p.Errors, wire.FieldProblem{Location: location(problem.Field), Message: problem.Text})
	}
	switch refused.Code {
	case registry.Unauthorized:
		return a.challenged(ctx, p, oauth.InvalidToken, "")
	case registry.Forbidden:
		return a.challenged(ctx, p, oauth.InsufficientScope, refused.Scope)
	}
	return p
}

// retryAfter is when it is worth asking again, in seconds.
const retryAfter = 5

// challenged adds the challenge of RFC 6750, 3, for the scheme that the caller used: a token that is bound to a key must not
// be tried as a bearer token (RFC 9449, 7.1).
func (a *api) challenged(ctx context.Context, p *Problem, code oauth.Code, scope string) error {
	text := oauth.Bearer + " " + a.challenge
	if resource.FromContext(ctx).Bound().Key != "" {
		text = oauth.DPoP + " " + a.challenge
	}
	if scope != "" {
		text += `, scope="` + oauth.SafeText(scope) + `"`
	}
	text += `, error="` + string(code) + `", error_description="` + oauth.SafeText(p.Detail) + `"`
	return huma.ErrorWithHeaders(p, http.Header{"Www-Authenticate": {text}})
}

func location(field string) string {
	switch field {
	case "cursor", "limit", "search", "auth_method", "resource", "role", "suspended", "self_registered", "sort":
		return "query." + field
	case idempotencyKey:
		return "header." + field
	}
	return "body." + field
}

// maxDepth is how deep JSON may nest (SECURITY, CO-14).
const maxDepth = 32

var (
	errTooDeep = errors.New("JSON nests too deep")
	errNull    = errors.New("JSON has null: leave out what there is not")
)

// strictJSON reads JSON that has one meaning only: no member twice or unknown or in other case, no bytes that are not
// UTF-8, nothing behind it, no null that could mean "left out" or "make it empty", bounded depth.
var strictJSON = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		return json.MarshalWrite(w, v, jsontext.WithIndent("  "))
	},
	Unmarshal: func(data []byte, v any) error {
		if tooDeep(data) {
			return errTooDeep
		}
		if hasNull(data) {
			return errNull
		}
		return json.Unmarshal(data, v, json.RejectUnknownMembers(true))
	},
}

// tooDeep reports whether JSON nests too deep. Text that is no JSON does not: it fails when it is read.
func tooDeep(data []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// hasNull reports whether JSON has null anywhere.
func hasNull(data []byte) bool {
	decoder := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		token, err := decoder.ReadToken()
		if err != nil {
			return false // the end, or what Unmarshal says better
		}
		if token.Kind() == 'n' {
			return true
		}
	}
}
