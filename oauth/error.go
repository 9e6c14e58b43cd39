package oauth

import (
	"errors"
	"strings"
)

// A Code is an OAuth error code. It is itself an error, so that callers can write
// errors.Is(err, oauth.InvalidScope) whatever travels with it.
type Code string

// The error codes Writ sends (RFC 6749, 5.2; RFC 6750, 3.1; RFC 7009, 2.2.1; RFC 7591, 3.2.2; RFC 8707, 2; RFC 9449, 5 and 8).
const (
	InvalidRequest         Code = "invalid_request"
	InvalidClient          Code = "invalid_client"
	InvalidGrant           Code = "invalid_grant"
	UnauthorizedClient     Code = "unauthorized_client"
	UnsupportedGrantType   Code = "unsupported_grant_type"
	InvalidScope           Code = "invalid_scope"
	InvalidTarget          Code = "invalid_target"
	InvalidToken           Code = "invalid_token"
	InsufficientScope      Code = "insufficient_scope"
	TemporarilyUnavailable Code = "temporarily_unavailable"
	ServerError            Code = "server_error"
	InvalidClientMetadata  Code = "invalid_client_metadata"
	InvalidRedirectURI     Code = "invalid_redirect_uri"
	InvalidDPoPProof       Code = "invalid_dpop_proof"
	UseDPoPNonce           Code = "use_dpop_nonce"

	InvalidSoftwareStatement    Code = "invalid_software_statement"
	UnapprovedSoftwareStatement Code = "unapproved_software_statement"
)

// Error returns the code as it goes over the wire.
func (c Code) Error() string { return string(c) }

// An Error is the only error that another party may see. Description is meant for the developer of the other side and
// must not help an attacker; Cause is for our own log and never leaves the process.
type Error struct {
	Code        Code
	Description string
	Cause       error
}

// Errorf returns an Error with a description made of fixed text and safe values.
func Errorf(code Code, description string) *Error {
	return &Error{Code: code, Description: description}
}

// Because returns a copy of e that remembers err for the log.
func (e *Error) Because(err error) *Error {
	c := *e
	c.Cause = err
	return &c
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Description != "" {
		s += ": " + e.Description
	}
	if e.Cause != nil {
		s += " (" + e.Cause.Error() + ")"
	}
	return s
}

// Is reports whether target is the error's code, so that errors.Is(err, oauth.InvalidScope) holds.
func (e *Error) Is(target error) bool {
	var code Code
	return errors.As(target, &code) && code == e.Code
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// SafeText returns s with every character replaced by '?' that error_description, scope and the quoted strings of a
// challenge may not carry: all but %x20-21, %x23-5B and %x5D-7E (RFC 6749, 5.2). At most 256 bytes are kept. It is what
// stops a caller's own text from splitting a header or a log line.
func SafeText(s string) string {
	if len(s) > 256 {
		s = s[:256]
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}
