package oauth

import (
	"slices"
	"strings"
)

// A Scope is a set of scope tokens in a stable order.
type Scope []string

// MaxScopeBytes and MaxScopeTokens bound a scope parameter before anything is looked up, so that a caller cannot buy
// work with it (CVE-2026-4634).
const (
	MaxScopeBytes  = 2048
	MaxScopeTokens = 64
)

// ParseScope parses a scope parameter. Scope tokens are case-sensitive, repeated ones count once, and their order is
// kept. Extra spaces are tolerated; anything else outside the grammar of RFC 6749, 3.3 is InvalidScope.
func ParseScope(s string) (Scope, error) {
	if len(s) > MaxScopeBytes {
		return nil, Errorf(InvalidScope, "scope is longer than 2048 bytes")
	}
	var scope Scope
	for token := range strings.SplitSeq(s, " ") {
		if token == "" {
			continue
		}
		if !ValidScopeToken(token) {
			return nil, Errorf(InvalidScope, "scope has a character that is not allowed")
		}
		if !slices.Contains(scope, token) {
			scope = append(scope, token)
		}
		if len(scope) > MaxScopeTokens {
			return nil, Errorf(InvalidScope, "scope has more than 64 values")
		}
	}
	return scope, nil
}

// ValidScopeToken reports whether s is a scope-token: 1*( %x21 / %x23-5B / %x5D-7E ) (RFC 6749, 3.3).
func ValidScopeToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// String returns the scope as it goes over the wire.
func (s Scope) String() string { return strings.Join(s, " ") }

// Has reports whether the scope holds token: exactly, never as a part of another (RFC 6749, 3.3).
func (s Scope) Has(token string) bool { return slices.Contains(s, token) }

// Missing returns the tokens of want that s does not hold.
func (s Scope) Missing(want ...string) Scope {
	var missing Scope
	for _, token := range want {
		if !s.Has(token) {
			missing = append(missing, token)
		}
	}
	return missing
}
