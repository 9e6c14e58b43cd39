package client

import (
	"net/http"
	"strings"
)

// A Challenge is what a WWW-Authenticate header says about one authentication scheme (RFC 9110, 11.6.1). It comes from
// the other side: print what is in it with care.
type Challenge struct {
	Scheme     string            // lower case: "bearer", "dpop", "basic"
	Token68    string            // the single value that some schemes have instead of parameters
	Parameters map[string]string // by lower-case name, unquoted; of a repeated one the first. Never nil
}

// ParseChallenges returns the challenges of all WWW-Authenticate fields of header, in order. One field can hold several:
// commas part both the challenges and the parameters of one. From a field that is malformed it returns what stands before
// the mistake.
func ParseChallenges(header http.Header) []Challenge {
	var challenges []Challenge
	for _, field := range header.Values("WWW-Authenticate") {
		challenges = append(challenges, parseField(field)...)
	}
	return challenges
}

func parseField(field string) []Challenge {
	var challenges []Challenge
	s := scanner{rest: field}
	for s.nextElement() {
		if name, value, ok := s.parameter(); ok {
			if len(challenges) == 0 {
				return nil // a parameter of nothing
			}
			last := challenges[len(challenges)-1].Parameters
			if _, repeated := last[name]; !repeated {
				last[name] = value
			}
		} else if challenge, ok := s.scheme(); ok {
			challenges = append(challenges, challenge)
			continue // the first parameter follows without a comma
		} else {
			return challenges
		}
		if !s.endOfElement() {
			return challenges
		}
	}
	return challenges
}

// A scanner reads a header field from its start; rest is what is left.
type scanner struct{ rest string }

// nextElement skips white space and empty list elements, and reports whether there is more.
func (s *scanner) nextElement() bool {
	s.rest = strings.TrimLeft(s.rest, " \t,")
	return s.rest != ""
}

// endOfElement reports whether the list element ends here.
func (s *scanner) endOfElement() bool {
	s.space()
	return s.rest == "" || s.rest[0] == ','
}

func (s *scanner) space() { s.rest = strings.TrimLeft(s.rest, " \t") }

// scheme reads an auth-scheme, with its token68 if it has one.
func (s *scanner) scheme() (Challenge, bool) {
	before := s.rest
	name := s.take(isTokenChar)
	if name == "" || s.rest != "" && s.rest[0] != ' ' && s.rest[0] != '\t' && s.rest[0] != ',' {
		s.rest = before
		return Challenge{}, false
	}
	c := Challenge{Scheme: strings.ToLower(name), Parameters: map[string]string{}}
	if s.rest != "" && s.rest[0] != ',' {
		c.Token68 = s.token68()
	}
	return c, true
}

// token68 reads a token68 that fills the rest of the element. "a=" is one, "a=b" is a parameter.
func (s *scanner) token68() string {
	before := s.rest
	s.space()
	value := s.take(isToken68Char)
	value += s.take(func(c byte) bool { return c == '=' })
	if value == "" || value[0] == '=' || !s.endOfElement() {
		s.rest = before
		return ""
	}
	return value
}

// parameter reads name = value, where white space around "=" is tolerated (RFC 9110, 11.2).
func (s *scanner) parameter() (name, value string, ok bool) {
	before := s.rest
	name = s.take(isTokenChar)
	s.space()
	if name == "" || !strings.HasPrefix(s.rest, "=") {
		s.rest = before
		return "", "", false
	}
	s.rest = s.rest[1:]
	s.space()
	if strings.HasPrefix(s.rest, `"`) {
		value, ok = s.quoted()
	} else {
		value = s.take(isTokenChar)
		ok = value != ""
	}
	if !ok {
		s.rest = before
		return "", "", false
	}
	return strings.ToLower(name), value, true
}

// quoted reads a quoted-string (RFC 9110, 5.6.4).
func (s *scanner) quoted() (string, bool) {
	var value strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return value.String(), true
		case '\\':
			if i++; i < len(s.rest) {
				value.WriteByte(s.rest[i])
			}
		default:
			value.WriteByte(c)
		}
	}
	return "", false
}

func (s *scanner) take(allowed func(byte) bool) string {
	i := 0
	for i < len(s.rest) && allowed(s.rest[i]) {
		i++
	}
	taken := s.rest[:i]
	s.rest = s.rest[i:]
	return taken
}

func isTokenChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isToken68Char(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-._~+/", c) >= 0 }

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
