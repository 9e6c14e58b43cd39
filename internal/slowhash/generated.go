package slowhash

import (
	"math"
	"strings"

	"github.com/writ-auth/writ/internal/store"
)

// Keep returns what is kept of a secret in clear: one fast hash if it was generated, else a slow one.
func Keep(secret string) (string, error) {
	if Generated(secret) {
		return store.HashSecret(secret), nil
	}
	return New(secret)
}

// minBits is what a secret must have so that one fast hash of it can be kept.
const minBits = 128

// Generated reports whether a secret looks as if a machine had drawn each of its characters by lot, with 128 bits or more. Nobody
// can tell from a text how it came about, and to take words for random costs more than the other way round: what is in
// doubt is not generated, and keeps its slow hash. So a UUID, which has 122 bits, is not; nor is anything with a space, with
// runs of lower-case letters as in words, or with few different characters.
func Generated(secret string) bool {
	if strings.Trim(secret, "0123456789abcdef") == "" || strings.Trim(secret, "0123456789ABCDEF") == "" {
		return mixed(secret, 0.25) && enough(secret, 16, 7)
	}
	symbols := 64.0
	for _, c := range secret {
		if kindOf(c) == 0 {
			return false
		}
	}
	if !strings.ContainsAny(secret, "0123456789") || strings.ToLower(secret) == secret || strings.ToUpper(secret) == secret {
		return false // one alphabet alone is how people write
	}
	return mixed(secret, 0.4) && enough(secret, symbols, 13)
}

// enough reports whether so many characters have the bits, and enough of them are different.
func enough(secret string, symbols float64, different int) bool {
	seen := map[rune]bool{}
	for _, c := range secret {
		seen[c] = true
	}
	return float64(len(secret))*math.Log2(symbols) >= minBits && len(seen) >= different
}

// mixed reports whether the kind of character changes from one to the next at least as often as share says.
func mixed(secret string, share float64) bool {
	changes := 0
	var last int
	for i, c := range secret {
		if kind := kindOf(c); i > 0 && kind != last {
			changes++
		}
		last = kindOf(c)
	}
	return len(secret) > 1 && float64(changes) >= share*float64(len(secret)-1)
}

// kindOf tells digits, small and capital letters, and what else generators use, 0 for the rest.
func kindOf(c rune) int {
	switch {
	case c >= '0' && c <= '9':
		return 1
	case c >= 'a' && c <= 'z':
		return 2
	case c >= 'A' && c <= 'Z':
		return 3
	case strings.ContainsRune("-_.~+/=", c):
		return 4
	}
	return 0
}
