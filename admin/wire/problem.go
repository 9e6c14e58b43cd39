package wire

import "strings"

// A Problem is what the API answers when it cannot do what was asked (RFC 9457), and the error of who asked.
type Problem struct {
	Title  string         `json:"title" doc:"The status in words" example:"Bad Request"`
	Status int            `json:"status" doc:"The HTTP status" example:"400"`
	Detail string         `json:"detail,omitempty" doc:"What is wrong" example:"not valid"`
	Errors []FieldProblem `json:"errors,omitempty" doc:"Every field that is wrong"`
}

// A FieldProblem is one field that is wrong.
type FieldProblem struct {
	Location string `json:"location" example:"body.grants[0].scopes[1]"`
	Message  string `json:"message" example:"https://api.example.com has no scope orders:drop"`
}

// Error says all of it in a line.
func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	var fields []string
	for _, field := range p.Errors {
		fields = append(fields, strings.TrimPrefix(field.Location, "body.")+": "+field.Message)
	}
	if len(fields) > 0 {
		text += ": " + strings.Join(fields, "; ")
	}
	return text
}
