package registry

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// readDN returns a distinguished name if it is one (RFC 4514, 3), and "" if not. How it is compared with that of a
// certificate is the authority's.
func readDN(name string) string {
	if !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0 {
		return ""
	}
	for rest := name; ; {
		after, ok := skipAttribute(rest)
		if !ok {
			return ""
		}
		if after == "" {
			return name
		}
		rest = after[1:] // behind the comma or plus sign
	}
}

// skipAttribute returns what stands behind the first attribute type and value: "", or a separator and more.
func skipAttribute(text string) (rest string, ok bool) {
	kind, value, found := strings.Cut(text, "=")
	if !found || !isAttributeType(strings.TrimLeft(kind, " ")) {
		return "", false
	}
	if strings.HasPrefix(value, "#") {
		return skipHex(value[1:])
	}
	return skipString(value)
}

// isAttributeType takes a descriptor, or an OID in dots and digits.
func isAttributeType(kind string) bool {
	if kind == "" {
		return false
	}
	if kind[0] >= '0' && kind[0] <= '9' {
		for number := range strings.SplitSeq(kind, ".") {
			if number == "" || strings.Trim(number, "0123456789") != "" || len(number) > 1 && number[0] == '0' {
				return false
			}
		}
		return strings.Contains(kind, ".")
	}
	return isLetter(kind[0]) && strings.Trim(strings.ToLower(kind), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func skipHex(value string) (rest string, ok bool) {
	end := strings.IndexAny(value, ",+")
	if end < 0 {
		end = len(value)
	}
	_, err := hex.DecodeString(value[:end])
	return value[end:], err == nil && end > 0
}

// skipString reads a value in which special characters are escaped, up to one that is not and separates.
func skipString(value string) (rest string, ok bool) {
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == ',' || c == '+':
			return value[i:], i > 0 && value[i-1] != ' '
		case c == '"' || c == ';' || c == '<' || c == '>':
			return "", false
		case i == 0 && c == ' ':
			return "", false
		case c != '\\':
		case i+1 < len(value) && strings.IndexByte(`\"+,;<>= #`, value[i+1]) >= 0:
			i++
		case i+2 < len(value) && isHexPair(value[i+1:i+3]):
			i += 2
		default:
			return "", false
		}
	}
	return "", value != "" && (value[len(value)-1] != ' ' || strings.HasSuffix(value, `\ `))
}

func isHexPair(text string) bool {
	_, err := hex.DecodeString(text)
	return err == nil
}
