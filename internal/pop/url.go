package pop

import (
	"net/url"
	"strings"
)

// sameURL reports whether what a proof names in "htu" is the URL of the request: without query and fragment, after
// normalising syntax and scheme of both (RFC 9449, 4.3, step 9; RFC 3986, 6.2.2 and 6.2.3).
func sameURL(claimed, actual string) bool {
	a, good := normalise(claimed)
	if !good {
		return false
	}
	b, good := normalise(actual)
	return good && a == b
}

// normalise returns the one spelling of an absolute URL with a host and without a user. It is not good otherwise.
func normalise(text string) (string, bool) {
	u, err := url.Parse(withoutQuery(text))
	// A host has its letters in ASCII: what lower case makes of others (the Kelvin sign is a k) is another host.
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" || strings.ContainsFunc(u.Host, func(r rune) bool { return r > '~' }) {
		return "", false
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", false
	}
	host = strings.TrimSuffix(host, ":") // an empty port is the default one
	path := normalisePath(u.EscapedPath())
	if strings.Contains(path, "/.") {
		// ResolveReference removes dot segments (RFC 3986, 5.2.4).
		if u, err = url.Parse("https://host" + path); err != nil {
			return "", false
		}
		path = u.ResolveReference(u).EscapedPath()
	}
	return scheme + "://" + host + path, true
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// normalisePath spells percent-encodings in upper case, and characters that need none without (RFC 3986, 6.2.2.1 and
// 6.2.2.2). An empty path is "/".
func normalisePath(escaped string) string {
	if escaped == "" {
		return "/"
	}
	if !strings.Contains(escaped, "%") {
		return escaped
	}
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '%' || i+2 >= len(escaped) {
			b.WriteByte(escaped[i])
			continue
		}
		code := strings.ToUpper(escaped[i : i+3])
		if plain, err := url.PathUnescape(code); err == nil && strings.Contains(unreserved, plain) {
			code = plain
		}
		b.WriteString(code)
		i += 2
	}
	return b.String()
}
